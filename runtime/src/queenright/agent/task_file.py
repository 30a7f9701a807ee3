# SPDX-License-Identifier: Apache-2.0
"""The sqlite file of ``database.py``: what a task is and how it goes is sealed, each value for its own row and column.

Version 1 held it in clear; such a file is sealed when it is opened, and the clear bytes are wiped from it. Everything
here is called by one thread.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from queenright.agent.ports import Seal, Sealer

APPLICATION_ID = 0x51524154  # "QRAT"
VERSION = 2
CLEAR_VERSION = 1
PURPOSE = "tasks"
MEND = "move it away to begin anew: running containers are found again, and managers send the tasks anew"
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS tasks (
        id TEXT PRIMARY KEY NOT NULL,
        assigned BLOB NOT NULL,
        state INTEGER NOT NULL,
        container_id TEXT NOT NULL,
        status BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE TABLE IF NOT EXISTS seal (label BLOB NOT NULL)",
)
PUT = """
    INSERT INTO tasks (id, assigned, state, container_id, status) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET assigned = excluded.assigned
"""
SET_STATUS = "UPDATE tasks SET state = ?, container_id = ?, status = ? WHERE id = ?"
FORGET = "DELETE FROM tasks WHERE id = ?"
NETWORKS = "CREATE TABLE IF NOT EXISTS networks (key TEXT PRIMARY KEY NOT NULL, row BLOB NOT NULL) WITHOUT ROWID"
PUT_ROW = "INSERT INTO networks (key, row) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET row = excluded.row"
FORGET_ROW = "DELETE FROM networks WHERE key = ?"


class DatabaseError(Exception):
    """The file cannot be used. The text names it and says what to do."""


class StatusRow(NamedTuple):
    """How a task goes. ``text`` is all of it."""

    state: int
    container_id: str
    text: str


class Write(NamedTuple):
    """A task is put (``assigned`` and ``status``), goes on (``status``), or is forgotten (neither)."""

    task_id: str
    assigned: bytes | None = None
    status: StatusRow | None = None


class NetworkRow(NamedTuple):
    """A row of a network is put, or (None) forgotten."""

    key: str
    row: bytes | None = None


class TaskFile:
    """Open from the beginning to ``close``."""

    def __init__(self, path: Path, sealer: Sealer) -> None:
        """Raises DatabaseError, sqlite3.Error or OSError."""
        self._path = path
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        os.chmod(path, 0o600)
        self._connection = sqlite3.connect(path, isolation_level="IMMEDIATE", timeout=5.0)
        try:
            version = _check(path, self._connection)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            try:
                self._seal = self._begin(version, sealer)
                self._connection.execute(NETWORKS)
            except ValueError as error:
                raise DatabaseError(f"{path} {error}; or {MEND}") from error
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def rows(self) -> list[tuple[str, bytes, str]]:
        """Id, assignment and status of each task, sorted by id. Raises DatabaseError or sqlite3.Error."""
        found = self._connection.execute("SELECT id, assigned, status FROM tasks ORDER BY id").fetchall()
        return [
            (task_id, self._open(task_id, "assigned", assigned), self._open(task_id, "status", status).decode())
            for task_id, assigned, status in found
        ]

    def networks(self) -> dict[str, bytes]:
        """The rows of networks by key; what cannot be read is left out, managers tell of it anew."""
        found = self._connection.execute("SELECT key, row FROM networks").fetchall()
        opened = {key: self._seal.open(row, _place(key, "network")) for key, row in found if isinstance(row, bytes)}
        return {key: row for key, row in opened.items() if row is not None}

    def reseal(self, sealer: Sealer) -> None:
        """Seal all anew, with the newest key. Raises DatabaseError, ValueError, sqlite3.Error or OSError; then all is
        as before."""
        rows, networks, before = self.rows(), self.networks(), self._seal
        self._connection.execute("PRAGMA secure_delete = ON")
        self._seal = seal = sealer.new(PURPOSE)
        try:
            with self._connection:
                self._connection.execute("UPDATE seal SET label = ?", (seal.label,))
                self._connection.execute("DELETE FROM networks")
                for task_id, assigned, status in rows:
                    self._reseal(task_id, assigned, status)
                for key, row in networks.items():
                    self._connection.execute(PUT_ROW, (key, self._close(key, "network", row)))
        except BaseException:
            self._seal = before
            raise
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def write(self, writes: Sequence[Write | NetworkRow]) -> None:
        """All of them or none. Raises sqlite3.Error."""
        with self._connection:
            for write in writes:
                if isinstance(write, NetworkRow):
                    self._write_row(write)
                else:
                    self._write(write)

    def _write_row(self, write: NetworkRow) -> None:
        if write.row is None:
            self._connection.execute(FORGET_ROW, (write.key,))
        else:
            sealed = self._close(write.key, "network", write.row)
            self._connection.execute(PUT_ROW, (write.key, sealed))

    def _write(self, write: Write) -> None:
        task_id, assigned, status = write
        if status is None:
            self._connection.execute(FORGET, (task_id,))
            return
        columns = (status.state, status.container_id, self._close(task_id, "status", status.text.encode()))
        if assigned is None:
            self._connection.execute(SET_STATUS, (*columns, task_id))
        else:
            self._connection.execute(PUT, (task_id, self._close(task_id, "assigned", assigned), *columns))

    def _reseal(self, task_id: str, assigned: bytes, status: str) -> None:
        sealed = (self._close(task_id, "assigned", assigned), self._close(task_id, "status", status.encode()))
        self._connection.execute("UPDATE tasks SET assigned = ?, status = ? WHERE id = ?", (*sealed, task_id))

    def _close(self, task_id: str, column: str, value: bytes) -> bytes:
        return self._seal.close(value, _place(task_id, column))

    def _open(self, task_id: str, column: str, value: object) -> bytes:
        opened = self._seal.open(value, _place(task_id, column)) if isinstance(value, bytes) else None
        if opened is None:
            raise DatabaseError(f"{self._path}: task {task_id} cannot be read (it is not as it was sealed); {MEND}")
        return opened

    def _begin(self, version: int, sealer: Sealer) -> Seal:
        """Raises ValueError where the key is not to be had."""
        connection = self._connection
        if version == VERSION:
            row = connection.execute("SELECT label FROM seal").fetchone()
            if row is None or not isinstance(row[0], bytes):
                raise DatabaseError(f"{self._path} does not say what it is sealed with; {MEND}")
            return sealer.find(PURPOSE, row[0])
        self._seal = seal = sealer.new(PURPOSE)
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            for table in TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO seal (label) VALUES (?)", (seal.label,))
            for task_id, assigned, status in connection.execute("SELECT id, assigned, status FROM tasks").fetchall():
                self._reseal(task_id, assigned, status)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        if version:
            connection.execute("VACUUM")  # the clear values were in pages that are free now
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return seal


def _place(task_id: str, column: str) -> bytes:
    return f"{column}/{task_id}".encode()


def _check(path: Path, connection: sqlite3.Connection) -> int:
    """The version of the file; 0 for a new one."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (magic,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and magic != APPLICATION_ID:
        raise DatabaseError(f"{path} is a database of something else; {MEND}")
    if version > VERSION:
        raise DatabaseError(
            f"{path} has format {version}, this version of queenright knows {VERSION}: "
            f"start the newer version that wrote it, or {MEND}"
        )
    return int(version)
