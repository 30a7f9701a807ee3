# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""firewalld: rich rules of a priority that nobody else has, in force now and kept for later."""

from __future__ import annotations

import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._firewall import (
    LINK,
    Firewall,
    FirewallError,
    Wanted,
)

TRUSTED = "trusted"  # nothing but the mesh comes over the link


class Firewalld(Firewall):
    name = "firewalld"

    def __init__(self, run: t.Any, zone: str = "") -> None:
        Firewall.__init__(self, run)
        self._default = zone

    def runs(self) -> bool:
        return self.run(["firewall-cmd", "--state"], None)[0] == 0

    def _base_zone(self) -> str:
        return self._default or self.call(["firewall-cmd", "--get-default-zone"]).strip()

    def read(self) -> t.List[str]:
        """Facts that hold both now and after the next start; one that holds in one of them only says so."""
        self._require()
        kept = self._facts(["--permanent"])
        now = self._facts([])
        both = [fact for fact in kept if fact in now]
        return (
            both
            + ["%s (not in force)" % fact for fact in kept if fact not in now]
            + ["%s (not kept)" % fact for fact in now if fact not in kept]
        )

    def _facts(self, where: t.List[str]) -> t.List[str]:
        command = ["firewall-cmd", *where]
        zone = self._base_zone()
        facts = [
            rule for rule in self.call([*command, "--zone", zone, "--list-rich-rules"]).splitlines() if _ours(rule)
        ]
        if LINK in self.call([*command, "--zone", TRUSTED, "--list-interfaces"]).split():
            facts.append("interface %s" % LINK)
        return facts

    def _require(self) -> None:
        if not self.runs():
            raise FirewallError("firewalld does not run: start it, or choose another backend")

    def lines(self, wanted: t.Optional[Wanted]) -> t.List[str]:
        if wanted is None:
            return []
        rules = [
            _rule(node, protocol, port) for node in wanted.nodes for protocol, ports in wanted.ports for port in ports
        ]
        return rules + (["interface %s" % LINK] if wanted.mesh else [])

    def change(self, missing: t.List[str], surplus: t.List[str], wanted: t.Optional[Wanted]) -> None:
        zone = self._base_zone()
        for where in (["--permanent"], []):
            there = self._facts(where)
            for fact in self.lines(wanted):
                if fact not in there:
                    self.call(["firewall-cmd", *where, *_option("add", fact, zone)])
            for fact in there:
                if fact not in self.lines(wanted):
                    self.call(["firewall-cmd", *where, *_option("remove", fact, zone)])


def _option(verb: str, fact: str, zone: str) -> t.List[str]:
    if fact == "interface %s" % LINK:
        return ["--zone", TRUSTED, "--%s-interface=%s" % (verb, LINK)]
    return ["--zone", zone, "--%s-rich-rule=%s" % (verb, fact)]


MARKED = "-32760"
"""The priority of our rules, by which they are told from others; they come before those without one."""


def _rule(node: str, protocol: str, port: int) -> str:
    """A rich rule in the spelling in which firewalld lists it."""
    family = "ipv6" if ":" in node else "ipv4"
    form = 'rule priority="%s" family="%s" source address="%s" port port="%d" protocol="%s" accept'
    return form % (MARKED, family, node, port, protocol)


def _ours(rule: str) -> bool:
    return rule.startswith('rule priority="%s" ' % MARKED)
