# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""nftables without a manager on top: a table of our own keeps strangers from our ports, and each chain of others that
drops packets gets a first rule that leads to a chain of ours.

The first is needed because a rule that accepts has no say in other chains; the second for the same reason.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._firewall import (
    LINK,
    MARK,
    Firewall,
    FirewallError,
    Wanted,
)

TABLE = "swarm_firewall"
OPEN = "swarm_open_"
HOOKS = ("input", "forward")
Chain = t.Tuple[str, str, str, str]
"""Family, table, name and hook of a chain."""


class Nftables(Firewall):
    name = "nftables"

    def runs(self) -> bool:
        return self.run(["nft", "list", "tables"], None)[0] == 0

    # -- what is there

    def _objects(self, kind: str) -> t.List[t.Dict[str, t.Any]]:
        try:
            rows = json.loads(self.call(["nft", "-j", "list", "ruleset"]))["nftables"]
        except (ValueError, KeyError):
            raise FirewallError("nft tells its rules in no form that can be read: it needs version 0.9 or later")
        return [row[kind] for row in rows if kind in row]

    def _closing(self) -> t.List[Chain]:
        """Chains of others that may drop what comes in or is forwarded. Those made by iptables are not for nft."""
        rules = self._objects("rule")
        found = []
        for chain in self._objects("chain"):
            key = (chain["family"], chain["table"], chain["name"], chain.get("hook", ""))
            if chain.get("hook") not in HOOKS or chain.get("type") != "filter" or _not_ours_to_touch(chain):
                continue
            if chain.get("policy") == "drop" or any(_drops(rule) for rule in rules if _in(rule, key)):
                found.append(key)
        return found

    def read(self) -> t.List[str]:
        rules = self._objects("rule")
        found = [
            str(rule["comment"])[len(MARK) + 2 :]
            for rule in rules
            if rule["table"] == TABLE and str(rule.get("comment", "")).startswith(MARK + ": ")
        ]
        for part in self._objects("set"):
            if part["table"] == TABLE and part["family"] == "inet":
                found += ["node %s" % _element(element) for element in part.get("elem", ())]
        for rule in rules:
            if rule.get("comment") == MARK and any("jump" in part for part in rule["expr"]):
                found.append("%s %s %s: %s" % (rule["family"], rule["table"], rule["chain"], self._digest(rules, rule)))
        return list(dict.fromkeys(found))

    def _digest(self, rules: t.List[t.Dict[str, t.Any]], jump: t.Dict[str, t.Any]) -> str:
        """What the chain behind a jump says of itself in its rules' comments."""
        target = next(part["jump"]["target"] for part in jump["expr"] if "jump" in part)
        own = [rule for rule in rules if _in(rule, (jump["family"], jump["table"], target, ""))]
        marks = {str(rule.get("comment", "")) for rule in own}
        return "%d rules, %s" % (len(own), ",".join(sorted(marks)))

    # -- what shall be there

    def lines(self, wanted: t.Optional[Wanted]) -> t.List[str]:
        if wanted is None:
            return []
        found = ["nodes only: %s %s" % (protocol, _ports(ports)) for protocol, ports in wanted.ports]
        found += ["node %s" % node for node in wanted.nodes]
        for chain in self._closing():
            rules = _opening(chain, wanted)
            if rules:
                found.append("%s %s %s: %d rules, %s" % ((*chain[:3], len(rules), _sum(rules))))
        return found

    def change(self, missing: t.List[str], surplus: t.List[str], wanted: t.Optional[Wanted]) -> None:
        """One transaction: what stays open is open all the time."""
        self.call(["nft", "-f", "-"], self._closed() + (self.script(wanted) if wanted else ""))

    def _closed(self) -> str:
        """Take away all of ours."""
        lines = ["add table inet %s" % TABLE, "delete table inet %s" % TABLE]
        for rule in self._objects("rule"):
            if rule.get("comment") == MARK and rule["table"] != TABLE:
                lines.append("delete rule %(family)s %(table)s %(chain)s handle %(handle)d" % rule)
        for chain in self._objects("chain"):
            if chain["name"].startswith(OPEN) and chain["table"] != TABLE:
                where = "%(family)s %(table)s %(name)s" % chain
                lines += ["flush chain " + where, "delete chain " + where]
        return "\n".join(lines) + "\n"

    def script(self, wanted: Wanted) -> str:
        """All of ours, for a kernel that has none of it."""
        lines = ["add table inet %s" % TABLE, "delete table inet %s" % TABLE, "table inet %s {" % TABLE]
        for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
            nodes = wanted.of(version)
            elements = ["elements = { %s }" % ", ".join(nodes)] if nodes else []
            lines += ["set nodes%d {" % version, "type %s;" % kind, "flags interval;", *elements, "}"]
        lines += ["chain sw_guard {", "type filter hook input priority -5; policy accept;"]
        lines += ['iifname "lo" accept', "ip saddr @nodes4 accept", "ip6 saddr @nodes6 accept"]
        for protocol, ports in wanted.ports:
            said = "%s: nodes only: %s %s" % (MARK, protocol, _ports(ports))
            lines.append('%s dport { %s } drop comment "%s"' % (protocol, _ports(ports), said))
        lines += ["}", "}"]
        for chain in self._closing():
            lines += _opened(chain, _opening(chain, wanted))
        return "\n".join(lines) + "\n"


def _opened(chain: Chain, rules: t.List[str]) -> t.List[str]:
    if not rules:
        return []
    family, table, name, _hook = chain
    target = OPEN + name
    lines = ["%s chain %s %s %s" % (verb, family, table, target) for verb in ("add", "flush")]
    lines += ['add rule %s %s %s %s comment "%s"' % (family, table, target, rule, _sum(rules)) for rule in rules]
    return [*lines, 'insert rule %s %s %s jump %s comment "%s"' % (family, table, name, target, MARK)]


def _opening(chain: Chain, wanted: Wanted) -> t.List[str]:
    """The rules that let our packets pass a chain of others."""
    family, _table, _name, hook = chain
    if hook == "forward":
        if not wanted.mesh:
            return []
        return [
            'oifname "%s" ct status dnat accept' % LINK,
            'iifname "%s" ct state established,related accept' % LINK,
        ]
    rules = []
    for version, word in ((4, "ip"), (6, "ip6")):
        nodes = wanted.of(version)
        if nodes and family in ("inet", word):
            for protocol, ports in wanted.ports:
                source = "%s saddr { %s }" % (word, ", ".join(nodes))
                rules.append("%s %s dport { %s } accept" % (source, protocol, _ports(ports)))
    return rules


def _not_ours_to_touch(chain: t.Dict[str, t.Any]) -> bool:
    """Our own table, the mesh's, and those that other programs keep: they would not expect rules of nft in there."""
    if chain["table"] in (TABLE, "swmesh", "firewalld") or chain["name"].startswith(OPEN):
        return True
    return chain["family"] in ("ip", "ip6") and chain["name"].isupper()


def iptables_chains(firewall: Nftables) -> t.List[str]:
    """Chains of iptables that drop what comes in: they have to be opened by iptables."""
    return [
        "%(family)s %(table)s %(name)s" % chain
        for chain in firewall._objects("chain")
        if chain.get("hook") == "input"
        and chain.get("policy") == "drop"
        and chain["family"] in ("ip", "ip6")
        and chain["name"].isupper()
    ]


def _drops(rule: t.Dict[str, t.Any]) -> bool:
    return any("drop" in part or "reject" in part for part in rule.get("expr", ()))


def _in(rule: t.Dict[str, t.Any], key: Chain) -> bool:
    return (rule["family"], rule["table"], rule["chain"]) == key[:3]


def _element(element: t.Any) -> str:
    if isinstance(element, dict) and "prefix" in element:
        return "%(addr)s/%(len)d" % element["prefix"]
    return str(element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element)


def _ports(ports: t.Iterable[int]) -> str:
    return ", ".join(str(port) for port in ports)


def _sum(rules: t.List[str]) -> str:
    return "%s %s" % (MARK, hashlib.sha256("\n".join(rules).encode("utf-8")).hexdigest()[:12])
