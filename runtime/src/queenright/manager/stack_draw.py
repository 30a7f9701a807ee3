# SPDX-License-Identifier: Apache-2.0
"""A draft laid over what the swarm has, object by object: what is created, changed and removed for it."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

from queenright.manager.apply_data import DataPlanner
from queenright.manager.apply_network import immutable_changes
from queenright.manager.control_data import DataControl
from queenright.manager.control_networks import Networks
from queenright.manager.data_kinds import CONFIG, KINDS, SECRET
from queenright.manager.families import base_of, family, named
from queenright.manager.plans import Wish
from queenright.manager.stack_desk import Desk, Steps, about
from queenright.manager.stack_documents import Row, row_of
from queenright.manager.stack_services import ServiceDrawing
from queenright.model.changes import Create
from queenright.model.errors import FailedPrecondition
from queenright.model.objects import Service
from queenright.model.stack import StackData, StackNetwork, StackService
from queenright.sources.draft import Draft, DraftData, DraftNetwork
from queenright.spec.fields import encode

Parts = tuple[tuple[StackService, ...], tuple[StackNetwork, ...], tuple[StackData, ...]]


class Drawing:
    """Takes a draft's objects onto a sheet. ``by``: who changes the services, in words."""

    def __init__(self, desk: Desk, by: str) -> None:
        self._desk = desk
        self._store = desk.store
        self._services = ServiceDrawing(desk, by)
        self._networks = Networks(desk.sheet.context)
        self._planners = {
            kind.name: DataPlanner(desk.sheet.context, DataControl(desk.sheet.context, kind)) for kind in KINDS
        }

    def remove(self, service: Service) -> None:
        """A service that is not declared any more."""
        self._services.remove(service)

    def draw(self, draft: Draft) -> Steps[Parts]:
        """All of it, in the order in which one thing needs another; gives the parts of the revision."""
        networks = tuple(self._network(one) for one in draft.networks)
        data = tuple(self._data(one) for one in draft.data)
        services = yield from self._services.draw(draft.services)
        return services, networks, data

    # -- networks

    def _network(self, one: DraftNetwork) -> StackNetwork:
        found = next(iter(self._store.networks.by("name", one.name.lower())), None)
        if one.external:
            if found is None:
                self._desk.missing("network", one.name)
            return StackNetwork(key=one.key, name=found.name if found is not None else one.name, external=True)
        spec = dataclasses.replace(one.spec, name=one.name)
        rows, sheet = self._desk.rows, self._desk.sheet
        with about(f"network {one.name}"):
            if found is None:
                made = self._networks.new(spec)
                sheet.take([Create(made)])
                rows.append(Row("create", "network", one.name))
                return StackNetwork(key=one.key, name=made.name, spec=spec)
            self._desk.refuse_other("network", one.name, found.spec.labels)
            differing = immutable_changes(found, spec)
            if differing:
                raise FailedPrecondition(
                    f"{', '.join(differing)} of a network cannot be changed: give it another name, or remove it first",
                    plain=True,
                )
            if spec.labels != found.spec.labels:
                sheet.take([self._networks.relabelled(found, spec.labels)])
                changed = dataclasses.replace(found.spec, labels=spec.labels)
                rows.append(row_of("update", "network", one.name, encode(found.spec), encode(changed)))
        return StackNetwork(key=one.key, name=found.name, spec=spec)

    # -- secrets and configs

    def _data(self, one: DraftData) -> StackData:
        kind = SECRET if one.kind == SECRET.name else CONFIG
        if one.external:
            held = named(self._store, kind, one.name)
            if held is None:
                self._desk.missing(one.kind, one.name)
                return StackData(key=one.key, kind=one.kind, name=one.name, external=True)
            return StackData(key=one.key, kind=one.kind, name=base_of(held), external=True, id=held.id)
        context: dict[str, Any] = {"roll": False}
        if one.data is not None:
            context["data"] = base64.b64encode(one.data).decode("ascii")
        options = {"labels": one.labels, "template_driver": one.template_driver or None}
        with about(f"{one.kind} {one.name}"):
            for present in family(self._store, kind, one.name)[-1:]:
                self._desk.refuse_other(one.kind, one.name, present.spec.labels)
            plan = self._planners[one.kind].plan(Wish(one.kind, one.name, options=options, context=context))
            self._desk.sheet.take(plan.changes)
        if plan.changed:
            action, diff = ("create", {}) if plan.before is None else ("update", plan.diff)
            self._desk.rows.append(Row(action, one.kind, one.name, diff))
        return StackData(
            key=one.key,
            kind=one.kind,
            name=one.name,
            id=plan.id,
            labels=dict(one.labels),
            template_driver=one.template_driver,
        )
