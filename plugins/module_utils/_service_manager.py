# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How the daemon is started: socket-activated units where systemd runs, else an init script."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._install import (
    InstallError,
    remove_file,
    write_if_changed,
)

Run = t.Callable[..., t.Tuple[int, str, str]]

# No Protect*, Private* or ReadWritePaths here: any of them gives the daemon a mount namespace of its own, and the
# Docker Engine would not see what the daemon mounts. KillMode=mixed ends the daemon alone first; containers are the Engine's.
SERVICE = """\
# Managed by queenright.swarm.swarm_runtime.
[Unit]
Description=queenright, Docker's swarm mode
Documentation=https://github.com/queenright/queenright.swarm
After=network-online.target docker.service queenright.socket
Wants=network-online.target
Requires=queenright.socket

[Service]
Type=notify
NotifyAccess=main
ExecStart={prefix}/current/venv/bin/queenright run
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec=20
KillMode=mixed
LimitNOFILE=65536
TasksMax=infinity
UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RestrictRealtime=yes
CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE CAP_CHOWN
CapabilityBoundingSet=CAP_FOWNER CAP_SYS_MODULE CAP_SYS_PTRACE CAP_KILL
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""
SOCKET = """\
# Managed by queenright.swarm.swarm_runtime.
[Unit]
Description=Host socket of queenright

[Socket]
ListenStream=/run/queenright/engine.sock
SocketMode=0660
SocketUser=root
SocketGroup={group}
DirectoryMode=0755

[Install]
WantedBy=sockets.target
"""
INIT_SCRIPT = """\
#!/bin/sh
# Managed by queenright.swarm.swarm_runtime.
### BEGIN INIT INFO
# Provides:          queenright
# Required-Start:    $local_fs $network $remote_fs
# Required-Stop:     $local_fs $network $remote_fs
# Should-Start:      docker
# Should-Stop:       docker
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: queenright, Docker's swarm mode
### END INIT INFO
DAEMON={prefix}/current/venv/bin/queenright
PIDFILE=/run/queenright.pid
LOG=/var/log/queenright.log
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

pid() {{
    [ -r "$PIDFILE" ] || return 1
    found=$(cat "$PIDFILE")
    [ -n "$found" ] && grep -aq queenright "/proc/$found/cmdline" 2>/dev/null || return 1
    echo "$found"
}}

start() {{
    pid >/dev/null && return 0
    [ -x "$DAEMON" ] || {{ echo "$DAEMON is missing" >&2; return 5; }}
    setsid "$DAEMON" run </dev/null >>"$LOG" 2>&1 &
    echo $! >"$PIDFILE"
}}

stop() {{
    running=$(pid) || {{ rm -f "$PIDFILE"; return 0; }}
    kill -TERM "$running"
    waited=0
    while kill -0 "$running" 2>/dev/null; do
        [ "$waited" -lt 150 ] || {{ kill -KILL "$running"; break; }}
        waited=$((waited + 1))
        sleep 0.1
    done
    rm -f "$PIDFILE"
}}

case "$1" in
    start) start ;;
    stop) stop ;;
    restart | force-reload) stop; start ;;
    reload) running=$(pid) && kill -HUP "$running" ;;
    status) if pid >/dev/null; then echo "queenright is running"; else echo "queenright is not running"; exit 3; fi ;;
    *) echo "usage: $0 {{start|stop|restart|reload|status}}" >&2; exit 2 ;;
esac
"""
STATE_FILE = "/var/lib/queenright/state.json"
LOGROTATE = """\
/var/log/queenright.log {
    weekly
    rotate 8
    compress
    delaycompress
    missingok
    notifempty
    copytruncate
}
"""


def detect() -> str:
    """``systemd`` where it is process 1, else ``sysv``."""
    return "systemd" if os.path.isdir("/run/systemd/system") else "sysv"


class Systemd:
    """Socket-activated: a host in no swarm holds a socket and nothing else."""

    def __init__(self, run: Run, prefix: str, group: str) -> None:
        self._run = run
        self._files = {
            "/etc/systemd/system/queenright.service": SERVICE.format(prefix=prefix),
            "/etc/systemd/system/queenright.socket": SOCKET.format(group=group),
        }

    def write(self, check: bool) -> bool:
        """Put the units in place; whether that is a change."""
        changed = [write_if_changed(path, text, 0o644, check) for path, text in sorted(self._files.items())]
        if any(changed) and not check:
            self._must(["systemctl", "daemon-reload"])
        return any(changed)

    def enabled_and_started(self) -> bool:
        enabled = self._run(["systemctl", "is-enabled", "--quiet", "queenright.socket", "queenright.service"])[0] == 0
        return enabled and self._run(["systemctl", "is-active", "--quiet", *self._needed()])[0] == 0

    def start(self) -> None:
        self._must(["systemctl", "enable", "--quiet", "queenright.socket", "queenright.service"])
        self._must(["systemctl", "start", *self._needed()])

    def restart(self) -> None:
        """The new release, unit or settings take over; containers are not touched."""
        self._must(["systemctl", "stop", "queenright.service"])
        self._must(["systemctl", "restart", "queenright.socket"])
        self._must(["systemctl", "start", *self._needed()])

    @staticmethod
    def _needed() -> t.List[str]:
        """A member's daemon runs all the time; elsewhere the first client starts it."""
        units = ["queenright.socket"]
        return [*units, "queenright.service"] if os.path.exists(STATE_FILE) else units

    def remove(self, check: bool) -> bool:
        there = [path for path in self._files if os.path.exists(path)]
        if there and not check:
            self._run(["systemctl", "disable", "--now", "--quiet", "queenright.socket", "queenright.service"])
            for path in there:
                remove_file(path)
            self._must(["systemctl", "daemon-reload"])
        return bool(there)

    def _must(self, command: t.List[str]) -> None:
        rc, out, err = self._run(command)
        if rc != 0:
            raise InstallError("%s failed: %s" % (" ".join(command), (err or out).strip()))


class InitScript:
    """Where systemd does not run: a script that any init, or a person, can call."""

    path = "/etc/init.d/queenright"

    def __init__(self, run: Run, prefix: str) -> None:
        self._run = run
        self._files = {
            self.path: (INIT_SCRIPT.format(prefix=prefix), 0o755),
            "/etc/logrotate.d/queenright": (LOGROTATE, 0o644),
        }

    def write(self, check: bool) -> bool:
        changed = [write_if_changed(path, text, mode, check) for path, (text, mode) in sorted(self._files.items())]
        return any(changed)

    def enabled_and_started(self) -> bool:
        return os.path.exists(self.path) and self._run([self.path, "status"])[0] == 0

    def start(self) -> None:
        self._register("defaults")
        self._must("start")

    def restart(self) -> None:
        self._must("restart")

    def remove(self, check: bool) -> bool:
        there = [path for path in self._files if os.path.exists(path)]
        if there and not check:
            if os.path.exists(self.path):
                self._must("stop")
            for path in there:
                remove_file(path)
            self._register("remove")
        return bool(there)

    def _register(self, word: str) -> None:
        tool = "/usr/sbin/update-rc.d"
        if os.access(tool, os.X_OK):
            self._run([tool, "queenright", word])

    def _must(self, word: str) -> None:
        rc, out, err = self._run([self.path, word])
        if rc != 0:
            raise InstallError("%s %s failed: %s" % (self.path, word, (err or out).strip()))
