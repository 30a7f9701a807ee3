# SPDX-License-Identifier: Apache-2.0
"""Short ways to declare stacks in a world, as the managers' planner would write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from laws.builders import SECOND, spec
from laws.world import World
from queenright.decide import stack_parts
from queenright.decide.convergence import convergence
from queenright.decide.defaults import same_meaning
from queenright.manager import revisions
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.objects import Service
from queenright.model.stack import (
    NAMESPACE_LABEL,
    Dependency,
    Revision,
    Stack,
    StackNetwork,
    StackService,
    StackState,
    StackStatus,
)
from queenright.spec.service import ServiceSpec
from queenright.store.store import Event

TIMEOUT = 15 * 60 * SECOND


def part(stack: str, key: str, *args: Any, after: Mapping[str, str] | Sequence[str] = (), **api: Any) -> StackService:
    """A service of a stack: ``args`` and ``api`` as for ``builders.spec``; ``after``: keys, or keys with conditions."""
    said = tuple(api.pop("said", ()))
    made = spec(f"{stack}_{key}", *args, **api, Labels={NAMESPACE_LABEL: stack})
    return of_spec(stack, key, made, after=after, said=said)


def of_spec(
    stack: str, key: str, made: ServiceSpec, *, after: Mapping[str, str] | Sequence[str] = (), said: Sequence[str] = ()
) -> StackService:
    given = after if isinstance(after, Mapping) else dict.fromkeys(after, "healthy")
    labelled = dataclasses.replace(made, labels={**made.labels, NAMESPACE_LABEL: stack})
    dependencies = tuple(Dependency(key=one, condition=condition) for one, condition in given.items())
    return StackService(key=key, spec=labelled, after=dependencies, said=tuple(said))


def stack(world: World, name: str = "shop") -> Stack:
    return world.store.stack(name)


def deploy(
    world: World, *parts: StackService, name: str = "shop", networks: Sequence[StackNetwork] = (), **fields: Any
) -> list[Event]:
    """Declare the stack: services that are there no more go, the others are made or updated, and those await others
    whose tasks are made anew. All of it is one entry of the log.
    """
    found = next(iter(world.store.stacks.by("name", name)), None)
    by_key = {one.key: one for one in parts}
    renewed: set[str] = set()
    changes: list[Change] = []
    declared = {one.spec.name for one in parts}
    if found is not None:
        olds = stack_parts.services(world.store, name)
        changes += [Delete("service", one.id, one.version) for one in olds if one.name not in declared]
    for one in _ordered(by_key):
        changes.extend(_service(world, one, by_key, renewed))
    revision = Revision(
        number=1 if found is None else max(each.number for each in (found.revision, *found.history)) + 1,
        at=world.wall,
        services=parts,
        networks=tuple(networks),
    )
    status = StackStatus(state=StackState.UPDATING, started_at=world.wall)
    fields = {"timeout": TIMEOUT, **fields}
    if found is None:
        made = Stack(id=world.ids(), name=name, revision=revision, status=status, **fields)
        return world.write(*changes, Create(made))
    history = (found.revision, *found.history)[: found.keep]
    made = dataclasses.replace(found, revision=revision, history=history, status=status, **fields)
    return world.write(*changes, Update(dataclasses.replace(made, **fields)))


def _service(world: World, one: StackService, by_key: Mapping[str, StackService], renewed: set[str]) -> list[Change]:
    name = one.spec.name or ""
    found = next(iter(world.store.services.by("name", name)), None)
    awaits = tuple(
        by_key[each.key].spec.name or "" for each in one.after if not _settled(world, by_key[each.key], renewed)
    )
    wanted = stack_parts.declared(world.store, one, found)
    if found is None:
        renewed.add(name)
        return [Create(dataclasses.replace(revisions.created(name, wanted, "", world.wall), awaits=awaits))]
    if wanted == found.spec:
        return []
    later = revisions.updated(found, wanted, "", world.wall)
    if same_meaning(wanted.task, found.spec.task) and later.job_iteration == found.job_iteration:
        return [Update(later)]
    renewed.add(name)
    return [Update(dataclasses.replace(later, awaits=awaits))]


def _settled(world: World, one: StackService, renewed: set[str]) -> bool:
    found: Service | None = next(iter(world.store.services.by("name", one.spec.name or "")), None)
    if found is None or found.name in renewed or found.awaits:
        return False
    return convergence(world.store, found, world.now).converged


def _ordered(by_key: Mapping[str, StackService]) -> list[StackService]:
    """What is awaited first."""
    done: dict[str, StackService] = {}
    while len(done) < len(by_key):
        ready = [key for key, one in by_key.items() if key not in done and all(each.key in done for each in one.after)]
        assert ready, "they await each other"
        done.update((key, by_key[key]) for key in ready)
    return list(done.values())
