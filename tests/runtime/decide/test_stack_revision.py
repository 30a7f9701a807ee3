# SPDX-License-Identifier: Apache-2.0
"""A revision is put in force again: only what differs is changed, in an order that may be cut anywhere."""

from __future__ import annotations

import dataclasses

from laws import kit
from laws.builders import job, network, node
from laws.stacks import deploy, of_spec, part, stack
from laws.world import World

from queenright.decide.stack_revision import former, restoration, restored
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.objects import Secret, Service
from queenright.model.stack import Revision, StackNetwork, StackService, StackStatus
from queenright.spec.container import SecretReference
from queenright.spec.data import SecretSpec
from queenright.spec.network import NetworkSpec

BACK = StackNetwork(key="back", name="shop_back", spec=NetworkSpec(name="shop_back", labels={"a": "b"}))


def world(*parts: StackService, networks: tuple[StackNetwork, ...] = ()) -> World:
    made = World(node("h1"))
    for number, one in enumerate(networks):
        made.do(Create(network(one.name, f"10.{number}.0.0/24", vni=5000 + number, labels=dict(one.spec.labels))))
    deploy(made, *parts, networks=networks)
    made.advance(20)
    return made


def back(made: World, revision: Revision | None = None, why: str = "") -> tuple[Change, ...]:
    held = stack(made)
    return restored(made.store, held, revision or held.history[0], made.now, made.ids, why)


def test_what_equals_the_revision_is_not_touched() -> None:
    made = world(part("shop", "web", 2), networks=(BACK,))
    assert back(made, stack(made).revision) == ()


def test_a_service_gets_the_former_specification_as_a_further_one() -> None:
    made = world(part("shop", "web", 1, "web:1"))
    deploy(made, part("shop", "web", 1, "web:2"))
    made.advance(20)
    [change] = back(made, why="it broke")
    assert isinstance(change, Update) and isinstance(change.object, Service)
    assert (change.object.spec_version, change.object.previous_spec) == (3, None)
    assert change.object.changed_by == "stack shop, revision 2"
    [change] = back(made)
    assert isinstance(change, Update) and isinstance(change.object, Service)
    assert change.object.previous_spec is not None, "what somebody left by choice can be gone back to"
    made.do(change)
    assert back(made) == ()


def test_what_operators_set_by_hand_stays_unless_the_revision_says_it() -> None:
    for said, count in (((), 5), (("Mode.Replicated.Replicas",), 1)):
        made = world(part("shop", "web", 1, "web:1", said=said))
        deploy(made, part("shop", "web", 1, "web:2", said=said))
        made.advance(20)
        mode = dataclasses.replace(made.service("shop_web").spec.mode, replicas=5)
        made.change("shop_web", mode=mode)
        [change] = back(made)
        assert isinstance(change, Update) and isinstance(change.object, Service)
        assert change.object.spec.mode.replicas == count


def test_what_is_missing_is_made_again_with_its_networks_and_what_is_undeclared_goes() -> None:
    made = world(part("shop", "web", 1, networks=["shop_back"]), networks=(BACK,))
    deploy(made, part("shop", "new", 1))
    made.advance(20)
    made.do(Delete("network", "shop_back"))
    made.do(*back(made))
    made.advance(10)
    assert [one.name for one in made.store.services] == ["shop_web"]
    again = made.store.network("shop_back")
    assert again.spec.labels == {"a": "b"} and again.subnets and again.vni
    assert made.running("shop_web")[0].attachments[0].network_id == again.id
    assert back(made) == ()


def test_two_networks_that_are_made_at_once_share_nothing() -> None:
    two = tuple(StackNetwork(key=key, name=f"shop_{key}", spec=NetworkSpec(name=f"shop_{key}")) for key in "ab")
    made = world(part("shop", "web", 1, networks=["shop_a", "shop_b"]), networks=two)
    deploy(made, part("shop", "web", 1), networks=())
    made.advance(20)
    made.do(Delete("network", "shop_a"), Delete("network", "shop_b"))
    kit.apply_whole(made.store, back(made), made.wall)
    assert len({one.vni for one in made.store.networks}) == 2


def test_a_network_with_other_labels_gets_its_own_again() -> None:
    made = world(part("shop", "web", 1), networks=(BACK,))
    held = made.store.network("shop_back")
    made.do(Update(dataclasses.replace(held, spec=dataclasses.replace(held.spec, labels={}))))
    made.do(*back(made, stack(made).revision))
    assert made.store.network("shop_back").spec.labels == {"a": "b"}


def test_a_secret_that_is_gone_stands_in_the_way_and_is_named() -> None:
    made = World(node("h1"))
    made.do(Create(Secret(id="key", spec=SecretSpec(name="key"), data=b"x")))
    one = part("shop", "web", 1)
    container = dataclasses.replace(
        one.spec.task.container, secrets=(SecretReference(secret_id="key", secret_name="key"),)
    )
    task = dataclasses.replace(one.spec.task, container=container)
    deploy(made, dataclasses.replace(one, spec=dataclasses.replace(one.spec, task=task)))
    made.advance(10)
    deploy(made, part("shop", "web", 1))
    made.advance(20)
    made.do(Delete("secret", "key"))
    held = stack(made)
    found = restoration(made.store, held, held.history[0], made.now, made.ids)
    assert found.obstacle == "secret key, which service shop_web needs, does not exist any more"
    assert found.changes == ()


def test_a_job_that_ran_is_run_again_and_one_that_waited_is_as_it_was() -> None:
    first = of_spec("shop", "job", job("shop_job", 1, image="job:1"))
    second = of_spec("shop", "job", job("shop_job", 1, image="job:2"), after=["db"])
    made = world(part("shop", "db", 1, "db:1"), first)
    deploy(made, part("shop", "db", 1, "db:2"), second)
    assert made.service("shop_job").awaits and made.service("shop_job").job_iteration == 2
    made.do(*back(made, why="it broke"))
    held = made.service("shop_job")
    assert (held.awaits, held.job_iteration, held.spec_version) == ((), 1, 1)
    made.do(Update(dataclasses.replace(stack(made), status=StackStatus())))
    made.update(second.spec)
    made.advance(5)
    made.do(*back(made, why="it broke"))
    held = made.service("shop_job")
    assert (held.job_iteration, held.spec.task.container.image) == (3, "job:1")


def test_a_service_of_another_mode_is_replaced() -> None:
    made = world(part("shop", "web", 2))
    held = made.service("shop_web")
    made.do(Delete("service", held.id), Create(Service(id="other", spec=part("shop", "web", None).spec)))
    made.do(*back(made, stack(made).revision))
    made.advance(5)
    assert len(made.running("shop_web")) == 2


def test_the_former_revision_is_the_newest_that_did_not_fail_and_is_another() -> None:
    made = world(part("shop", "web", 1, "web:1"))
    deploy(made, part("shop", "web", 1, "web:2"))
    held = stack(made)
    assert former(held) == held.history[0]
    failed = dataclasses.replace(held.history[0], failure="it broke")
    assert former(dataclasses.replace(held, history=(failed,))) is None
    same = dataclasses.replace(held.revision, number=7)
    assert former(dataclasses.replace(held, history=(same, *held.history))) == held.history[0]
