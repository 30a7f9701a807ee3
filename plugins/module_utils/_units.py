# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Texts of the service files: units of systemd, and an init script with its log rotation where systemd does not run."""

from __future__ import annotations

# No Protect*, Private* or ReadWritePaths here: any of them gives the daemon a mount namespace of its own, and the
# Docker Engine would not see what the daemon mounts. No start limit: it has to come back however often it is killed.
SERVICE = """\
# Managed by queenright.swarm.swarm_runtime.
[Unit]
Description=queenright, Docker's swarm mode
Documentation=https://github.com/queenright/swarm
After=network-online.target docker.service queenright.socket
Wants=network-online.target
Requires=queenright.socket
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec=20
KillMode=mixed
LimitNOFILE=65536
TasksMax=infinity
OOMScoreAdjust=-500
UMask=0077
NoNewPrivileges=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
SystemCallArchitectures=native
SystemCallFilter=@system-service @mount @module
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=CAP_NET_ADMIN CAP_SYS_ADMIN CAP_NET_RAW CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE CAP_CHOWN
CapabilityBoundingSet=CAP_FOWNER CAP_SYS_MODULE CAP_SYS_PTRACE CAP_KILL

[Install]
WantedBy=multi-user.target
"""
SOCKET = """\
# Managed by queenright.swarm.swarm_runtime.
[Unit]
Description=Host socket of queenright

[Socket]
ListenStream={socket}
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
PIDFILE={pidfile}
LOG={log}
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

pid() {{
    [ -r "$PIDFILE" ] || return 1
    found=$(cat "$PIDFILE")
    case $(tr '\\0' ' ' 2>/dev/null <"/proc/$found/cmdline") in
        *queenright*" run "*) echo "$found" ;;
        *) return 1 ;;
    esac
}}

start() {{
    pid >/dev/null && return 0
    [ -x {program} ] || {{ echo "{program} is missing" >&2; return 5; }}
    umask 077
    ulimit -n 65536 2>/dev/null || :
    setsid {command} </dev/null >>"$LOG" 2>&1 &
    echo $! >"$PIDFILE"
}}

stop() {{
    if running=$(pid); then
        kill -TERM "$running"
        waited=0
        while kill -0 "$running" 2>/dev/null; do
            [ "$waited" -lt 150 ] || kill -KILL "$running"
            waited=$((waited + 1))
            sleep 0.1
        done
    fi
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
PIDFILE = "/run/queenright.pid"
LOG = "/var/log/queenright.log"
LOGROTATE = """\
# Managed by queenright.swarm.swarm_runtime.
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
