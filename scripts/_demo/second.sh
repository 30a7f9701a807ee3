# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# A second node on this machine, for as long as the demo lasts: a Docker Engine and a runtime in namespaces of their own, with a
# cable to this machine. Its processes end with the first of them. Sourced by scripts/demo.
SECOND=/var/lib/queenright-demo
SECOND_HERE=198.18.77.1
SECOND_ADDRESS=198.18.77.2
second_holder=
second_inner=

second_docker() { command docker --host "unix://$SECOND/docker.sock" "$@"; }
second_in() { nsenter --target "$second_inner" --net --mount --uts --pid "$@"; }
# second_await LOG COMMAND...: until the command succeeds.
second_await() {
    local tries=0
    until "${@:2}" >/dev/null 2>&1; do
        [ $((tries += 1)) -lt 600 ] || qr_die "the second node's $1 does not answer: $(tail -n 5 "$SECOND/$1.log")"
        sleep 0.2
    done
}

# second_start: until its engine and its runtime answer. What an earlier one left is removed.
second_start() {
    second_clean
    mkdir -m 700 "$SECOND"
    unshare --net --mount --uts --pid --fork --kill-child --mount-proc --propagation private \
        sh -c 'hostname second; ip link set lo up; mount -t tmpfs tmpfs /run; mkdir -p /run/lock; exec sleep infinity' &
    second_holder=$!
    second_inner=
    local tries=0
    until second_inner=$(tr -d ' ' 2>/dev/null <"/proc/$second_holder/task/$second_holder/children") &&
        [ "$(cat "/proc/$second_inner/comm" 2>/dev/null)" = sleep ]; do
        [ $((tries += 1)) -lt 300 ] || qr_die "no namespaces for a second node can be made here"
        sleep 0.1
    done
    ip link add qr-demo type veth peer name eth0 netns "$second_inner"
    ip addr add "$SECOND_HERE/30" dev qr-demo
    ip link set qr-demo up
    second_in ip addr add "$SECOND_ADDRESS/30" dev eth0
    second_in ip link set eth0 up
    second_in ip route add default via "$SECOND_HERE"
    echo '{}' >"$SECOND/daemon.json"
    : >"$SECOND/config.toml"
    second_in dockerd --data-root="$SECOND/data" --exec-root="$SECOND/exec" --pidfile="$SECOND/docker.pid" \
        --host="unix://$SECOND/docker.sock" --config-file="$SECOND/daemon.json" --cgroup-parent=/queenright-demo \
        --exec-opt native.cgroupdriver=cgroupfs >"$SECOND/docker.log" 2>&1 </dev/null &
    second_await docker second_docker version
    second_in /opt/queenright/current/venv/bin/queenright run --state-dir="$SECOND/state" --socket="$SECOND/queenright.sock" \
        --docker-socket="$SECOND/docker.sock" --config="$SECOND/config.toml" >"$SECOND/queenright.log" 2>&1 </dev/null &
    second_await queenright command docker --host "unix://$SECOND/queenright.sock" version
    printf '#!/bin/sh\nexport QUEENRIGHT_SOCKET=%s\nexec %s "$@"\n' "$SECOND/queenright.sock" "$QR_PYTHON" >"$SECOND/python"
    chmod 755 "$SECOND/python"
}

# second_clean: ends it and removes what it left. It can be called at any time.
second_clean() {
    local folder
    if [ -n "$second_holder" ]; then
        kill -KILL "$second_holder" 2>/dev/null || :
        wait 2>/dev/null || :
        second_holder=
    fi
    ip link del qr-demo 2>/dev/null || :
    rm -rf --one-file-system "$SECOND"
    for folder in /sys/fs/cgroup/queenright-demo /sys/fs/cgroup/*/queenright-demo; do
        if [ -d "$folder" ]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || :; fi
    done
}
