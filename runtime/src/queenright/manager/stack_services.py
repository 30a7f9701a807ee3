# SPDX-License-Identifier: Apache-2.0
"""The services of a draft, laid over those that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from queenright.decide import ports, stack_parts
from queenright.decide.base import Now
from queenright.decide.convergence import convergence
from queenright.decide.defaults import same_meaning
from queenright.decide.meaning import same_endpoint
from queenright.manager import revisions
from queenright.manager.check_networks import resolve_networks
from queenright.manager.check_ports import check_ports
from queenright.manager.checks import check_service
from queenright.manager.control_networks import Networks
from queenright.manager.control_services import Services
from queenright.manager.plans import HIDDEN
from queenright.manager.references import check_existence, following, resolve
from queenright.manager.stack_desk import Desk, Steps, about
from queenright.manager.stack_documents import Row, row_of, service_document
from queenright.manager.stack_source import auth_for
from queenright.model.changes import Create, Delete, Update
from queenright.model.objects import Service
from queenright.model.stack import StackService
from queenright.sources.draft import DraftService
from queenright.sources.order import waves
from queenright.spec.fields import encode
from queenright.spec.service import ServiceSpec


class ServiceDrawing:
    """``by``: who changes them, in words."""

    def __init__(self, desk: Desk, by: str) -> None:
        self._desk, self._by = desk, by
        self._store = desk.store
        context = desk.sheet.context
        self._now = Now(context.clock.wall(), context.clock.mono())
        self._networks = Networks(context)
        self._services = Services(context, self._networks)
        self._renewed: set[str] = set()  # full names of services whose tasks are made anew

    def remove(self, service: Service) -> None:
        """A service that is not declared any more."""
        self._desk.sheet.take([Delete("service", service.id, service.version)])
        self._desk.rows.append(Row("remove", "service", service.name))

    def draw(self, services: Sequence[DraftService]) -> Steps[tuple[StackService, ...]]:
        """All of them; who takes a port over comes after who gives it up. Gives the parts of the revision."""
        by_key = {one.key: one for one in services}
        todo = [by_key[key] for wave in waves(services) for key in wave]
        parts: dict[str, StackService] = {}
        while todo:
            ready = [one for one in todo if not self._waits_for_port(one, todo)] or todo[:1]
            for one in ready:
                parts[one.key] = self._draw(one)
                yield
            todo = [one for one in todo if one not in ready]
        names = {one.key: one.spec.name or "" for one in services}
        for one in services:
            self._put_in_order(one, names)
        return tuple(parts[one.key] for one in services)

    def _waits_for_port(self, one: DraftService, todo: Sequence[DraftService]) -> bool:
        """Whether a port of it is still that of another service which is to be changed."""
        if not one.spec.endpoint.ports:
            return False
        found = self._find(one.spec.name or "")
        clash = ports.clash(self._store, one.spec, found.id if found is not None else "")
        return bool(clash) and any(f"'{other.spec.name}'" in clash for other in todo if other is not one)

    def _find(self, name: str) -> Service | None:
        return next(iter(self._store.services.by("name", name.lower())), None)

    def _draw(self, one: DraftService) -> StackService:
        name = one.spec.name or ""
        found = self._find(name)
        with about(f"service {name}"):
            if found is not None:
                self._desk.refuse_other("service", name, found.spec.labels)
            asked = one.spec if found is None else stack_parts.by_hand(one.spec, one.said, found.spec)
            spec = self._resolved(asked)
            made = self._create(one, asked, spec) if found is None else self._update(one, asked, spec, found)
        shown = stack_parts.with_names(self._store, made.spec)
        task = dataclasses.replace(shown.task, force_update=one.spec.task.force_update)
        declared = dataclasses.replace(shown, mode=one.spec.mode, task=task)
        return StackService(key=one.key, spec=declared, after=one.after, said=one.said)

    def _resolved(self, spec: ServiceSpec) -> ServiceSpec:
        """With the ids of what it uses."""
        planned = self._desk.wish.dry_run
        spec, warnings = resolve(self._store, spec, planned=planned)
        if not warnings:
            check_existence(self._store, spec)
        spec, missing = resolve_networks(self._store, spec, planned=planned)
        for text in (*warnings, *missing):
            self._desk.warn(text)
        return spec

    def _create(self, one: DraftService, asked: ServiceSpec, spec: ServiceSpec) -> Service:
        made = self._services.new(spec, auth_for(self._desk.wish, one.image) or "")
        followed = following(self._store, asked, spec, None)
        made = dataclasses.replace(made, following=followed, changed_by=self._by)
        self._renewed.add(made.name)
        self._desk.sheet.take([*self._networks.for_service(spec), Create(made)])
        self._desk.rows.append(Row("create", "service", made.name))
        return made

    def _update(self, one: DraftService, asked: ServiceSpec, spec: ServiceSpec, found: Service) -> Service:
        if spec != found.spec:
            check_ports(self._store, spec, found.id)
            check_service(spec)
            revisions.check_followable(found, spec)
        said = auth_for(self._desk.wish, one.image)
        auth = found.registry_auth if said is None else said
        followed = following(self._store, asked, spec, found)
        differs = spec != found.spec and encode(spec) != encode(found.spec)
        if not differs and set(followed) <= set(found.following):  # the rest is of what it may be rolled back to
            followed = found.following
        changed = dataclasses.replace(found, following=followed)
        if differs:
            changed = revisions.updated(changed, spec, auth, self._now.wall, self._by)
        else:
            changed = dataclasses.replace(changed, registry_auth=auth)
        if changed == found:
            return found
        if _renews(found, changed):
            self._renewed.add(changed.name)
        self._desk.sheet.take([*self._networks.for_service(spec), Update(changed)])
        self._note(found, changed)
        return changed

    def _note(self, found: Service, changed: Service) -> None:
        before, after = service_document(self._store, found.spec), service_document(self._store, changed.spec)
        row = row_of("update", "service", found.name, before, after)
        if changed.registry_auth != found.registry_auth:
            row = dataclasses.replace(row, diff={**row.diff, "RegistryAuth": {"before": HIDDEN, "after": HIDDEN}})
        if row.diff:
            self._desk.rows.append(row)

    # -- their order

    def _put_in_order(self, one: DraftService, names: dict[str, str]) -> None:
        """Say whom a service awaits: if its tasks are made anew, those before it that have still to become what they
        shall be.
        """
        held = self._find(names[one.key])
        if held is None:
            return
        before = sorted({names[each.key] for each in one.after})
        if held.name in self._renewed:
            awaits = tuple(name for name in before if not self._settled(name))
        else:
            awaits = tuple(name for name in held.awaits if name in before)
        if awaits != held.awaits:
            self._desk.sheet.take([Update(dataclasses.replace(held, awaits=awaits))])

    def _settled(self, name: str) -> bool:
        found = self._find(name)
        if found is None or name in self._renewed or found.awaits:
            return False
        return convergence(self._store, found, self._now).converged


def _renews(before: Service, after: Service) -> bool:
    """Whether a change replaces tasks, and not only adds or takes some away."""
    if after.spec_version == before.spec_version:
        return after.job_iteration != before.job_iteration
    same = same_meaning(before.spec.task, after.spec.task) and same_endpoint(before.spec.endpoint, after.spec.endpoint)
    return not same or after.job_iteration != before.job_iteration
