# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import sqlite3
import stat
import threading

import pytest
from runtime.agent.kit import make_task, until
from runtime.sealers import HeldKeys, sealer

from queenright.agent.database import DatabaseError, TaskDatabase
from queenright.agent.task_file import APPLICATION_ID, VERSION
from queenright.edge.pki.sealing import RecordSeal, RecordSealer
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.service import Port
from queenright.wire.codec import decode_task, encode_task

FULL = TaskStatus(
    state=TaskState.FAILED,
    at=12,
    applied_at=13,
    running_since=14,
    message="started",
    err="task: non-zero exit (3)",
    container_id="c1",
    pid=99,
    exit_code=3,
    ports=(Port(target_port=80, published_port=8080, protocol="tcp", mode="host"),),
)


def database(folder: pathlib.Path) -> TaskDatabase:
    return TaskDatabase(folder / "tasks.db", sealer(), encode=encode_task, decode=decode_task)


async def test_tasks_and_statuses_come_back_as_they_were_put(tmp_path: pathlib.Path) -> None:
    first = database(tmp_path)
    assert await first.open() == []
    task = make_task(env=("A=1",), healthcheck=None)
    first.put(task, task.status)
    first.put_status("t1", FULL)
    first.put(make_task("t2"), TaskStatus())
    first.forget("t2")
    await first.close()
    again = database(tmp_path)
    (record,) = await again.open()
    assert record.task == task
    assert record.status == FULL
    await again.close()


async def test_a_new_assignment_does_not_touch_the_status(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    task = make_task()
    held.put(task, task.status)
    held.put_status("t1", FULL)
    held.put(dataclasses.replace(task, desired_state=TaskState.SHUTDOWN), TaskStatus())
    await held.close()
    again = database(tmp_path)
    (record,) = await again.open()
    assert (record.task.desired_state, record.status) == (TaskState.SHUTDOWN, FULL)
    await again.close()


async def test_a_status_of_a_forgotten_task_does_not_bring_it_back(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    held.put(make_task(), TaskStatus())
    held.forget("t1")
    held.put_status("t1", FULL)
    await held.close()
    again = database(tmp_path)
    assert await again.open() == []
    await again.close()


async def test_what_was_flushed_survives_a_kill(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    held.put(make_task(), FULL)
    await held.flush()
    for name in ("tasks.db", "tasks.db-wal"):
        (tmp_path / f"copy-{name}").write_bytes((tmp_path / name).read_bytes())
    (tmp_path / "copy-tasks.db").rename(tmp_path / "killed.db")
    (tmp_path / "copy-tasks.db-wal").rename(tmp_path / "killed.db-wal")
    await held.close()
    killed = TaskDatabase(tmp_path / "killed.db", sealer(), encode=encode_task, decode=decode_task)
    (record,) = await killed.open()
    assert record.status == FULL
    await killed.close()


async def test_only_the_owner_may_read_it(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    held.put(make_task(), TaskStatus())
    await held.flush()
    modes = _modes(tmp_path)
    assert modes["tasks.db"] == 0o600 and set(modes.values()) == {0o600}
    await held.close()


async def test_it_is_written_ahead_and_to_the_disk(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    await held.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


async def test_a_newer_format_is_refused_with_path_and_way_out(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    await held.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(DatabaseError, match=rf"tasks\.db has format {VERSION + 1}.*newer version.*move it away"):
        await database(tmp_path).open()


async def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: pathlib.Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as connection:
        connection.execute("CREATE TABLE other (a)")
        connection.commit()
    before = (tmp_path / "tasks.db").read_bytes()
    with pytest.raises(DatabaseError, match="is a database of something else"):
        await database(tmp_path).open()
    assert (tmp_path / "tasks.db").read_bytes() == before


async def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    (tmp_path / "tasks.db").write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    with pytest.raises(DatabaseError, match=r"tasks\.db: .*move it away"):
        await database(tmp_path).open()


async def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    with pytest.raises(DatabaseError, match=r"missing/tasks\.db"):
        await database(tmp_path / "missing").open()


@pytest.mark.parametrize(
    "change", ["assigned = x'ffffff'", "status = 'no json'", "status = '{\"state\": 5}'", "status = '{}'"]
)
async def test_a_task_that_cannot_be_read_is_refused_by_id(tmp_path: pathlib.Path, change: str) -> None:
    held = database(tmp_path)
    await held.open()
    held.put(make_task(), TaskStatus())
    await held.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db")) as connection:
        connection.execute(f"UPDATE tasks SET {change}")
        connection.commit()
    with pytest.raises(DatabaseError, match=r"tasks\.db: task t1 cannot be read"):
        await database(tmp_path).open()
    assert "agent-db" not in {thread.name for thread in threading.enumerate()}


async def test_a_write_that_fails_is_said_and_made_good_later(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    blocker = sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)
    blocker.execute("ALTER TABLE tasks RENAME TO hidden")
    held.put(make_task(), FULL)
    await until(lambda: held.failure is not None and "no such table" in held.failure)
    blocker.execute("ALTER TABLE hidden RENAME TO tasks")
    blocker.close()
    await until(lambda: held.failure is None)
    await held.close()
    again = database(tmp_path)
    assert [record.status for record in await again.open()] == [FULL]
    await again.close()


async def test_closing_does_not_wait_for_ever_for_a_disk_that_is_full(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    with contextlib.closing(sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)) as blocker:
        blocker.execute("DROP TABLE tasks")
    held.put(make_task(), FULL)
    await held.close()
    assert "agent-db" not in {thread.name for thread in threading.enumerate()}


async def test_many_writes_share_transactions(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    for number in range(2000):
        held.put(make_task(f"t{number}"), FULL)
    await held.close()
    again = database(tmp_path)
    assert len(await again.open()) == 2000
    await again.close()


def _modes(folder: pathlib.Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_everything_can_be_sealed_anew_while_it_is_used(tmp_path: pathlib.Path) -> None:
    keys = HeldKeys(b"a" * 32)
    held = RecordSealer(keys, "m1", os.urandom)  # type: ignore[arg-type]
    first = TaskDatabase(tmp_path / "tasks.db", held, encode=encode_task, decode=decode_task)
    await first.open()
    task = make_task(env=("A=1",), healthcheck=None)
    first.put(task, task.status)
    first.put_rows({"net": b"row"})
    held.rotate()
    first.put_status("t1", FULL)
    await first.reseal()
    first.put(make_task("t2"), TaskStatus())
    await first.close()
    (newest, former) = keys.load().keys  # type: ignore[union-attr]
    for key, opens in ((newest, True), (former, False)):
        only = RecordSealer(HeldKeys(key), "m1", os.urandom)  # type: ignore[arg-type]
        again = TaskDatabase(tmp_path / "tasks.db", only, encode=encode_task, decode=decode_task)
        if opens:
            assert next((record.task.id, record.status) for record in await again.open()) == ("t1", FULL)
            assert again.rows == {"net": b"row"}
        else:
            with pytest.raises(DatabaseError, match="holds another one"):
                await again.open()
        await again.close()


async def test_what_cannot_be_sealed_anew_stays_as_it_is(tmp_path: pathlib.Path) -> None:
    class NoKey(RecordSealer):
        def new(self, purpose: str) -> RecordSeal:
            if self.broken:
                raise OSError("no room")
            return super().new(purpose)

        broken = False

    held = NoKey(HeldKeys(b"a" * 32), "m1", os.urandom)  # type: ignore[arg-type]
    first = TaskDatabase(tmp_path / "tasks.db", held, encode=encode_task, decode=decode_task)
    with pytest.raises(DatabaseError, match="is not open"):
        await first.reseal()
    await first.open()
    first.put(make_task(), TaskStatus())
    held.broken = True
    with pytest.raises(DatabaseError, match="cannot be sealed anew: no room"):
        await first.reseal()
    first.put_status("t1", FULL)
    await first.close()
    held.broken = False
    again = TaskDatabase(tmp_path / "tasks.db", held, encode=encode_task, decode=decode_task)
    assert [record.status for record in await again.open()] == [FULL]
    await again.close()


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "agent-db"]


async def test_a_fault_while_it_is_read_is_said_and_nobody_waits_for_ever(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    await held.open()
    task = make_task()
    held.put(task, task.status)
    await held.close()

    def broken(data: bytes) -> Task:
        raise RuntimeError("a fault of ours")

    faulty = TaskDatabase(tmp_path / "tasks.db", sealer(), encode=encode_task, decode=broken)
    with pytest.raises(DatabaseError, match="a fault of ours"):
        await asyncio.wait_for(faulty.open(), 30)
    assert threads() == []


async def test_an_opening_that_is_given_up_leaves_no_thread(tmp_path: pathlib.Path) -> None:
    held = database(tmp_path)
    opening = asyncio.create_task(held.open())
    await asyncio.sleep(0)
    assert threads() == ["agent-db"]
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(opening, 30)
    assert threads() == []
