# SPDX-License-Identifier: Apache-2.0
"""What very many objects have in common crosses quickly and is one object on the other side."""

from __future__ import annotations

import dataclasses

import pytest

from queenright.model.changes import Batch, Create
from queenright.model.objects import Service, Task
from queenright.spec.container import ContainerSpec
from queenright.spec.service import ServiceSpec, TaskSpec
from queenright.wire import codec, records


def made(image: str = "app:1") -> Service:
    container = ContainerSpec(image=image, env=("A=1",), labels={"app": "web"})
    return Service(id="s", spec=ServiceSpec(name="web", task=TaskSpec(container=container)))


def tasks(service: Service, count: int) -> list[Task]:
    """Each has a specification of its own, though they are equal."""
    return [Task(id=f"t{n}", service_id="s", spec=dataclasses.replace(service.spec.task)) for n in range(count)]


def test_tasks_of_a_service_share_its_specification_once_they_are_read() -> None:
    service = made()
    written = codec.encode_batch(Batch(1, tuple(map(Create, (service, *tasks(service, 3))))))
    read = [change.object for change in codec.decode_batch(written).changes if isinstance(change, Create)]
    specs = [row.spec.task if isinstance(row, Service) else row.spec for row in read]  # type: ignore[union-attr]
    assert specs[0] == service.spec.task
    assert all(spec is specs[0] for spec in specs)


def test_specifications_that_differ_stay_apart() -> None:
    one, other = (codec.decode_object(codec.encode_object(task)) for task in (*tasks(made(), 1), *tasks(made("b"), 1)))
    assert isinstance(one, Task) and isinstance(other, Task)
    assert (one.spec.container.image, other.spec.container.image) == ("app:1", "b")


def test_bytes_are_the_same_whether_a_specification_was_written_before_or_not() -> None:
    first, again = tasks(made(), 2)
    again = dataclasses.replace(again, id=first.id)
    assert codec.encode_object(first) == codec.encode_object(first) == codec.encode_object(again)


def test_an_empty_specification_comes_back_too() -> None:
    task = Task(id="t", service_id="s", spec=TaskSpec())
    assert [codec.decode_object(codec.encode_object(task)) for _ in range(2)] == [task, task]


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = records._Shared()
    monkeypatch.setattr(records, "shared", shared)
    monkeypatch.setattr(shared, "MOST", 4)
    for number in range(20):
        [task] = tasks(made(f"app:{number}"), 1)
        assert codec.decode_object(codec.encode_object(task)) == task
        assert max(len(shared._written), len(shared._read)) <= 4
