# SPDX-License-Identifier: Apache-2.0
"""What stacks leave over goes when nothing uses it any more, and not before."""

from __future__ import annotations

import dataclasses

from laws.builders import network, node, service, spec
from laws.world import Behaviour, World

from queenright.manager import revisions
from queenright.model.changes import Create, Update
from queenright.model.objects import Secret
from queenright.model.stack import Leftover, Revision, Stack, StackData
from queenright.spec.container import SecretReference
from queenright.spec.data import SecretSpec
from queenright.spec.service import ServiceSpec


def world(*leftovers: tuple[str, str], removing: bool = False, **fields: object) -> World:
    made = World(node("h1"))
    made.do(Create(network("back")), Create(Secret(id="key", spec=SecretSpec(name="key"), data=b"x")))
    rest = tuple(Leftover(kind=kind, id=key) for kind, key in leftovers)
    held = Stack(id="s1", name="shop", revision=Revision(number=1), leftovers=rest, removing=removing)
    made.do(Create(dataclasses.replace(held, **fields)))
    return made


def with_key(made: ServiceSpec) -> ServiceSpec:
    container = dataclasses.replace(made.task.container, secrets=(SecretReference(secret_id="key", secret_name="key"),))
    return dataclasses.replace(made, task=dataclasses.replace(made.task, container=container))


def test_what_nothing_uses_goes_at_once_and_the_stack_forgets_it() -> None:
    made = world(("network", "back"), ("secret", "key"), ("config", "never"))
    made.settle()
    assert not made.store.networks and not made.store.secrets
    assert made.store.stack("shop").leftovers == ()


def test_a_network_stays_until_the_last_task_in_it_has_ended() -> None:
    made = world(("network", "back"))
    made.behaviours["app:1"] = Behaviour(stops=8)
    made.create(spec("web", 1, networks=["back"]))
    made.advance(1)
    made.remove("web")
    made.advance(7)
    assert "back" in made.store.networks
    made.advance(2)
    assert "back" not in made.store.networks


def test_a_task_on_a_node_that_is_down_keeps_nothing() -> None:
    made = world(("network", "back"))
    made.create(spec("web", 1, networks=["back"]))
    made.advance(1)
    made.silence("h1")
    made.remove("web")
    made.advance(1)
    assert "back" in made.store.networks
    made.advance(60)
    assert "back" not in made.store.networks


def test_what_a_service_can_be_rolled_back_to_stays() -> None:
    made = world()
    held = revisions.created("web", with_key(spec("web")), "", made.wall)
    made.do(Create(held))
    made.advance(1)
    made.update(spec("web"))
    made.do(Update(dataclasses.replace(made.store.stack("shop"), leftovers=(Leftover(kind="secret", id="key"),))))
    made.advance(60)
    assert "key" in made.store.secrets
    made.update(spec("web", 1, "app:2"))
    made.advance(60)
    assert "key" not in made.store.secrets


def test_what_a_kept_revision_uses_stays_until_that_is_forgotten() -> None:
    old = Revision(number=0, data=(StackData(key="key", kind="secret", name="key", id="key"),))
    made = world(("secret", "key"), history=(old,))
    made.settle()
    assert "key" in made.store.secrets
    made.do(Update(dataclasses.replace(made.store.stack("shop"), history=())))
    made.settle()
    assert "key" not in made.store.secrets


def test_a_stack_that_is_removed_goes_after_all_that_it_had_whatever_its_revisions_say() -> None:
    old = Revision(number=0, data=(StackData(key="key", kind="secret", name="key", id="key"),))
    made = world(("secret", "key"), ("network", "back"), removing=True, history=(old,))
    made.do(Create(service("other", networks=["back"])))
    made.settle()
    assert "key" not in made.store.secrets and "back" in made.store.networks
    assert made.store.stack("shop").leftovers == (Leftover(kind="network", id="back"),)
    made.remove("other")
    made.settle()
    assert "back" not in made.store.networks and not made.store.stacks


def test_what_two_stacks_have_left_over_is_removed_once() -> None:
    made = world(("network", "back"))
    rest = (Leftover(kind="network", id="back"),)
    made.do(Create(Stack(id="s2", name="other", revision=Revision(number=1), leftovers=rest)))
    made.settle()
    assert not made.store.networks
    assert [one.leftovers for one in made.store.stacks] == [(), ()]
