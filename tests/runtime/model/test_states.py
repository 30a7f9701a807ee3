# SPDX-License-Identifier: Apache-2.0
"""The states of tasks, nodes and updates: their order, their words, and which of them are an end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.model.states import NodeState, TaskState, UpdateState

# As the Engine API words them and as Swarm numbers them: a stored number or a client's word must never change.
LIFE = [
    ("new", 0),
    ("pending", 64),
    ("assigned", 192),
    ("accepted", 256),
    ("preparing", 320),
    ("ready", 384),
    ("starting", 448),
    ("running", 512),
]
ENDS = [("complete", 576), ("shutdown", 640), ("failed", 704), ("rejected", 768), ("remove", 800), ("orphaned", 832)]
ALL = LIFE + ENDS


def test_there_are_these_states_in_this_order_and_no_others() -> None:
    assert [(state.text, int(state)) for state in sorted(TaskState)] == ALL


@pytest.mark.parametrize(("word", "number"), ALL)
def test_a_state_is_found_by_its_number_and_by_its_word(word: str, number: int) -> None:
    assert TaskState(number) is TaskState[word.upper()]
    assert TaskState(number).text == word


@pytest.mark.parametrize(("word", "number"), ALL)
def test_a_task_has_ended_in_every_state_beyond_running_and_in_no_other(word: str, number: int) -> None:
    assert TaskState(number).terminal == ((word, number) in ENDS)


@pytest.mark.parametrize("number", [-1, 1, 63, 128, 513, 1000])
def test_a_number_between_states_is_none(number: int) -> None:
    with pytest.raises(ValueError, match=f"{number} is not a valid TaskState"):
        TaskState(number)


def test_each_step_of_a_life_goes_forward() -> None:
    for (earlier, _), (later, _) in itertools.pairwise(ALL):
        assert TaskState[earlier.upper()] < TaskState[later.upper()]


@given(st.lists(st.sampled_from(TaskState), min_size=1))
def test_the_furthest_of_reports_in_any_order_is_the_same(reports: list[TaskState]) -> None:
    assert max(reports) is max(reversed(reports))
    assert TaskState(max(map(int, reports))) is max(reports)


def test_nodes_are_worded_as_the_engine_api_does() -> None:
    assert {str(state) for state in NodeState} == {"unknown", "down", "ready", "disconnected"}


def test_updates_are_worded_as_the_engine_api_does() -> None:
    words = "updating paused completed rollback_started rollback_paused rollback_completed"
    assert [str(state) for state in UpdateState] == words.split()


def test_an_update_goes_on_waits_for_people_or_is_over() -> None:
    going = {state.value for state in UpdateState if state.active}
    waiting = {state.value for state in UpdateState if state.paused}
    assert going == {"updating", "rollback_started"}
    assert waiting == {"paused", "rollback_paused"}
    assert {state.value for state in UpdateState} - going - waiting == {"completed", "rollback_completed"}
