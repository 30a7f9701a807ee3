# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a firewall has to let through for a swarm, and the flow of the module: look, compare, change what differs.

A firewall's part that is ours is told in lines of text, one a fact; what is there and what is wanted are two lists.
"""

from __future__ import annotations

import abc
import ipaddress
import typing as t

MARK = "queenright"
LINK = "swgw0"  # the host's end of the way into the mesh

Run = t.Callable[..., t.Tuple[int, str, str]]
"""``run(arguments, data=None) -> (status, output, errors)``."""


class FirewallError(Exception):
    """A firewall that cannot be looked at or changed; the text says what to do."""


class Wanted(t.NamedTuple):
    """What shall be let through: ports of this host, by protocol, from these networks, and what the mesh forwards."""

    nodes: t.Tuple[str, ...]
    ports: t.Tuple[t.Tuple[str, t.Tuple[int, ...]], ...]
    mesh: bool

    def of(self, version: int) -> t.Tuple[str, ...]:
        """The nodes of one family."""
        return tuple(node for node in self.nodes if (":" in node) == (version == 6))


class Firewall(abc.ABC):
    """One kind of firewall. ``read`` and ``lines`` tell what is ours; ``add`` and ``drop`` change it."""

    name = ""

    def __init__(self, run: Run) -> None:
        self.run = run

    @abc.abstractmethod
    def runs(self) -> bool:
        """Whether this firewall is in force on the host."""

    @abc.abstractmethod
    def read(self) -> t.List[str]:
        """Our part as it is, in order."""

    @abc.abstractmethod
    def lines(self, wanted: t.Optional[Wanted]) -> t.List[str]:
        """Our part as it shall be; None is nothing."""

    @abc.abstractmethod
    def change(self, missing: t.List[str], surplus: t.List[str], wanted: t.Optional[Wanted]) -> None:
        """Make what is there what is wanted. Nothing that stays may be away in between."""

    def call(self, arguments: t.Sequence[str], data: t.Optional[str] = None) -> str:
        """Run a command; its output. Raises FirewallError with what it said."""
        code, out, err = self.run(list(arguments), data)
        if code:
            raise FirewallError("%s: %s" % (" ".join(arguments), (err or out).strip()[-500:] or "status %d" % code))
        return out


def wanted_of(params: t.Dict[str, t.Any]) -> t.Optional[Wanted]:
    """What the task asks for; None where all of it shall go. Raises FirewallError for what is no address or port."""
    if params["state"] == "absent":
        return None
    nodes = _networks(params["nodes"] or ())
    if not nodes:
        raise FirewallError("nodes: name the addresses of the swarm's nodes; nobody else is let in")
    for name in ("control_port", "data_path_port"):
        if not 1 <= params[name] <= 65534:
            raise FirewallError("%s: %d is no port (1 to 65534)" % (name, params[name]))
    ports = [("udp", (params["data_path_port"],))]  # type: t.List[t.Tuple[str, t.Tuple[int, ...]]]
    if params["manager"]:
        ports.insert(0, ("tcp", (params["control_port"], params["control_port"] + 1)))
    return Wanted(nodes, tuple(ports), params["mesh"])


def _networks(texts: t.Iterable[str]) -> t.Tuple[str, ...]:
    found = set()
    for text in texts:
        try:
            found.add(ipaddress.ip_network(text.strip(), strict=False))
        except ValueError:
            raise FirewallError("nodes: %r is no address or network; names cannot be used" % text)
    covered = [each for each in found if any(each != other and _within(each, other) for other in found)]
    kept = sorted(found - set(covered), key=lambda each: (each.version, int(each.network_address)))
    return tuple(str(each.network_address) if each.num_addresses == 1 else str(each) for each in kept)


def _within(one: t.Any, other: t.Any) -> bool:
    return one.version == other.version and one.subnet_of(other)


def choose(kinds: t.Sequence[Firewall], name: str) -> t.Optional[Firewall]:
    """The firewall of that name, or for ``auto`` the first that is in force; None where there is none."""
    for kind in kinds:
        if name == kind.name or (name == "auto" and kind.runs()):
            return kind
    return None


def settle(firewall: Firewall, wanted: t.Optional[Wanted], check: bool) -> t.Dict[str, t.Any]:
    """Compare, change unless ``check``, and tell it as a module's result does."""
    before, after = firewall.read(), firewall.lines(wanted)
    missing = [line for line in after if line not in before]
    surplus = [line for line in before if line not in after]
    if (missing or surplus) and not check:
        firewall.change(missing, surplus, wanted)
        left = firewall.read()
        if sorted(left) != sorted(after):
            raise FirewallError(
                "%s does not keep what it was told: it has %s instead of %s" % (firewall.name, left, after)
            )
    return {
        "changed": bool(missing or surplus),
        "backend": firewall.name,
        "rules": after,
        "actions": ["open: %s" % line for line in missing] + ["close: %s" % line for line in surplus],
        "diff": {"before": _text(before), "after": _text(after)},
    }


def _text(lines: t.List[str]) -> str:
    return "".join(line + "\n" for line in sorted(lines))
