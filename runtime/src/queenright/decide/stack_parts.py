# SPDX-License-Identifier: Apache-2.0
"""What belongs to a stack, and how its specifications name what they use.

A revision names networks by their names: their ids change when they are made again. The services themselves have ids.
"""

from __future__ import annotations

import dataclasses

from queenright.model.objects import Service
from queenright.model.stack import NAMESPACE_LABEL, Leftover, Revision, Stack, StackService
from queenright.spec.service import NetworkAttachment, ServiceSpec
from queenright.store.store import Store

REPLICAS = "Mode.Replicated.Replicas"
FORCE_UPDATE = "TaskTemplate.ForceUpdate"
"""What operators set by hand, which stays unless the source says it."""
_FAMILY_LABEL = "queenright.base"  # of later versions of secrets and configs


def with_names(view: Store, spec: ServiceSpec) -> ServiceSpec:
    """The specification with its networks by name; one that is not there any more keeps its id."""
    return _attached(spec, tuple(_named(view, one) for one in spec.task.networks))


def with_ids(view: Store, spec: ServiceSpec) -> ServiceSpec:
    """The specification with its networks by id; one that is not there keeps its name."""
    return _attached(spec, tuple(_found(view, one) for one in spec.task.networks))


def _attached(spec: ServiceSpec, networks: tuple[NetworkAttachment, ...]) -> ServiceSpec:
    if networks == spec.task.networks:
        return spec
    return dataclasses.replace(spec, task=dataclasses.replace(spec.task, networks=networks))


def _named(view: Store, one: NetworkAttachment) -> NetworkAttachment:
    network = view.networks.get(one.target or "")
    return one if network is None else dataclasses.replace(one, target=network.name)


def _found(view: Store, one: NetworkAttachment) -> NetworkAttachment:
    target = one.target or ""
    if target in view.networks:
        return one
    network = next(iter(view.networks.by("name", target.lower())), None)
    return one if network is None else dataclasses.replace(one, target=network.id)


def by_hand(spec: ServiceSpec, said: tuple[str, ...], present: ServiceSpec) -> ServiceSpec:
    """The specification with what operators set by hand as the ``present`` one has it, unless the source says it."""
    mode, held = spec.mode, present.mode
    if REPLICAS not in said and mode.kind == held.kind and mode.replicas != held.replicas:
        spec = dataclasses.replace(spec, mode=held)
    if FORCE_UPDATE not in said and spec.task.force_update != present.task.force_update:
        spec = dataclasses.replace(spec, task=dataclasses.replace(spec.task, force_update=present.task.force_update))
    return spec


def declared(view: Store, part: StackService, present: Service | None) -> ServiceSpec:
    """What the service of a revision shall be now: networks by id, with what operators set by hand."""
    spec = with_ids(view, part.spec)
    return spec if present is None else by_hand(spec, part.said, present.spec)


def services(view: Store, name: str, stack: Stack | None = None) -> list[Service]:
    """The services of the stack of that name, by name: those with its label, also of clients, and those that its
    revision names, whatever became of their labels.
    """
    found = {one.id: one for one in view.services.by("label", (NAMESPACE_LABEL, name))}
    for part in stack.revision.services if stack is not None else ():
        found |= {one.id: one for one in view.services.by("name", (part.spec.name or "").lower())}
    return sorted(found.values(), key=lambda one: one.name)


def leftovers(view: Store, stack: Stack, revision: Revision) -> tuple[Leftover, ...]:
    """The networks, secrets and configs of the stack that the revision does not name: to go once nothing uses them."""
    named = {("network", one.name.lower()) for one in revision.networks}
    named |= {(one.kind, one.name.lower()) for one in revision.data}
    return unnamed(view, stack.name, frozenset(named))


def unnamed(view: Store, stack: str, named: frozenset[tuple[str, str]] = frozenset()) -> tuple[Leftover, ...]:
    """Those that have the stack's label, besides the ``named`` ones: kind, and name in small letters."""
    label = (NAMESPACE_LABEL, stack)
    found = [("network", one.id, one.name, "") for one in view.networks.by("label", label)]
    for data in (view.secrets.by("label", label), view.configs.by("label", label)):
        found += [(one.kind, one.id, one.name, one.spec.labels.get(_FAMILY_LABEL, "")) for one in data]
    rows = [
        Leftover(kind=kind, id=key)
        for kind, key, name, base in found
        if (kind, name.lower()) not in named and (kind, base.lower()) not in named
    ]
    return tuple(sorted(rows, key=lambda one: (one.kind, one.id)))
