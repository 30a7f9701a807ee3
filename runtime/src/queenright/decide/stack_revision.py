# SPDX-License-Identifier: Apache-2.0
"""Puts a revision of a stack in force again: which changes make what is there equal to it.

What is there already stays as it is, so that this may be asked as often as one likes, and be cut anywhere. Services
give up their ports before others take these up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from queenright.decide import ports, stack_parts, subnets
from queenright.decide.base import Now
from queenright.decide.defaults import is_job, same_service
from queenright.decide.standing_spec import in_force
from queenright.lib.prefixes import prefix
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.objects import Network, Service, Subnet, UpdateStatus
from queenright.model.stack import Revision, Stack, StackNetwork, StackService
from queenright.model.states import UpdateState
from queenright.spec.network import OVERLAY, NetworkSpec
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store
from queenright.store.tables import config_ids, network_ids, secret_ids

ROLLED_BACK = "update rolled back"  # with these words ``update`` remembers the reason


@dataclasses.dataclass(frozen=True, slots=True)
class Restoration:
    """``obstacle``: what is missing, in words; then the changes are those that can be made all the same."""

    changes: tuple[Change, ...] = ()
    obstacle: str = ""


def former(stack: Stack) -> Revision | None:
    """The revision to go back to: the newest one before that did not fail, and that is not the same as this one."""
    return next((one for one in stack.history if not one.failure and content(one) != content(stack.revision)), None)


def content(revision: Revision) -> tuple[object, ...]:
    """What a revision declares, without who declared it when."""
    return revision.services, revision.networks, revision.data


def restored(
    view: Store, stack: Stack, revision: Revision, now: Now, ids: Callable[[], str], why: str = ""
) -> tuple[Change, ...]:
    """The changes of services and networks that put the revision in force; nothing of the stack itself.

    ``why``: what failed, if it is not somebody's wish. Then there is nothing that a service could be rolled back to.
    """
    return restoration(view, stack, revision, now, ids, why).changes


def restoration(
    view: Store, stack: Stack, revision: Revision, now: Now, ids: Callable[[], str], why: str = ""
) -> Restoration:
    """The same, with what stands in the way of it."""
    return _Turn(view, stack, revision, now, ids, why).answer()


def wanted_spec(view: Store, part: StackService, present: Service | None) -> ServiceSpec:
    """What the service shall be. What operators set by hand, and the source does not say, is as it was when the service
    was of that revision, if it was the one before, and else as it is.
    """
    wanted = stack_parts.declared(view, part, present)
    before = present.previous_spec if present is not None else None
    if present is None or before is None or same_service(wanted, present.spec):
        return wanted
    earlier = stack_parts.by_hand(stack_parts.with_ids(view, part.spec), part.said, before)
    return earlier if same_service(earlier, before) else wanted


class _Turn:
    """One answer in the making."""

    def __init__(
        self, view: Store, stack: Stack, revision: Revision, now: Now, ids: Callable[[], str], why: str
    ) -> None:
        self._view, self._stack, self._revision = view, stack, revision
        self._now, self._ids, self._why = now, ids, why
        self._made: dict[str, Network] = {}  # by name, small
        self._changes: list[Change] = []
        self._obstacles: list[str] = []

    def answer(self) -> Restoration:
        for network in self._revision.networks:
            self._network(network)
        self._services()
        return Restoration(tuple(self._changes), self._obstacles[0] if self._obstacles else "")

    # -- networks

    def _network(self, part: StackNetwork) -> None:
        found = next(iter(self._view.networks.by("name", part.name.lower())), None)
        if found is not None:
            if not part.external and found.spec.labels != part.spec.labels:
                spec = dataclasses.replace(found.spec, labels=dict(part.spec.labels))
                self._changes.append(Update(dataclasses.replace(found, spec=spec)))
            return
        if part.external:
            return  # whoever needs it says that it is missing
        spec = dataclasses.replace(part.spec, name=part.name, driver=OVERLAY)
        chosen = self._subnets(spec)
        if isinstance(chosen, str):
            self._obstacles.append(f"network {part.name} cannot be made again: {chosen}")
            return
        vni = subnets.vni([*self._view.networks, *self._made.values()])
        made = Network(id=self._ids(), spec=spec, vni=vni, subnets=chosen)
        self._made[part.name.lower()] = made
        self._changes.append(Create(made))

    def _subnets(self, spec: NetworkSpec) -> tuple[Subnet, ...] | str:
        cluster = self._view.cluster
        if cluster is None:
            return "there is no swarm"
        taken = list(subnets.held(self._view))
        taken += [(f"network {one.name}", each.subnet) for one in self._made.values() for each in one.subnets]
        families = [(4, [pool for pool in cluster.default_addr_pool if ":" not in pool], cluster.subnet_size)]
        if spec.ipv6:
            families.append((6, [subnets.local_pool(cluster.id)], subnets.IPV6_SIZE))
        chosen: list[Subnet] = []
        for version, pools, size in families:
            asked = [one for one in spec.ipam.configs if prefix(one.subnet or "").version == version]
            found = subnets.choose(pools, size, taken, asked[:1])
            if isinstance(found, str):
                return found
            chosen.extend(found)
        return tuple(chosen)

    # -- services

    def _services(self) -> None:
        """Those that go, then those that change, each when the ports that it takes up have been given up."""
        free = set()
        for gone in self._undeclared():
            self._changes.append(Delete("service", gone.id, gone.version))
            free.add(gone.id)
        todo = [one for part in self._revision.services if (one := self._planned(part)) is not None]
        busy = {service.id for _, service in todo if service is not None}
        while todo:
            ready = [(spec, one) for spec, one in todo if not self._rivals(spec, one, free)]
            for spec, service in ready:
                self._changes.extend(self._change(spec, service))
                free.add(service.id if service is not None else "")
            todo = [pair for pair in todo if pair not in ready]
            if not ready:
                break
        for spec, service in todo:
            clash = ports.clash(self._view, spec, service.id if service is not None else "")
            both = any(other in busy for other in self._rivals(spec, service, free))
            self._obstacles.append(clash + ("; the two would have to change at the same moment" if both else ""))

    def _undeclared(self) -> Iterator[Service]:
        """Services that other revisions named and this one does not."""
        named = {part.spec.name for part in self._revision.services}
        others = (self._stack.revision, *self._stack.history)
        known = {part.spec.name for one in others for part in one.services} - named
        for service in stack_parts.services(self._view, self._stack.name, self._stack):
            if service.name in known:
                yield service

    def _planned(self, part: StackService) -> tuple[ServiceSpec, Service | None] | None:
        """What a service shall be and is; None if it is that, or cannot be."""
        present = next(iter(self._view.services.by("name", (part.spec.name or "").lower())), None)
        spec = self._attached(wanted_spec(self._view, part, present))
        if present is not None and same_service(spec, present.spec) and not present.awaits:
            return None
        missing = self._missing(spec)
        if missing:
            self._obstacles.append(f"{missing}, which service {part.spec.name} needs, does not exist any more")
            return None
        return spec, present

    def _attached(self, spec: ServiceSpec) -> ServiceSpec:
        """With the ids of networks that are made in this answer."""
        attachments = tuple(
            dataclasses.replace(one, target=self._made[key].id)
            if (key := (one.target or "").lower()) in self._made
            else one
            for one in spec.task.networks
        )
        if attachments == spec.task.networks:
            return spec
        return dataclasses.replace(spec, task=dataclasses.replace(spec.task, networks=attachments))

    def _missing(self, spec: ServiceSpec) -> str:
        view, made = self._view, {one.id for one in self._made.values()}
        for key in network_ids(spec.task):
            if key not in view.networks and key not in made:
                return f"network {key}"
        secrets = {one.secret_id: one.secret_name for one in spec.task.container.secrets}
        configs = {one.config_id: one.config_name for one in spec.task.container.configs}
        gone = [f"secret {secrets.get(key) or key}" for key in secret_ids(spec.task) if key not in view.secrets]
        gone += [f"config {configs.get(key) or key}" for key in config_ids(spec.task) if key not in view.configs]
        return gone[0] if gone else ""

    def _rivals(self, spec: ServiceSpec, service: Service | None, free: set[str]) -> list[str]:
        found = ports.rivals(self._view, spec, service.id if service is not None else "")
        return [other.id for other, _ in found if other.id not in free]

    def _change(self, spec: ServiceSpec, service: Service | None) -> Iterator[Change]:
        by = f"stack {self._stack.name}, revision {self._stack.revision.number}"
        if service is not None and (spec.mode.kind or "") == (service.spec.mode.kind or ""):
            yield Update(dataclasses.replace(self._back(service, spec), awaits=(), changed_by=by))
            return
        if service is not None:
            yield Delete("service", service.id, service.version)
        made = Service(id=self._ids(), spec=spec, changed_by=by)
        if is_job(spec):
            made = dataclasses.replace(made, job_iteration=1, last_execution=self._now.wall)
        yield Create(made)

    def _back(self, service: Service, spec: ServiceSpec) -> Service:
        runs = in_force(service)
        if service.awaits and (runs is None or same_service(spec, runs.spec)):
            # Nothing of its new specification has come into being: it is as if it had never been there.
            if runs is None:
                return dataclasses.replace(service, spec=spec)
            return dataclasses.replace(runs, spec=spec, version=service.version)
        auth = service.registry_auth
        if service.previous_spec is not None and same_service(spec, service.previous_spec):
            auth = service.previous_registry_auth
        left = service if runs is None else runs
        later = dataclasses.replace(
            service,
            spec=spec,
            spec_version=max(service.spec_version, service.previous_spec_version) + 1,
            previous_spec=None if self._why else left.spec,
            previous_spec_version=0 if self._why else left.spec_version,
            registry_auth=auth,
            previous_registry_auth="" if self._why else left.registry_auth,
        )
        if is_job(spec):
            iteration = service.job_iteration + (not service.awaits)
            return dataclasses.replace(
                later, job_iteration=iteration, last_execution=self._now.wall, update_status=None
            )
        words = f"{ROLLED_BACK} with stack {self._stack.name}" + (f": {self._why}" if self._why else "")
        status = UpdateStatus(state=UpdateState.ROLLBACK_STARTED, started_at=self._now.wall, message=words)
        return dataclasses.replace(later, update_status=status)


__all__ = ["Restoration", "content", "former", "restoration", "restored", "wanted_spec"]
