# SPDX-License-Identifier: Apache-2.0
"""What an agent remembers is sealed, each value for its own place."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sqlite3

import pytest
from runtime.sealers import HeldKeys, sealer

from queenright.agent.task_file import APPLICATION_ID, DatabaseError, StatusRow, TaskFile, Write
from queenright.edge.pki.sealing import RecordSealer

SECRET = b"DB_PASSWORD=honey-pot-0815"
STATUS = StatusRow(7, "c1", json.dumps({"state": 7, "err": "the bees are out"}))


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "tasks.db"


def written(path: pathlib.Path, count: int = 3) -> None:
    with contextlib.closing(TaskFile(path, sealer())) as file:
        file.write([Write(f"t{number}", SECRET * 50, STATUS) for number in range(count)])


def everything(path: pathlib.Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.iterdir())


def change(path: pathlib.Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_neither_tasks_nor_statuses_can_be_read(path: pathlib.Path) -> None:
    with contextlib.closing(TaskFile(path, sealer())) as file:
        file.write([Write("t1", SECRET, STATUS), Write("t1", None, STATUS._replace(text="the bees are out again"))])
        for word in (SECRET, b"the bees"):
            assert word not in everything(path)
        assert file.rows() == [("t1", SECRET, "the bees are out again")]
    assert b"the bees" not in everything(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tasks SET assigned = (SELECT assigned FROM tasks WHERE id = 't2') WHERE id = 't1'",
        "UPDATE tasks SET assigned = (SELECT status FROM tasks WHERE id = 't1') WHERE id = 't1'",
        "UPDATE tasks SET status = 'in clear' WHERE id = 't1'",
        "UPDATE tasks SET status = x'00' WHERE id = 't1'",
    ],
)
def test_a_value_that_was_moved_or_changed_is_refused_by_id(path: pathlib.Path, statement: str) -> None:
    written(path)
    change(path, statement)
    with contextlib.closing(TaskFile(path, sealer())) as file, pytest.raises(DatabaseError, match="task t1 cannot be"):
        file.rows()


def clear(path: pathlib.Path, count: int) -> None:
    """A file as version 1 wrote it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE tasks (id TEXT PRIMARY KEY NOT NULL, assigned BLOB NOT NULL, state INTEGER NOT NULL,"
            " container_id TEXT NOT NULL, status TEXT NOT NULL) WITHOUT ROWID"
        )
        for number in range(count):
            connection.execute(
                "INSERT INTO tasks VALUES (?, ?, 7, 'c', ?)", (f"t{number}", SECRET * (1 + number * 10), STATUS.text)
            )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()


def test_a_clear_file_is_sealed_at_once_and_nothing_of_it_stays(path: pathlib.Path) -> None:
    clear(path, 40)
    assert SECRET in everything(path)
    with contextlib.closing(TaskFile(path, sealer())) as file:
        assert len(file.rows()) == 40
        assert SECRET not in everything(path) and b"the bees" not in everything(path)
        assert file.rows()[0] == ("t0", SECRET, STATUS.text)
    with contextlib.closing(TaskFile(path, sealer())) as file:
        assert len(file.rows()) == 40
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,), "an older release refuses it"


@pytest.mark.parametrize(("keys", "words"), [((), "is missing"), ((b"x" * 32,), "holds another one")])
def test_without_its_key_it_is_refused_with_a_way_out(path: pathlib.Path, keys: tuple[bytes, ...], words: str) -> None:
    written(path)
    other = RecordSealer(HeldKeys(*keys), "m1", bytes)  # type: ignore[arg-type]
    with pytest.raises(DatabaseError, match=rf"tasks\.db is sealed with key .*{words}.*move it away"):
        TaskFile(path, other)


def test_a_file_that_lost_its_label_is_refused(path: pathlib.Path) -> None:
    written(path)
    change(path, "DELETE FROM seal")
    with pytest.raises(DatabaseError, match="does not say what it is sealed with"):
        TaskFile(path, sealer())


def test_a_founding_that_was_cut_short_begins_again(path: pathlib.Path) -> None:
    with contextlib.closing(sqlite3.connect(path)):
        path.touch()
    written(path)
    with contextlib.closing(TaskFile(path, sealer())) as file:
        assert len(file.rows()) == 3
