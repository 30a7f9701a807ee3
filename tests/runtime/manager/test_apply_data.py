# SPDX-License-Identifier: Apache-2.0
"""A playbook's secrets, configs and registries: versions, services that roll to them, nothing that tells data."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest
from runtime.manager.kit import World, service_spec
from runtime.manager.test_data import HUSH, made, reference, spec_with

from queenright.manager import prune as prune_room
from queenright.manager.data_kinds import KINDS, SECRET, DataKind
from queenright.manager.families import named
from queenright.manager.plans import Wish
from queenright.manager.prune import Only, prune, unused
from queenright.model.changes import Create, Delete
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Service
from queenright.model.states import TaskState
from queenright.spec.fields import SpecError, decode
from queenright.spec.service import ServiceSpec


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def apply(world: World, kind: str, name: str, data: bytes | None = None, **more: Any) -> dict[str, Any]:
    """What the manager answers; check mode, which writes nothing, must have said the same."""
    options = more.pop("options", {})
    state = more.pop("state", "present")
    context = {**({} if data is None else {"data": text(data)}), **more}
    wish, index = Wish(kind, name, state, options, context), world.store.index
    assert "h4rd" not in repr(wish)
    planned = await world.control.applier.apply(wish, dry_run=True)
    assert world.store.index == index
    done = await world.control.applier.apply(wish, dry_run=False)
    for key in ("changed", "before", "after", "diff", "actions", "warnings"):
        assert planned[key] == done[key], key
    for word in (HUSH.decode(), text(HUSH)[:8]):
        assert word not in json.dumps([planned, done])
    return done


async def service_using(world: World, name: str, *refs: Any) -> Service:
    return world.get_service(await world.control.services.create(spec_with(*refs, name=name)))


def users(world: World, kind: DataKind, name: str) -> list[str]:
    """What a service refers to."""
    return [kind.name_of(one) for one in kind.references(world.get_service(name).spec)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_it_is_made_once(kind: DataKind) -> None:
    world = World.make()
    done = await apply(world, kind.name, "app", HUSH, options={"labels": {"a": "b"}})
    assert (done["changed"], done["before"], done["actions"]) == (True, None, [f"create {kind.name} app"])
    assert done["after"] == {"Name": "app", "Labels": {"a": "b"}, "Data": "(not shown)"}
    again = await apply(world, kind.name, "app", HUSH, options={"labels": {"a": "b"}})
    assert (again["changed"], again["diff"], again["id"]) == (False, {}, done["id"])
    assert (await apply(world, kind.name, "app"))["changed"] is False


async def test_without_data_nothing_is_made() -> None:
    world = World.make()
    with pytest.raises(InvalidArgument, match="secret app does not exist yet: give its data"):
        await apply(world, "secret", "app")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_changed_data_makes_a_version_and_rolls_the_services_in_one_entry(kind: DataKind) -> None:
    world = World.make()
    first = await made(world, "app", b"old", kind)
    await service_using(world, "web", reference(first, "key", uid="33", gid="33", mode=0o400))
    untouched = await world.service("other")
    before, batches = world.get_service("web"), len(world.proposer.batches)
    done = await apply(world, kind.name, "app", HUSH, options={"labels": {"a": "b"}})
    assert len(world.proposer.batches) == batches + 1
    assert done["actions"] == [
        f"create {kind.name} app.v2, version 2 of app",
        f"update service web to {kind.name} app.v2",
    ]
    assert done["diff"]["Data"] == {"before": "(not shown)", "after": "(not shown)"}
    assert done["diff"]["Name"] == {"before": "app", "after": "app.v2"}
    assert done["diff"]["Services.web"] == {"before": "app", "after": "app.v2"}
    assert done["services"] == [{"id": before.id, "name": "web"}]
    newest = named(world.store, kind, "app")
    assert newest is not None
    assert (newest.name, newest.data, newest.id) == ("app.v2", HUSH, done["id"])
    assert newest.spec.labels == {"a": "b", "queenright.base": "app", "queenright.version": "2"}
    after = world.get_service("web")
    assert kind.references(after.spec) == (
        kind.pointed(reference(first, "key", uid="33", gid="33", mode=0o400), newest.id, "app.v2"),
    )
    assert (after.spec_version, after.previous_spec) == (before.spec_version + 1, before.spec)
    assert world.get_service("other") == untouched
    assert (await apply(world, kind.name, "app", HUSH))["changed"] is False


async def test_old_data_again_is_a_further_version() -> None:
    world = World.make()
    for data in (b"one", b"two", b"one"):
        await apply(world, "secret", "app", data)
    newest = named(world.store, SECRET, "APP")
    assert newest is not None
    assert (newest.name, newest.data) == ("app.v3", b"one")


async def test_a_service_may_use_several_versions_and_is_rolled_once() -> None:
    world = World.make()
    first = await made(world, "app", b"old")
    await apply(world, "secret", "app", b"two", roll=False)
    second = named(world.store, SECRET, "app")
    assert second is not None
    service = await service_using(world, "web", reference(first, "a"), reference(second, "b"))
    done = await apply(world, "secret", "app", HUSH)
    assert users(world, SECRET, "web") == ["app.v3", "app.v2"], "the second one is named as just that version"
    assert done["diff"]["Services.web"] == {"before": "app", "after": "app.v3"}
    assert world.get_service("web").spec_version == service.spec_version + 1


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_that_names_a_version_keeps_it_and_one_that_names_the_family_moves_on(kind: DataKind) -> None:
    world = World.make()
    for data in (b"one", b"two"):
        await apply(world, kind.name, "app", data)

    async def declare(service: str, name: str) -> dict[str, Any]:
        options = {"image": "a", f"{kind.name}s": [{f"{kind.name}_name": name, "filename": "key"}]}
        return await world.control.applier.apply(Wish("service", service, options=options), dry_run=False)

    for service, name in (("family", "App"), ("exact", "app.v2"), ("becomes", "app.v2"), ("ceases", "app")):
        await declare(service, name)
    assert (await declare("becomes", "app"))["changed"] is False
    assert (await declare("ceases", "app.v2"))["changed"] is False
    done = await apply(world, kind.name, "app", b"three")
    assert [one["name"] for one in done["services"]] == ["becomes", "family"]
    await apply(world, kind.name, "app", b"four")
    found = {name: users(world, kind, name) for name in ("family", "exact", "becomes", "ceases")}
    assert found == {"family": ["app.v4"], "exact": ["app.v2"], "becomes": ["app.v4"], "ceases": ["app.v2"]}


async def test_services_stay_where_they_are_if_told_so_and_move_when_that_is_lifted() -> None:
    world = World.make()
    first = await made(world, "app", b"old")
    await service_using(world, "web", reference(first))
    done = await apply(world, "secret", "app", HUSH, roll=False)
    assert (users(world, SECRET, "web"), done["services"]) == (["app"], [])
    moved = await apply(world, "secret", "app", HUSH)
    assert moved["actions"] == ["update service web to secret app.v2"]
    assert users(world, SECRET, "web") == ["app.v2"]
    assert (await apply(world, "secret", "app", HUSH))["changed"] is False


async def test_a_job_is_not_run_again_by_a_changed_secret() -> None:
    world = World.make()
    first = await made(world, "app", b"old")
    document = {"Name": "job", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}, "Mode": {"ReplicatedJob": {}}}
    spec = SECRET.with_references(decode(ServiceSpec, document), (reference(first),))
    await world.control.services.create(spec)
    before = world.get_service("job")
    done = await apply(world, "secret", "app", HUSH)
    assert done["warnings"] == ["job job keeps secret app until it is run again"]
    assert world.get_service("job") == before


async def test_labels_and_template_driver_are_declared_too() -> None:
    world = World.make()
    await apply(world, "config", "app", b"x", options={"labels": {"a": "1"}})
    relabelled = await apply(world, "config", "app", b"x", options={"labels": {"b": "2"}})
    assert relabelled["actions"] == ["update the labels of config app"]
    assert set(relabelled["diff"]) == {"Labels.a", "Labels.b"}
    templated = await apply(world, "config", "app", options={"template_driver": "golang"})
    assert templated["actions"] == ["create config app.v2, version 2 of app"]
    newest = world.store.config("app.v2")
    assert (newest.data, newest.spec.templating.name) == (b"x", "golang")
    assert newest.spec.labels["b"] == "2"
    cleared = await apply(world, "config", "app", options={"labels": None})
    assert cleared["diff"] == {"Labels.b": {"before": "2", "after": None}}
    assert world.store.config("app.v2").spec.labels["queenright.base"] == "app"


async def test_a_name_that_somebody_else_has_is_passed_over() -> None:
    world = World.make()
    await made(world, "app.v2", b"not of this family")
    await apply(world, "secret", "app", b"one")
    done = await apply(world, "secret", "app", b"two")
    assert done["after"]["Name"] == "app.v3"
    assert (await apply(world, "secret", "app.v2", b"other"))["after"]["Name"] == "app.v2.v2"


async def test_a_version_is_not_declared_by_its_own_name() -> None:
    world = World.make()
    await apply(world, "secret", "app", b"one")
    await apply(world, "secret", "app", b"two")
    with pytest.raises(InvalidArgument, match=r"secret app\.v2 is version 2 of app: declare app"):
        await apply(world, "secret", "app.v2", b"three")


async def test_what_cannot_be_is_refused_without_a_word_of_the_data() -> None:
    world = World.make()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"context": {"data": "no base64 of h4rd!"}}, "expected the base64"),
        ({"context": {"data": 5}}, "expected the base64"),
        ({"context": {"data": ""}}, "larger than 0"),
        ({"context": {"data": text(b"x")}, "options": {"labels": {"queenright.base": "x"}}}, "the runtime's own"),
        ({"context": {"data": text(b"x")}, "options": {"labels": {"": "x"}}}, "a label must have a key"),
    ]
    for more, words in cases:
        with pytest.raises(InvalidArgument, match=words) as caught:
            await world.control.applier.apply(Wish("secret", "app", **more), dry_run=False)
        assert "h4rd" not in str(caught.value)
    with pytest.raises(SpecError, match="there is no such option"):
        await apply(world, "secret", "app", b"x", options={"colour": "red"})
    await apply(world, "secret", "a" * 62, b"x")
    with pytest.raises(InvalidArgument, match="longer than 64 characters: take a shorter name"):
        await apply(world, "secret", "a" * 62, b"y")
    await apply(world, "secret", "b", b"x")
    with pytest.raises(InvalidArgument, match="versions_to_keep"):
        await apply(world, "secret", "b", b"y", versions_to_keep=-1)


async def test_a_family_is_removed_as_a_whole_unless_it_is_used() -> None:
    world = World.make()
    for data in (b"one", b"two", b"three"):
        await apply(world, "secret", "app", data)
    await service_using(world, "web", reference(world.store.secret("app.v2")))
    with pytest.raises(InvalidArgument, match=r"secret 'app\.v2' is in use by the following service: web"):
        await apply(world, "secret", "app", state="absent")
    assert len(world.store.secrets) == 3
    one = await apply(world, "secret", "app.v3", state="absent")
    assert one["actions"] == ["remove secret app.v3"]
    await world.control.services.remove("web")
    gone = await apply(world, "secret", "app", state="absent")
    assert gone["actions"] == ["remove secret app", "remove secret app.v2"]
    assert (len(world.store.secrets), gone["after"]) == (0, None)
    assert (await apply(world, "secret", "app", state="absent"))["changed"] is False


# -- names in services


async def test_a_service_names_a_secret_and_gets_its_newest_version() -> None:
    world = World.make()
    await apply(world, "secret", "app", b"one")
    await apply(world, "config", "app", b"conf")
    options = {
        "image": "busybox:1",
        "secrets": [{"secret_name": "app"}],
        "configs": [{"config_name": "app", "filename": "/etc/app.conf", "uid": "1", "mode": "0440"}],
    }
    done = await apply(world, "service", "web", options=options)
    container = done["after"]["TaskTemplate"]["ContainerSpec"]
    secret, config = world.store.secret("app"), world.store.config("app")
    file = {"Name": "app", "UID": "0", "GID": "0", "Mode": 0o444}
    assert container["Secrets"] == [{"SecretID": secret.id, "SecretName": "app", "File": file}]
    assert container["Configs"][0]["ConfigID"] == config.id
    assert container["Configs"][0]["File"] == {"Name": "/etc/app.conf", "UID": "1", "GID": "0", "Mode": 0o440}
    assert (await apply(world, "service", "web", options=options))["changed"] is False
    await apply(world, "secret", "app", b"two", roll=False)
    changed = await apply(world, "service", "web", options=options)
    assert changed["actions"] == ["update service web"]
    assert users(world, SECRET, "web") == ["app.v2"]
    assert world.get_service("web").spec.task.container.secrets[0].file.name == "app"


async def test_one_version_may_be_named() -> None:
    world = World.make()
    for data in (b"one", b"two", b"three"):
        await apply(world, "secret", "app", data)
    first = world.store.secret("app")
    for said, expected in (
        ({"secret_name": "app.v2"}, "app.v2"),
        ({"secret_name": "app", "secret_id": first.id}, "app"),
    ):
        await apply(world, "service", "web", options={"image": "a", "secrets": [said]})
        assert users(world, SECRET, "web") == [expected]


async def test_a_missing_secret_is_refused_but_a_plan_only_warns() -> None:
    world = World.make()
    wish = Wish("service", "web", options={"image": "a", "secrets": [{"secret_name": "app"}]})
    planned = await world.control.applier.apply(wish, dry_run=True)
    assert planned["warnings"] == ["secret app does not exist yet: create it first"]
    with pytest.raises(InvalidArgument, match=r"^secret not found: app$"):
        await world.control.applier.apply(wish, dry_run=False)
    wrong = Wish("service", "web", options={"image": "a", "secrets": [{"secret_name": "app", "secret_id": "x"}]})
    with pytest.raises(InvalidArgument, match=r"^secret not found: app$"):
        await world.control.applier.apply(wrong, dry_run=True)


# -- what nobody needs


async def test_a_new_version_sweeps_away_old_ones_that_nobody_needs() -> None:
    world = World.make()
    await apply(world, "secret", "app", b"1")
    await service_using(world, "web", reference(world.store.secret("app")))
    for number in range(2, 6):
        done = await apply(world, "secret", "app", str(number).encode(), versions_to_keep=1)
    assert [one.name for one in world.store.secrets] == ["app.v2", "app.v3", "app.v4", "app.v5"]
    assert done["actions"][-1] == "remove secret app, which nobody uses"
    assert (await apply(world, "secret", "app", b"5", versions_to_keep=0))["changed"] is False


async def test_prune_leaves_what_is_used_can_be_gone_back_to_or_is_still_read() -> None:
    world = World.make()
    for name in ("used", "before", "read", "free", "kept"):
        await made(world, name, labels={"keep": "yes"} if name == "kept" else {})
    service = await service_using(world, "web", reference(world.store.secret("before")))
    spec = spec_with(reference(world.store.secret("used")))
    await world.control.services.update("web", service.version, spec)
    reader = SECRET.with_references(service_spec(), (reference(world.store.secret("read")),))
    task = world.task(world.get_service("web"), spec=reader.task, state=TaskState.RUNNING)
    only = Only(without={"keep": ""})
    assert [one.name for one in unused(world.store, SECRET, only)] == ["free"]
    assert [one.name for one in unused(world.store, SECRET, Only(until=world.clock.wall()))] == []
    index = world.store.index
    assert [one.name for one in await prune(world.context, SECRET, only, dry_run=True)] == ["free"]
    assert world.store.index == index
    assert [one.name for one in await prune(world.context, SECRET, only, dry_run=False)] == ["free"]
    world.put(dataclasses.replace(task, status=dataclasses.replace(task.status, state=TaskState.SHUTDOWN)))
    assert [one.name for one in await prune(world.context, SECRET, Only(), dry_run=False)] == ["kept", "read"]


async def test_prune_spares_the_newest_version_of_what_was_just_declared() -> None:
    world = World.make()
    for data in (b"1", b"2"):
        await apply(world, "secret", "App", data)
    await apply(world, "secret", "other", b"x")
    for dry_run in (True, False):
        gone = await prune(world.context, SECRET, Only(spare="App"), dry_run=dry_run)
        assert [one.name for one in gone] == ["App", "other"]
    assert (await apply(world, "secret", "App", b"2"))["changed"] is False
    assert await prune(world.context, SECRET, Only(spare="App"), dry_run=False) == []


async def test_what_is_taken_up_during_a_prune_stays() -> None:
    world = World.make()
    value = await made(world, "app")
    await made(world, "free")
    taker = world.control.services.new(spec_with(reference(value)))
    world.proposer.before.append(lambda: world.proposer.put(Create(taker)))
    assert [one.name for one in await prune(world.context, SECRET, Only(), dry_run=False)] == ["free"]
    assert [one.name for one in world.store.secrets] == ["app"]


async def test_what_others_remove_during_a_prune_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune_room, "MAX_CHANGES", 1)
    world = World.make()
    for name in ("app", "free", "other"):
        await made(world, name)
    theirs = world.store.secret("other")
    world.proposer.before += [lambda: None, lambda: world.proposer.put(Delete("secret", theirs.id))]
    assert [one.name for one in await prune(world.context, SECRET, Only(), dry_run=False)] == ["app", "free"]
    assert list(world.store.secrets) == []


# -- registries


async def test_credentials_are_stored_replaced_and_removed_and_never_shown() -> None:
    world = World.make()
    auth = json.dumps({"username": "bob", "password": HUSH.decode()}).encode()
    done = await apply(world, "registry", "https://R.example.com:5000/v2/", auth, options={"username": "bob"})
    assert done["actions"] == ["store the credentials for registry r.example.com:5000"]
    assert done["after"] == {"Server": "r.example.com:5000", "Username": "bob", "Credentials": "(not shown)"}
    stored = world.store.registry("r.example.com:5000")
    assert json.loads(stored.auth)["password"] == HUSH.decode()
    assert "h4rd" not in repr(stored)
    turned = json.dumps({"password": HUSH.decode(), "username": "bob"}).encode()
    assert (await apply(world, "registry", "r.example.com:5000", turned))["changed"] is False
    other = json.dumps({"username": "bob", "password": "other"}).encode()
    changed = await apply(world, "registry", "r.example.com:5000", other)
    assert changed["diff"] == {"Credentials": {"before": "(not shown)", "after": "(not shown)"}}
    gone = await apply(world, "registry", "r.example.com:5000", state="absent")
    assert gone["actions"] == ["remove the credentials for registry r.example.com:5000"]
    assert (await apply(world, "registry", "r.example.com:5000", state="absent"))["changed"] is False


async def test_another_user_without_a_password_is_refused() -> None:
    world = World.make()
    auth = json.dumps({"username": "bob", "password": HUSH.decode()}).encode()
    await apply(world, "registry", "r.io", auth, options={"username": "bob"})
    assert (await apply(world, "registry", "r.io", options={"username": "bob"}))["changed"] is False
    for name in ("eve", None):
        wish = Wish("registry", "r.io", options={"username": name})
        with pytest.raises(InvalidArgument, match=r"stored for r\.io: give the new user's password too"):
            await world.control.applier.apply(wish, dry_run=True)
    assert world.store.registry("r.io").spec.username == "bob"


async def test_an_identity_token_takes_the_place_of_user_and_password() -> None:
    world = World.make()
    auth = json.dumps({"username": "bob", "password": "x"}).encode()
    await apply(world, "registry", "r.io", auth, options={"username": "bob"})
    token = json.dumps({"identitytoken": HUSH.decode()}).encode()
    done = await apply(world, "registry", "r.io", token)
    assert done["after"] == {"Server": "r.io", "Credentials": "(not shown)"}
    assert set(done["diff"]) == {"Username", "Credentials"}
    assert (await apply(world, "registry", "r.io", token))["changed"] is False


async def test_docker_hub_has_one_entry_however_it_is_written() -> None:
    world = World.make()
    auth = json.dumps({"username": "bob", "password": HUSH.decode()}).encode()
    changed = []
    for server in ("docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"):
        given = json.dumps(json.loads(auth) | {"serveraddress": server}).encode()
        changed.append((await apply(world, "registry", server, given))["changed"])
    assert changed == [True, False, False]
    assert [one.name for one in world.store.registries] == ["docker.io"]


@pytest.mark.parametrize(
    ("server", "address"),
    [("docker.io", "https://index.docker.io/v1/"), ("https://R.example.com:5000/v2/", "r.example.com:5000")],
)
async def test_credentials_name_their_registry_as_engines_know_it(server: str, address: str) -> None:
    world = World.make()
    await apply(world, "registry", server, json.dumps({"username": "bob", "serveraddress": server}).encode())
    (stored,) = world.store.registries
    assert json.loads(stored.auth) == {"username": "bob", "serveraddress": address}


@pytest.mark.parametrize("server", ["", "  ", "two words", "user:h4rd@host", "-x", "host:port"])
async def test_what_is_no_registry_is_refused_without_quoting_it(server: str) -> None:
    world = World.make()
    with pytest.raises(InvalidArgument) as caught:
        await world.control.applier.apply(Wish("registry", server, context={"data": text(b"{}")}), dry_run=False)
    assert "h4rd" not in str(caught.value)


@pytest.mark.parametrize("auth", [b"h4rd", b"[]", b'{"password": 5}', b'{"password": "' + b"h4rd" * 20_000 + b'"}'])
async def test_credentials_of_a_wrong_form_are_refused_without_quoting_them(auth: bytes) -> None:
    world = World.make()
    with pytest.raises(InvalidArgument) as caught:
        await world.control.applier.apply(Wish("registry", "r.io", context={"data": text(auth)}), dry_run=False)
    assert "h4rd" not in str(caught.value)
    with pytest.raises(InvalidArgument, match=r"there are no credentials for r\.io yet"):
        await world.control.applier.apply(Wish("registry", "r.io"), dry_run=False)


async def test_new_credentials_restart_nothing() -> None:
    world = World.make()
    service = await world.service("web")
    await apply(world, "registry", "docker.io", json.dumps({"username": "bob", "password": "x"}).encode())
    assert world.get_service("web") == service
