# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks of a fake swarm: as much of the manager's answers as the modules read."""

from __future__ import annotations

import typing as t

Json = dict[str, t.Any]


class FakeStacks:
    """``revisions``: what each stack was declared to be, the present revision last. ``wishes``: all that were made."""

    def __init__(self) -> None:
        self.revisions: dict[str, list[Json]] = {}
        self.wishes: list[Json] = []

    def apply(self, dry: bool, body: Json) -> Json:
        """The answer to a wish; unless ``dry`` it is fulfilled."""
        self.wishes.append(body)
        name, options = body["name"], body["options"]
        held = self.revisions.get(name, [])
        before = held[-1] if held else None
        if body["state"] == "absent":
            if not dry:
                self.revisions.pop(name, None)
            return self._answer(name, before, None, [f"remove stack {name}"], 0)
        if options.get("rollback"):
            after, number = held[-2], len(held) + 1
        else:
            content = {key: value for key, value in options.items() if key in ("compose", "bundle", "services")}
            after, number = (
                {"Name": name, "Content": content},
                len(held) + (before is None or before["Content"] != content),
            )
        if after != before and not dry:
            self.revisions[name] = [*held, after]
        verb = f"update stack {name} to revision {number}" if held else f"create stack {name}"
        return self._answer(name, before, after, [verb], number)

    @staticmethod
    def _answer(name: str, before: t.Any, after: t.Any, actions: list[str], number: int) -> Json:
        changed = before != after
        update = (
            [{"kind": "service", "name": f"{name}_web", "diff": {"Image": {"before": 1, "after": 2}}}] if before else []
        )
        plan = {"create": [], "update": update, "remove": [], "restarts": [], "order": [["db"], ["web"]]}
        return {
            "changed": changed,
            "before": before,
            "after": after,
            "diff": {"Content": {"before": before, "after": after}} if changed else {},
            "actions": actions if changed else [],
            "warnings": [],
            "id": f"id-{name}" if before or after else "",
            "version": 1,
            "revision": number,
            "plan": plan if changed else {},
        }

    def rows(self) -> list[Json]:
        return [{"Name": name, "Managed": True, "Revision": len(held)} for name, held in sorted(self.revisions.items())]
