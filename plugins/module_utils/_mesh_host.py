# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a host needs beside the runtime for overlay networks and published ports.

NetworkManager and systemd-networkd take links into their hands that they were not told of: addresses go, links are
taken off their bridges. Where one of them runs it is told which links are the runtime's. Where none runs nothing is
written.
"""

from __future__ import annotations

import ctypes
import os
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._files import Files
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError

SYSTEMD = "/run/systemd/system"
LIBRARY = "libnftables.so.1"
PROGRAMS = ("/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft")
_DIGITS = "?" * 10
LINKS = ("sw-" + _DIGITS, "svx-" + _DIGITS, "svb-" + _DIGITS, "swgw0")
"""Names of the runtime's links, as both managers understand them: ten digits of a network's id."""

_NETWORK_MANAGER = """\
# Managed by queenright.swarm.swarm_runtime: the links of overlay networks are the runtime's.
[keyfile]
unmanaged-devices+=%s
""" % ";".join("interface-name:" + name for name in LINKS)
_NETWORKD = """\
# Managed by queenright.swarm.swarm_runtime: the links of overlay networks are the runtime's.
[Match]
Name=%s

[Link]
Unmanaged=yes
""" % " ".join(LINKS)

Run = t.Callable[..., t.Tuple[int, str, str]]


class Manager(t.NamedTuple):
    """A program that sets the links of a host up: its unit, the file that tells it of ours, how it reads that."""

    name: str
    unit: str
    path: str
    content: str
    reload: t.Tuple[str, ...]


MANAGERS = (
    Manager(
        "NetworkManager",
        "NetworkManager.service",
        "/etc/NetworkManager/conf.d/90-queenright.conf",
        _NETWORK_MANAGER,
        ("systemctl", "reload", "NetworkManager.service"),
    ),
    Manager(
        "systemd-networkd",
        "systemd-networkd.service",
        "/etc/systemd/network/00-queenright.network",  # the first file that fits a link is the one that counts
        _NETWORKD,
        ("networkctl", "reload"),
    ),
)


def keep_off(run: Run, files: Files, check: bool) -> t.List[str]:
    """Tell those managers that run which links are not theirs; what was (or would be) done. Raises InstallError."""
    done = []
    for manager in _running(run, MANAGERS):
        if files.write(manager.path, manager.content, 0o644):
            done.append("keep %s off the links of networks" % manager.name)
            if not check:
                _reload(run, manager)
    return done


def let_go(run: Run, files: Files, check: bool) -> t.List[str]:
    """Take away what `keep_off` wrote; what was (or would be) done. Raises InstallError."""
    gone = [manager for manager in MANAGERS if files.remove(manager.path)]
    if gone and not check:
        for manager in _running(run, gone):
            _reload(run, manager)
    return ["remove %s" % manager.path for manager in gone]


def packages() -> t.List[str]:
    """Packages that are wanting: balancing is programmed by libnftables or the command nft."""
    if any(os.access(program, os.X_OK) for program in PROGRAMS):
        return []
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return ["nftables"]
    return []


def _running(run: Run, managers: t.Sequence[Manager]) -> t.List[Manager]:
    if not managers or not os.path.isdir(SYSTEMD):
        return []
    _code, out, _err = run(["systemctl", "is-active", *(manager.unit for manager in managers)])
    states = out.split()
    if len(states) != len(managers):
        return []
    return [manager for manager, state in zip(managers, states) if state in ("active", "reloading", "activating")]


def _reload(run: Run, manager: Manager) -> None:
    code, out, err = run(list(manager.reload))
    if code:
        raise InstallError(
            "%s was told of the runtime's links by %s, and does not read it (%s): %s"
            % (manager.name, manager.path, " ".join(manager.reload), (err or out).strip())
        )
