# SPDX-License-Identifier: Apache-2.0
"""Liveness: who is down, who is only away, and what becomes of tasks that nobody will ever hear of again."""

from __future__ import annotations

from laws.builders import node, spec, task
from laws.world import World

from queenright.decide import nodes
from queenright.decide.base import Dirty
from queenright.decide.nodes import Beat
from queenright.model.changes import Create, Delete
from queenright.model.states import NodeState, TaskState


def state(world: World, name: str) -> tuple[NodeState, str]:
    status = world.store.node(name).status
    return status.state, status.message


def test_a_node_is_down_when_its_deadline_has_passed() -> None:
    world = World(node("h1"), node("h2"))
    world.silence("h2")
    world.advance(14.9)
    assert state(world, "h2") == (NodeState.READY, "")
    world.advance(0.2)
    assert state(world, "h2") == (NodeState.DOWN, "heartbeat failure")
    assert state(world, "h1") == (NodeState.READY, "")


def test_the_decider_asks_to_be_woken_at_the_first_deadline() -> None:
    world = World(node("h1"), node("h2"))
    beats = {"h1": Beat(deadline=world.mono + 9), "h2": Beat(deadline=world.mono + 7)}
    decision = nodes.decide(world.store, beats, Dirty(), world.now)
    assert (decision.changes, decision.wake_at) == ((), world.mono + 7)


def test_a_node_that_restarts_is_away_for_its_grace_and_keeps_its_tasks() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    world.silence("h2")
    world.beats["h2"] = Beat(deadline=world.mono + 15, restarting_until=world.mono + 60)
    world.set_node("h2", labels={"x": "y"})
    world.advance(59)
    assert state(world, "h2") == (NodeState.DISCONNECTED, "node is restarting")
    assert len(world.running("web")) == 2
    world.create(spec("new", 2))
    world.settle()
    assert {each.node_id for each in world.tasks("new")} == {"h1"}, "it gets nothing new"
    world.advance(2)
    assert state(world, "h2") == (NodeState.DOWN, "heartbeat failure")
    assert {each.node_id for each in world.running("web")} == {"h1"}


def test_a_node_back_from_its_restart_is_ready_with_the_same_tasks() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    before = {each.id for each in world.running("web")}
    world.silence("h2")
    world.beats["h2"] = Beat(deadline=world.mono + 15, restarting_until=world.mono + 60)
    world.advance(30)
    world.beat("h2")
    world.advance(5)
    assert {each.id for each in world.running("web")} == before


def test_under_a_new_leader_nodes_have_twice_the_time_to_report() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.advance(3600)
    world.change_leader()
    world.beats.clear()
    world.silence("h2")
    world.settle()
    assert state(world, "h1")[0] == NodeState.UNKNOWN
    world.beat("h1")
    world.advance(29)
    assert state(world, "h1")[0] == NodeState.READY
    assert state(world, "h2")[0] == NodeState.UNKNOWN
    assert len(world.running("web")) == 2, "unknown is not down"
    world.advance(2)
    assert state(world, "h2") == (NodeState.DOWN, "heartbeat failure")


def test_a_node_that_registers_while_its_session_is_being_opened_is_not_taken_for_silent() -> None:
    world = World(node("h1"))
    world.advance(3600)
    world.do(Create(node("h2")))  # written READY, its heartbeat not yet known
    world.settle()
    assert state(world, "h2")[0] == NodeState.READY
    world.beat("h2")
    world.advance(60)
    assert state(world, "h2")[0] == NodeState.READY


def test_a_node_whose_session_was_opened_while_it_was_being_called_unknown_is_ready() -> None:
    world = World(node("h1", state=NodeState.UNKNOWN), node("h2", state=NodeState.UNKNOWN), node("h3"))
    beats = {
        "h1": Beat(deadline=world.mono + 9),
        "h2": Beat(deadline=world.mono + 9, restarting_until=world.mono + 60),
        "h3": Beat(deadline=world.mono + 9),
    }
    decision = nodes.decide(world.store, beats, Dirty(), world.now)
    found = {change.object.id: change.object.status for change in decision.changes}  # type: ignore[union-attr]
    assert {key: (status.state, status.message) for key, status in found.items()} == {
        "h1": (NodeState.READY, ""),
        "h2": (NodeState.DISCONNECTED, "node is restarting"),
    }


def test_a_node_that_joined_and_never_reported_is_down_in_the_end() -> None:
    world = World(node("h1"))
    world.advance(100)
    world.do(Create(node("h2", state=NodeState.UNKNOWN)))
    world.advance(29)
    assert state(world, "h2")[0] == NodeState.UNKNOWN
    world.advance(2)
    assert state(world, "h2")[0] == NodeState.DOWN


def test_tasks_of_a_node_that_is_down_for_a_day_are_given_up() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    lost = next(each for each in world.running("web") if each.node_id == "h2")
    world.silence("h2")
    world.advance(24 * 3600)
    assert world.store.task(lost.id).state == TaskState.RUNNING
    world.advance(60)
    given_up = world.store.task(lost.id)
    assert (given_up.state, given_up.desired_state) == (TaskState.ORPHANED, TaskState.SHUTDOWN)
    assert "24 hours" in given_up.status.err
    assert world.store.load("h2").services == {}


def test_removing_a_node_gives_up_its_tasks_and_they_run_elsewhere() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    lost = next(each for each in world.running("web") if each.node_id == "h2")
    world.remove_node("h2")
    assert world.store.task(lost.id).status.err == "Task belonged to a node that has been deleted"
    world.settle()
    assert [each.node_id for each in world.running("web")] == ["h1", "h1"]


def test_removing_a_node_leaves_ended_tasks_as_they_ended() -> None:
    world = World(node("h1"))
    web = world.create(spec("web", 0))
    world.do(Create(task(web, "done", node_id="h1", state=TaskState.COMPLETE)))
    changes = nodes.remove_node(world.store, world.store.node("h1"), world.wall)
    assert changes == [Delete("node", "h1", world.store.node("h1").version)]


def test_the_deadline_counts_on_the_clock_that_never_jumps() -> None:
    world = World(node("h1"))
    world.wall += 3600 * 10**9
    world.settle()
    assert state(world, "h1")[0] == NodeState.READY


def test_a_shorter_heartbeat_period_shortens_the_wait_for_nodes_that_did_not_report() -> None:
    world = World(node("h1"), Dispatcher={"HeartbeatPeriod": 10**9})
    world.change_leader()
    world.beats.clear()
    world.silence("h1")
    world.advance(7)
    assert state(world, "h1")[0] == NodeState.DOWN
