# SPDX-License-Identifier: Apache-2.0
"""The membership loop on a group on paper: one step at a time, tried again, and what hinders it is said."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable

import pytest
from runtime.manager.kit import DEADLINE, Seat, World

from queenright.manager import members as room
from queenright.manager.members import PREFIX, Members
from queenright.model.changes import Update
from queenright.model.errors import FailedPrecondition, OutcomeUnknown, Unavailable
from queenright.model.states import NodeState


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LOOK", 0.01)
    monkeypatch.setattr(room, "AGAIN_FIRST", 0.01)
    monkeypatch.setattr(room, "AGAIN_MOST", 0.02)


class Wall:
    """The clock of the machine: retries wait for it."""

    def wall(self) -> int:
        return 0

    def mono(self) -> float:
        return asyncio.get_running_loop().time()


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[Members]:
    context = dataclasses.replace(world.context, clock=Wall())
    members = Members(context, world.group, world.proposer, world.manager_id, lambda: 0.5)
    task = asyncio.create_task(members.run())
    try:
        yield members
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def demote(world: World, name: str) -> None:
    node = world.store.node(name)
    world.put(dataclasses.replace(node, spec=dataclasses.replace(node.spec, role="worker")))


async def test_a_manager_is_taken_in_when_it_has_its_role() -> None:
    world = World.make()
    async with running(world):
        node = world.manager("one", seated=False)
        await until(lambda: node.id in world.group.seats and world.group.seats[node.id].voter)
    assert world.group.calls == [("add", node.id, "one:2377")]
    assert world.group.seats[node.id] == Seat(node.id, "one:2377")


async def test_a_demoted_manager_loses_seat_and_role_and_the_audit_has_a_line_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "queenright.audit")
    world = World.make()
    node = world.manager("one")
    async with running(world):
        demote(world, "one")
        await until(lambda: world.store.node("one").role == "worker")
    assert world.group.calls == [("remove", node.id)]
    told = [line.what for line in caplog.records if getattr(line, "event", "") == "group"]  # type: ignore[attr-defined]
    assert told == [{"step": "remove", "node": node.id}]
    assert world.store.node("one").manager_addr == ""


async def test_a_leader_that_is_demoted_hands_over_and_its_loop_ends() -> None:
    world = World.make()
    world.manager("one")
    context = dataclasses.replace(world.context, clock=Wall())
    members = Members(context, world.group, world.proposer, world.manager_id, lambda: 0.5)
    original = world.group.transfer_leadership

    async def transfer() -> None:
        await original()
        world.proposer.is_leader = False

    world.group.transfer_leadership = transfer  # type: ignore[method-assign]
    demote(world, "queen")
    async with asyncio.timeout(DEADLINE):
        await members.run()
    assert world.group.calls == [("transfer", world.manager_id)]
    assert world.manager_id in world.group.seats, "the next leader goes on"


async def test_two_changes_are_never_under_way_at_once() -> None:
    world = World.make()
    world.group.gate.clear()
    async with running(world):
        first, second = (world.manager(name, seated=False) for name in ("one", "two"))
        await until(lambda: bool(world.group.calls))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(world.group.calls) == 1
        world.group.gate.set()
        await until(lambda: {first.id, second.id} <= world.group.seats.keys())


async def test_what_hinders_a_promotion_stands_in_the_node_s_status_until_it_is_over() -> None:
    world = World.make()
    node = world.manager("one", seated=False)
    world.group.errors[node.id] = FailedPrecondition("no answer from one:2377")
    async with running(world):
        await until(lambda: bool(world.store.node("one").status.message))
        assert world.store.node("one").status.message == (
            f"{PREFIX}cannot become a manager yet: promotion needs a reachable manager port one:2377: no answer from "
            "one:2377"
        )
        del world.group.errors[node.id]
        await until(lambda: world.group.seats[node.id].voter and not world.store.node("one").status.message)


async def test_a_step_that_fails_again_and_again_writes_once_and_holds_nobody_up() -> None:
    world = World.make()
    lost = world.manager("lost", seated=False)
    world.group.errors[lost.id] = FailedPrecondition("no answer")
    async with running(world):
        other = world.manager("other", seated=False)
        await until(lambda: other.id in world.group.seats and world.group.seats[other.id].voter)
        await until(lambda: world.group.calls.count(("add", lost.id, "lost:2377")) > 3)
    written = [
        change.object.status.message  # type: ignore[union-attr]
        for batch in world.proposer.batches
        for change in batch
        if isinstance(change, Update) and change.object.id == lost.id
    ]
    assert len(written) == 1


async def test_another_address_is_tried_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AGAIN_FIRST", 3600.0)
    monkeypatch.setattr(room, "AGAIN_MOST", 7200.0)
    world = World.make()
    node = world.manager("one", seated=False)
    world.group.errors[node.id] = FailedPrecondition("no answer")
    async with running(world):
        await until(lambda: bool(world.store.node("one").status.message))
        del world.group.errors[node.id]
        world.put(dataclasses.replace(world.store.node("one"), manager_addr="one.new:2377"))
        await until(lambda: world.group.seats[node.id].addr == "one.new:2377")


async def test_a_node_that_is_down_keeps_the_reason_for_it() -> None:
    world = World.make()
    node = world.manager("one", NodeState.DOWN, seated=False)
    status = dataclasses.replace(node.status, message="heartbeat failure")
    world.put(dataclasses.replace(node, status=status))
    world.group.errors[node.id] = FailedPrecondition("no answer")
    async with running(world) as members:
        await until(lambda: node.id in members.problems)
        await until(lambda: len(world.group.calls) > 3)
    assert world.store.node("one").status.message == "heartbeat failure"


async def test_a_removal_waits_for_the_quorum_and_happens_when_it_is_back() -> None:
    world = World.make()
    one, two = world.manager("one"), world.manager("two")
    world.group.away.add(two.id)
    async with running(world):
        demote(world, "one")
        await until(lambda: "too few" in world.store.node("one").status.message)
        assert one.id in world.group.seats
        world.group.away.clear()
        await until(lambda: one.id not in world.group.seats and world.store.node("one").role == "worker")


@pytest.mark.parametrize("error", [Unavailable("too many writes at once"), OutcomeUnknown("who knows")])
async def test_a_log_that_takes_nothing_now_is_tried_again(error: Exception) -> None:
    world = World.make()
    world.manager("one")

    def refuse() -> None:
        raise error

    async with running(world):
        world.proposer.before.append(refuse)
        demote(world, "one")
        await until(lambda: world.store.node("one").role == "worker")


async def test_a_defect_in_the_log_is_seen_and_not_the_end() -> None:
    world = World.make()
    node = world.manager("one", seated=False)
    world.group.errors[node.id] = ZeroDivisionError("a defect")
    async with running(world):
        await until(lambda: "a defect" in world.store.node("one").status.message)
        del world.group.errors[node.id]
        await until(lambda: world.group.seats[node.id].voter)


async def test_a_step_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STEP_SECONDS", dict.fromkeys(room.STEP_SECONDS, 0.01))
    world = World.make()
    world.manager("one")
    world.group.gate.clear()
    async with running(world):
        demote(world, "one")
        await until(lambda: "was not done within" in world.store.node("one").status.message)


async def test_a_new_manager_says_whether_it_catches_up_or_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STEP_SECONDS", dict.fromkeys(room.STEP_SECONDS, 0.01))
    world = World.make()
    node = world.manager("one", seated=False)
    world.group.away.add(node.id)
    world.group.gate.clear()
    async with running(world):
        await until(lambda: "manager port one:2377: nothing answers there" in world.store.node("one").status.message)
        world.group.away.clear()
        await until(lambda: world.store.node("one").status.message == f"{PREFIX}{room.CATCHING_UP}")
        world.group.seats[node.id] = Seat(node.id, "one:2377")  # by itself, though nobody waits
        await until(lambda: not world.store.node("one").status.message)


async def test_a_step_that_claims_to_be_done_and_is_not_does_not_spin() -> None:
    world = World.make()
    node = world.manager("one", seated=False)
    asked: list[str] = []

    async def add(member_id: str, addr: str) -> None:
        asked.append(member_id)

    world.group.add_member = add  # type: ignore[method-assign]
    async with running(world):
        await until(lambda: bool(asked))
        for _ in range(200):
            await asyncio.sleep(0)
        assert len(asked) < 20
        await until(lambda: len(asked) > 1)
    assert set(asked) == {node.id}


async def test_a_message_of_the_leader_before_is_taken_back_when_it_is_true_no_more() -> None:
    world = World.make()
    node = world.worker("one")
    world.put(dataclasses.replace(node, status=dataclasses.replace(node.status, message=f"{PREFIX}no answer")))
    async with running(world):
        await until(lambda: not world.store.node("one").status.message)


async def test_what_workers_do_does_not_concern_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.make()
    world.manager("one")
    looks: list[object] = []
    decide = room.roles.decide
    monkeypatch.setattr(room.roles, "decide", lambda *args: looks.append(args) or decide(*args))
    async with running(world):
        await until(lambda: bool(looks))
        await asyncio.sleep(0.02)
        count = len(looks)
        for number in range(5):
            world.describe(world.worker(f"w{number}").id, f"w{number}", NodeState.DOWN)
        await asyncio.sleep(0.02)
        assert len(looks) == count
        world.manager("two", seated=False)
        await until(lambda: len(looks) > count)


async def test_the_swarm_s_level_is_the_least_of_its_managers_and_only_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.features, "LEVEL", 3)
    world = World.make()
    one = world.manager("one")
    world.group.shown = {world.manager_id: 3, one.id: 0}
    world.put(dataclasses.replace(world.context.cluster, feature_level=0))  # of the first release
    async with running(world):
        await asyncio.sleep(0.03)
        assert world.context.cluster.feature_level in (0, 1), "as long as one has not shown its level"
        world.group.shown[one.id] = 2
        await until(lambda: world.context.cluster.feature_level == 2)
        world.group.shown[one.id] = 9
        await until(lambda: world.context.cluster.feature_level == 3)
        world.group.shown[one.id] = 1
        world.manager("two")  # makes it look
        await until(lambda: "feature level 1, the swarm's is 3" in world.store.node("one").status.message)
        assert world.context.cluster.feature_level == 3
        world.group.shown[one.id] = 3
        await until(lambda: not world.store.node("one").status.message)
