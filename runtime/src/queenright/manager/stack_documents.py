# SPDX-License-Identifier: Apache-2.0
"""Stacks as documents: what a plan shows of them before and after. Nothing secret is in them, and no ids, which say
nothing to those who declare names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from queenright.decide import stack_parts
from queenright.manager.data_kinds import KINDS
from queenright.model.stack import Revision, Stack, StackService
from queenright.sources.order import waves
from queenright.spec.fields import difference, encode
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One object of a plan. ``action``: create, update or remove."""

    action: str
    kind: str
    name: str
    diff: Json = dataclasses.field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"{self.action} {self.kind} {self.name}"


def row_of(action: str, kind: str, name: str, before: Json | None, after: Json | None) -> Row:
    """With the difference, where both are there."""
    return Row(action, kind, name, difference(before, after) if before is not None and after is not None else {})


def plan_document(rows: Sequence[Row], revision: Revision | None) -> Json:
    """``plan`` of the answer, without what a forecast tells."""
    found: Json = {action: [] for action in ("create", "update", "remove")}
    for row in rows:
        found[row.action].append({"kind": row.kind, "name": row.name, "diff": row.diff})
    services = revision.services if revision is not None else ()
    names = {part.key: part.spec.name or "" for part in services}
    found["order"] = [[names[key] for key in wave] for wave in waves(services)]
    found["restarts"] = []
    return found


def service_document(view: Store, spec: ServiceSpec) -> Json:
    """A service's specification in Engine JSON, with names in place of ids."""
    spec = stack_parts.with_names(view, spec)
    for kind in KINDS:
        references = kind.references(spec)
        if references:
            spec = kind.with_references(spec, tuple(kind.pointed(one, "", kind.name_of(one)) for one in references))
    return encode(spec)


def stack_document(view: Store, stack: Stack, revision: Revision | None = None) -> Json:
    """The stack as it is declared, with the services that are there as they are: so a plan shows what was changed by
    hand too. ``revision``: another one than that in force, whose services are shown as it has them.
    """
    shown = stack.revision if revision is None else revision
    return {
        "Name": stack.name,
        "Labels": dict(stack.labels),
        "Services": {part.key: _service(view, part, living=revision is None) for part in shown.services},
        "Networks": {one.key: _network(one) for one in shown.networks},
        "Secrets": _data(view, shown, "secret"),
        "Configs": _data(view, shown, "config"),
        "DependsOn": {
            part.key: {one.key: one.condition for one in part.after} for part in shown.services if part.after
        },
    }


def _service(view: Store, part: StackService, *, living: bool) -> Json | None:
    if not living:
        return service_document(view, part.spec)
    found = next(iter(view.services.by("name", (part.spec.name or "").lower())), None)
    return service_document(view, found.spec) if found is not None else None


def _network(one: Any) -> Json:
    return {"Name": one.name, "External": True} if one.external else encode(one.spec)


def _data(view: Store, revision: Revision, kind: str) -> Json:
    rows = {}
    for one in revision.data:
        if one.kind != kind:
            continue
        if one.external:
            rows[one.key] = {"Name": one.name, "External": True}
            continue
        held = view.get(kind, one.id)
        version = getattr(held, "name", "") or one.name
        rows[one.key] = {"Name": one.name, "Version": version, "Labels": dict(one.labels)}
        if one.template_driver:
            rows[one.key]["Templating"] = {"Name": one.template_driver}
    return rows


def tell_restarts(answer: Json, forecast: Json) -> None:
    """Which tasks start again, and in how many batches, out of the forecast into the plan of a stack's answer."""
    plan = answer.get("plan")
    if plan is None:
        return
    changed = {row["name"] for row in plan["update"] if row["kind"] == "service"}
    plan["restarts"] = [
        {"service": one["name"], "tasks": one["stopped"], "batches": len(one["batches"])}
        for one in forecast["services"]
        if one["name"] in changed and one["stopped"] and one["created"]
    ]
