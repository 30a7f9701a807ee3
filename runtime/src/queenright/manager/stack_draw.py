# SPDX-License-Identifier: Apache-2.0
"""A draft laid over what the swarm has, object by object: what is created, changed and removed for it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from queenright.decide import stack_parts
from queenright.decide.base import Now
from queenright.decide.convergence import convergence
from queenright.decide.defaults import same_meaning
from queenright.decide.meaning import same_endpoint
from queenright.manager import revisions
from queenright.manager.apply_data import DataPlanner
from queenright.manager.apply_network import immutable_changes
from queenright.manager.check_networks import resolve_networks
from queenright.manager.check_ports import check_ports
from queenright.manager.checks import check_service
from queenright.manager.control_data import DataControl
from queenright.manager.control_networks import Networks
from queenright.manager.control_services import Services
from queenright.manager.data_kinds import KINDS, SECRET
from queenright.manager.families import base_of, family, named
from queenright.manager.plans import HIDDEN, Plan, Wish
from queenright.manager.references import check_existence, following, resolve
from queenright.manager.sheet import Sheet
from queenright.manager.stack_documents import Row, row_of, service_document
from queenright.manager.stack_source import auth_for
from queenright.model.changes import Create, Delete, Update
from queenright.model.errors import FailedPrecondition, NotFound, OutOfSequence, Refusal, Unavailable
from queenright.model.objects import Service, Stack
from queenright.model.stack import NAMESPACE_LABEL, StackData, StackNetwork, StackService
from queenright.sources.draft import Draft, DraftData, DraftNetwork, DraftService
from queenright.sources.order import waves
from queenright.spec.fields import encode
from queenright.spec.service import ServiceSpec


class Drawing:
    """Takes a draft's objects onto a sheet. ``by``: who changes the services, in words; ``present``: the stack as it
    is.
    """

    def __init__(self, sheet: Sheet, wish: Wish, by: str, present: Stack | None) -> None:
        self._own = _names(present)
        self.rows: list[Row] = []
        self.warnings: list[str] = []
        self._sheet = sheet
        self._store = sheet.store
        self._wish = wish
        self._by = by
        context = sheet.context
        self._now = Now(context.clock.wall(), context.clock.mono())
        self._networks = Networks(context)
        self._services = Services(context, self._networks)
        self._data = {kind.name: DataPlanner(context, DataControl(context, kind)) for kind in KINDS}
        self._renewed: set[str] = set()  # full names of services whose tasks are made anew

    def draw(self, draft: Draft) -> tuple[tuple[StackService, ...], tuple[StackNetwork, ...], tuple[StackData, ...]]:
        """All of it, in the order in which one thing needs another; gives the parts of the revision."""
        networks = tuple(self._network(one) for one in draft.networks)
        data = tuple(self._datum(one) for one in draft.data)
        names = {one.key: one.spec.name or "" for one in draft.services}
        parts = {one.key: self._service(one, names) for one in _ordered(draft)}
        return tuple(parts[one.key] for one in draft.services), networks, data

    def remove(self, service: Service) -> None:
        """A service that is not declared any more."""
        self._sheet.take([Delete("service", service.id, service.version)])
        self.rows.append(row_of("remove", "service", service.name, service_document(self._store, service.spec), None))

    # -- networks

    def _network(self, one: DraftNetwork) -> StackNetwork:
        found = next(iter(self._store.networks.by("name", one.name.lower())), None)
        if one.external:
            if found is None:
                self._missing("network", one.name)
            return StackNetwork(key=one.key, name=found.name if found is not None else one.name, external=True)
        spec = dataclasses.replace(one.spec, name=one.name)
        with _about(f"network {one.name}"):
            if found is None:
                made = self._networks.new(spec)
                self._sheet.take([Create(made)])
                self.rows.append(row_of("create", "network", one.name, None, encode(made.spec)))
                return StackNetwork(key=one.key, name=made.name, spec=spec)
            self._refuse_other("network", one.name, found.spec.labels)
            differing = immutable_changes(found, spec)
            if differing:
                raise FailedPrecondition(
                    f"{', '.join(differing)} of a network cannot be changed: give it another name, or remove it first",
                    plain=True,
                )
            if spec.labels != found.spec.labels:
                self._sheet.take([self._networks.relabelled(found, spec.labels)])
                changed = dataclasses.replace(found.spec, labels=spec.labels)
                self.rows.append(row_of("update", "network", one.name, encode(found.spec), encode(changed)))
        return StackNetwork(key=one.key, name=found.name, spec=spec)

    def _missing(self, kind: str, name: str) -> None:
        """What is declared external is not there: refused, or in a plan warned of, since a task before may make it."""
        if not self._wish.dry_run:
            raise NotFound(f"{kind} {name} is declared as external, but there is none: create it first", plain=True)
        self.warnings.append(f"{kind} {name} does not exist yet: create it first")

    def _refuse_other(self, kind: str, name: str, labels: dict[str, str]) -> None:
        """What has the name but is not the stack's is not taken over by accident."""
        owner = labels.get(NAMESPACE_LABEL)
        if owner != self._wish.name and (kind, name.lower()) not in self._own:
            whose = f"is of stack {owner}" if owner else "is of no stack"
            hint = "remove it first" if kind == "service" else "declare it as external"
            raise FailedPrecondition(f"there is one already that {whose}: {hint}, or use another name", plain=True)

    # -- secrets and configs

    def _datum(self, one: DraftData) -> StackData:
        kind = SECRET if one.kind == SECRET.name else KINDS[1]
        if one.external:
            held = named(self._store, kind, one.name)
            if held is None:
                self._missing(one.kind, one.name)
                return StackData(key=one.key, kind=one.kind, name=one.name, external=True)
            return StackData(key=one.key, kind=one.kind, name=base_of(held), external=True, id=held.id)
        context: dict[str, Any] = {"roll": False}
        if one.data is not None:
            context["data"] = base64.b64encode(one.data).decode("ascii")
        options = {"labels": one.labels, "template_driver": one.template_driver or None}
        with _about(f"{one.kind} {one.name}"):
            for present in family(self._store, kind, one.name)[-1:]:
                self._refuse_other(one.kind, one.name, present.spec.labels)
            plan = self._data[one.kind].plan(Wish(one.kind, one.name, options=options, context=context))
            self._sheet.take(plan.changes)
        self._note_data(one, plan)
        return StackData(
            key=one.key,
            kind=one.kind,
            name=one.name,
            id=plan.id,
            labels=dict(one.labels),
            template_driver=one.template_driver,
        )

    def _note_data(self, one: DraftData, plan: Plan) -> None:
        if plan.changed:
            action = "create" if plan.before is None else "update"
            self.rows.append(Row(action, one.kind, one.name, plan.diff if plan.before is not None else {}))

    # -- services

    def _service(self, one: DraftService, names: dict[str, str]) -> StackService:
        name = names[one.key]
        found = next(iter(self._store.services.by("name", name.lower())), None)
        with _about(f"service {name}"):
            if found is not None:
                self._refuse_other("service", name, found.spec.labels)
            asked = one.spec if found is None else stack_parts.by_hand(one.spec, one.said, found.spec)
            spec = self._resolved(asked)
            if found is None:
                made = self._created(one, asked, spec, names)
            else:
                made = self._updated(one, asked, spec, found, names)
        shown = stack_parts.with_names(self._store, made.spec)
        task = dataclasses.replace(shown.task, force_update=one.spec.task.force_update)
        declared = dataclasses.replace(shown, mode=one.spec.mode, task=task)
        return StackService(key=one.key, spec=declared, after=one.after, said=one.said)

    def _resolved(self, spec: ServiceSpec) -> ServiceSpec:
        spec, warnings = resolve(self._store, spec, planned=self._wish.dry_run)
        if not warnings:
            check_existence(self._store, spec)
        spec, missing = resolve_networks(self._store, spec, planned=self._wish.dry_run)
        self.warnings += [text for text in (*warnings, *missing) if text not in self.warnings]
        return spec

    def _created(self, one: DraftService, asked: ServiceSpec, spec: ServiceSpec, names: dict[str, str]) -> Service:
        auth = auth_for(self._wish, one.image) or ""
        made = dataclasses.replace(
            self._services.new(spec, auth),
            following=following(self._store, asked, spec, None),
            awaits=self._awaits(one, names),
            changed_by=self._by,
        )
        self._renewed.add(made.name)
        self._sheet.take([*self._networks.for_service(spec), Create(made)])
        self.rows.append(row_of("create", "service", made.name, None, service_document(self._store, spec)))
        return made

    def _updated(
        self, one: DraftService, asked: ServiceSpec, spec: ServiceSpec, found: Service, names: dict[str, str]
    ) -> Service:
        check_ports(self._store, spec, found.id)
        check_service(spec)
        revisions.check_followable(found, spec)
        said = auth_for(self._wish, one.image)
        auth = found.registry_auth if said is None else said
        followed = following(self._store, asked, spec, found)
        differs = spec != found.spec and encode(spec) != encode(found.spec)
        if not differs and set(followed) <= set(found.following):  # the rest is of what it may be rolled back to
            followed = found.following
        changed = dataclasses.replace(found, following=followed, registry_auth=auth)
        if differs:
            changed = revisions.updated(changed, spec, auth, self._now.wall, self._by)
            changed = dataclasses.replace(changed, previous_registry_auth=found.registry_auth)
        if renews(found, changed):
            self._renewed.add(changed.name)
            changed = dataclasses.replace(changed, awaits=self._awaits(one, names))
        elif changed.awaits:
            wanted = {names[each.key] for each in one.after}
            changed = dataclasses.replace(changed, awaits=tuple(each for each in changed.awaits if each in wanted))
        if changed == found:
            return found
        self._sheet.take([*self._networks.for_service(spec), Update(changed)])
        before, after = service_document(self._store, found.spec), service_document(self._store, changed.spec)
        row = row_of("update", "service", found.name, before, after)
        if changed.registry_auth != found.registry_auth:
            row = dataclasses.replace(row, diff={**row.diff, "RegistryAuth": {"before": HIDDEN, "after": HIDDEN}})
        if row.diff:
            self.rows.append(row)
        return changed

    def _awaits(self, one: DraftService, names: dict[str, str]) -> tuple[str, ...]:
        """The services before it that have still to become what they shall be."""
        return tuple(sorted(names[each.key] for each in one.after if not self._settled(names[each.key])))

    def _settled(self, name: str) -> bool:
        found = next(iter(self._store.services.by("name", name.lower())), None)
        if found is None or name in self._renewed or found.awaits:
            return False
        return convergence(self._store, found, self._now).converged


def _names(stack: Stack | None) -> frozenset[tuple[str, str]]:
    """Kind and name of what is the stack's, whatever became of its labels."""
    if stack is None:
        return frozenset()
    revision = stack.revision
    found = {("service", one.spec.name or "") for one in revision.services}
    found |= {("network", one.name) for one in revision.networks if not one.external}
    found |= {(one.kind, one.name) for one in revision.data if not one.external}
    return frozenset((kind, name.lower()) for kind, name in found)


def renews(before: Service, after: Service) -> bool:
    """Whether a change replaces tasks, and not only adds or takes some away."""
    if after.spec_version == before.spec_version:
        return after.job_iteration != before.job_iteration
    same = same_meaning(before.spec.task, after.spec.task) and same_endpoint(before.spec.endpoint, after.spec.endpoint)
    return not same or after.job_iteration != before.job_iteration


def _ordered(draft: Draft) -> list[DraftService]:
    """What is awaited first."""
    by_key = {one.key: one for one in draft.services}
    return [by_key[key] for wave in waves(draft.services) for key in wave]


@contextlib.contextmanager
def _about(what: str) -> Iterator[None]:
    """A refusal in this block says what it is about."""
    try:
        yield
    except (OutOfSequence, Unavailable):
        raise
    except Refusal as error:
        raise type(error)(f"{what}: {error}", plain=True) from error
