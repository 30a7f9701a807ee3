# SPDX-License-Identifier: Apache-2.0
"""Changes upon changes: each object is written once, and comes when what it needs is there."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from laws.builders import network, service
from runtime.manager.kit import World

from queenright.manager.sheet import Sheet, squashed, write_whole
from queenright.model.changes import Create, Delete, Update
from queenright.model.errors import FailedPrecondition, OutOfSequence, TooLarge
from queenright.model.objects import Secret, Stack
from queenright.model.stack import Revision
from queenright.spec.data import SecretSpec


def secret(key: str, **labels: str) -> Secret:
    return Secret(id=key, spec=SecretSpec(name=key, labels=labels), data=b"d")


async def test_what_is_made_and_changed_is_made_as_it_shall_be() -> None:
    world = World.make()
    sheet = Sheet(world.context)
    sheet.take([Create(secret("key"))])
    held: Any = sheet.store.get("secret", "key")
    sheet.take([Update(dataclasses.replace(held, spec=secret("key", a="b").spec))])
    assert sheet.changes == (Create(secret("key", a="b")),)
    assert world.store.get("secret", "key") is None
    await world.context.write(sheet.changes)
    assert world.store.secret("key").spec.labels == {"a": "b"}


async def test_an_update_is_of_what_is_really_there() -> None:
    world = World.make()
    present = world.put(secret("key"))
    sheet = Sheet(world.context)
    for value in "123":
        held: Any = sheet.store.get("secret", "key")
        sheet.take([Update(dataclasses.replace(held, spec=secret("key", n=value).spec))])
    [change] = sheet.changes
    assert isinstance(change, Update) and change.object.version == present.version
    await world.context.write(sheet.changes)
    assert world.store.secret("key").spec.labels == {"n": "3"}


async def test_what_comes_and_goes_and_what_becomes_what_it_was_is_not_written() -> None:
    world = World.make()
    present = world.put(secret("old"))
    sheet = Sheet(world.context)
    sheet.take([Create(secret("new"))])
    sheet.take([Delete("secret", "new"), Update(dataclasses.replace(present, spec=secret("old", a="b").spec))])
    held: Any = sheet.store.get("secret", "old")
    sheet.take([Update(dataclasses.replace(held, spec=present.spec))])
    assert sheet.changes == ()


async def test_a_service_comes_after_all_that_it_was_given() -> None:
    world = World.make()
    sheet = Sheet(world.context)
    sheet.take([Create(service("web"))])
    sheet.take([Create(network("n"))])
    held: Any = sheet.store.get("service", "web")
    attached = service("web", networks=["n"])
    sheet.take([Update(dataclasses.replace(held, spec=attached.spec))])
    assert [change.object.kind for change in sheet.changes if not isinstance(change, Delete)] == ["network", "service"]
    await world.context.proposer.propose(sheet.changes)


async def test_what_cannot_be_is_refused_with_its_name() -> None:
    world = World.make()
    world.put(secret("key"))
    taken = Create(dataclasses.replace(secret("key"), id="other"))
    with pytest.raises(FailedPrecondition, match=r"secret .*: name in use"):
        Sheet(world.context).take([taken])
    loose = Sheet(world.context, guarded=False)
    loose.take([Create(service("web", networks=["nowhere"]))])
    assert len(loose.changes) == 1


def test_a_removal_asks_for_the_version_that_was_seen() -> None:
    world = World.make()
    world.put(secret("key"))
    assert squashed(world.store, [Delete("secret", "key", 77)]) == (Delete("secret", "key", 77),)
    assert squashed(world.store, [Delete("secret", "key")]) == (Delete("secret", "key"),)


async def test_what_others_wrote_while_it_was_planned_is_not_written_over() -> None:
    world = World.make()
    present = world.put(secret("key"))
    sheet = Sheet(world.context)
    sheet.take([Update(dataclasses.replace(present, spec=secret("key", n="1").spec))])
    held: Any = sheet.store.get("secret", "key")
    world.put(secret("key", theirs="yes"))
    sheet.take([Update(dataclasses.replace(held, spec=secret("key", n="2").spec))])
    with pytest.raises(OutOfSequence):
        await world.context.write(sheet.changes)
    assert world.store.secret("key").spec.labels == {"theirs": "yes"}


async def test_what_is_too_large_for_one_entry_is_written_with_fewer_former_revisions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World.make()
    stack = Stack(
        id="k", name="shop", revision=Revision(number=6), history=tuple(Revision(number=n) for n in (5, 4, 3))
    )
    real, room = world.proposer.propose, 1

    async def propose(changes: Any) -> int:
        if sum(len(one.object.history) for one in changes if isinstance(one.object, Stack)) > room:
            raise TooLarge("too much")
        return await real(changes)

    monkeypatch.setattr(world.proposer, "propose", propose)
    await write_whole(world.context, [Create(secret("key")), Create(stack)])
    assert [one.number for one in world.store.stack("shop").history] == [5]
    assert world.store.secret("key").spec.name == "key"
    room = -1
    with pytest.raises(TooLarge, match="too much: declare it in several parts"):
        await write_whole(world.context, [Create(dataclasses.replace(stack, id="other", name="other"))])
