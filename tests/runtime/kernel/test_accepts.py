"""The host's filter: where our accepts go, told from what ``iptables -S`` says and what it is then asked to do."""

from __future__ import annotations

import shlex
import subprocess

import pytest

from queenright.edge.kernel import firewall
from queenright.edge.kernel.errors import KernelError

MARK = "swarm:c:"
WANTED = firewall.accepts(MARK, ["sw-1"], gateway=True)
COUNT = len(WANTED)


class Iptables:
    """Chains as lists of rules; answers as the command does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, policy: str, **chains: list[str]) -> None:
        self.policy = policy
        self.chains = {name.replace("_", "-"): [shlex.split(rule) for rule in rules] for name, rules in chains.items()}
        self.changes = 0
        monkeypatch.setattr(firewall, "_call", self.call)

    def call(self, family: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        command, chain, *rule = arguments
        if chain not in self.chains:
            return subprocess.CompletedProcess(arguments, 1, "", "No chain/target/match by that name.\n")
        rules = self.chains[chain]
        out = ""
        if command == "-S":
            first = f"-P {chain} {self.policy}" if chain == "FORWARD" else f"-N {chain}"
            out = "\n".join([first, *(shlex.join(["-A", chain, *rule]) for rule in rules)])
        elif command == "-I":
            rules.insert(0, rule)
            self.changes += 1
        else:
            rules.remove(rule)
            self.changes += 1
        return subprocess.CompletedProcess(arguments, 0, out, "")

    def ours(self, chain: str) -> int:
        return sum(MARK in rule for rule in self.chains[chain])


def ensure() -> bool:
    return firewall.ensure(4, MARK, WANTED)


def test_they_go_into_dockers_chain_for_others_and_once_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Iptables(monkeypatch, "DROP", FORWARD=["-j DOCKER-USER"], DOCKER_USER=["-j RETURN"])
    assert ensure()
    assert [tuple(rule) for rule in table.chains["DOCKER-USER"][:COUNT]] == WANTED
    assert table.ours("FORWARD") == 0
    changes = table.changes
    assert not ensure()
    assert table.changes == changes


def test_a_chain_that_nothing_jumps_to_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Iptables(monkeypatch, "DROP", FORWARD=["-i x -j DROP"], DOCKER_USER=[])
    ensure()
    assert (table.ours("FORWARD"), table.ours("DOCKER-USER")) == (COUNT, 0)
    table.chains["FORWARD"].insert(0, ["-j", "DOCKER-USER"])
    ensure()
    assert (table.ours("FORWARD"), table.ours("DOCKER-USER")) == (0, COUNT)


def test_what_another_puts_before_ours_is_put_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Iptables(monkeypatch, "DROP", FORWARD=[])
    ensure()
    table.chains["FORWARD"].insert(0, ["-j", "DROP"])
    assert ensure()
    assert [tuple(rule) for rule in table.chains["FORWARD"][:COUNT]] == WANTED


def test_nothing_is_added_where_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Iptables(monkeypatch, "ACCEPT", FORWARD=[])
    assert not ensure()
    table.chains["FORWARD"].append(["-j", "REJECT"])
    assert ensure()
    table.chains["FORWARD"].remove(["-j", "REJECT"])
    assert ensure()
    assert table.ours("FORWARD") == 0


def test_a_host_whose_kernel_has_no_such_filter_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Iptables(monkeypatch, "ACCEPT")
    assert not ensure()
    assert table.changes == 0


def test_all_of_ours_go_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Iptables(monkeypatch, "DROP", FORWARD=["-j DOCKER-USER", "-j DROP"], DOCKER_USER=["-j RETURN"])
    ensure()
    firewall.remove(4, MARK)
    assert table.chains == {"FORWARD": [["-j", "DOCKER-USER"], ["-j", "DROP"]], "DOCKER-USER": [["-j", "RETURN"]]}


def test_a_refusal_names_the_command_and_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(family: int, *arguments: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "-S":
            return subprocess.CompletedProcess(arguments, 0, f"-P {arguments[1]} DROP\n", "")
        return subprocess.CompletedProcess(arguments, 4, "", "Resource temporarily unavailable.\n")

    monkeypatch.setattr(firewall, "_call", call)
    with pytest.raises(KernelError, match=r"iptables -I FORWARD .* was refused: Resource temporarily unavailable"):
        ensure()
