# SPDX-License-Identifier: Apache-2.0
"""Changed copies are what dataclasses.replace would make."""

from __future__ import annotations

import dataclasses

import pytest

from queenright.lib.records import changed
from queenright.model.objects import CLASSES, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.service import TaskSpec

TASK = Task(id="t", service_id="s", spec=TaskSpec(), slot=3, cause="scaled")


def test_a_changed_copy_equals_what_replace_makes() -> None:
    status = TaskStatus(state=TaskState.RUNNING)
    assert changed(TASK, node_id="h1", status=status) == dataclasses.replace(TASK, node_id="h1", status=status)
    assert changed(TASK) == TASK and changed(TASK) is not TASK
    assert TASK.node_id == ""


def test_a_copy_is_frozen_too() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed(TASK, slot=4).slot = 5  # type: ignore[misc]


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="Task has no field 'colour'"):
        changed(TASK, colour="red")


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.kind)
def test_all_that_the_store_holds_can_be_copied_so(cls: type) -> None:
    made = object.__new__(cls)
    for field in dataclasses.fields(cls):
        object.__setattr__(made, field.name, field.name)
    assert changed(made, version=7).version == 7


def test_a_class_that_would_notice_is_refused() -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Checked:
        one: int = 1
        two: int = 2

        def __post_init__(self) -> None:
            raise AssertionError

    @dataclasses.dataclass(frozen=True)
    class Loose:
        one: int = 1
        two: int = 2

    for record in (object.__new__(Checked), Loose()):
        with pytest.raises(TypeError, match="must be a dataclass with slots"):
            changed(record, one=2)
