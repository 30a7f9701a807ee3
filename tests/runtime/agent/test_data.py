# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from typing import Any

import pytest
from runtime.agent.kit import PATIENCE, Node, make_task, until

from queenright.agent import task as task_room
from queenright.agent.data import NodeData
from queenright.agent.ports import TaskError, TemporaryError
from queenright.agent.task import PULLS
from queenright.model.objects import Config, Secret, Task
from queenright.model.states import TaskState
from queenright.spec.container import ConfigReference, SecretReference
from queenright.spec.data import ConfigSpec, SecretSpec
from queenright.wire.messages import AssignmentSet

PASSWORD = Secret(id="s1", spec=SecretSpec(name="db"), data=b"open sesame")
SETTINGS = Config(id="c1", spec=ConfigSpec(name="app.conf"), data=b"a = 1")


def using(task_id: str = "t1", desired: TaskState = TaskState.RUNNING) -> Task:
    """A task that reads a secret and a config."""
    return make_task(
        task_id,
        desired,
        secrets=(SecretReference(secret_id="s1", secret_name="db"),),
        configs=(ConfigReference(config_id="c1", config_name="app.conf"),),
    )


def complete(*tasks: Task, **more: Any) -> AssignmentSet:
    return AssignmentSet(True, "", "1", tasks, **({"secrets": (PASSWORD,), "configs": (SETTINGS,)} | more))


def difference(*tasks: Task, **more: Any) -> AssignmentSet:
    return AssignmentSet(False, "1", "2", tasks, **more)


async def apply(node: Node, assigned: AssignmentSet) -> None:
    """As the session loop does."""
    node.worker.take_data(assigned)
    if assigned.complete:
        await node.worker.apply_complete(assigned.updates)
    else:
        await node.worker.apply_incremental(assigned.updates, assigned.removes)


def test_a_complete_set_replaces_everything() -> None:
    data = NodeData()
    data.take(complete(using(), credentials={"t1": b"{}"}))
    assert data.counts() == (1, 1) and data.credentials(using()) == b"{}"
    data.take(AssignmentSet(True, "", "1"))
    assert data.counts() == (0, 0) and data.credentials(using()) == b""


def test_a_difference_adds_replaces_and_takes_away() -> None:
    data = NodeData()
    data.take(complete(using(), credentials={"t1": b"old", "t2": b"x", "t3": b"y"}))
    data.take(difference(secret_removes=("s1",), removes=("t3",), credentials={"t1": b"new", "t2": b""}))
    assert data.counts() == (0, 1)
    assert [data.credentials(make_task(key)) for key in ("t1", "t2", "t3")] == [b"new", b"", b""]
    data.take(difference(secrets=(PASSWORD,), config_removes=("c1",)))
    assert data.counts() == (1, 0)


def test_before_a_manager_was_heard_what_is_missing_may_still_come() -> None:
    data = NodeData()
    with pytest.raises(TemporaryError, match="secret 'db' is kept by the managers only"):
        data.payloads(using())
    data.take(AssignmentSet(True, "", "1"))
    with pytest.raises(TaskError, match="secret 'db' does not exist any more"):
        data.payloads(using())


async def test_a_task_gets_its_files_and_loses_them_when_it_has_ended(node: Node) -> None:
    await apply(node, complete(using()))
    await node.reaches(TaskState.RUNNING)
    assert [(file.path, file.data) for file in node.engine.files["t1"]] == [
        ("/run/secrets/db", b"open sesame"),
        ("/app.conf", b"a = 1"),
    ]
    node.engine.exit("c-t1", 1)
    await node.reaches(TaskState.FAILED)
    await until(lambda: not node.engine.files, "the files are still there")
    assert "c-t1" in node.engine.containers, "the container stays as history"


async def test_a_removed_task_leaves_no_files(node: Node) -> None:
    await apply(node, complete(using()))
    await node.reaches(TaskState.RUNNING)
    await apply(node, difference(removes=("t1",), secret_removes=("s1",), config_removes=("c1",)))
    await until(lambda: node.worker.explain("t1") is None)
    assert node.engine.files == {} and node.data.counts() == (0, 0)


async def test_after_a_restart_without_managers_running_tasks_go_on_though_their_data_is_not_there(
    node: Node,
) -> None:
    await apply(node, complete(using("t1"), using("t2", TaskState.READY)))
    await node.reaches(TaskState.RUNNING, "t1")
    await node.reaches(TaskState.READY, "t2")
    node.engine.destroy("c-t2")
    node.engine.files.clear()
    await node.restart()
    await node.reaches(TaskState.RUNNING, "t1")
    assert node.engine.started == ["c-t1"]
    assert node.data.counts() == (0, 0)


async def test_a_task_that_waits_for_its_data_goes_on_when_a_manager_sends_it(node: Node) -> None:
    await node.worker.apply_complete([using()])  # remembered from before a restart, as it were
    status = await node.reaches(TaskState.PREPARING)
    await until(lambda: "kept by the managers only" in node.reported().err, status.err)
    await apply(node, complete(using()))
    await node.reaches(TaskState.RUNNING)
    assert node.engine.files["t1"][0].data == b"open sesame"


async def test_a_secret_that_is_gone_is_the_tasks_error(node: Node) -> None:
    await apply(node, complete(using(), secrets=()))
    status = await node.reaches(TaskState.REJECTED)
    assert status.err == "secret 'db' does not exist any more"


async def test_what_a_crash_left_is_swept_when_the_engine_is_first_asked(node: Node) -> None:
    await apply(node, complete(using("t1")))
    await node.reaches(TaskState.RUNNING)
    await node.stop()
    node.engine.files["gone"] = ()
    node.engine.calls.clear()
    await node.start()
    await until(lambda: node.worker.adopted)
    assert set(node.engine.files) == {"t1"}
    assert node.engine.calls[:2] == ["found", "sweep"]


async def test_a_sweep_that_fails_keeps_no_task_from_running(node: Node) -> None:
    await node.stop()
    node.engine.faults["sweep"] = [TemporaryError("busy")]
    await node.start()
    await apply(node, complete(using()))
    await node.reaches(TaskState.RUNNING)


async def test_neither_data_nor_credentials_are_in_the_agents_database(node: Node) -> None:
    await apply(node, complete(using(), credentials={"t1": b'{"password": "hush"}'}))
    await node.reaches(TaskState.RUNNING)
    await node.stop()
    with sqlite3.connect(node.path) as connection:
        written = "".join(connection.iterdump())
    everything = node.path.read_bytes() + written.encode()
    assert b"sesame" not in everything and b"hush" not in everything
    await node.start()


async def test_each_pull_uses_the_credentials_as_they_are_by_then(node: Node) -> None:
    node.engine.faults["pull"] = [TemporaryError("toomanyrequests")]
    await apply(node, complete(using(), credentials={"t1": b"old"}))
    await until(lambda: node.reported().err == "toomanyrequests")
    await apply(node, difference(credentials={"t1": b"new"}))
    await node.reaches(TaskState.RUNNING)
    assert node.engine.pulled == [b"new"]


async def test_a_registry_that_stays_silent_fails_the_task_after_some_tries(node: Node) -> None:
    node.engine.faults["pull"] = [TemporaryError("No such image: app:1 (connection refused)") for _ in range(PULLS)]
    await apply(node, complete(make_task()))
    status = await node.reaches(TaskState.REJECTED)
    assert status.err == f"No such image: app:1 (connection refused); tried {PULLS} times"
    assert node.engine.calls.count("pull") == PULLS


async def test_a_pull_refused_before_a_manager_was_heard_is_made_again_when_its_credentials_have_come(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_room, "RETRY_AFTER", 0.01)
    refused = [TaskError("No such image: r.example.com/app:1 (no basic auth credentials)") for _ in range(PULLS)]
    node.engine.faults["pull"] = [*refused, *(TemporaryError("connection refused") for _ in range(PULLS))]
    await node.worker.apply_incremental([make_task()], [])  # remembered from before a restart, as it were
    await until(lambda: not node.engine.faults["pull"] or node.engine.calls.count("pull") > PULLS)
    assert node.status().state == TaskState.PREPARING
    assert "waiting for a manager, which may have credentials for it" in node.status().err
    node.engine.faults["pull"] = [TaskError("no basic auth credentials")] * 1000
    await until(lambda: node.engine.calls.count("pull") > PULLS + 1)
    monkeypatch.setattr(task_room, "RETRY_AFTER", 1000.0)  # the set ends the wait, not the time
    monkeypatch.setattr(task_room, "UNTOLD_MOST", 1000.0)
    tries = node.engine.calls.count("pull")
    await until(lambda: node.engine.calls.count("pull") > tries)
    node.engine.faults["pull"] = []
    await apply(node, complete(make_task(), credentials={"t1": b"key"}))
    await node.reaches(TaskState.RUNNING)
    assert node.engine.pulled == [b"key"]


async def test_a_task_that_waits_for_a_manager_to_pull_can_be_removed(node: Node) -> None:
    node.engine.faults["pull"] = [TaskError("no basic auth credentials")] * 1000
    await node.worker.apply_incremental([make_task()], [])
    await until(lambda: "waiting for a manager" in node.status().err)
    assert await node.worker.remove_all(PATIENCE) == []


async def test_a_missing_image_fails_the_task_at_once(node: Node) -> None:
    node.engine.faults["pull"] = [TaskError("No such image: app:1 (manifest unknown)")]
    await apply(node, complete(make_task()))
    assert (await node.reaches(TaskState.REJECTED)).err == "No such image: app:1 (manifest unknown)"
    assert node.engine.calls.count("pull") == 1


async def test_the_progress_of_a_pull_is_reported_while_the_task_is_prepared(node: Node) -> None:
    node.engine.words = ["pulling image: 1 of 2 layers, 3.0 of 9.0 MB"]
    await apply(node, complete(make_task()))
    status = await node.reaches(TaskState.RUNNING)
    assert status.message == "started"
    seen = [status.message for _, status in node.reports]
    node.engine.hold["pull"] = gate = asyncio.Event()
    await apply(node, difference(make_task("t2")))
    await until(lambda: node.reported("t2").message == "pulling image: 1 of 2 layers, 3.0 of 9.0 MB", str(seen))
    assert node.reported("t2").state == TaskState.PREPARING
    gate.set()
    assert (await node.reaches(TaskState.RUNNING, "t2")).message == "started"


async def test_words_on_a_pull_that_nobody_wants_any_more_change_nothing(node: Node) -> None:
    node.engine.hold["pull"] = asyncio.Event()
    await apply(node, complete(make_task()))
    await until(lambda: "pull" in node.engine.calls)
    await apply(node, difference(dataclasses.replace(make_task(), desired_state=TaskState.SHUTDOWN)))
    status = await node.reaches(TaskState.SHUTDOWN)
    assert status.message == "shutdown" and node.engine.containers == {}
