# SPDX-License-Identifier: Apache-2.0
"""The doctor's tunnels, with namespaces as hosts and real packets: what passes, and what is told of the rest."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

SUFFIX = str(os.getpid())
HOSTS = {f"qr-t{number}-{SUFFIX}": f"192.0.2.{10 + number}" for number in range(3)}
_CHECK = """
import json, sys, time
from queenright.app.checkup.finding import Host
from queenright.app.checkup.tunnel import tunnels
own, seconds, late, *peers = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
now = lambda: time.time() + float(late)
for finding in tunnels(Host(), own, peers, 4789, float(seconds), now):
    print(finding.state, finding.check, finding.text, "->", finding.fix)
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def nft(namespace: str, rule: str) -> None:
    text = f"table inet t {{\nchain c {{\ntype filter hook input priority 0;\n{rule}\n}}\n}}\n"
    subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=text, text=True, check=True)


@pytest.fixture(autouse=True)
def hosts() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        switch = f"qr-sw-{SUFFIX}"
        for name in (switch, *HOSTS):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", switch, "link", "add", "br0", "type", "bridge")
        ip("-n", switch, "link", "set", "br0", "up")
        for number, (name, address) in enumerate(HOSTS.items()):
            ip("-n", switch, "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", switch, "link", "set", f"p{number}", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield


def meet(seconds: float = 60, late: dict[str, float] | None = None) -> dict[str, list[str]]:
    """Each host's findings, by its address; they run at the same time."""
    running = {}
    for name, address in HOSTS.items():
        peers = [other for other in HOSTS.values() if other != address]
        skew = str((late or {}).get(address, 0))
        command = ["ip", "netns", "exec", name, sys.executable, "-c", _CHECK, address, str(seconds), skew, *peers]
        running[address] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for process in running.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running.values():
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return {address: process.communicate()[0].splitlines() for address, process in running.items()}


def test_hosts_that_reach_each_other_say_so_and_leave_nothing_behind() -> None:
    for address, findings in meet().items():
        others = sorted(set(HOSTS.values()) - {address})
        assert sorted(findings) == [f"ok tunnels the tunnel with {o} carries packets of 1450 bytes -> " for o in others]
    for name in HOSTS:
        shown = subprocess.run(["ip", "-n", name, "link", "show"], capture_output=True, text=True, check=True).stdout
        assert "swprobe" not in shown
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert "swprobe" not in listed


def test_a_port_that_is_shut_is_named_on_both_sides() -> None:
    shut, *others = HOSTS.items()
    nft(shut[0], "udp dport 4789 drop")
    told = meet(seconds=10)
    assert all("carries nothing -> let 4789/udp through" in line for line in told[shut[1]])
    for _name, address in others:
        there = [line for line in told[address] if "carries packets" in line]
        assert len(there) == 1, told


def test_a_way_that_carries_less_than_it_says_is_told_by_its_size() -> None:
    name, address = next(iter(HOSTS.items()))
    nft(name, "udp dport 4789 meta length > 1400 drop")
    told = meet(seconds=10)
    assert len(told[address]) == 2
    assert all(
        "does not carry packets of 1450 bytes" in line and "1500 bytes of eth0" in line for line in told[address]
    )


def test_packets_with_checksums_that_are_lost_point_at_the_offload() -> None:
    name, address = next(iter(HOSTS.items()))
    # Inside: IPv4 and UDP follow VXLAN's and Ethernet's headers, 30 bytes behind the outer UDP header's 8. What is TCP
    # (9th byte of IPv4), or UDP with a checksum (7th and 8th byte of UDP), is lost as if the sums were wrong.
    nft(name, "udp dport 4789 @th,312,8 6 drop\nudp dport 4789 @th,312,8 17 @th,448,16 != 0 drop")
    told = meet(seconds=10)
    assert len(told[address]) == 2
    assert all("the offload of a network card" in line and "ethtool -K eth0" in line for line in told[address])


def test_clocks_that_differ_are_told() -> None:
    late = next(iter(HOSTS.values()))
    told = meet(late={late: -60})
    assert len([line for line in told[late] if line.startswith("error clock")]) == 2
    for address in set(HOSTS.values()) - {late}:
        assert [line for line in told[address] if line.startswith("error clock")] == [
            line for line in told[address] if f"the clocks of this host and {late} differ by" in line
        ]
