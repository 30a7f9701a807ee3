# SPDX-License-Identifier: Apache-2.0
"""The mounts of a task in the three forms that the engine has for them.

``Mounts`` says most, but knows no SELinux labels: a bind that is to be relabelled goes into ``Binds``. Options of a
tmpfs came late to ``Mounts``, and older engines drop them without a word; ``Tmpfs`` always had them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

from queenright.agent.ports import TaskError
from queenright.spec import fields
from queenright.spec.container import Mount

LABELS = {"shared": "z", "private": "Z"}
SUBPATH_SINCE = 26  # major version of the engine that knows a key; an older one would mount something else
FORCE_RECURSIVE_SINCE = 25

Body = dict[str, Any]


def mount_keys(mounts: Iterable[Mount], engine_version: str) -> Body:
    """Keys of a HostConfig that make the mounts. Raises TaskError for what that engine would get wrong."""
    whole: list[Body] = []
    binds: list[str] = []
    tmpfs: dict[str, str] = {}
    for mount in mounts:
        _check_engine(mount, engine_version)
        if relabelled(mount):
            binds.append(_bind(mount))
        elif mount.type == "tmpfs" and mount.tmpfs is not None and mount.tmpfs.options:
            tmpfs[mount.target or ""] = _tmpfs(mount)
        else:
            whole.append({"Type": "volume", **fields.encode(mount)})
    keys = {"Mounts": whole, "Binds": binds, "Tmpfs": tmpfs}
    return {key: value for key, value in keys.items() if value}


def relabelled(mount: Mount) -> bool:
    """Whether the source of a bind gets an SELinux label for containers."""
    return mount.type == "bind" and mount.bind is not None and bool(mount.bind.relabel)


def missing_source(mounts: Iterable[Mount]) -> str | None:
    """The first source on this host that is not there and shall not be made; asks the file system.

    For the engine's ``Binds``, which would make a directory of that name. For ``Mounts`` the engine says so itself.
    """
    for mount in mounts:
        if relabelled(mount) and not (mount.bind and mount.bind.create_mountpoint):
            if not os.path.lexists(mount.source or ""):
                return mount.source
    return None


def _bind(mount: Mount) -> str:
    assert mount.bind is not None
    modes = ["ro"] if mount.read_only else []
    modes.append(LABELS[mount.bind.relabel or "shared"])
    if mount.bind.propagation:
        modes.append(mount.bind.propagation)
    return f"{mount.source}:{mount.target}:{','.join(modes)}"


def _tmpfs(mount: Mount) -> str:
    assert mount.tmpfs is not None
    options = list(mount.tmpfs.options)
    if mount.read_only:
        options.append("ro")
    if mount.tmpfs.size:
        options.append(f"size={mount.tmpfs.size}")
    if mount.tmpfs.mode:
        options.append(f"mode={mount.tmpfs.mode:o}")
    return ",".join(options)


def _check_engine(mount: Mount, version: str) -> None:
    if mount.volume is not None and mount.volume.subpath:
        _needs(version, SUBPATH_SINCE, "Subpath of a volume")
    if mount.bind is not None and mount.bind.read_only_force_recursive:
        _needs(version, FORCE_RECURSIVE_SINCE, "ReadOnlyForceRecursive of a bind")


def _needs(version: str, since: int, what: str) -> None:
    major = re.match(r"[0-9]+", version)
    if major is not None and int(major[0]) < since:
        raise TaskError(f"{what} needs Docker Engine {since}, this node has {version}")
