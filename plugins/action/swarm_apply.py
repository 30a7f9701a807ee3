# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_apply task: read on the controller what it names, then done where there is a manager."""

from __future__ import annotations

import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._sources import (
    SECTIONS,
    Json,
    SourceError,
    StackAction,
    encoded,
)

LISTS = ("registries", "networks", "secrets", "configs", "nodes", "services", "stacks")


class ActionModule(StackAction):
    """Data and passwords go beside what may be shown."""

    module = "swarm_apply"

    def prepared(self, given: Json) -> Json:
        contents = {}  # type: Json
        for section in LISTS:
            if given.get(section) is not None:
                given[section] = _dicts(given[section], section)
        _refuse_passwords(given)
        for section in SECTIONS:
            if given.get(section):
                given[section] = self._items(given[section], section[:-1], contents)
        if given.get("registries"):
            given["registries"] = [self._registry(one, contents) for one in given["registries"]]
        if given.get("stacks"):
            given["stacks"] = [self._stack(one, contents) for one in given["stacks"]]
        if contents:
            given["contents"] = contents
        return self.noted(given)

    def _items(self, rows: t.List[Json], kind: str, contents: Json) -> t.List[Json]:
        return [self._without_data(one, "%s:%s" % (kind, one.get("name")), contents) for one in rows]

    def _registry(self, one: Json, contents: Json) -> Json:
        for way in ("password", "identity_token"):
            if one.get(way) is not None:
                contents["registry:%s" % one.get("server")] = encoded(str(one[way]).encode("utf-8"))
        return {key: value for key, value in one.items() if key not in ("password", "identity_token")}

    def _stack(self, one: Json, contents: Json) -> Json:
        for section in SECTIONS:
            if section in one:
                one[section] = self.taken_out(one[section], "stack:%s:%s" % (one.get("name"), section), contents)
        return one


def _dicts(rows: t.Any, section: str) -> t.List[Json]:
    """The items. What is no list of mappings is refused here: nothing that was declared may get lost."""
    if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
        raise SourceError("%s: a list of mappings is needed" % section)
    return [dict(one) for one in rows]


def _refuse_passwords(given: Json) -> None:
    """Where no password belongs, it would be shown: such items are not sent at all."""
    for section, option in (("services", "registry"), ("stacks", "registries")):
        for number, one in enumerate(given.get(section) or []):
            if option in one:
                raise SourceError("%s[%d].%s: credentials are said once, in registries" % (section, number, option))
