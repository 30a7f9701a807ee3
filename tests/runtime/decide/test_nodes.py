# SPDX-License-Identifier: Apache-2.0
"""Liveness: who is down, who is only away, and what becomes of tasks that nobody will ever hear of again."""

from __future__ import annotations

import dataclasses

from laws.builders import SECOND, node, spec, task
from laws.world import World

from queenright.decide import nodes
from queenright.decide.base import Dirty
from queenright.decide.liveness import Beat
from queenright.model.changes import Create, Delete, Update
from queenright.model.states import NodeState, TaskState

DISCONNECTED, DOWN, READY, UNKNOWN = NodeState.DISCONNECTED, NodeState.DOWN, NodeState.READY, NodeState.UNKNOWN


def state(world: World, name: str) -> tuple[NodeState, str]:
    status = world.store.node(name).status
    return status.state, status.message


def seconds(world: World, name: str) -> tuple[float, float]:
    """Since when the node is in its state, and since when it is silent; counted back from now."""
    status = world.store.node(name).status
    return (world.wall - status.since) / SECOND, (world.wall - status.silent_since) / SECOND


def test_a_silent_node_is_suspect_then_down() -> None:
    world = World(node("h1"), node("h2"))
    world.silence("h2")
    world.advance(4.9)
    assert state(world, "h2") == (READY, "")
    world.advance(0.2)
    assert state(world, "h2") == (DISCONNECTED, "the node does not answer")
    world.advance(1)
    assert state(world, "h2") == (DOWN, "heartbeat failure")
    assert state(world, "h1") == (READY, "")


def test_the_status_says_since_when_and_since_when_nothing_was_heard() -> None:
    world = World(node("h1"))
    world.silence("h1")
    world.advance(8)
    assert seconds(world, "h1") == (2, 8)
    world.beat("h1")
    world.advance(3)
    held = world.store.node("h1").status
    assert (state(world, "h1"), held.silent_since) == ((READY, ""), 0)
    assert world.wall - held.since == 3 * SECOND


def test_a_suspect_gets_no_new_tasks_and_keeps_its_own_until_it_is_down() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    world.breaks("h2")
    world.advance(0.5)
    assert state(world, "h2")[0] == DISCONNECTED
    world.create(spec("new", 2))
    world.settle()
    assert {each.node_id for each in world.tasks("new")} == {"h1"}
    assert {each.node_id for each in world.running("web")} == {"h1", "h2"}
    world.advance(5)
    assert {each.node_id for each in world.running("web")} == {"h1"}


def test_a_node_that_is_silent_for_three_seconds_again_and_again_loses_nothing() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 4))
    world.settle()
    before = {each.id for each in world.running("web")}
    version = world.store.node("h2").version
    for _ in range(20):
        world.silence("h2")
        world.advance(3)
        world.beat("h2")
        world.advance(1)
    assert {each.id for each in world.running("web")} == before
    assert world.store.node("h2").version == version, "nothing was written"


def test_the_decider_asks_to_be_woken_when_the_first_node_may_be_suspect() -> None:
    world = World(node("h1"), node("h2"))
    beats = {"h1": Beat(heard=world.mono + 9), "h2": Beat(heard=world.mono + 7)}
    decision = nodes.decide(world.store, beats, Dirty(), world.now)
    assert (decision.changes, decision.wake_at) == ((), world.mono + 12)


def test_a_node_that_restarts_is_away_for_its_grace_and_keeps_its_tasks() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    world.restarts("h2")
    world.advance(59)
    assert state(world, "h2") == (DISCONNECTED, "node is restarting")
    assert len(world.running("web")) == 2
    world.create(spec("new", 2))
    world.settle()
    assert {each.node_id for each in world.tasks("new")} == {"h1"}, "it gets nothing new"
    world.advance(2)
    assert state(world, "h2") == (DOWN, "heartbeat failure")
    assert {each.node_id for each in world.running("web")} == {"h1"}
    assert seconds(world, "h2") == (1, 61)


def test_a_node_back_from_its_restart_is_ready_with_the_same_tasks() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    before = {each.id for each in world.running("web")}
    world.restarts("h2")
    world.advance(30)
    world.beat("h2")
    world.advance(5)
    assert {each.id for each in world.running("web")} == before


def test_under_a_new_leader_nodes_have_the_time_to_find_it() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    world.advance(3600)
    world.change_leader("h1", "h2")
    world.settle()
    assert state(world, "h1") == (UNKNOWN, nodes.NEW_LEADER)
    world.beat("h1")
    world.advance(5.9)
    assert state(world, "h1")[0] == READY
    assert state(world, "h2")[0] == UNKNOWN
    assert len(world.running("web")) == 2, "unknown is not down"
    world.advance(1.1)
    assert state(world, "h2") == (DOWN, "heartbeat failure")
    assert {each.node_id for each in world.running("web")} == {"h1"}
    assert seconds(world, "h2")[1] == 7, "as far as this leader knows"


def test_a_suspect_of_the_former_leader_is_silent_since_then() -> None:
    world = World(node("h1"), node("h2"))
    world.silence("h2")
    world.advance(5.5)
    world.change_leader()
    world.advance(7)
    assert state(world, "h2")[0] == DOWN
    assert seconds(world, "h2")[1] == 12.5


def test_a_node_that_restarts_keeps_its_grace_under_the_next_leader() -> None:
    world = World(node("h1"), node("h2"))
    world.restarts("h2")
    world.advance(40)
    world.change_leader("h2")
    world.advance(19)
    assert state(world, "h2") == (DISCONNECTED, "node is restarting")
    world.advance(2)
    assert state(world, "h2")[0] == DOWN
    world.beat("h2")
    world.restarts("h2")
    world.advance(59)
    world.change_leader("h2")
    world.advance(5)
    assert state(world, "h2")[0] == DISCONNECTED, "as long as any other at least"
    world.advance(2)
    assert state(world, "h2")[0] == DOWN


def test_what_is_known_of_a_node_while_it_opens_its_session_keeps_it_unknown() -> None:
    world = World(node("h1"))
    world.advance(1)
    world.change_leader("h1")
    world.advance(5)
    world.beats["h1"] = Beat(heard=world.mono, broken=world.mono)
    world.advance(4)
    assert state(world, "h1")[0] == UNKNOWN
    world.advance(2)
    assert state(world, "h1")[0] == DOWN


def test_the_former_leader_s_clock_may_have_been_ahead() -> None:
    world = World(node("h1"))
    held = world.store.node("h1")
    ahead = dataclasses.replace(held.status, since=world.wall + 3600 * SECOND)
    world.do(Update(dataclasses.replace(held, status=ahead)))
    world.change_leader("h1")
    world.settle()
    assert state(world, "h1")[0] == UNKNOWN
    world.advance(7)
    assert state(world, "h1")[0] == DOWN


def test_a_node_that_registers_while_its_session_is_being_opened_is_not_taken_for_silent() -> None:
    world = World(node("h1"))
    world.advance(3600)
    world.do(Create(node("h2")))  # written READY, its session not yet known
    world.settle()
    assert state(world, "h2")[0] == READY
    world.beat("h2")
    world.advance(60)
    assert state(world, "h2")[0] == READY


def test_a_node_whose_session_was_opened_while_it_was_being_called_unknown_is_ready() -> None:
    world = World(node("h1", state=UNKNOWN), node("h2", state=UNKNOWN), node("h3"))
    beats = {
        "h1": Beat(heard=world.mono),
        "h2": Beat(heard=world.mono, restarting_until=world.mono + 60),
        "h3": Beat(heard=world.mono),
    }
    decision = nodes.decide(world.store, beats, Dirty(), world.now)
    found = {change.object.id: change.object.status for change in decision.changes}  # type: ignore[union-attr]
    assert {key: (status.state, status.message) for key, status in found.items()} == {
        "h1": (READY, ""),
        "h2": (DISCONNECTED, "node is restarting"),
    }


def test_a_node_that_joined_and_never_reported_is_down_in_the_end() -> None:
    world = World(node("h1"))
    world.advance(100)
    world.do(Create(node("h2", state=UNKNOWN)))
    world.advance(29)
    assert state(world, "h2")[0] == UNKNOWN
    world.advance(2)
    assert state(world, "h2")[0] == DOWN


def test_a_change_of_a_node_s_labels_neither_delays_its_judgement_nor_its_orphans() -> None:
    world = World(node("h1"), node("h2"))
    world.create(spec("web", 2))
    world.settle()
    world.change_leader("h2")
    world.advance(5)
    world.set_node("h2", labels={"x": "y"})
    world.advance(2)
    assert state(world, "h2")[0] == DOWN
    world.advance(23 * 3600)
    world.set_node("h2", labels={"x": "z"})
    lost = next(each for each in world.tasks("web") if each.node_id == "h2")
    world.advance(3600)
    assert world.store.task(lost.id).state == TaskState.ORPHANED


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


def test_what_is_tuned_counts_here() -> None:
    own = {"PingPeriod": SECOND // 5, "Silence": SECOND, "ProbeGrace": SECOND // 2}
    world = World(node("h1"), Dispatcher=own)
    world.silence("h1")
    world.advance(1.6)
    assert state(world, "h1")[0] == DOWN
