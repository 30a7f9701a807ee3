# SPDX-License-Identifier: Apache-2.0
"""The module swarm_manage_firewall with the real nftables, in namespaces: who gets through, and what is left behind."""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUFFIX = str(os.getpid())
HOST, NODE, STRANGER = (f"qr-{name}-{SUFFIX}" for name in ("host", "node", "else"))
ADDRESSES = {NODE: "192.0.2.11", STRANGER: "192.0.2.12"}
PORTS = (22, 2377, 2378)
USERS_RULES = """
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    tcp dport 22 accept
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
  }
}
table inet other {
  chain input {
    type filter hook input priority 10; policy accept;
  }
}
"""
_LISTEN = """
import socket, sys
listeners = [socket.create_server(("", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""
_CONNECT = """
import socket, sys
try:
    socket.create_connection(("192.0.2.1", int(sys.argv[1])), timeout=float(sys.argv[2])).close()
except OSError:
    sys.exit(1)
"""


def _module(name: str) -> Any:
    for package, path in (
        ("ansible_collections", []),
        ("ansible_collections.queenright", []),
        ("ansible_collections.queenright.swarm", [str(ROOT)]),
    ):
        if package not in sys.modules:
            sys.modules[package] = types.ModuleType(package)
            sys.modules[package].__path__ = path
    return importlib.import_module(f"ansible_collections.queenright.swarm.plugins.module_utils.{name}")


firewall = _module("_firewall")
nftables = _module("_firewall_nftables")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def inside(namespace: str, *command: str, data: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *command], input=data, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def run(arguments: list[str], data: str | None = None) -> tuple[int, str, str]:
    return inside(HOST, *arguments, data=data)


@pytest.fixture(autouse=True)
def hosts() -> Iterator[None]:
    """The host with two neighbours on one link; it listens at ``PORTS``."""
    with contextlib.ExitStack() as stack:
        for name in (HOST, NODE, STRANGER):
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", HOST, "link", "add", "br0", "type", "bridge")
        ip("-n", HOST, "addr", "add", "192.0.2.1/24", "dev", "br0")
        ip("-n", HOST, "link", "set", "br0", "up")
        for number, (name, address) in enumerate(ADDRESSES.items()):
            ip("-n", HOST, "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", HOST, "link", "set", f"p{number}", "master", "br0", "up")
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        listen = ["ip", "netns", "exec", HOST, sys.executable, "-c", _LISTEN, *map(str, PORTS)]
        server = stack.enter_context(subprocess.Popen(listen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield


def reaches(namespace: str, port: int, patience: float = 15.0) -> bool:
    return inside(namespace, sys.executable, "-c", _CONNECT, str(port), str(patience))[0] == 0


def kept_out(namespace: str, port: int) -> bool:
    return not reaches(namespace, port, patience=1.5)


def settle(nodes: tuple[str, ...] = ("192.0.2.11",), check: bool = False, **more: Any) -> Any:
    params = {"state": "present", "manager": True, "mesh": True, "control_port": 2377, "data_path_port": 4789}
    params.update(more, nodes=nodes)
    return firewall.settle(nftables.Nftables(run), firewall.wanted_of(params), check)


def ruleset() -> str:
    return run(["nft", "list", "ruleset"])[1]


def test_nodes_reach_the_ports_through_a_chain_that_drops_and_nobody_else_does() -> None:
    assert run(["nft", "-f", "-"], USERS_RULES)[0] == 0
    assert kept_out(NODE, 2377)
    assert settle()["changed"]
    for port in (2377, 2378, 22):
        assert reaches(NODE, port)
    assert reaches(STRANGER, 22)
    assert kept_out(STRANGER, 2377)
    assert kept_out(STRANGER, 2378)


def test_without_any_other_firewall_strangers_are_kept_from_the_ports_and_from_nothing_else() -> None:
    assert reaches(STRANGER, 2377)
    settle()
    assert kept_out(STRANGER, 2377)
    assert reaches(STRANGER, 22)
    assert reaches(NODE, 2377)
    assert inside(HOST, sys.executable, "-c", _CONNECT, "2377", "10")[0] == 0


@pytest.mark.parametrize("users", ["", USERS_RULES])
def test_check_mode_foresees_the_second_run_changes_nothing_and_absent_leaves_no_trace(users: str) -> None:
    assert run(["nft", "-f", "-"], users or "flush ruleset\n")[0] == 0
    before = ruleset()
    nodes = ("192.0.2.11", "198.51.100.0/25", "2001:db8::1", "2001:db8:1::/64")
    foreseen = settle(nodes, check=True)
    assert ruleset() == before
    done, again = settle(nodes), settle(nodes)
    assert foreseen == done
    assert (done["changed"], again["changed"], again["actions"]) == (True, False, [])
    gone, still = settle(state="absent"), settle(state="absent")
    assert (gone["changed"], still["changed"]) == (True, False)
    assert ruleset() == before


def test_a_node_that_is_not_named_any_more_is_shut_out() -> None:
    assert run(["nft", "-f", "-"], USERS_RULES)[0] == 0
    settle(("192.0.2.11", "192.0.2.12"))
    assert reaches(STRANGER, 2377)
    result = settle(("192.0.2.11",))
    assert "close: node 192.0.2.12" in result["actions"]
    assert kept_out(STRANGER, 2377)
    assert reaches(NODE, 2377)


def test_what_another_hand_took_away_comes_back() -> None:
    assert run(["nft", "-f", "-"], USERS_RULES)[0] == 0
    settle()
    assert run(["nft", "flush", "chain", "inet", "filter", "input"])[0] == 0
    assert settle()["changed"]
    assert reaches(NODE, 2377)
    assert run(["nft", "delete", "table", "inet", "swarm_firewall"])[0] == 0
    assert settle()["changed"]
    assert not settle()["changed"]


def test_the_kept_script_does_the_same_on_a_fresh_kernel() -> None:
    assert run(["nft", "-f", "-"], USERS_RULES)[0] == 0
    settle()
    params = {"state": "present", "nodes": ("192.0.2.11",), "manager": True, "mesh": True}
    wanted = firewall.wanted_of({**params, "control_port": 2377, "data_path_port": 4789})
    script = nftables.Nftables(run).script(wanted)
    whole = ruleset()
    assert run(["nft", "flush", "ruleset"])[0] == 0
    assert run(["nft", "-f", "-"], USERS_RULES)[0] == 0
    assert run(["nft", "-f", "-"], script)[0] == 0
    assert sorted(ruleset().splitlines()) == sorted(whole.splitlines())
    assert not settle()["changed"]


def test_chains_of_iptables_are_named_and_left_alone() -> None:
    assert (
        run(["nft", "-f", "-"], "table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }")[
            0
        ]
        == 0
    )
    before = run(["nft", "list", "table", "ip", "filter"])[1]
    assert nftables.iptables_chains(nftables.Nftables(run)) == ["ip filter INPUT"]
    settle()
    assert run(["nft", "list", "table", "ip", "filter"])[1] == before
