# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How the daemon is started: socket-activated units where systemd runs, else an init script."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._files import Files
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError
from ansible_collections.queenright.swarm.plugins.module_utils._units import (
    INIT_SCRIPT,
    LOG,
    LOGROTATE,
    PIDFILE,
    SERVICE,
    SOCKET,
)

STATE_FILE = "/var/lib/queenright/state.json"
SYSTEMD_RUNS = "/run/systemd/system"
UNITS = "/etc/systemd/system"
INIT_D = "/etc/init.d"
LOGROTATE_D = "/etc/logrotate.d"
UPDATE_RC = "/usr/sbin/update-rc.d"

Run = t.Callable[..., t.Tuple[int, str, str]]


def detect() -> str:
    """``systemd`` where it is process 1, else ``sysv``."""
    return "systemd" if os.path.isdir(SYSTEMD_RUNS) else "sysv"


class ServiceManager:
    """What both kinds offer. ``write`` comes first: it remembers what it changed for ``restart``."""

    def __init__(self, run: Run, files: Files) -> None:
        self._run = run
        self._files = files
        self._changed = set()  # type: t.Set[str]
        self._owned = {}  # type: t.Dict[str, t.Tuple[str, int]]
        self._log_command = []  # type: t.List[str]

    def write(self) -> bool:
        """Put the service files in place; whether that is a change."""
        self._changed = {path for path, (text, mode) in self._owned.items() if self._files.write(path, text, mode)}
        return bool(self._changed)

    def there(self) -> bool:
        """Whether any of the service files exists."""
        return any(os.path.lexists(path) for path in self._owned)

    def last_words(self) -> str:
        """The end of the daemon's log."""
        rc, out, _err = self._run(self._log_command)
        return "\n".join(out.strip().splitlines()[-8:]) if rc == 0 else ""

    def _forget(self) -> None:
        for path in sorted(self._owned):
            self._files.remove(path)

    def _must(self, command: t.List[str]) -> None:
        rc, out, err = self._run(command)
        if rc != 0:
            raise InstallError("%s failed: %s" % (" ".join(command), (err or out).strip() or "it does not say why"))


class Systemd(ServiceManager):
    """Socket-activated: a host in no swarm holds a socket and nothing else."""

    _ALL = ("queenright.socket", "queenright.service")

    def __init__(self, run: Run, files: Files, command: str, socket: str, group: str) -> None:
        super().__init__(run, files)
        self._log_command = ["journalctl", "--boot", "--lines=8", "--no-pager", "--output=cat"]
        self._log_command.append("_SYSTEMD_UNIT=queenright.service")  # its own words, not systemd's about it
        self._socket_unit = os.path.join(UNITS, "queenright.socket")
        self._owned = {
            os.path.join(UNITS, "queenright.service"): (SERVICE.format(command=command), 0o644),
            self._socket_unit: (SOCKET.format(socket=socket, group=group), 0o644),
        }

    def enabled_and_started(self) -> bool:
        """Whether it runs as it should and will at the next boot."""
        enabled = self._run(["systemctl", "is-enabled", "--quiet", *self._ALL])[0] == 0
        return enabled and all(self._run(["systemctl", "is-active", "--quiet", unit])[0] == 0 for unit in _needed())

    def given_up(self) -> bool:
        """Whether the daemon will not come by waiting."""
        return self._run(["systemctl", "is-failed", "--quiet", "queenright.service"])[0] == 0

    def start(self) -> None:
        """At once and at each boot."""
        self._reload()
        self._must(["systemctl", "enable", "--quiet", *self._ALL])
        self._must(["systemctl", "start", *_needed()])

    def restart(self) -> None:
        """The new release, unit or settings take over; containers are not touched."""
        self._reload()
        if self._socket_unit in self._changed:
            self._must(["systemctl", "stop", *self._ALL])
        else:
            self._must(["systemctl", "stop", "queenright.service"])  # clients wait at the socket meanwhile
        self._must(["systemctl", "start", *_needed()])

    def remove(self, check: bool) -> None:
        """Stop the daemon and take the service files away."""
        runs = os.path.isdir(SYSTEMD_RUNS)
        if runs and not check:
            self._run(["systemctl", "disable", "--now", "--quiet", *self._ALL])
        self._forget()
        if runs and not check:
            self._must(["systemctl", "daemon-reload"])
            self._run(["systemctl", "reset-failed", "--quiet", *self._ALL])

    def _reload(self) -> None:
        if self._changed:
            self._must(["systemctl", "daemon-reload"])


def _needed() -> t.List[str]:
    """A member's daemon runs all the time; elsewhere the first client starts it."""
    return ["queenright.socket", "queenright.service"] if os.path.exists(STATE_FILE) else ["queenright.socket"]


class InitScript(ServiceManager):
    """Where systemd does not run: a script that any init, or a person, can call."""

    def __init__(self, run: Run, files: Files, command: str) -> None:
        super().__init__(run, files)
        self._log_command = ["tail", "-n", "8", LOG]
        self._path = os.path.join(INIT_D, "queenright")
        script = INIT_SCRIPT.format(command=command, program=command.split(" ")[0], log=LOG, pidfile=PIDFILE)
        self._owned = {
            self._path: (script, 0o755),
            os.path.join(LOGROTATE_D, "queenright"): (LOGROTATE, 0o644),
        }

    def enabled_and_started(self) -> bool:
        """Whether it runs as it should and will at the next boot."""
        return os.path.exists(self._path) and self._run([self._path, "status"])[0] == 0

    def given_up(self) -> bool:
        """Whether the daemon will not come by waiting."""
        return not self.enabled_and_started()

    def start(self) -> None:
        """At once, and at each boot where update-rc.d can see to that."""
        self._register("defaults")
        self._must([self._path, "start"])

    def restart(self) -> None:
        """The new release, script or settings take over; containers are not touched."""
        self._must([self._path, "restart"])

    def remove(self, check: bool) -> None:
        """Stop the daemon and take the service files away."""
        if os.path.exists(self._path) and not check:
            self._must([self._path, "stop"])
        self._forget()
        if not check:
            self._register("remove")

    def _register(self, word: str) -> None:
        if os.access(UPDATE_RC, os.X_OK):
            self._run([UPDATE_RC, "queenright", word])
