# SPDX-License-Identifier: Apache-2.0
"""Waiting: woken by commits, ended by what cannot change by itself."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from typing import Any

import pytest
from runtime.manager.kit import DEADLINE, Seat, World

from queenright.decide.base import Now
from queenright.decide.convergence import Convergence, convergence
from queenright.manager.wait import MOST_REASONS, PAUSE, Waiter
from queenright.model.changes import Delete
from queenright.model.errors import InvalidArgument, Unavailable
from queenright.model.objects import Node, Service, Task, TaskStatus, UpdateStatus
from queenright.model.stack import NAMESPACE_LABEL, Leftover, Revision, Stack, StackService, StackState, StackStatus
from queenright.model.states import NodeState, TaskState, UpdateState
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store

IMAGE = {"ContainerSpec": {"Image": "busybox:1"}}


async def wait(world: World, kind: str, ref: str, timeout: float = DEADLINE, **more: Any) -> dict[str, Any]:
    return await world.control.waiter.wait(kind, ref, timeout=timeout, **more)


async def begin(world: World, kind: str, ref: str, **more: Any) -> asyncio.Task[dict[str, Any]]:
    """A wait that has looked once and sleeps."""
    waiting = asyncio.create_task(wait(world, kind, ref, **more))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    return waiting


def run(world: World, task: Task) -> Task:
    status = dataclasses.replace(task.status, state=TaskState.RUNNING, running_since=world.clock.wall(), err="")
    ran: Task = world.put(dataclasses.replace(task, status=status))
    return ran


async def pending(world: World) -> tuple[Service, Node, Task]:
    node = world.worker("one")
    web = await world.service()
    err = "no suitable node (insufficient resources on 1 node)"
    task = world.task(web, 1, node, status=TaskStatus(state=TaskState.PENDING, err=err))
    return web, node, task


async def test_what_is_converged_is_answered_at_once() -> None:
    world = World.make()
    _, _, task = await pending(world)
    run(world, task)
    assert await wait(world, "service", "web", 0) == {
        "converged": True,
        "state": "converged",
        "running": 1,
        "desired": 1,
        "update": {"state": "", "message": ""},
        "reasons": [],
    }


async def test_the_end_of_the_time_says_what_is_missing_and_why() -> None:
    world = World.make()
    await pending(world)
    seen = await wait(world, "service", "web", 0)
    assert (seen["converged"], seen["state"], seen["running"], seen["desired"]) == (False, "timeout", 0, 1)
    assert "web.1" in seen["reasons"][0]
    assert "no suitable node (insufficient resources on 1 node)" in seen["reasons"][0]


async def test_the_commit_that_converges_ends_the_wait() -> None:
    world = World.make()
    _, _, task = await pending(world)
    waiting = await begin(world, "service", "web")
    run(world, task)
    assert (await asyncio.wait_for(waiting, DEADLINE))["state"] == "converged"


async def test_nothing_is_looked_at_between_commits_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.make()
    _, node, task = await pending(world)
    looks: list[str] = []

    def look(store: Store, service: Service, now: Now) -> Convergence:
        looks.append(service.id)
        return convergence(store, service, now)

    monkeypatch.setattr("queenright.manager.wait.convergence", look)
    waiting = await begin(world, "service", "web")
    other = await world.service("other")
    world.task(other, 1, node)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(looks) == 1
    run(world, task)
    await asyncio.wait_for(waiting, DEADLINE)
    assert len(looks) == 2


async def test_many_commits_are_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World.make()
    _, _, task = await pending(world)
    looks: list[float] = []

    def look(store: Store, service: Service, now: Now) -> Convergence:
        looks.append(asyncio.get_running_loop().time())
        return convergence(store, service, now)

    monkeypatch.setattr("queenright.manager.wait.convergence", look)
    waiting = await begin(world, "service", "web")
    for number in range(300):
        status = dataclasses.replace(task.status, message=f"pulling {number}")
        task = world.put(dataclasses.replace(task, status=status))
        await asyncio.sleep(0.001)
    run(world, task)
    assert (await asyncio.wait_for(waiting, DEADLINE))["converged"]
    assert all(after - before > 0.9 * PAUSE for before, after in itertools.pairwise(looks))


async def test_a_paused_and_a_rolled_back_update_end_the_wait_with_their_message() -> None:
    for state, word in ((UpdateState.PAUSED, "paused"), (UpdateState.ROLLBACK_PAUSED, "paused")):
        world = World.make()
        web, _, _ = await pending(world)
        waiting = await begin(world, "service", "web")
        world.put(dataclasses.replace(web, update_status=UpdateStatus(state=state, message="update paused due to x")))
        seen = await asyncio.wait_for(waiting, DEADLINE)
        assert (seen["state"], seen["converged"]) == (word, False)
        assert seen["update"] == {"state": state.value, "message": "update paused due to x"}
        assert "update paused due to x" in seen["reasons"][0]


async def test_an_update_in_progress_says_what_it_waits_for() -> None:
    world = World.make()
    web, _, task = await pending(world)
    run(world, task)
    status = UpdateStatus(state=UpdateState.UPDATING, message="update in progress")
    spec = dataclasses.replace(web.spec, task=dataclasses.replace(web.spec.task, force_update=1))
    world.put(dataclasses.replace(web, spec=spec, spec_version=2, update_status=status))
    seen = await wait(world, "service", "web", 0)
    assert seen["update"] == {"state": "updating", "message": "update in progress: 0 of 1 tasks updated"}


async def test_a_job_is_waited_for_until_it_has_completed_or_will_not() -> None:
    for state, word in ((TaskState.COMPLETE, "converged"), (TaskState.FAILED, "failed")):
        world = World.make()
        node = world.worker("one")
        job = await world.service(
            Mode={"ReplicatedJob": {}}, TaskTemplate={"RestartPolicy": {"Condition": "none"}, **IMAGE}
        )
        task = world.task(job, 1, node)
        task = world.put(dataclasses.replace(task, job_iteration=1, desired_state=TaskState.COMPLETE))
        waiting = await begin(world, "service", "web")
        status = dataclasses.replace(task.status, state=state, err="task: non-zero exit (1)")
        desired = TaskState.SHUTDOWN if state == TaskState.FAILED else TaskState.COMPLETE
        world.put(dataclasses.replace(task, status=status, desired_state=desired))
        seen = await asyncio.wait_for(waiting, DEADLINE)
        assert (seen["state"], seen["running"], seen["desired"]) == (word, int(word == "converged"), 1)


async def test_a_service_that_went_back_is_rolled_back() -> None:
    world = World.make()
    web, _, task = await pending(world)
    run(world, task)
    status = UpdateStatus(state=UpdateState.ROLLBACK_COMPLETED, message="rollback completed")
    world.put(dataclasses.replace(web, update_status=status))
    assert (await wait(world, "service", "web", 0))["state"] == "rolled_back"


async def test_what_is_not_there_or_goes_away_is_absent() -> None:
    world = World.make()
    for kind in ("service", "node"):
        assert (await wait(world, kind, "nosuch"))["state"] == "absent"
    web, node, _ = await pending(world)
    waiting = await begin(world, "service", "web")
    world.proposer.put(Delete("service", web.id), *(Delete("task", task.id) for task in world.store.tasks))
    assert (await asyncio.wait_for(waiting, DEADLINE))["state"] == "absent"
    world.describe(node.id, "one", NodeState.DOWN)
    waiting = await begin(world, "node", "one")
    world.proposer.put(Delete("node", node.id))
    assert (await asyncio.wait_for(waiting, DEADLINE))["state"] == "absent"


async def test_a_node_is_waited_for_until_it_is_ready() -> None:
    world = World.make()
    node = world.worker("one", NodeState.DOWN)
    seen = await wait(world, "node", "one", 0)
    assert (seen["state"], seen["reasons"]) == ("timeout", ["node one is down"])
    waiting = await begin(world, "node", node.id)
    world.describe(node.id, "one")
    assert (await asyncio.wait_for(waiting, DEADLINE))["converged"] is True


async def test_a_drained_node_is_waited_for_until_it_runs_nothing() -> None:
    world = World.make()
    _, _, task = await pending(world)
    run(world, task)
    waiting = await begin(world, "node", "one", drained=True)
    seen = await wait(world, "node", "one", 0, drained=True)
    assert "web.1" in seen["reasons"][0]
    stopped = TaskStatus(state=TaskState.SHUTDOWN)
    world.put(dataclasses.replace(task, status=stopped, desired_state=TaskState.SHUTDOWN))
    assert (await asyncio.wait_for(waiting, DEADLINE))["converged"] is True


async def test_a_swarm_is_waited_for_until_all_its_nodes_are_ready() -> None:
    world = World.make()
    node = world.worker("one", NodeState.UNKNOWN)
    waiting = await begin(world, "swarm", "")
    seen = await wait(world, "swarm", "", 0)
    assert (seen["running"], seen["desired"], seen["reasons"]) == (1, 2, ["node one is unknown"])
    world.describe(node.id, "one")
    assert (await asyncio.wait_for(waiting, DEADLINE))["converged"] is True


async def test_a_wait_that_is_given_up_leaves_no_subscription() -> None:
    world = World.make()
    await pending(world)
    waiting = await begin(world, "service", "web")
    assert len(world.store._subscriptions) == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(world.store._subscriptions) == 0


async def test_reasons_are_bounded() -> None:
    world = World.make()
    for number in range(MOST_REASONS + 5):
        world.worker(f"n{number}", NodeState.DOWN)
    reasons = (await wait(world, "swarm", "", 0))["reasons"]
    assert len(reasons) == MOST_REASONS + 1
    assert reasons[-1] == "and 5 more"


async def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="kind 'task' is none of service, stack, node, swarm"):
        await Waiter(World.make().context).wait("task", "x", timeout=0)


async def test_a_removed_service_is_absent_once_its_tasks_are_gone() -> None:
    world = World.make()
    web, _, task = await pending(world)
    run(world, task)
    world.proposer.put(Delete("service", web.id))
    waiting = await begin(world, "service", web.id)
    world.proposer.put(Delete("task", task.id))
    assert (await waiting)["state"] == "absent"


async def test_a_removed_service_s_tasks_on_a_node_that_is_down_are_not_waited_for() -> None:
    world = World.make()
    web, node, _ = await pending(world)
    world.proposer.put(Delete("service", web.id))
    world.put(dataclasses.replace(node, status=dataclasses.replace(node.status, state=NodeState.DOWN)))
    assert (await wait(world, "service", web.id, 0))["state"] == "absent"


async def test_a_node_is_waited_for_until_it_is_down() -> None:
    world = World.make()
    node = world.worker("one")
    waiting = await begin(world, "node", "one", down=True)
    assert (await wait(world, "node", "one", 0, down=True))["reasons"] == ["node one is ready"]
    world.describe(node.id, "one", NodeState.DOWN)
    assert (await asyncio.wait_for(waiting, DEADLINE))["converged"] is True


async def test_a_promotion_is_waited_for_until_the_node_has_role_and_vote() -> None:
    world = World.make()
    node = world.worker("one")
    spec = dataclasses.replace(node.spec, role="manager")
    world.put(dataclasses.replace(node, spec=spec))
    waiting = await begin(world, "node", "one")
    assert (await wait(world, "node", "one", 0))["reasons"] == [
        "node one is to become a manager and is a worker yet",
    ]
    status = dataclasses.replace(node.status, message="manager role: no answer")
    world.put(dataclasses.replace(node, spec=spec, role="manager", status=status))
    lacking = "node one is to become a manager and has no vote among the managers yet (manager role: no answer)"
    assert (await wait(world, "node", "one", 0))["reasons"] == [lacking]
    world.group.seats[node.id] = Seat(node.id, voter=False)
    assert (await wait(world, "swarm", "", 0))["reasons"] == [lacking]
    assert not waiting.done()
    world.group.seats[node.id] = Seat(node.id)  # no commit tells of it
    assert (await asyncio.wait_for(waiting, DEADLINE))["converged"] is True


async def test_a_demotion_is_waited_for_until_seat_and_role_are_gone() -> None:
    world = World.make()
    node = world.manager("one")
    assert (await wait(world, "node", "one", 0))["converged"] is True
    spec = dataclasses.replace(node.spec, role="worker")
    world.put(dataclasses.replace(node, spec=spec))
    waiting = await begin(world, "node", "one")
    assert (await wait(world, "node", "one", 0))["reasons"] == ["node one is to become a worker and is a manager yet"]
    world.put(dataclasses.replace(node, spec=spec, role="worker", manager_addr=""))
    assert "still has its seat" in (await wait(world, "node", "one", 0))["reasons"][0]
    del world.group.seats[node.id]
    assert (await asyncio.wait_for(waiting, DEADLINE))["converged"] is True


async def test_only_a_leader_that_still_leads_answers_what_it_sees() -> None:
    world = World.make()

    async def barrier() -> int:
        raise Unavailable("this manager is not the leader of the swarm")

    world.proposer.barrier = barrier  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await wait(world, "swarm", "", 0)
    world.proposer.is_leader = False
    assert (await wait(world, "swarm", "", 0))["converged"] is True, "others say what they know"


async def test_a_snapshot_that_takes_the_place_of_everything_is_looked_at() -> None:
    world = World.make()
    _, _, task = await pending(world)
    waiting = await begin(world, "service", "web")
    run(world, task)
    again = world.store.prepare_restore(world.store.index, world.store.freeze()())
    world.store.adopt(again)
    assert (await asyncio.wait_for(waiting, DEADLINE))["state"] == "converged"


def shop(state: StackState, **fields: Any) -> Stack:
    part = StackService(key="web", spec=ServiceSpec(name="web", labels={NAMESPACE_LABEL: "shop"}))
    status = StackStatus(state=state, message="because")
    return Stack(id="s1", name="shop", revision=Revision(number=1, services=(part,)), status=status, **fields)


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (StackState.UPDATING, "timeout"),
        (StackState.PAUSED, "paused"),
        (StackState.ROLLBACK_PAUSED, "paused"),
        (StackState.ROLLBACK_COMPLETED, "rolled_back"),
        (StackState.COMPLETED, "converged"),
    ],
)
async def test_a_stack_is_waited_for_until_its_roll_out_has_ended(state: StackState, seen: str) -> None:
    world = World.make()
    _, _, task = await pending(world)
    run(world, task)
    world.put(shop(state))
    found = await wait(world, "stack", "shop", 0)
    assert (found["state"], found["running"], found["desired"]) == (seen, 1, 1)
    assert found["update"]["state"] == str(state)


async def test_a_stack_that_lost_a_service_is_not_converged_and_says_why() -> None:
    world = World.make()
    await pending(world)
    world.put(shop(StackState.COMPLETED))
    found = await wait(world, "stack", "shop", 0)
    assert (found["state"], found["running"]) == ("timeout", 0)
    assert "no suitable node" in found["reasons"][0]


async def test_a_stack_that_is_removed_is_waited_for_until_it_is_gone() -> None:
    world = World.make()
    held = world.put(shop(StackState.COMPLETED, removing=True, leftovers=(Leftover(kind="secret", id="k1"),)))
    waiting = await begin(world, "stack", "shop")
    world.proposer.put(Delete("stack", held.id))
    assert (await waiting)["state"] == "absent"
    assert (await wait(world, "stack", "shop", 0))["state"] == "absent"
