# SPDX-License-Identifier: Apache-2.0
"""Laws of stacks, whatever is declared and in whatever order: what a plan says is what happens; then nothing is left to
do; a write is one entry or none; what a kept revision needs is there.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from runtime.manager.kit import World

from queenright.decide import stack_parts
from queenright.manager.plans import Wish
from queenright.model.errors import OutOfSequence, Refusal

SERVICES, NETWORKS, DATA = ("a", "b", "c"), ("n", "m"), ("k", "l")


def _service(key: str) -> st.SearchStrategy[dict[str, Any]]:
    before = [other for other in SERVICES if other < key]
    parts: dict[str, Any] = {
        "replicas": st.integers(0, 3),
        "env": st.dictionaries(st.sampled_from("XY"), st.sampled_from("12"), max_size=2),
        "networks": st.lists(st.sampled_from(NETWORKS), unique=True).map(lambda each: [{"name": one} for one in each]),
        "secrets": st.lists(st.sampled_from(DATA), unique=True).map(
            lambda each: [{"secret_name": one} for one in each]
        ),
        "publish": st.just([{"target_port": 80, "published_port": 8080}]) if key == "a" else st.just([]),
    }
    if before:
        parts["depends_on"] = st.lists(st.sampled_from(before), unique=True)
    return st.fixed_dictionaries({"image": st.sampled_from(["i:1", "i:2"])}, optional=parts)


@st.composite
def sources(draw: st.DrawFn) -> dict[str, Any]:
    """Options of a stack that name nothing which is not there."""
    keys = draw(st.lists(st.sampled_from(SERVICES), unique=True, min_size=1))
    services = {key: draw(_service(key)) for key in sorted(keys)}
    networks, secrets = set(), set()
    for one in services.values():
        one["depends_on"] = [other for other in one.get("depends_on", ()) if other in services]
        networks |= {each["name"] for each in one.get("networks", ())}
        secrets |= {each["secret_name"] for each in one.get("secrets", ())}
    networks |= set(draw(st.lists(st.sampled_from(NETWORKS))))
    return {
        "services": services,
        "networks": {key: {} for key in sorted(networks)},
        "secrets": {
            key: {"data": base64.b64encode(draw(st.sampled_from([b"one", b"two"]))).decode()} for key in sorted(secrets)
        },
        "keep": draw(st.integers(0, 2)),
        "prune": draw(st.booleans()),
    }


steps = st.lists(st.one_of(sources(), sources(), st.just({"state": "absent"})), min_size=1, max_size=5)


async def apply(world: World, step: dict[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
    options = {key: value for key, value in step.items() if key != "state"}
    wish = Wish("stack", "shop", state=step.get("state", "present"), options=options)
    return await world.control.applier.apply(wish, dry_run=dry_run)


def check(world: World, step: dict[str, Any]) -> None:
    """What holds after each write."""
    stack = next(iter(world.store.stacks), None)
    if stack is None:
        assert step.get("state") == "absent"
        return
    for one in (stack.revision, *stack.history):
        assert all(world.store.get(each.kind, each.id) is not None for each in one.data), "a revision can be put back"
    if stack.removing:
        assert not stack_parts.services(world.store, "shop")
        return
    for part in stack.revision.services:
        [found] = world.store.services.by("name", part.spec.name)
        assert stack_parts.declared(world.store, part, found) == found.spec
        assert set(found.awaits) <= {f"shop_{one.key}" for one in part.after}
    named = {(one.kind, one.id) for one in stack.revision.data}
    named |= {
        ("network", one.id) for each in stack.revision.networks for one in world.store.networks.by("name", each.name)
    }
    assert not named & {(one.kind, one.id) for one in stack.leftovers}
    assert len(stack.history) <= step["keep"]


@settings(max_examples=60, deadline=None)
@given(steps)
def test_what_is_planned_is_done_and_then_nothing_is_left_to_do(steps: list[dict[str, Any]]) -> None:
    async def run() -> None:
        world = World.make()
        for step in steps:
            index = world.store.index
            planned = await apply(world, step, dry_run=True)
            assert world.store.index == index
            done = await apply(world, step)
            for key in ("changed", "before", "after", "diff", "actions", "revision"):
                assert planned.get(key) == done.get(key), key
            assert world.store.index - index == done["changed"]
            check(world, step)
            again = await apply(world, step, dry_run=True)
            assert (again["changed"], again["diff"], again["actions"]) == (False, {}, [])

    asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(steps, sources(), st.integers(0, 12))
def test_a_write_that_is_refused_leaves_everything_as_it_was(
    steps: list[dict[str, Any]], last: dict[str, Any], tries: int
) -> None:
    """Somebody else writes first, again and again: in the end all of it is there or nothing."""

    async def run() -> None:
        world = World.make()
        for step in steps:
            await apply(world, step)

        def meddle() -> None:
            for service in list(world.store.services):
                world.put(dataclasses.replace(service, changed_by=service.changed_by + "."))

        world.proposer.before.extend([meddle] * tries)
        before, written = _content(world), len(world.proposer.batches)
        with contextlib.suppress(OutOfSequence, Refusal):
            await apply(world, last)
        ours = len(world.proposer.batches) - written
        if ours == 0:
            assert _content(world) == before
        else:
            assert ours == 1
            check(world, last)

    asyncio.run(run())


def _content(world: World) -> list[Any]:
    """All that is declared."""
    rows: list[Any] = [(one.name, one.spec, one.awaits) for one in world.store.services]
    rows += [(one.id, one.spec) for table in (world.store.networks, world.store.secrets) for one in table]
    return rows + [(one.revision, one.history, one.leftovers) for one in world.store.stacks]
