# SPDX-License-Identifier: Apache-2.0
"""Secrets and configs: what may be stored, who may be removed, and what stays hidden."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from runtime.manager.kit import World, service_spec

from queenright.manager.control_data import DataControl
from queenright.manager.data_kinds import CONFIG, KINDS, SECRET, Data, DataKind
from queenright.model.changes import Create, Delete
from queenright.model.errors import AlreadyExists, InvalidArgument, NotFound, OutOfSequence
from queenright.spec.container import ConfigReference, FileTarget, SecretReference

HUSH = b"h4rd-to-guess"


def control_of(world: World, kind: DataKind) -> DataControl:
    return world.control.secrets if kind is SECRET else world.control.configs


async def made(world: World, name: str = "db", data: bytes = HUSH, kind: DataKind = SECRET, **spec: Any) -> Data:
    control = control_of(world, kind)
    return control.find(await control.create(kind.spec(name=name, **spec), data))


def reference(value: Data, target: str = "", **file: Any) -> Any:
    """A reference to it, as the docker command line makes it."""
    target_file = FileTarget(name=target or value.name, **file)
    if value.kind == "secret":
        return SecretReference(secret_id=value.id, secret_name=value.name, file=target_file)
    return ConfigReference(config_id=value.id, config_name=value.name, file=target_file)


def spec_with(*values: Any, name: str = "web") -> Any:
    """A service spec with references to these."""
    spec = service_spec(name)
    for kind in KINDS:
        found = tuple(one for one in values if kind.name in type(one).__name__.lower())
        spec = kind.with_references(spec, found)
    return spec


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_it_is_stored_as_given_and_found_by_id_name_and_prefix(kind: DataKind) -> None:
    world = World.make()
    value = await made(world, "Db.pass-1_x", b"\x00\xff", kind, labels={"a": "b"})
    control = control_of(world, kind)
    assert (value.data, value.spec.labels) == (b"\x00\xff", {"a": "b"})
    assert control.find("db.PASS-1_x") == control.find(value.id) == control.find(value.id[:6]) == value
    with pytest.raises(NotFound, match=f"^{kind.name} nosuch not found$"):
        control.find("nosuch")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", ["", "-a", "a-", ".a", "a b", "a/b", "ä", "a" * 65, "a\n"])
async def test_a_name_that_cannot_be_is_refused(kind: DataKind, name: str) -> None:
    world = World.make()
    with pytest.raises(InvalidArgument, match="name must be provided" if not name else "^invalid name, only 64"):
        await made(world, name, kind=kind)


async def test_a_name_of_64_characters_is_taken() -> None:
    assert (await made(World.make(), "a" * 64)).name == "a" * 64


@pytest.mark.parametrize(("kind", "limit"), [(SECRET, 512_000), (CONFIG, 1_024_000)], ids=["secret", "config"])
async def test_data_has_at_least_one_byte_and_less_than_the_limit(kind: DataKind, limit: int) -> None:
    world = World.make()
    for size in (0, limit):
        with pytest.raises(
            InvalidArgument, match=f"^{kind.name} data must be larger than 0 and less than {limit} bytes$"
        ):
            await made(world, data=b"x" * size, kind=kind)
    assert len((await made(world, "one", b"x", kind)).data) == 1
    assert len((await made(world, "most", b"x" * (limit - 1), kind)).data) == limit - 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_name_is_taken_in_any_case_of_letters_but_only_within_its_kind(kind: DataKind) -> None:
    world = World.make()
    await made(world, "db", kind=kind)
    with pytest.raises(AlreadyExists, match=f"^{kind.name} DB already exists$"):
        await made(world, "DB", kind=kind)
    other = CONFIG if kind is SECRET else SECRET
    assert (await made(world, "db", kind=other)).name == "db"


async def test_who_loses_the_race_for_a_name_is_told_so() -> None:
    world = World.make()
    rival = SECRET.make(id="rival", spec=SECRET.spec(name="DB"), data=b"x")
    world.proposer.before.append(lambda: world.proposer.put(Create(rival)))
    with pytest.raises(AlreadyExists, match=r"^secret db already exists$"):
        await made(world, "db")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_only_labels_may_change(kind: DataKind) -> None:
    world = World.make()
    value, control = await made(world, kind=kind), control_of(world, kind)
    await control.update("db", value.version, kind.spec(name="db", labels={"a": "b"}))
    changed = control.find("db")
    assert (changed.spec.labels, changed.data) == ({"a": "b"}, HUSH)
    await control.update("db", changed.version, kind.spec(name="db"), HUSH)
    now = control.find("db")
    assert now.spec.labels == {}
    for spec, data in ((kind.spec(name="other"), None), (kind.spec(name="db"), b"different")):
        with pytest.raises(InvalidArgument, match=r"^only updates to Labels are allowed$"):
            await control.update("db", now.version, spec, data)
    assert control.find("db") == now


async def test_an_old_version_changes_nothing() -> None:
    world = World.make()
    value = await made(world)
    with pytest.raises(OutOfSequence):
        await world.control.secrets.update("db", value.version - 1, SECRET.spec(name="db", labels={"a": "b"}))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_what_services_use_stays_and_they_are_named(kind: DataKind) -> None:
    world = World.make()
    value, control = await made(world, kind=kind), control_of(world, kind)
    await world.control.services.create(spec_with(reference(value), name="web"))
    with pytest.raises(InvalidArgument, match=f"^{kind.name} 'db' is in use by the following service: web$"):
        await control.remove("db")
    await world.control.services.create(spec_with(reference(value), name="api"))
    with pytest.raises(InvalidArgument, match=r"'db' is in use by the following services: api, web$"):
        await control.remove("db")
    await world.control.services.remove("web")
    await world.control.services.remove("api")
    await control.remove("db")
    with pytest.raises(NotFound):
        control.find("db")


async def test_a_service_that_takes_it_up_in_the_moment_of_removal_keeps_it() -> None:
    world = World.make()
    value = await made(world)
    taker = world.control.services.new(spec_with(reference(value)))
    world.proposer.before.append(lambda: world.proposer.put(Create(taker)))
    with pytest.raises(InvalidArgument, match="in use by the following service: web"):
        await world.control.secrets.remove("db")
    assert world.store.secret("db") == value


async def test_data_is_in_no_representation() -> None:
    world = World.make()
    for kind in KINDS:
        value = await made(world, kind=kind)
        assert "h4rd" not in repr(value)
        assert "h4rd" not in str(Create(value))


# -- references of services


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_reference_must_match_in_id_and_name(kind: DataKind) -> None:
    world = World.make()
    value = await made(world, kind=kind)
    for wrong in (
        kind.pointed(reference(value), "nosuchid", "db"),
        kind.pointed(reference(value), value.id, "other"),
    ):
        with pytest.raises(InvalidArgument, match=f"^{kind.name} not found: {kind.name_of(wrong)}$"):
            await world.control.services.create(spec_with(wrong))
    two = (
        kind.pointed(reference(value, "x"), "n", "one"),
        kind.pointed(reference(value, "y"), "n", "two"),
    )
    with pytest.raises(InvalidArgument, match=f"^{kind.name}s not found: one, two$"):
        await world.control.services.create(spec_with(*two))
    assert not list(world.store.services)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_two_references_to_one_file_are_refused_however_it_is_written(kind: DataKind) -> None:
    world = World.make()
    one, two = await made(world, "one", kind=kind), await made(world, "two", kind=kind)
    absolute = "/run/secrets/x" if kind is SECRET else "/x"
    for target in ("x", "./x", absolute):
        with pytest.raises(InvalidArgument, match=f"references 'one' and 'two' have a conflicting target: '{target}'"):
            await world.control.services.create(spec_with(reference(one, "x"), reference(two, target)))
    await world.control.services.create(spec_with(reference(one, "x"), reference(one, "y"), reference(two, "z")))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_an_incomplete_reference_is_refused(kind: DataKind) -> None:
    world = World.make()
    value = await made(world, kind=kind)
    whole = reference(value)
    cases = [
        (kind.pointed(whole, "", "db"), f"malformed {kind.name} reference"),
        (kind.pointed(whole, value.id, ""), f"malformed {kind.name} reference"),
        (dataclasses.replace(whole, file=FileTarget()), "invalid target file name provided"),
        (reference(value, uid="root"), "uid must be a number"),
        (reference(value, uid="4294967295"), "uid must be a number up to 4294967294"),
        (reference(value, gid="-1"), "gid must be a number"),
        (reference(value, mode=0o10000), "mode must be within"),
        (reference(value, "/"), "invalid target file name provided"),
    ]
    for wrong, text in cases:
        with pytest.raises(InvalidArgument, match=text):
            await world.control.services.create(spec_with(wrong))


async def test_a_relative_target_does_not_leave_the_folder_of_secrets() -> None:
    world = World.make()
    value = await made(world)
    for target in ("../../etc/shadow", "..", "."):
        with pytest.raises(InvalidArgument, match="invalid target file name provided"):
            await world.control.services.create(spec_with(reference(value, target)))
    await world.control.services.create(spec_with(reference(value, "/etc/app/password")))


async def test_an_update_to_what_is_gone_is_refused_also_in_the_last_moment() -> None:
    world = World.make()
    value = await made(world)
    service = await world.service("web")
    gone = Delete("secret", value.id)
    world.proposer.before.append(lambda: world.proposer.put(gone))
    with pytest.raises(InvalidArgument, match=r"^secret not found: db$"):
        await world.control.services.update("web", service.version, spec_with(reference(value)))
    with pytest.raises(InvalidArgument, match=r"^secret not found: db$"):
        await world.control.services.update("web", service.version, spec_with(reference(value)))
    assert world.get_service("web").spec == service.spec


async def test_nobody_goes_back_to_a_spec_whose_secret_is_gone() -> None:
    world = World.make()
    value = await made(world)
    await world.control.services.create(spec_with(reference(value)))
    service = world.get_service("web")
    await world.control.services.update("web", service.version, spec_with())
    await world.control.secrets.remove("db")
    service = world.get_service("web")
    with pytest.raises(InvalidArgument, match=r"^secret not found: db$"):
        await world.control.services.rollback("web", service.version)
    assert world.get_service("web") == service
