# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a change would do to tasks, in one short line for each service: the part of a diff that no option shows."""

from __future__ import annotations

import typing as t

SHOWN_BATCHES = 4
SHOWN_SLOTS = 6

Json = t.Dict[str, t.Any]


def lines(forecast: t.Optional[Json]) -> str:
    """The text for C(prepared) of a diff; empty where no task is concerned. The same forecast has the same text."""
    forecast = forecast or {}
    found = [_line(one) for one in forecast.get("services") or []]
    if found and not forecast.get("complete", True):
        found.append("(only the beginning is foreseen)")
    return "".join(line + "\n" for line in found)


def _line(one: Json) -> str:
    serving = one["serving"]
    parts = []  # type: t.List[str]
    if one["created"]:
        parts.append("%s made%s" % (_tasks(one["created"]), _batches(one["batches"])))
    if one["stopped"]:
        parts.append("%s stopped" % _tasks(one["stopped"]))
    parts.append("%d serve now, %d at the end" % (serving["before"], serving["after"]))
    if serving["fewest"] < min(serving["before"], serving["after"]):
        parts.append("at least %d at any time" % serving["fewest"])
    for group in one["unplaced"]:
        parts.append("no node for %s: %s" % (_slots(group["slots"]), group["reason"]))
    return "service %s: %s" % (one["name"], "; ".join(parts))


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else "%d tasks" % count


def _batches(batches: t.List[Json]) -> str:
    """Who is made together; nothing where all are."""
    if len(batches) < 2:
        return ""
    shown = ", ".join(_slots(batch["slots"]) for batch in batches[:SHOWN_BATCHES])
    more = ", ..." if len(batches) > SHOWN_BATCHES else ""
    return " in %d batches (%s%s)" % (len(batches), shown, more)


def _slots(slots: t.List[str]) -> str:
    more = "+..." if len(slots) > SHOWN_SLOTS else ""
    return "+".join(slots[:SHOWN_SLOTS]) + more
