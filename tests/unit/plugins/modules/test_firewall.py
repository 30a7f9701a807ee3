# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_manage_firewall with hosts whose firewalls are told, not run; nftables is run for real in tests/kernel."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils import _firewall_flow
from ansible_collections.queenright.swarm.plugins.module_utils._firewall import wanted_of
from ansible_collections.queenright.swarm.plugins.modules import swarm_manage_firewall

NODES = ["192.0.2.12", "192.0.2.11", "2001:db8::1"]


class Host:
    """Its commands: a fake for each program; what is not there is not installed."""

    def __init__(self) -> None:
        self.programs: dict[str, t.Callable[..., tuple[int, str, str]]] = {}
        self.calls: list[str] = []

    def run(self, arguments: list[str], data: str | None = None, **_more: t.Any) -> tuple[int, str, str]:
        self.calls.append(" ".join(arguments))
        return self.programs[arguments[0]](arguments[1:], data)


class Ufw:
    """ufw with rules as it prints them."""

    def __init__(self, active: bool = True) -> None:
        self.active = active
        self.rules = ["ufw allow 22/tcp", "ufw allow from 192.0.2.99 to any port 9100 proto tcp comment 'metrics'"]

    def __call__(self, words: list[str], data: str | None) -> tuple[int, str, str]:
        if words == ["status"]:
            return 0, "Status: %s\n" % ("active" if self.active else "inactive"), ""
        if words == ["show", "added"]:
            return 0, "Added user rules (see 'ufw status' for running firewall):\n" + "\n".join(self.rules) + "\n", ""
        if "delete" in words:
            words.remove("delete")
            gone = [rule for rule in self.rules if rule.startswith("ufw " + " ".join(words) + " comment")]
            if len(gone) != 1:
                return 1, "", "ERROR: Could not delete non-existent rule"
            self.rules.remove(gone[0])
            return 0, "Rule deleted\n", ""
        self.rules.append("ufw {} comment '{}'".format(" ".join(words[:-2]), words[-1]))
        return 0, "Rule added\n", ""


class Firewalld:
    """firewalld with what is in force and what is kept, by zone."""

    def __init__(self) -> None:
        self.runs = True
        self.rules: dict[bool, list[str]] = {True: [], False: ['rule family="ipv4" service name="ssh" accept']}
        self.links: dict[bool, list[str]] = {True: [], False: []}

    def __call__(self, words: list[str], data: str | None) -> tuple[int, str, str]:
        kept = "--permanent" in words
        words = [word for word in words if word != "--permanent"]
        if words == ["--state"]:
            return (0, "running\n", "") if self.runs else (252, "", "not running\n")
        if words == ["--get-default-zone"]:
            return 0, "public\n", ""
        assert words[:2] in (["--zone", "public"], ["--zone", "trusted"]), words
        verb, _, value = words[2].partition("=")
        if verb == "--list-rich-rules":
            return 0, "\n".join(self.rules[kept]) + "\n", ""
        if verb == "--list-interfaces":
            return 0, " ".join(self.links[kept]) + "\n", ""
        there = self.links[kept] if "interface" in verb else self.rules[kept]
        there.append(value) if "add" in verb else there.remove(value)
        return 0, "success\n", ""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Host:
    one = Host()
    monkeypatch.setattr(AnsibleModule, "get_bin_path", lambda self, name: name if name in one.programs else None)
    monkeypatch.setattr(AnsibleModule, "run_command", lambda self, arguments, **more: one.run(arguments, **more))
    for name in ("UNIT_FILE", "RULES_FILE"):
        monkeypatch.setattr(_firewall_flow, name, str(tmp_path / name))
    monkeypatch.setattr(_firewall_flow, "SYSTEMD", str(tmp_path))
    return one


def test_ufw_lets_the_nodes_in_and_its_other_rules_alone(host: Host, triple) -> None:
    ufw = host.programs["ufw"] = Ufw()
    before = list(ufw.rules)
    done, _again = triple(swarm_manage_firewall, nodes=NODES)
    assert done["backend"] == "ufw"
    assert ufw.rules[:2] == before
    assert ufw.rules[2:] == [
        "ufw allow from 192.0.2.11 to any port 2377,2378 proto tcp comment 'queenright'",
        "ufw allow from 192.0.2.11 to any port 4789 proto udp comment 'queenright'",
        "ufw allow from 192.0.2.12 to any port 2377,2378 proto tcp comment 'queenright'",
        "ufw allow from 192.0.2.12 to any port 4789 proto udp comment 'queenright'",
        "ufw allow from 2001:db8::1 to any port 2377,2378 proto tcp comment 'queenright'",
        "ufw allow from 2001:db8::1 to any port 4789 proto udp comment 'queenright'",
        "ufw route allow in on swgw0 comment 'queenright'",
        "ufw route allow out on swgw0 comment 'queenright'",
    ]
    triple(swarm_manage_firewall, nodes=NODES[:1], manager=False, mesh=False)
    assert ufw.rules[2:] == ["ufw allow from 192.0.2.12 to any port 4789 proto udp comment 'queenright'"]
    triple(swarm_manage_firewall, state="absent")
    assert ufw.rules == before


def test_firewalld_opens_now_and_for_later(host: Host, triple) -> None:
    firewalld = host.programs["firewall-cmd"] = Firewalld()
    host.programs["ufw"] = Ufw()
    done, _again = triple(swarm_manage_firewall, nodes=["192.0.2.0/28"], manager=False)
    assert done["backend"] == "firewalld"
    rule = 'rule priority="-32760" family="ipv4" source address="192.0.2.0/28" port port="4789" protocol="udp" accept'
    assert firewalld.rules[True] == [rule]
    assert firewalld.rules[False] == ['rule family="ipv4" service name="ssh" accept', rule]
    assert firewalld.links == {True: ["swgw0"], False: ["swgw0"]}
    triple(swarm_manage_firewall, state="absent")
    assert firewalld.rules == {True: [], False: ['rule family="ipv4" service name="ssh" accept']}
    assert firewalld.links == {True: [], False: []}


def test_what_firewalld_holds_only_now_is_made_to_stay(host: Host, run_module) -> None:
    firewalld = host.programs["firewall-cmd"] = Firewalld()
    run_module(swarm_manage_firewall, nodes=["192.0.2.11"], manager=False)
    firewalld.rules[True].clear()
    result = run_module(swarm_manage_firewall, nodes=["192.0.2.11"], manager=False)
    assert result["changed"]
    assert len(firewalld.rules[True]) == 1
    assert not run_module(swarm_manage_firewall, nodes=["192.0.2.11"], manager=False)["changed"]


def test_a_firewall_that_was_named_and_does_not_run_is_an_error(host: Host, run_module) -> None:
    firewalld = host.programs["firewall-cmd"] = Firewalld()
    firewalld.runs = False
    result = run_module(swarm_manage_firewall, nodes=["192.0.2.11"], backend="firewalld")
    assert result["failed"]
    assert "firewalld does not run" in result["msg"]


def test_a_host_without_a_firewall_is_left_as_it_is(host: Host, run_module) -> None:
    host.programs["ufw"] = Ufw(active=False)
    result = run_module(swarm_manage_firewall, nodes=["192.0.2.11"])
    assert (result["changed"], result["backend"], result["rules"]) == (False, "", [])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"nodes": []}, "name the addresses of the swarm's nodes"),
        ({"nodes": ["host1.example.com"]}, "'host1.example.com' is no address"),
        ({"nodes": ["192.0.2.1"], "control_port": 65535}, "65535 is no port"),
        ({"nodes": ["192.0.2.1"], "data_path_port": 0}, "0 is no port"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_changed(host: Host, run_module, options: dict, text: str) -> None:
    host.programs["ufw"] = Ufw()
    result = run_module(swarm_manage_firewall, **options)
    assert result["failed"]
    assert text in result["msg"]
    assert host.calls == []


def test_what_a_firewall_says_of_a_refusal_is_passed_on(host: Host, run_module) -> None:
    ufw = host.programs["ufw"] = Ufw()
    host.programs["ufw"] = lambda words, data: (1, "", "ERROR: no") if words[0] == "allow" else ufw(words, data)
    result = run_module(swarm_manage_firewall, nodes=["192.0.2.11"])
    assert result["failed"]
    assert result["msg"].startswith("ufw allow from 192.0.2.11")
    assert result["msg"].endswith("ERROR: no")


def test_nodes_within_a_network_that_is_named_too_are_said_once() -> None:
    params = {
        "state": "present",
        "nodes": ["192.0.2.7", "192.0.2.0/28", "192.0.2.0/28", "::1/128"],
        "control_port": 2377,
        "data_path_port": 4789,
        "manager": True,
        "mesh": True,
    }
    wanted = wanted_of(params)
    assert wanted is not None
    assert wanted.nodes == ("192.0.2.0/28", "::1")
    assert wanted.ports == (("tcp", (2377, 2378)), ("udp", (4789,)))


class Nft:
    """nft as far as the unit of systemd needs it: it takes every script and has what it was told last."""

    def __init__(self) -> None:
        self.loaded = ""

    def __call__(self, words: list[str], data: str | None) -> tuple[int, str, str]:
        if words == ["-f", "-"]:
            self.loaded = "" if data is None or data.count("\n") == 2 else data
        if "-j" not in words:
            return 0, "", ""
        rows: list[dict] = []
        if self.loaded:
            rows = [
                {"set": {"family": "inet", "table": "swarm_firewall", "name": "nodes4", "elem": ["192.0.2.11"]}},
                {
                    "rule": {
                        "family": "inet",
                        "table": "swarm_firewall",
                        "chain": "sw_guard",
                        "comment": "queenright: nodes only: udp 4789",
                        "expr": [],
                    }
                },
            ]
        return 0, json.dumps({"nftables": rows}), ""


def test_rules_of_nftables_are_kept_by_a_unit_that_goes_with_them(host: Host, triple, tmp_path) -> None:
    host.programs["nft"] = Nft()
    host.programs["systemctl"] = lambda words, data: (0, "", "")
    triple(swarm_manage_firewall, nodes=["192.0.2.11"], manager=False)
    assert "PartOf=nftables.service" in (tmp_path / "UNIT_FILE").read_text()
    assert "elements = { 192.0.2.11 }" in (tmp_path / "RULES_FILE").read_text()
    assert "systemctl enable swarm-firewall.service" in host.calls
    triple(swarm_manage_firewall, nodes=["192.0.2.11"], manager=False, persistent=False)
    assert not (tmp_path / "UNIT_FILE").exists()
    triple(swarm_manage_firewall, state="absent")
