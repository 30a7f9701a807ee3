# SPDX-License-Identifier: Apache-2.0
"""The host's filter for what is forwarded: our few accepts, where Docker and administrators look for such rules.

Docker lets nothing be forwarded that it does not know. Its chain for others' rules, DOCKER-USER, is the place for ours,
if it is there and really jumped to (after an ``iptables -F`` and a restart of Docker it is not); else the top of
FORWARD. Where nothing is refused, nothing is added. Runs on the host's worker.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence

from queenright.edge.kernel.errors import KernelError
from queenright.model.mesh import HOST_LINK

COMMANDS = {4: "iptables", 6: "ip6tables"}
_USERS, _FORWARD = "DOCKER-USER", "FORWARD"
_TIMEOUT = 30.0  # seconds
_WAIT = "10"  # seconds for the lock that all callers of iptables take

Rule = tuple[str, ...]


def accepts(mark: str, bridges: Sequence[str], *, gateway: bool, direct: Sequence[str] = ()) -> list[Rule]:
    """The rules that we need, each with the mark, which may not have blanks.

    What stays on one of the ``bridges`` passes this filter too, where the kernel hands bridged packets to it. With a
    ``gateway`` there is a sandbox that gets connections from the host, and ``direct`` names the bridges whose
    containers do.
    """
    note = ("-m", "comment", "--comment", mark)
    handed = ("-m", "conntrack", "--ctstate", "DNAT")
    answers = ("-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED")
    rules: list[Rule] = []
    if gateway:
        rules += [("-o", HOST_LINK, *handed, *note), ("-i", HOST_LINK, *answers, *note)]
    for bridge in direct:
        rules += [("-o", bridge, *handed, *note), ("-i", bridge, *answers, *note)]
    rules += [("-i", bridge, "-o", bridge, *note) for bridge in bridges]
    return [(*rule, "-j", "ACCEPT") for rule in rules]


def ensure(family: int, mark: str, wanted: Sequence[Rule]) -> bool:
    """Bring the rules that carry our mark to those wanted, in the right place. Whether anything had to be done. Raises
    KernelError.
    """
    try:
        forward = _rules(family, _FORWARD)
    except FileNotFoundError:
        return False  # no iptables: nobody who filters with it
    if not forward:
        return False  # the kernel knows no such filter
    users = _rules(family, _USERS) if ["-A", _FORWARD, "-j", _USERS] in forward else None
    place = _FORWARD if users is None else _USERS
    open_to_all = users is None and not _others(forward[1:], mark) and forward[:1] == [["-P", _FORWARD, "ACCEPT"]]
    expected = [] if open_to_all else [list(rule) for rule in wanted]
    present = {_FORWARD: _ours(forward, mark), _USERS: _ours(users or _rules(family, _USERS), mark)}
    top = [rule[2:] for rule in (users if users is not None else forward) if rule[0] == "-A"][: len(expected)]
    other = _USERS if place == _FORWARD else _FORWARD
    if present[place] == expected == top and not present[other]:
        return False
    if present[place] != expected or top != expected:
        for rule in present[place]:
            _run(family, "-D", place, *rule)
        for rule in reversed(expected):
            _run(family, "-I", place, *rule)
    for rule in present[other]:  # last: until the new ones are there these are needed
        _run(family, "-D", other, *rule)
    return True


def remove(family: int, mark: str) -> None:
    """Take away every rule with our mark. Raises KernelError."""
    try:
        for chain in (_FORWARD, _USERS):
            for rule in _ours(_rules(family, chain), mark):
                _run(family, "-D", chain, *rule)
    except FileNotFoundError:
        return


def _ours(rules: Sequence[Sequence[str]], mark: str) -> list[list[str]]:
    """What follows "-A CHAIN" in the rules that carry our mark."""
    return [list(rule[2:]) for rule in rules if rule[0] == "-A" and mark in rule]


def _others(rules: Sequence[Sequence[str]], mark: str) -> bool:
    return any(mark not in rule for rule in rules)


def _rules(family: int, chain: str) -> list[list[str]]:
    """A chain as ``iptables -S`` has it, in words; empty if there is none. Without iptables: FileNotFoundError."""
    done = _call(family, "-S", chain)
    if done.returncode:
        return []
    return [shlex.split(line) for line in done.stdout.splitlines() if line.startswith("-")]


def _run(family: int, *arguments: str) -> None:
    done = _call(family, *arguments)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise KernelError(f"{COMMANDS[family]} {' '.join(arguments)} was refused: {reason}")


def _call(family: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [COMMANDS[family], "-w", _WAIT, *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        raise KernelError(f"{COMMANDS[family]} did not end within {_TIMEOUT:.0f} s: something holds its lock")
