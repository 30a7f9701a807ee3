# SPDX-License-Identifier: Apache-2.0
"""Stacks: planned against what there is, written whole or not at all."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import itertools
from typing import Any

import pytest
from runtime.manager.kit import World, service_spec

from queenright.manager.plans import Wish
from queenright.model.changes import Delete
from queenright.model.errors import FailedPrecondition, InvalidArgument, NotFound, OutOfSequence
from queenright.model.objects import Stack, UpdateStatus
from queenright.model.stack import StackState, StackStatus
from queenright.model.states import UpdateState
from queenright.spec.network import NetworkSpec


def secret(text: str) -> dict[str, Any]:
    return {"data": base64.b64encode(text.encode()).decode()}


def shop(**more: Any) -> dict[str, Any]:
    """Two services, a network, a secret and a config."""
    return {
        "services": {
            "web": {
                "image": "web:1",
                "networks": [{"name": "back"}],
                "secrets": [{"secret_name": "key"}],
                "depends_on": {"db": {"condition": "healthy"}},
            },
            "db": {"image": "db:1", "networks": [{"name": "back"}], "configs": [{"config_name": "conf"}]},
        },
        "networks": {"back": {}},
        "secrets": {"key": secret("one")},
        "configs": {"conf": secret("plain")},
        **more,
    }


async def apply(world: World, options: dict[str, Any] | None = None, name: str = "shop", **more: Any) -> dict[str, Any]:
    dry_run = more.pop("dry_run", False)
    wish = Wish("stack", name, options=shop() if options is None else options, **more)
    return await world.control.applier.apply(wish, dry_run=dry_run)


async def both(world: World, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Check mode, then the real run: they say the same; it is one entry of the log; then nothing is left to do."""
    index = world.store.index
    planned = await apply(world, options, dry_run=True, **more)
    assert world.store.index == index
    done = await apply(world, options, **more)
    for key in ("changed", "before", "after", "diff", "actions", "warnings", "revision"):
        assert planned[key] == done[key], key
    for part in ("create", "update", "remove", "order"):
        assert planned["plan"][part] == done["plan"][part]
    assert world.store.index - index == done["changed"]
    again = await apply(world, options, **more)
    assert (again["changed"], again["diff"], again["actions"]) == (False, {}, [])
    assert world.store.index - index == done["changed"]
    return done


def stack_of(world: World, name: str = "shop") -> Stack:
    return world.store.stack(name)


def settle(world: World, *names: str) -> None:
    """What agents and deciders would do: all tasks run, nobody awaits anybody."""
    for name in names:
        service = world.get_service(name)
        service = world.put(dataclasses.replace(service, awaits=(), update_status=None))
        for task in world.store.tasks.by("service", service.id):
            world.proposer.put(Delete("task", task.id))
        for slot in range(1, (service.spec.mode.replicas or 0) + 1):
            world.task(service, slot, world.store.nodes.get(world.manager_id))


async def test_a_stack_comes_with_all_its_objects_in_one_entry() -> None:
    world = World.make()
    done = await both(world)
    stack = stack_of(world)
    assert done["actions"][0] == "create stack shop"
    assert (done["id"], done["version"], done["revision"]) == (stack.id, stack.version, 1)
    assert {row["name"] for row in done["plan"]["create"]} == {
        "shop_back",
        "shop_key",
        "shop_conf",
        "shop_web",
        "shop_db",
    }
    assert done["plan"]["order"] == [["shop_db"], ["shop_web"]]
    web, db = world.get_service("shop_web"), world.get_service("shop_db")
    network, key = world.store.network("shop_back"), world.store.secret("shop_key")
    assert [one.target for one in web.spec.task.networks] == [network.id]
    assert [(one.secret_id, one.file.name) for one in web.spec.task.container.secrets] == [(key.id, "key")]
    assert (web.awaits, db.awaits) == (("shop_db",), ())
    assert (stack.status.state, stack.revision.number, stack.history) == (StackState.UPDATING, 1, ())
    assert web.changed_by == "stack shop, revision 1"


async def test_the_revision_names_networks_by_name_and_data_by_version() -> None:
    world = World.make()
    await apply(world)
    web = next(one for one in stack_of(world).revision.services if one.key == "web")
    assert [one.target for one in web.spec.task.networks] == ["shop_back"]
    assert [(one.kind, one.name, one.id) for one in stack_of(world).revision.data] == [
        ("secret", "shop_key", world.store.secret("shop_key").id),
        ("config", "shop_conf", world.store.config("shop_conf").id),
    ]


async def test_who_made_a_revision_is_kept_with_it() -> None:
    world = World.make()
    context = {"user": "ada", "playbook": "site.yml", "git_revision": "abc", "message": "new\nprices"}
    await apply(world, context=context)
    held = stack_of(world).revision
    assert (held.user, held.playbook, held.git_revision, held.message) == ("ada", "site.yml", "abc", "new prices")
    assert (held.source, held.at) == ("options", world.clock.wall())


async def test_a_changed_service_makes_a_new_revision_and_nothing_else_changes() -> None:
    world = World.make()
    await apply(world)
    settle(world, "shop_web", "shop_db")
    db, first = world.get_service("shop_db"), stack_of(world).revision
    options = shop()
    options["services"]["web"]["env"] = {"A": "1"}
    done = await both(world, options)
    assert done["plan"]["update"] == [
        {
            "kind": "service",
            "name": "shop_web",
            "diff": {"TaskTemplate.ContainerSpec.Env": {"before": None, "after": ["A=1"]}},
        }
    ]
    assert done["diff"] == {"Services.web.TaskTemplate.ContainerSpec.Env": {"before": None, "after": ["A=1"]}}
    assert world.get_service("shop_db") == db
    assert world.get_service("shop_web").awaits == (), "what it awaits is settled"
    stack = stack_of(world)
    assert (stack.revision.number, stack.history) == (2, (first,))


async def test_a_service_whose_tasks_stay_waits_for_nobody() -> None:
    world = World.make()
    await apply(world)
    world.put(dataclasses.replace(world.get_service("shop_web"), awaits=()))
    options = shop()
    options["services"]["web"]["replicas"] = 4
    await both(world, options)
    assert world.get_service("shop_web").awaits == ()


async def test_a_changed_service_is_awaited_by_those_that_change_too() -> None:
    world = World.make()
    await apply(world)
    settle(world, "shop_web", "shop_db")
    options = shop()
    for one in options["services"].values():
        one["env"] = {"A": "1"}
    await both(world, options)
    assert world.get_service("shop_web").awaits == ("shop_db",)


async def test_replicas_set_by_hand_survive_unless_the_source_says_them() -> None:
    world = World.make()
    await apply(world)
    web = world.get_service("shop_web")
    world.put(
        dataclasses.replace(
            web, spec=dataclasses.replace(web.spec, mode=dataclasses.replace(web.spec.mode, replicas=7))
        )
    )
    assert (await apply(world))["changed"] is False
    options = shop()
    options["services"]["web"]["env"] = {"A": "1"}
    await both(world, options)
    assert world.get_service("shop_web").spec.mode.replicas == 7
    options["services"]["web"]["replicas"] = 2
    done = await both(world, options)
    assert world.get_service("shop_web").spec.mode.replicas == 2
    assert done["diff"] == {"Services.web.Mode.Replicated.Replicas": {"before": 7, "after": 2}}


async def test_what_was_changed_by_hand_is_put_right() -> None:
    world = World.make()
    await apply(world)
    web = world.get_service("shop_web")
    container = dataclasses.replace(web.spec.task.container, env=("X=1",))
    task = dataclasses.replace(web.spec.task, container=container)
    world.put(dataclasses.replace(web, spec=dataclasses.replace(web.spec, task=task, labels={})))
    done = await both(world)
    assert "Services.web.TaskTemplate.ContainerSpec.Env" in done["diff"]
    assert world.get_service("shop_web").spec == web.spec


async def test_a_service_that_somebody_removed_comes_back() -> None:
    world = World.make()
    await apply(world)
    await world.control.services.remove("shop_db")
    done = await both(world)
    assert [row["name"] for row in done["plan"]["create"]] == ["shop_db"]


async def test_other_data_is_another_version_and_its_services_move_to_it() -> None:
    world = World.make()
    await apply(world)
    first = world.store.secret("shop_key")
    done = await both(world, shop(secrets={"key": secret("geheim")}))
    second = world.store.secret("shop_key.v2")
    assert [one.secret_id for one in world.get_service("shop_web").spec.task.container.secrets] == [second.id]
    assert first.id in [one.id for one in world.store.secrets], "the revision before it can be put back"
    assert "geheim" not in str(done) and secret("geheim")["data"] not in str(done)
    assert done["plan"]["update"][0]["name"] == "shop_key"


async def test_versions_that_a_kept_revision_uses_stay() -> None:
    world = World.make()
    for number in range(6):
        await apply(world, shop(secrets={"key": secret(f"data {number}")}))
    assert len(stack_of(world).history) == 5
    assert len(world.store.secrets) == 6
    for number in range(6, 12):
        await apply(world, shop(secrets={"key": secret(f"data {number}")}, keep=1))
    kept = {one.id for each in (stack_of(world).revision, *stack_of(world).history) for one in each.data}
    assert kept & {one.id for one in world.store.secrets} == kept - {one.id for one in world.store.configs}
    assert len(world.store.secrets) == 5, "in force, the two that were kept before it, and two besides"


async def test_what_the_source_names_no_longer_goes_with_the_next_revision() -> None:
    world = World.make()
    await apply(world)
    network = world.store.network("shop_back")
    done = await both(world, {"services": {"db": {"image": "db:1"}}})
    assert [one.name for one in world.store.services] == ["shop_db"]
    left = {(one.kind, getattr(world.store.get(one.kind, one.id), "name", "")) for one in stack_of(world).leftovers}
    assert left == {("network", "shop_back"), ("secret", "shop_key"), ("config", "shop_conf")}
    assert {row["name"] for row in done["plan"]["remove"]} == {"shop_web", "shop_back", "shop_key", "shop_conf"}
    await both(world)
    assert stack_of(world).leftovers == ()
    assert world.store.network("shop_back") == network


async def test_nothing_goes_without_prune() -> None:
    world = World.make()
    await apply(world)
    await both(world, {"services": {"db": {"image": "db:1"}}, "prune": False})
    assert len(world.store.services) == 2
    assert stack_of(world).leftovers == ()


async def test_settings_alone_make_no_revision() -> None:
    world = World.make()
    await apply(world)
    done = await both(world, shop(keep=2, on_failure="pause", timeout="1m", labels={"a": "b"}))
    stack = stack_of(world)
    assert done["actions"] == ["update the settings of stack shop"]
    assert (stack.keep, stack.on_failure, stack.timeout, stack.labels) == (2, "pause", 60_000_000_000, {"a": "b"})
    assert stack.revision.number == 1


async def test_revisions_are_kept_as_many_as_are_asked_for() -> None:
    world = World.make()
    for number in range(5):
        options = shop(keep=2)
        options["services"]["web"]["env"] = {"N": str(number)}
        await apply(world, options)
    stack = stack_of(world)
    assert (stack.revision.number, [one.number for one in stack.history]) == (5, [4, 3])


async def test_a_stack_is_removed_with_what_nothing_uses_any_more_at_the_end() -> None:
    world = World.make()
    await apply(world)
    done = await both(world, {}, state="absent")
    assert (done["before"]["Name"], done["after"]) == ("shop", None)
    stack = stack_of(world)
    assert stack.removing and not len(world.store.services)
    assert {one.kind for one in stack.leftovers} == {"network", "secret", "config"}
    await both(world)
    stack = stack_of(world)
    assert not stack.removing and stack.leftovers == () and len(world.store.services) == 2


async def test_a_stack_without_anything_left_goes_at_once() -> None:
    world = World.make()
    await apply(world, {"services": {"web": {"image": "web:1"}}})
    await both(world, {}, state="absent")
    assert not len(world.store.stacks) and not len(world.store.services)
    assert (await apply(world, {}, state="absent"))["changed"] is False


async def test_what_a_client_deployed_is_taken_over_and_removed_by_its_label() -> None:
    world = World.make()
    label = {"com.docker.stack.namespace": "shop"}
    await world.control.networks.create(NetworkSpec(name="shop_back", labels=label))
    await world.control.services.create(service_spec("shop_web", Labels=label))
    await world.control.services.create(service_spec("shop_old", Labels=label))
    await both(world)
    assert sorted(one.name for one in world.store.services) == ["shop_db", "shop_web"]
    other = World.make()
    await other.control.networks.create(NetworkSpec(name="shop_back", labels=label))
    await other.control.services.create(service_spec("shop_web", Labels=label))
    await both(other, {}, state="absent")
    assert other.store.stack("shop").removing and not len(other.store.services)


@pytest.mark.parametrize("kind", ["service", "network", "secret"])
async def test_what_is_of_no_stack_is_not_taken_over(kind: str) -> None:
    world = World.make()
    made = {
        "service": ("shop_web", {"image": "busybox:1"}, {}),
        "network": ("shop_back", {}, {}),
        "secret": ("shop_key", {}, secret("other")),
    }
    name, options, context = made[kind]
    await world.control.applier.apply(Wish(kind, name, options=options, context=context), dry_run=False)
    index = world.store.index
    with pytest.raises(FailedPrecondition, match=f"{kind} {name}: there is one already that is of no stack"):
        await apply(world)
    assert world.store.index == index


async def test_a_network_that_would_be_another_one_is_refused_by_name() -> None:
    world = World.make()
    await apply(world)
    with pytest.raises(FailedPrecondition, match=r"network shop_back: internal of a network cannot be changed: give"):
        await apply(world, shop(networks={"back": {"internal": True}}))


async def test_what_is_external_must_be_there() -> None:
    world = World.make()
    options = shop(networks={"back": {"external": True, "name": "edge"}})
    with pytest.raises(NotFound, match="network edge is declared as external"):
        await apply(world, options)
    planned = await apply(world, options, dry_run=True)
    assert "network edge does not exist yet: create it first" in planned["warnings"]
    await world.control.networks.create(NetworkSpec(name="edge"))
    await both(world, options)
    await apply(world, {}, state="absent")
    assert ("network", world.store.network("edge").id) not in {(one.kind, one.id) for one in stack_of(world).leftovers}


async def test_a_write_that_comes_too_late_is_planned_again_and_leaves_old_or_new() -> None:
    world = World.make()
    await apply(world)
    options = shop()
    for one in options["services"].values():
        one["env"] = {"A": "1"}
    db = world.get_service("shop_db")
    world.proposer.before.append(lambda: world.put(dataclasses.replace(db, changed_by="ada")) and None)
    await apply(world, options)
    assert all(one.spec.task.container.env == ("A=1",) for one in world.store.services)

    for one in options["services"].values():
        one["env"] = {"A": "2"}

    def meddle() -> None:
        world.put(dataclasses.replace(world.get_service("shop_db"), changed_by="bob"))

    world.proposer.before.extend([meddle] * 20)
    with pytest.raises(OutOfSequence):
        await apply(world, options)
    assert all(one.spec.task.container.env == ("A=1",) for one in world.store.services), "nothing of it was written"
    assert stack_of(world).revision.number == 2


async def test_a_large_stack_is_planned_in_turns_and_what_others_write_meanwhile_is_not_written_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World.make()
    many: dict[str, Any] = {"services": {f"s{number}": {"image": "i:1"} for number in range(20)}}
    await apply(world, many)
    ticks = itertools.count(1)
    monkeypatch.setattr(world.clock, "mono", lambda: float(next(ticks)))
    for one in many["services"].values():
        one["env"] = {"A": "1"}
    scaled: list[int] = []

    async def meddle() -> None:
        """Somebody scales a service that is planned already, while the others are being planned."""
        for _ in range(15):
            await asyncio.sleep(0)
        held = world.get_service("shop_s0")
        mode = dataclasses.replace(held.spec.mode, replicas=7)
        world.put(dataclasses.replace(held, spec=dataclasses.replace(held.spec, mode=mode)))
        scaled.append(len(world.proposer.batches))

    done, _ = await asyncio.gather(apply(world, many), meddle())
    assert scaled == [1], "before the stack was written"
    assert done["revision"] == 2
    assert all(one.spec.task.container.env == ("A=1",) for one in world.store.services)
    assert world.get_service("shop_s0").spec.mode.replicas == 7


async def test_a_stack_of_hundreds_of_services_is_one_entry() -> None:
    world = World.make()
    await both(world, {"services": {f"s{number}": {"image": "i:1"} for number in range(250)}})
    assert len(world.store.services) == 250


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "a stack has one source"),
        ({"services": {"a": {"image": "i"}}, "bundle": "{}"}, "not bundle and services"),
        (shop(on_failure="explode"), "on_failure: 'explode' is none of rollback, pause"),
        (shop(timeout="soon"), "no duration"),
        (shop(keep=-1), "keep: expected"),
        (shop(prune="yes"), "prune: expected"),
        (shop(unheard=1), "unheard: there is no such option"),
        ({"services": {"a": {"image": "i", "depends_on": ["b"]}}}, "services.a.depends_on: there is no service b"),
        ({"services": {"a": {"image": "i", "networks": [{"name": "nowhere"}]}}}, "nowhere"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_written(options: dict[str, Any], text: str) -> None:
    world = World.make()
    index = world.store.index
    with pytest.raises((InvalidArgument, NotFound), match=text):
        await apply(world, options)
    assert world.store.index == index


async def test_a_stack_has_a_name_that_can_be() -> None:
    for name in ("", "a b", "-a", "x" * 63):
        with pytest.raises(InvalidArgument, match="is no name of a stack"):
            await apply(World.make(), name=name)


async def test_a_port_goes_over_from_one_service_of_the_stack_to_another() -> None:
    world = World.make()
    ports = [{"target_port": 80, "published_port": 8080}]
    await apply(world, {"services": {"a": {"image": "i:1"}, "b": {"image": "i:1", "publish": ports}}})
    await both(world, {"services": {"a": {"image": "i:1", "publish": ports}, "b": {"image": "i:1"}}})
    assert [one.published_port for one in world.get_service("shop_a").spec.endpoint.ports] == [8080]
    with pytest.raises(InvalidArgument, match="service shop_c: port '8080' is already in use by service 'shop_a'"):
        await apply(
            world,
            {"services": {key: {"image": "i:1", "publish": ports} for key in "ac"}},
        )


@pytest.mark.parametrize("state", [StackState.PAUSED, StackState.ROLLBACK_PAUSED])
async def test_a_roll_out_that_was_halted_is_taken_up_again_by_declaring_the_same(state: StackState) -> None:
    world = World.make()
    await apply(world)
    stack = stack_of(world)
    failed = dataclasses.replace(stack.revision, failure="no such image")
    halted = StackStatus(state=state, message="no such image", failed="shop_web")
    world.put(dataclasses.replace(stack, status=halted, revision=failed))
    paused = UpdateStatus(state=UpdateState.PAUSED, message="no such image")
    world.put(dataclasses.replace(world.get_service("shop_web"), update_status=paused))
    done = await both(world)
    assert done["actions"] == ["take the roll-out of stack shop up again"]
    stack = stack_of(world)
    assert stack.status == StackStatus(state=StackState.UPDATING, started_at=world.clock.wall())
    assert (stack.revision.number, stack.revision.failure) == (1, "")
    assert world.get_service("shop_web").update_status is None


# -- images


class Registries:
    """Knows a digest for everything; ``says`` is the next one."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.says = "sha256:" + "d" * 64

    async def digest(self, image: str, auth: bytes) -> str:
        self.asked.append((image, auth))
        return self.says


def with_registries(world: World) -> Registries:
    registries = Registries()
    context = dataclasses.replace(world.context, registries=registries)
    world.control = world.control.over(context)
    return registries


def image(world: World, name: str) -> str:
    return world.get_service(name).spec.task.container.image or ""


async def test_each_image_is_asked_for_once_and_stays_as_long_as_its_tag_does() -> None:
    world = World.make()
    registries = with_registries(world)
    options = {"services": {key: {"image": "app:1"} for key in "abc"}}
    await both(world, options)
    assert [one for one, _ in registries.asked] == ["app:1"] * 2, "once for the plan, once for the change"
    assert {image(world, f"shop_{key}") for key in "abc"} == {f"app:1@{registries.says}"}
    assert world.get_service("shop_a").spec.labels["com.docker.stack.image"] == "app:1"
    registries.says = "sha256:" + "e" * 64
    assert (await apply(world, options))["changed"] is False
    done = await apply(world, options, context={"resolve_image": "always"})
    assert done["changed"] and image(world, "shop_a") == f"app:1@{registries.says}"
    await apply(world, {"services": {"a": {"image": "app:2"}}}, context={"resolve_image": "never"})
    assert image(world, "shop_a") == "app:2"
    with pytest.raises(InvalidArgument, match="resolve_image: 'often'"):
        await apply(world, options, context={"resolve_image": "often"})


async def test_an_image_set_by_hand_is_put_back_without_asking() -> None:
    world = World.make()
    registries = with_registries(world)
    options = {"services": {"a": {"image": "app:1"}}}
    await apply(world, options)
    web = world.get_service("shop_a")
    container = dataclasses.replace(web.spec.task.container, image="app:9")
    world.put(
        dataclasses.replace(
            web, spec=dataclasses.replace(web.spec, task=dataclasses.replace(web.spec.task, container=container))
        )
    )
    registries.asked.clear()
    assert (await apply(world, options))["changed"]
    assert (image(world, "shop_a"), registries.asked) == (f"app:1@{registries.says}", [])


async def test_credentials_go_to_the_registry_that_they_are_for_and_are_shown_nowhere() -> None:
    world = World.make()
    registries = with_registries(world)
    options = {"services": {"a": {"image": "r.example.com/app:1"}, "b": {"image": "app:1"}}}
    auth = {"https://r.example.com/": '{"username": "me", "password": "geheim"}'}
    done = await both(world, options, context={"registry_auth": auth})
    assert "geheim" not in str(done)
    assert (
        sorted((one, b"geheim" in said) for one, said in registries.asked)
        == [("app:1", False)] * 2 + [("r.example.com/app:1", True)] * 2
    )
    held = {name: world.get_service(name).registry_auth for name in ("shop_a", "shop_b")}
    assert held["shop_a"] and not held["shop_b"] and "geheim" not in held["shop_a"]
    auth = {"r.example.com": '{"username": "me", "password": "other"}'}
    done = await both(world, options, context={"registry_auth": auth})
    assert done["plan"]["update"][0]["diff"] == {"RegistryAuth": {"before": "(not shown)", "after": "(not shown)"}}


# -- back to another revision


async def three(world: World) -> None:
    """Three revisions: one, two with another image and data, three without the service web."""
    await apply(world)
    options = shop(secrets={"key": secret("geheim")})
    options["services"]["web"]["image"] = "web:2"
    await apply(world, options)
    await apply(world, {"services": {"db": {"image": "db:2", "replicas": 3}}})


async def test_the_previous_revision_is_put_in_force_as_a_whole() -> None:
    world = World.make()
    await three(world)
    second = stack_of(world).history[0]
    index = world.store.index
    planned = await apply(world, {"rollback": True}, dry_run=True)
    done = await apply(world, {"rollback": True}, context={"user": "ada", "message": "prices were wrong"})
    assert world.store.index == index + 1
    assert (planned["actions"], planned["plan"]["create"]) == (done["actions"], done["plan"]["create"])
    assert [row["name"] for row in done["plan"]["create"]] == ["shop_web"]
    stack = stack_of(world)
    assert (stack.revision.number, stack.revision.source, stack.revision.user) == (4, "rollback", "ada")
    assert (stack.revision.services, stack.revision.data) == (second.services, second.data)
    assert [one.number for one in stack.history] == [3, 2, 1]
    assert stack.leftovers == ()
    assert image(world, "shop_web") == "web:2" and image(world, "shop_db") == "db:1"
    assert world.get_service("shop_web").changed_by == "stack shop, revision 4"
    assert stack.status.state == StackState.UPDATING


async def test_a_revision_is_put_in_force_by_its_number_and_stays_when_asked_again() -> None:
    world = World.make()
    await three(world)
    assert (await apply(world, {"rollback_to": 1}))["changed"]
    assert image(world, "shop_web") == "web:1"
    assert (await apply(world, {"rollback_to": 1}))["changed"] is False
    [held] = world.get_service("shop_web").spec.task.container.secrets
    assert held.secret_name == "shop_key"
    with pytest.raises(FailedPrecondition, match="stack shop has no revision 9; it has 4, 3, 2, 1"):
        await apply(world, {"rollback_to": 9})


async def test_there_must_be_something_to_go_back_to() -> None:
    world = World.make()
    with pytest.raises(FailedPrecondition, match="there is no stack shop to roll back"):
        await apply(world, {"rollback": True})
    await apply(world)
    with pytest.raises(FailedPrecondition, match="no previous revision"):
        await apply(world, {"rollback": True})
    with pytest.raises(InvalidArgument, match="services and a rollback exclude each other"):
        await apply(world, shop(rollback=True))


async def test_what_is_gone_and_cannot_come_back_is_named() -> None:
    world = World.make()
    await apply(world, {"services": {"web": {"image": "i:1", "secrets": [{"secret_name": "outer"}]}}, **outer()})
    await apply(world, {"services": {"web": {"image": "i:1"}}})
    for kept in list(world.store.secrets):
        world.proposer.put(Delete("secret", kept.id))
    index = world.store.index
    with pytest.raises(FailedPrecondition, match="revision 1 cannot be put back: secret shop_outer"):
        await apply(world, {"rollback": True})
    assert world.store.index == index


def outer() -> dict[str, Any]:
    return {"secrets": {"outer": secret("x")}}


async def test_a_stack_is_one_however_its_name_is_written() -> None:
    world = World.make()
    await apply(world)
    assert (await apply(world, name="SHOP"))["changed"] is False
    assert (await apply(world, {}, name="Shop", state="absent"))["changed"] is True
    assert stack_of(world).removing


def test_no_text_of_a_wish_shows_what_is_in_it() -> None:
    assert secret("geheim")["data"] not in repr(Wish("stack", "shop", options=shop(secrets={"key": secret("geheim")})))
