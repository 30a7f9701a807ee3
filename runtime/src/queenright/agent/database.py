# SPDX-License-Identifier: Apache-2.0
"""The agent's memory of its tasks and networks: one sqlite file (``task_file.py``), written in batches by one thread.

Nobody waits for a write. What a crash loses is found again at the engine, by the labels of its containers, and at the
managers, who send the assignments anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import pathlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from queenright.agent.ports import Sealer
from queenright.agent.task_file import MEND, DatabaseError, NetworkRow, StatusRow, TaskFile, Write
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec import fields
from queenright.spec.service import Port

__all__ = ["DatabaseError", "Record", "TaskDatabase", "read_status"]

log = logging.getLogger(__name__)

RETRY_AFTER = 1.0  # seconds between two tries to write


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A remembered task: as it was assigned, and the last status of ours."""

    task: Task
    status: TaskStatus


class _Reseal:
    """A wish in the queue; ``done`` ends with it."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.done = done


Item = list[Write | NetworkRow] | asyncio.Future[None] | _Reseal | None


class TaskDatabase:
    """Open it, put what changes, close it. All methods belong to the event loop's thread."""

    def __init__(
        self,
        path: pathlib.Path,
        sealer: Sealer,
        *,
        encode: Callable[[Task], bytes],
        decode: Callable[[bytes], Task],
    ) -> None:
        self._path = path
        self._sealer = sealer
        self._encode = encode
        self._decode = decode
        self._writes: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self.rows: dict[str, bytes] = {}  # of the networks, as they were when it was opened
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._ended: asyncio.Future[None] | None = None
        self.failure: str | None = None  # why writing does not succeed at the moment

    async def open(self) -> list[Record]:
        """Start the thread and read everything. Raises DatabaseError."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[list[Record]] = loop.create_future()
        ended: asyncio.Future[None] = loop.create_future()
        self._closing.clear()
        self._writes = queue.SimpleQueue()
        self._ended = ended
        self._thread = threading.Thread(target=self._run, args=(loop, opened, ended), name="agent-db", daemon=True)
        self._thread.start()
        try:
            return await opened
        except BaseException:  # also when it is given up
            await self.close()
            raise

    def put(self, task: Task, status: TaskStatus) -> None:
        """Remember an assignment. The status counts for a new task only."""
        self._writes.put([Write(task.id, self._encode(task), _row(status))])

    def put_status(self, task_id: str, status: TaskStatus) -> None:
        """Remember the latest status of a known task."""
        self._writes.put([Write(task_id, None, _row(status))])

    def forget(self, task_id: str) -> None:
        self._writes.put([Write(task_id)])

    def put_rows(self, rows: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
        """Remember rows of networks by key, and forget others: all of it or nothing."""
        writes: list[Write | NetworkRow] = [NetworkRow(key) for key in gone]
        writes.extend(NetworkRow(key, row) for key, row in rows.items())
        if writes:
            self._writes.put(writes)

    async def flush(self) -> None:
        """Wait until everything put so far is on the disk."""
        if self._thread is not None and self._thread.is_alive():
            written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._writes.put(written)
            await written

    async def reseal(self) -> None:
        """Seal all that is kept with the newest key. Raises DatabaseError where that is not possible now."""
        if self._thread is None or not self._thread.is_alive():
            raise DatabaseError(f"{self._path} is not open")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._writes.put(_Reseal(done))
        await done

    async def close(self) -> None:
        """Write what is left, unless it cannot be written, and end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._closing.set()
        self._writes.put(None)
        if self._ended is not None:
            await self._ended  # closing the file may take the disk a while
        thread.join()

    # -- the thread's side

    def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        opened: asyncio.Future[list[Record]],
        ended: asyncio.Future[None],
    ) -> None:
        try:
            with contextlib.closing(TaskFile(self._path, self._sealer)) as file:
                records = [self._record(*row) for row in file.rows()]
                loop.call_soon_threadsafe(self._read, opened, records, file.networks())
                while self._take(loop, file):
                    pass
        except (sqlite3.Error, OSError, DatabaseError) as error:
            text = str(error) if isinstance(error, DatabaseError) else f"{self._path}: {error}; {MEND}"
            loop.call_soon_threadsafe(_settle, opened, None, DatabaseError(text))
        except Exception as error:  # a fault of ours: who waits for what is in the file must hear of it
            log.exception("the task database broke")
            text = f"{self._path}: unexpected {type(error).__name__}: {error}"
            loop.call_soon_threadsafe(_settle, opened, None, DatabaseError(text))
        finally:
            loop.call_soon_threadsafe(_settle, ended, None, None)

    def _read(self, opened: asyncio.Future[list[Record]], records: list[Record], rows: dict[str, bytes]) -> None:
        self.rows = rows
        _settle(opened, records, None)

    def _record(self, task_id: str, assigned: bytes, status: str) -> Record:
        try:
            return Record(self._decode(assigned), read_status(status))
        except (ValueError, TypeError, KeyError) as error:
            raise DatabaseError(f"{self._path}: task {task_id} cannot be read ({error}); {MEND}") from error

    def _take(self, loop: asyncio.AbstractEventLoop, file: TaskFile) -> bool:
        """Write all that waits in one transaction. False once the end was asked for."""
        items = [self._writes.get()]
        while not self._writes.empty():
            items.append(self._writes.get())
        writes = [write for item in items if isinstance(item, list) for write in item]
        while writes:
            try:
                file.write(writes)
            except sqlite3.Error as error:
                loop.call_soon_threadsafe(self._failed, f"{self._path}: {error}")
                if self._closing.wait(RETRY_AFTER):
                    break
            else:
                loop.call_soon_threadsafe(self._failed, None)
                break
        for item in items:
            if isinstance(item, asyncio.Future):
                loop.call_soon_threadsafe(_settle, item, None, None)
            elif isinstance(item, _Reseal):
                loop.call_soon_threadsafe(_settle, item.done, None, self._resealed(file))
        return None not in items

    def _resealed(self, file: TaskFile) -> DatabaseError | None:
        try:
            file.reseal(self._sealer)
        except (sqlite3.Error, OSError, ValueError, DatabaseError) as error:
            return DatabaseError(f"{self._path} cannot be sealed anew: {error}")
        return None

    def _failed(self, failure: str | None) -> None:
        if failure is not None and failure != self.failure:
            log.error("the task database cannot be written; trying again: %s", failure)
        self.failure = failure


def _settle(future: asyncio.Future[Any], value: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(value)


def _row(status: TaskStatus) -> StatusRow:
    values = {f.name: getattr(status, f.name) for f in dataclasses.fields(status) if f.name != "ports"}
    values["state"] = int(status.state)
    values["ports"] = [fields.encode(port) for port in status.ports]
    return StatusRow(int(status.state), status.container_id, json.dumps(values))


def read_status(text: str) -> TaskStatus:
    """The status as it was put; fields that this version does not know are left out."""
    given: dict[str, Any] = json.loads(text)
    known = {f.name for f in dataclasses.fields(TaskStatus)}
    values = {name: value for name, value in given.items() if name in known}
    values["state"] = TaskState(values["state"])
    values["ports"] = tuple(fields.decode(Port, port) for port in values.get("ports", ()))
    return TaskStatus(**values)
