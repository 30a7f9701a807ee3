# SPDX-License-Identifier: Apache-2.0
"""A service that awaits others goes on as it was: its tasks, what heals them, and how they are reached."""

from __future__ import annotations

import dataclasses

from laws.builders import job, network, node, service, spec
from laws.world import Behaviour, World

from queenright.decide.mesh_rows import face, publishes
from queenright.decide.standing_spec import in_force, reached_by
from queenright.manager import revisions
from queenright.model.changes import Create, Update
from queenright.model.objects import Service
from queenright.spec.service import ServiceSpec


def world(first: ServiceSpec, *members: str) -> World:
    made = World(*(node(name) for name in members or ("h1", "h2")))
    made.do(Create(network("old", "10.1.0.0/24", vni=5001)), Create(network("new", "10.2.0.0/24", vni=5002)))
    made.create(first)
    made.advance(10)
    return made


def hold(made: World, wanted: ServiceSpec) -> Service:
    """The service is changed, and awaits a database that never comes."""
    later = revisions.updated(made.service("web"), wanted, "", made.wall)
    made.do(Update(dataclasses.replace(later, awaits=("db",))))
    made.settle()
    return made.service("web")


def release(made: World) -> None:
    made.do(Update(dataclasses.replace(made.service("web"), awaits=())))
    made.settle()


def images(made: World) -> list[str]:
    return [task.spec.container.image or "" for task in made.running("web")]


def test_what_is_in_force_is_the_specification_before_or_nothing() -> None:
    fresh = service()
    assert in_force(fresh) is fresh
    waits = dataclasses.replace(fresh, awaits=("db",))
    assert in_force(waits) is None and reached_by(waits) is waits
    later = dataclasses.replace(revisions.updated(fresh, spec("web", 3, "app:2"), "auth", 1), awaits=("db",))
    found = in_force(later)
    assert found is not None and (found.spec, found.spec_version) == (fresh.spec, 1)
    assert (found.registry_auth, found.previous_spec, found.awaits) == ("", None, ("db",))


def test_neither_the_number_nor_the_image_changes_before_its_time() -> None:
    made = world(spec("web", 2, "app:1"))
    before = {task.id for task in made.running("web")}
    hold(made, spec("web", 4, "app:2"))
    made.advance(60)
    assert {task.id for task in made.running("web")} == before
    release(made)
    made.advance(60)
    assert images(made) == ["app:2"] * 4


def test_tasks_of_a_node_that_dies_are_made_again_as_they_were() -> None:
    made = world(spec("web", 2, "app:1"))
    hold(made, spec("web", 2, "app:2"))
    made.silence("h1")
    made.advance(30)
    assert images(made) == ["app:1"] * 2
    assert {task.node_id for task in made.running("web")} == {"h2"}


def test_a_service_that_shall_not_be_on_a_node_any_more_stays_there_as_long() -> None:
    made = world(spec("web", 1, "app:1", task={"Placement": {"Constraints": ["node.hostname == h1"]}}))
    hold(made, spec("web", 1, "app:2", task={"Placement": {"Constraints": ["node.hostname == h2"]}}))
    made.set_node("h1", labels={"x": "y"})
    made.advance(10)
    assert [task.node_id for task in made.running("web")] == ["h1"]


def test_a_task_of_a_node_that_no_longer_meets_what_is_in_force_leaves_it() -> None:
    labelled = {"Placement": {"Constraints": ["node.labels.zone == a"]}}
    made = world(spec("web", None, "app:1"))
    made.set_node("h1", labels={"zone": "a"})
    made.update(spec("web", None, "app:1", task=labelled))
    made.advance(30)
    hold(made, spec("web", None, "app:2"))
    assert [task.node_id for task in made.running("web")] == ["h1"]
    made.set_node("h1", labels={})
    made.advance(10)
    assert made.running("web") == []


def test_a_replica_is_moved_by_the_constraints_that_are_in_force() -> None:
    made = world(spec("web", 1, "app:1", task={"Placement": {"Constraints": ["node.labels.zone == a"]}}))
    made.set_node("h1", labels={"zone": "a"})
    made.advance(10)
    hold(made, spec("web", 1, "app:2"))
    assert [task.node_id for task in made.running("web")] == ["h1"]
    made.set_node("h1", labels={})
    made.set_node("h2", labels={"zone": "a"})
    made.advance(10)
    assert [(task.node_id, task.spec.container.image) for task in made.running("web")] == [("h2", "app:1")]


def test_a_global_service_comes_to_new_nodes_as_it_was() -> None:
    made = world(spec("web", None, "app:1"))
    hold(made, spec("web", None, "app:2"))
    made.do(Create(node("h3")))
    made.beat("h3")
    made.advance(5)
    assert images(made) == ["app:1"] * 3


def test_an_update_that_was_under_way_stands_still() -> None:
    made = world(spec("web", 4, "app:1"))
    slow = {"UpdateConfig": {"Delay": 20 * 10**9}}
    made.update(spec("web", 4, "app:2", **slow))
    made.advance(1)
    assert sorted(images(made)) == ["app:1"] * 3 + ["app:2"]
    hold(made, spec("web", 4, "app:3", **slow))
    made.advance(100)
    assert sorted(images(made)) == ["app:1"] * 3 + ["app:2"]
    old = next(task for task in made.running("web") if task.spec.container.image == "app:1")
    made.end(old, 1)
    made.advance(10)
    assert sorted(images(made)) == ["app:1"] * 3 + ["app:2"], "each is healed with its own revision"
    release(made)
    made.advance(120)
    assert images(made) == ["app:3"] * 4


def test_a_slot_that_was_being_renewed_start_first_is_left_with_one_task() -> None:
    made = world(spec("web", 1, "app:1"))
    made.behaviours["app:2"] = Behaviour(starts=3)
    made.update(spec("web", 1, "app:2", UpdateConfig={"Order": "start-first"}))
    made.advance(1)
    assert len([task for task in made.tasks("web") if task.wanted]) == 2
    hold(made, spec("web", 1, "app:3"))
    made.advance(10)
    assert images(made) == ["app:2"]


def test_a_job_goes_on_with_the_iteration_before() -> None:
    made = world(job("web", 1, image="app:1"))
    assert hold(made, job("web", 1, image="app:2")).job_iteration == 2
    hold(made, job("web", 1, image="app:3"))
    assert made.service("web").job_iteration == 2, "the one that never began is none"
    made.end(made.running("web")[0], 1)
    made.advance(10)
    [task] = made.running("web")
    assert (task.spec.container.image, task.job_iteration) == ("app:1", 1)
    release(made)
    made.advance(10)
    [task] = made.running("web")
    assert (task.spec.container.image, task.job_iteration) == ("app:3", 2)


def test_it_is_reached_by_its_former_ports_and_networks_until_it_goes_on() -> None:
    made = world(spec("web", 1, "app:1", networks=["old"], publish=[(8080, 80)]))
    before = made.service("web")
    held = hold(made, spec("web", 1, "app:2", networks=["new"]))
    made.advance(10)
    held = made.service("web")
    assert (held.vips, held.ports) == (before.vips, before.ports)
    old, new, ingress = made.store.network("old"), made.store.network("new"), made.store.ingress
    assert ingress is not None and publishes(held)
    seen = face(ingress, held)
    assert seen is not None and [port.published_port for port in seen.ports] == [8080]
    assert face(old, held) is not None and face(new, held) is None
    assert held in made.store.services.by("network", "old") and held in made.store.services.by("network", "new")
    release(made)
    made.advance(30)
    gone = made.service("web")
    assert face(old, gone) is None and face(new, gone) is not None and gone.ports == ()
    assert not publishes(gone)


def test_a_service_that_is_scaled_while_it_waits_forgets_nothing_of_what_runs() -> None:
    made = world(spec("web", 2, "app:1"))
    hold(made, spec("web", 2, "app:2"))
    later = hold(made, spec("web", 3, "app:2"))
    assert later.previous_spec is not None and later.previous_spec.task.container.image == "app:1"
    made.advance(30)
    assert images(made) == ["app:1"] * 2
