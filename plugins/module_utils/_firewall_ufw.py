# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""ufw: each rule is a command line, kept by ufw itself, and ours have a comment."""

from __future__ import annotations

import re
import shlex
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._firewall import LINK, MARK, Firewall, Wanted


class Ufw(Firewall):
    name = "ufw"

    def runs(self) -> bool:
        code, out, _err = self.run(["ufw", "status"], None)
        return code == 0 and out.startswith("Status: active")

    def read(self) -> t.List[str]:
        found = []
        for line in self.call(["ufw", "show", "added"]).splitlines():
            rule, _word, comment = line.strip().partition(" comment ")
            if rule.startswith("ufw ") and comment.strip("'\"") == MARK:
                found.append(_normal(rule[4:]))
        return found

    def lines(self, wanted: t.Optional[Wanted]) -> t.List[str]:
        if wanted is None:
            return []
        rules = [
            "allow from %s to any port %s proto %s" % (node, ",".join(str(port) for port in ports), protocol)
            for node in wanted.nodes
            for protocol, ports in wanted.ports
        ]
        if wanted.mesh:
            rules += ["route allow in on %s" % LINK, "route allow out on %s" % LINK]
        return [_normal(rule) for rule in rules]

    def change(self, missing: t.List[str], surplus: t.List[str], wanted: t.Optional[Wanted]) -> None:
        for rule in missing:
            self.call(["ufw", *shlex.split(rule), "comment", MARK])
        for rule in surplus:
            words = shlex.split(rule)
            route = words[:1] == ["route"]
            self.call(["ufw", *(["route"] if route else []), "delete", *words[1 if route else 0 :]])


def _normal(rule: str) -> str:
    """One spelling of a rule, however ufw of this version shows it."""
    rule = re.sub(r"^allow in (?=from)", "allow ", rule.strip())
    rule = re.sub(r"^allow proto (\w+) (from .*)$", r"allow \2 proto \1", rule)
    return re.sub(r"(from [0-9a-fA-F:.]+)/(?:32|128)\b", r"\1", rule)
