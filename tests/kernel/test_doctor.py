# SPDX-License-Identifier: Apache-2.0
"""The doctor's look at tunnels in use: a bridge, a tunnel and a sandbox as the agent makes them, and a far end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

SHORT = hashlib.sha256(str(os.getpid()).encode()).hexdigest()[:10]
HERE, FAR = f"qr-here-{SHORT}", f"qr-far-{SHORT}"
SANDBOX, BRIDGE, TUNNEL = f"swns-{SHORT}", f"sw-{SHORT}", f"svx-{SHORT}"
MAC = "02:42:0a:09:00:0b"
_LOOK = """
from queenright.app.checkup.finding import Host
from queenright.app.checkup.overlays import overlays
for finding in overlays(Host()):
    print(finding.state, finding.text)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def tunnel(namespace: str, own: str) -> None:
    words = ("type", "vxlan", "id", "4097", "dstport", "4789", "local", own, "nolearning")
    ip("-n", namespace, "link", "add", TUNNEL, *words)


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    """The sandbox 10.9.0.10 behind a tunnel to 192.0.2.12, where 10.9.0.11 is."""
    with contextlib.ExitStack() as stack:
        for name in (HERE, FAR, SANDBOX):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", HERE, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", FAR)
        for name, address in ((HERE, "192.0.2.11"), (FAR, "192.0.2.12")):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            tunnel(name, address)
        ip("-n", HERE, "link", "add", BRIDGE, "type", "bridge")
        ip("-n", HERE, "link", "add", f"svb-{SHORT}", "type", "veth", "peer", "name", "eth0", "netns", SANDBOX)
        for link in (TUNNEL, f"svb-{SHORT}"):
            ip("-n", HERE, "link", "set", link, "master", BRIDGE, "up")
        ip("-n", HERE, "link", "set", BRIDGE, "up")
        ip("-n", SANDBOX, "addr", "add", "10.9.0.10/24", "dev", "eth0")
        ip("-n", SANDBOX, "link", "set", "eth0", "address", "02:42:0a:09:00:0a", "up")
        ip("-n", SANDBOX, "neigh", "replace", "10.9.0.11", "lladdr", MAC, "dev", "eth0")
        ip("-n", HERE, "neigh", "replace", "10.9.0.11", "lladdr", MAC, "dev", TUNNEL, "nud", "permanent")
        ip("netns", "exec", HERE, "bridge", "fdb", "append", MAC, "dev", TUNNEL, "dst", "192.0.2.12")
        ip("-n", FAR, "link", "set", TUNNEL, "address", MAC, "up")
        ip("-n", FAR, "addr", "add", "10.9.0.11/24", "dev", TUNNEL)
        ip("-n", FAR, "neigh", "replace", "10.9.0.10", "lladdr", "02:42:0a:09:00:0a", "dev", TUNNEL)
        ip("netns", "exec", FAR, "bridge", "fdb", "append", "02:42:0a:09:00:0a", "dev", TUNNEL, "dst", "192.0.2.11")
        yield


def told() -> list[str]:
    command = ["ip", "netns", "exec", HERE, sys.executable, "-c", _LOOK]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def drop(rule: str) -> None:
    text = f"table inet t {{\nchain c {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"
    subprocess.run(["ip", "netns", "exec", FAR, "nft", "-f", "-"], input=text, text=True, check=True)


def test_a_tunnel_that_works_is_said_to() -> None:
    assert told() == ["ok the tunnel to 192.0.2.12 carries packets"]


def test_a_tunnel_that_is_shut_is_told_with_its_far_end() -> None:
    drop("udp dport 4789 drop")
    assert told() == ["error the tunnel to 192.0.2.12 carries nothing (asked 10.9.0.11)"]


def test_a_tunnel_that_loses_checksums_points_at_the_offload() -> None:
    drop("udp dport 4789 @th,312,8 6 drop")  # the inner protocol: TCP, always with a checksum
    [line] = told()
    assert line.startswith("error the tunnel to 192.0.2.12 loses everything that has a checksum")


def test_a_sandbox_that_is_gone_is_told() -> None:
    ip("netns", "del", SANDBOX)
    try:
        [line] = told()
    finally:
        ip("netns", "add", SANDBOX)
    assert line.startswith(f"error the sandbox of {TUNNEL} cannot be entered")
