# SPDX-License-Identifier: Apache-2.0
"""What of a stack is not as it was declared: which field, what it should be, what it is, and by whom."""

from __future__ import annotations

from typing import Any

from queenright.decide import stack_parts
from queenright.manager.apply_network import immutable_changes
from queenright.manager.data_kinds import KINDS
from queenright.manager.families import base_of, users_labels
from queenright.manager.stack_documents import service_document
from queenright.model.objects import Network, Stack
from queenright.model.stack import StackData, StackNetwork, StackService
from queenright.spec.fields import difference
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store

Json = dict[str, Any]


def drift(view: Store, stack: Stack) -> list[Json]:
    """A row for each field: ``Field`` is a path in the Engine's JSON, empty where the whole object is missing."""
    rows = [row for part in stack.revision.services for row in _service(view, stack, part)]
    rows += [row for one in stack.revision.networks if not one.external for row in _network(view, one)]
    rows += [row for one in stack.revision.data if not one.external for row in _data(view, one)]
    return rows


def _service(view: Store, stack: Stack, part: StackService) -> list[Json]:
    name = part.spec.name or ""
    found = next(iter(view.services.by("name", name.lower())), None)
    if found is None:
        return [_row("service", name, "", "present", "absent")]
    wanted = _moved_on(view, stack, stack_parts.declared(view, part, found), found.spec)
    if wanted == found.spec:
        return []
    fields = difference(service_document(view, wanted), service_document(view, found.spec))
    at = found.updated_at
    return [
        _row("service", name, field, each["before"], each["after"], found.changed_by, at)
        for field, each in fields.items()
    ]


def _moved_on(view: Store, stack: Stack, wanted: ServiceSpec, present: ServiceSpec) -> ServiceSpec:
    """Services follow secrets and configs that are not the stack's to their next versions: that is no drift."""
    outside = {(one.kind, one.name) for one in stack.revision.data if one.external}
    for kind in KINDS:
        own = {(one.kind, one.name) for one in stack.revision.data if not one.external}
        held = {}
        for one in kind.references(present):
            value = kind.table(view).get(kind.id_of(one))
            if value is not None:
                held[base_of(value)] = one
        moved = []
        for one in kind.references(wanted):
            value = kind.table(view).get(kind.id_of(one))
            base = base_of(value) if value is not None else kind.name_of(one)
            follows = (kind.name, base) in outside or (kind.name, base) not in own
            other = held.get(base) if follows else None
            moved.append(one if other is None else kind.pointed(one, kind.id_of(other), kind.name_of(other)))
        if moved:
            wanted = kind.with_references(wanted, tuple(moved))
    return wanted


def _network(view: Store, one: StackNetwork) -> list[Json]:
    found = next(iter(view.networks.by("name", one.name.lower())), None)
    if not isinstance(found, Network):
        return [_row("network", one.name, "", "present", "absent")]
    rows = [_row("network", one.name, field, "as declared", "another") for field in immutable_changes(found, one.spec)]
    labels = difference(dict(one.spec.labels), dict(found.spec.labels), "Labels")
    return rows + [_row("network", one.name, field, each["before"], each["after"]) for field, each in labels.items()]


def _data(view: Store, one: StackData) -> list[Json]:
    found: Any = view.get(one.kind, one.id)
    if found is None:
        return [_row(one.kind, one.name, "", "present", "absent")]
    labels = difference(dict(one.labels), users_labels(found.spec.labels), "Labels")
    return [_row(one.kind, one.name, field, each["before"], each["after"]) for field, each in labels.items()]


def _row(kind: str, name: str, field: str, declared: Any, found: Any, by: str = "", at: int = 0) -> Json:
    return {"Kind": kind, "Name": name, "Field": field, "Declared": declared, "Found": found, "By": by, "At": at}
