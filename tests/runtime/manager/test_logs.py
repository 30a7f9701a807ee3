# SPDX-License-Identifier: Apache-2.0
"""The leader's part in logs: who is told what, who gets what, and what is said of what cannot be had."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest
from runtime.manager.log_kit import FakeNode, Swarm, packed, until

from queenright.manager import log_reading, logs
from queenright.model.changes import Create, Update
from queenright.model.errors import InvalidArgument, NotLeading, PermissionDenied, Unavailable
from queenright.model.logs import LogOptions, LogPosition, LogPublication, LogReadRequest, WantedLog
from queenright.model.objects import Node, TaskStatus
from queenright.model.states import NodeState, TaskState


@pytest.fixture
async def swarm() -> AsyncIterator[Swarm]:
    made = Swarm()
    made.add_node("n1")
    made.add_node("n2")
    yield made
    await made.broker.stop()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "GRACE", 0.05)


async def one(publication: LogPublication) -> AsyncIterator[LogPublication]:
    yield publication


async def test_a_reader_gets_the_lines_of_all_tasks_from_all_their_nodes_and_ends(swarm: Swarm) -> None:
    swarm.add_task("t1", "n1")
    swarm.add_task("t2", "n2", TaskState.COMPLETE)
    first, second = FakeNode(swarm, "n1"), FakeNode(swarm, "n2")
    first.logs, second.logs = {"t1": ["a", "b"]}, {"t2": ["c"]}
    reader = await swarm.read().end()
    assert sorted(reader.texts) == ["a", "b", "c"]
    assert reader.missing == []
    assert [part.task_id for part in reader.parts if part.done] != []
    await until(lambda: first.over == second.over == ["sub0"], "the nodes were not told that it is over")
    await first.stop()
    await second.stop()


async def test_each_line_says_which_task_node_and_service_it_is_of(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.logs = {"t1": ["a"]}
    reader = await swarm.read().end()
    part = next(part for part in reader.parts if part.lines)
    assert (part.task_id, part.node_id, part.service_id) == ("t1", "n1", "web")
    await node.stop()


async def test_the_first_part_comes_at_once_and_is_empty(swarm: Swarm) -> None:
    reader = swarm.read(follow=True)
    await until(lambda: len(reader.parts) == 1)
    assert (reader.parts[0].task_id, reader.parts[0].again, reader.ended) == ("", False, False)
    await reader.leave()


async def test_a_service_without_tasks_ends_at_once_for_who_does_not_follow(swarm: Swarm) -> None:
    reader = await swarm.read().end()
    assert (reader.texts, reader.missing) == ([], [])


@pytest.mark.parametrize("state", [TaskState.NEW, TaskState.ASSIGNED, TaskState.READY, TaskState.STARTING])
async def test_tasks_that_do_not_run_yet_are_passed_over(swarm: Swarm, state: TaskState) -> None:
    swarm.add_task("t1", state=state)
    node = FakeNode(swarm)
    assert (await swarm.read().end()).missing == []
    assert node.wanted == []
    await node.stop()


async def test_a_task_that_never_had_a_container_has_no_log(swarm: Swarm) -> None:
    swarm.add_task("t1", state=TaskState.REJECTED)
    task = swarm.store.tasks.get("t1")
    assert task is not None
    swarm.write(Update(dataclasses.replace(task, status=TaskStatus(state=TaskState.REJECTED))))
    node = FakeNode(swarm)
    reader = await swarm.read(tasks=("t1",)).end()
    assert (reader.texts, reader.missing, node.wanted) == ([], [], [])
    await node.stop()


async def test_a_single_task_that_was_not_placed_is_said_to_be_missing(swarm: Swarm) -> None:
    swarm.add_task("t1", node_id="", state=TaskState.PENDING)
    assert (await swarm.read(tasks=("t1",)).end()).missing == ["task t1 has not been scheduled"]


async def test_a_node_that_is_down_is_missing_and_the_others_give(swarm: Swarm) -> None:
    swarm.add_task("t1", "n1")
    swarm.add_task("t2", "n2")
    swarm.add_task("t3", "n2")
    swarm.set_node("n2", NodeState.DOWN)
    node = FakeNode(swarm)
    node.logs = {"t1": ["a"]}
    reader = await swarm.read().end()
    assert reader.texts == ["a"]
    assert reader.missing == ["node n2 is not available"]
    await node.stop()


async def test_a_node_that_was_removed_is_missing(swarm: Swarm) -> None:
    swarm.add_task("t1", "gone")
    assert (await swarm.read().end()).missing == ["node gone is not available"]


@pytest.mark.usefixtures("impatient")
async def test_a_node_without_a_session_is_waited_for_and_then_missing(swarm: Swarm) -> None:
    swarm.add_task("t1")
    assert (await swarm.read().end()).missing == ["node n1 is not available"]


async def test_a_node_whose_session_opens_in_time_gives(swarm: Swarm) -> None:
    swarm.add_task("t1")
    reader = swarm.read()
    await until(lambda: bool(reader.parts))
    node = FakeNode(swarm)
    node.logs = {"t1": ["a"]}
    assert (await reader.end()).texts == ["a"]
    assert reader.missing == []
    await node.stop()


async def test_a_node_that_is_asked_and_never_answers_is_missing(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_reading, "ANSWER", 0.05)
    swarm.add_task("t1")
    listening = swarm.broker.listen("n1", "session")
    told = asyncio.create_task(anext(listening))
    await asyncio.sleep(0)
    reader = await swarm.read().end()
    assert reader.missing == ["node n1 was asked for its logs and does not answer"]
    assert (await told).wanted[0].task_id == "t1"
    await listening.aclose()


async def test_who_follows_takes_up_a_node_again_that_answers_late(
    swarm: Swarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reading, "ANSWER", 0.05)
    swarm.add_task("t1")
    listening = swarm.broker.listen("n1", "session")
    told = asyncio.create_task(anext(listening))
    await asyncio.sleep(0)
    reader = swarm.read(follow=True)
    await until(lambda: bool(reader.missing))
    assert not reader.ended
    late = one(LogPublication(task_id="t1", lines=packed("a")))
    await swarm.broker.publish("n1", "session", (await told).id, late)
    assert (await reader.end()).again, "its lines are not asked for again"
    await listening.aclose()


async def test_a_reader_that_leaves_before_a_node_was_told_of_it_leaves_nothing_there() -> None:
    listener = logs._Listener("session")
    told = listener.messages()
    for name in ("one", "two"):
        listener.want(name, LogOptions(follow=True), [WantedLog("t1", 0, -1)])
    assert (await anext(told)).id == "one"
    listener.over("two")
    listener.over("one")
    listener.want("three", LogOptions(follow=True), [WantedLog("t1", 0, -1)])
    rest = [await anext(told), await anext(told)]
    assert sorted((message.id, message.over) for message in rest) == [("one", True), ("three", False)]


async def test_what_the_node_says_is_wrong_is_told(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.errors = {"t1": "task t1: configured logging driver does not support reading"}
    assert (await swarm.read().end()).missing == [node.errors["t1"]]
    await node.stop()


async def test_who_follows_gets_tasks_that_start_later_from_their_first_line(swarm: Swarm) -> None:
    swarm.add_task("t1")
    swarm.add_task("t2", state=TaskState.STARTING)
    node = FakeNode(swarm)
    node.holds = True
    node.logs = {"t2": ["late"]}
    reader = swarm.read(follow=True, tail=0)
    await until(lambda: node.wanted == ["t1"])
    swarm.set_task("t2", TaskState.RUNNING)
    await until(lambda: node.wanted == ["t1", "t2"])
    tails = {item.task_id: item.tail for told in node.told for item in told.wanted}
    assert tails == {"t1": 0, "t2": -1}
    await until(lambda: reader.texts == ["late"])
    swarm.add_task("t3", "n1", TaskState.RUNNING)
    await until(lambda: node.wanted == ["t1", "t2", "t3"])
    assert not reader.ended
    await reader.leave()
    await node.stop()


async def test_who_follows_a_service_is_done_when_it_was_removed_and_all_was_given(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    swarm.remove("service", "web")
    await asyncio.sleep(0.02)
    assert not reader.ended
    node.give("sub0", "t1", "last words")
    node.done("sub0", "t1")
    assert (await reader.end()).texts == ["last words"]
    await node.stop()


async def test_who_follows_a_task_is_done_when_it_has_ended(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(tasks=("t1",), follow=True)
    await until(lambda: node.publishing == 1)
    node.done("sub0", "t1")
    await asyncio.sleep(0.02)
    assert not reader.ended
    swarm.set_task("t1", TaskState.FAILED)
    await reader.end()
    await node.stop()


async def test_who_follows_hears_at_once_of_a_node_that_is_lost_and_goes_on_with_the_others(swarm: Swarm) -> None:
    swarm.add_task("t1", "n1")
    swarm.add_task("t2", "n2")
    first, second = FakeNode(swarm, "n1"), FakeNode(swarm, "n2")
    first.holds = second.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: first.publishing == second.publishing == 1)
    swarm.set_node("n2", NodeState.DOWN)
    await until(lambda: reader.missing == ["node n2 disconnected unexpectedly"])
    first.give("sub0", "t1", "still here")
    await until(lambda: reader.texts == ["still here"])
    swarm.set_node("n2", NodeState.READY)
    again = FakeNode(swarm, "n2", "another")
    assert (await reader.end()).again  # with the positions that only the reader knows
    for node in (first, second, again):
        await node.stop()


@pytest.mark.usefixtures("impatient")
async def test_a_node_whose_session_breaks_for_good_is_missing(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read()
    await until(lambda: node.publishing == 1)
    await node.stop()
    assert (await reader.end()).missing == ["node n1 disconnected unexpectedly"]


async def test_a_stream_that_breaks_in_the_middle_is_to_be_read_again(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read()
    await until(lambda: node.publishing == 1)
    node.hang_up("sub0")
    assert (await reader.end()).again
    assert [part.node_id for part in reader.parts if part.again] == ["n1"], "only that node is to blame"
    await node.stop()


async def test_a_node_that_the_reader_has_given_up_is_not_asked(swarm: Swarm) -> None:
    swarm.add_task("t1")
    swarm.add_task("t2", "n2")
    nodes = [FakeNode(swarm), FakeNode(swarm, "n2")]
    request = LogReadRequest(service_ids=("web",), options=LogOptions(), without=("n1",))
    parts = [part async for part in swarm.broker.read(request)]
    assert [part.task_id for part in parts if part.done] == ["t2"]
    assert nodes[0].told == []
    for node in nodes:
        await node.stop()


async def test_who_goes_on_gets_each_task_from_where_it_is_and_what_is_done_no_more(swarm: Swarm) -> None:
    for task_id in ("t1", "t2", "t3"):
        swarm.add_task(task_id)
    node = FakeNode(swarm)
    request = LogReadRequest(
        service_ids=("web",),
        options=LogOptions(tail=5, since=10),
        positions=(LogPosition("t1", 77), LogPosition("t2", 0, True)),
        began=50,
    )
    parts = [part async for part in swarm.broker.read(request)]
    assert sorted(part.task_id for part in parts if part.done) == ["t1", "t3"]
    asked = {item.task_id: (item.since, item.tail) for told in node.told for item in told.wanted}
    assert asked == {"t1": (77, -1), "t3": (50, -1)}
    await node.stop()


async def test_a_reader_that_goes_away_leaves_nothing_behind(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    await reader.leave()
    await until(lambda: node.publishing == 0 and node.over == ["sub0"])
    assert swarm.broker.counts() == (1, 0)
    await node.stop()
    assert swarm.broker.counts() == (0, 0)


async def test_a_reader_that_takes_nothing_makes_its_nodes_wait(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    reader.go.clear()
    taken = 0

    async def flood() -> AsyncIterator[LogPublication]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield LogPublication(task_id="t1", lines=packed("x" * 32_000))

    publishing = asyncio.create_task(swarm.broker.publish("n1", "session", "sub0", flood()))
    await until(lambda: taken >= 8)
    for _ in range(50):
        await asyncio.sleep(0)
    assert taken <= 12
    other = swarm.read(follow=True)  # does not wait for the slow one
    await until(lambda: len(node.told) == 2)
    node.give("sub1", "t1", "quick")
    await until(lambda: other.texts == ["quick"])
    reader.go.set()
    await publishing
    await until(lambda: len(reader.texts) == 100)
    await reader.leave()
    await other.leave()
    await node.stop()


async def test_a_reader_that_takes_nothing_and_leaves_lets_its_nodes_go(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    reader.go.clear()
    for _ in range(30):
        node.give("sub0", "t1", "x" * 32_000)
    await asyncio.sleep(0.01)
    await reader.leave()
    await until(lambda: node.publishing == 0)
    await node.stop()


async def test_when_leadership_ends_so_do_readers_and_listeners(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    await swarm.broker.stop("this manager leads the swarm no more")
    await reader.end()
    assert isinstance(reader.error, NotLeading)
    await until(lambda: any(isinstance(error, Unavailable) for error in node.refused))
    with pytest.raises(NotLeading):
        await anext(swarm.broker.read(LogReadRequest(service_ids=("web",))))
    with pytest.raises(NotLeading):
        await anext(swarm.broker.listen("n1", "session"))
    await node.stop()
    swarm.broker.start()
    assert swarm.broker.counts() == (0, 0)


async def test_a_node_gives_only_of_its_own_tasks_that_are_wanted(swarm: Swarm) -> None:
    swarm.add_task("t1", "n1")
    swarm.add_task("t2", "n2")
    swarm.add_task("t3", "n1", service_id="other")
    first, second = FakeNode(swarm, "n1"), FakeNode(swarm, "n2")
    first.holds = second.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: first.publishing == second.publishing == 1)
    for task_id in ("t2", "t3", "nosuch"):
        with pytest.raises(PermissionDenied, match=f"task {task_id} is not on this node"):
            await swarm.broker.publish("n1", "session", "sub0", one(LogPublication(task_id=task_id, lines=b"x")))
    assert reader.texts == []
    await reader.leave()
    await first.stop()
    await second.stop()


async def test_a_node_that_is_not_asked_gives_nothing(swarm: Swarm) -> None:
    swarm.add_task("t1", "n1")
    node, other = FakeNode(swarm, "n1"), FakeNode(swarm, "n2")
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    with pytest.raises(PermissionDenied, match="wants nothing of this node"):
        await swarm.broker.publish("n2", "session", "sub0", one(LogPublication(task_id="t1")))
    for session_id, node_id in (("old", "n1"), ("session", "n3")):
        with pytest.raises(InvalidArgument, match="session invalid"):
            await swarm.broker.publish(node_id, session_id, "sub0", one(LogPublication(task_id="t1")))
    await swarm.broker.publish("n1", "session", "over", one(LogPublication(task_id="t1")))  # ended meanwhile
    await reader.leave()
    await node.stop()
    await other.stop()


async def test_lines_that_are_too_many_for_one_message_are_refused(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    huge = LogPublication(task_id="t1", lines=bytes(log_reading.MOST_AT_ONCE + 1))
    with pytest.raises(InvalidArgument, match="in one message"):
        await swarm.broker.publish("n1", "session", "sub0", one(huge))
    await reader.leave()
    await node.stop()


async def test_a_newer_session_of_a_node_takes_the_place_of_the_old_one(swarm: Swarm) -> None:
    old = FakeNode(swarm, "n1", "old")
    await until(lambda: swarm.broker.counts()[0] == 1)
    new = FakeNode(swarm, "n1", "new")
    await until(lambda: bool(old.refused))
    assert swarm.broker.counts() == (1, 0)
    swarm.add_task("t1")
    new.logs = {"t1": ["a"]}
    assert (await swarm.read().end()).texts == ["a"]
    await old.stop()
    await new.stop()


async def test_there_is_an_end_to_how_many_read(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST_READERS", 2)
    readers = [swarm.read(follow=True) for _ in range(2)]
    await until(lambda: swarm.broker.counts()[1] == 2)
    third = await swarm.read(follow=True).end()
    assert "2 readers of logs" in str(third.error)
    for reader in readers:
        await reader.leave()


async def test_who_follows_to_a_time_ends_then(swarm: Swarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "AFTER_UNTIL", 0.02)
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = await swarm.read(follow=True, until=swarm.clock.at + 10_000_000).end()
    assert (reader.error, reader.again) == (None, False)
    await node.stop()


async def test_many_tasks_of_one_node_are_wanted_in_few_messages(swarm: Swarm) -> None:
    for number in range(2500):
        swarm.add_task(f"t{number}")
    node = FakeNode(swarm)
    await until(lambda: swarm.broker.counts()[0] == 1)
    await swarm.read().end()
    sizes = [len(told.wanted) for told in node.told if not told.over]
    assert (sum(sizes), len(sizes) <= 5, max(sizes) <= 1000) == (2500, True, True)
    await node.stop()


async def test_a_snapshot_in_the_place_of_everything_is_read_anew(swarm: Swarm) -> None:
    reader = swarm.read(follow=True)
    await until(lambda: bool(reader.parts))
    swarm.store.adopt(swarm.store.prepare_restore(swarm.store.index, list(swarm.store.freeze()())))
    assert (await reader.end()).again


async def test_a_long_follow_forgets_tasks_that_are_gone(swarm: Swarm) -> None:
    node = FakeNode(swarm)
    reader = swarm.read(follow=True)
    await until(lambda: bool(reader.parts))
    for number in range(20):
        swarm.add_task(f"t{number}", state=TaskState.COMPLETE)
        await until(lambda number=number: f"t{number}" in {part.task_id for part in reader.parts if part.done})
        swarm.remove("task", f"t{number}")
    (reading,) = swarm.broker._readings.values()
    await until(lambda: not reading._places)
    await reader.leave()
    await node.stop()


async def test_a_manager_that_is_one_no_more_reads_no_more(swarm: Swarm) -> None:
    swarm.write(Create(Node(id="m2", role="manager")), Create(Node(id="m3", role="manager")))
    request = LogReadRequest(service_ids=("web",), options=LogOptions(follow=True))
    second, third = swarm.broker.read(request, "m2"), swarm.broker.read(request, "m3")
    for reading in (second, third):
        await anext(reading)
    waiting = [asyncio.create_task(anext(reading)) for reading in (second, third)]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    demoted = swarm.store.nodes.get("m2")
    assert demoted is not None
    swarm.write(Update(dataclasses.replace(demoted, role="worker")))
    swarm.remove("node", "m3")
    for each in waiting:
        with pytest.raises(PermissionDenied, match="is no manager any more"):
            async with asyncio.timeout(60):
                await each


async def test_a_node_that_is_removed_gives_nothing_more(swarm: Swarm) -> None:
    swarm.add_task("t1")
    node = FakeNode(swarm)
    node.holds = True
    reader = swarm.read(follow=True)
    await until(lambda: node.publishing == 1)
    swarm.remove("node", "n1")
    await until(lambda: reader.missing == ["node n1 disconnected unexpectedly"])
    node.give("sub0", "t1", "too late")
    await until(lambda: node.publishing == 0)
    assert any("session ended" in str(error) for error in node.refused)
    assert reader.texts == []
    await reader.leave()
    await node.stop()
