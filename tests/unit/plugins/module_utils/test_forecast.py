# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would become of tasks, in short lines."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils._forecast import lines

Json = dict[str, t.Any]


def forecast(*, complete: bool = True, **more: t.Any) -> Json:
    one: Json = {
        "name": "web",
        "created": 0,
        "stopped": 0,
        "serving": {"before": 4, "fewest": 4, "after": 4},
        "batches": [],
        "unplaced": [],
    }
    return {"complete": complete, "services": [dict(one, **more)]}


@pytest.mark.parametrize("nothing", [None, {}, {"complete": True, "services": []}])
def test_where_no_task_is_concerned_nothing_is_said(nothing: Json | None) -> None:
    assert lines(nothing) == ""


def test_an_update_is_told_with_its_batches_and_the_fewest_that_serve() -> None:
    found = forecast(
        created=4,
        stopped=4,
        serving={"before": 4, "fewest": 2, "after": 4},
        batches=[{"after": 0.0, "slots": ["1", "2"]}, {"after": 6.0, "slots": ["3", "4"]}],
    )
    assert lines(found) == (
        "service web: 4 tasks made in 2 batches (1+2, 3+4); 4 tasks stopped; 4 serve now, 4 at the end; "
        "at least 2 at any time\n"
    )


def test_one_task_that_is_made_and_loses_nobody_is_short() -> None:
    found = forecast(
        created=1, serving={"before": 4, "fewest": 4, "after": 5}, batches=[{"after": 0.0, "slots": ["5"]}]
    )
    assert lines(found) == "service web: 1 task made; 4 serve now, 5 at the end\n"


def test_long_lists_are_cut() -> None:
    batches = [{"after": float(number), "slots": [str(slot) for slot in range(9)]} for number in range(9)]
    text = lines(forecast(created=81, batches=batches))
    assert "in 9 batches (0+1+2+3+4+5+..., " in text
    assert len(text) < 250


def test_what_finds_no_node_is_told_with_the_reason() -> None:
    found = forecast(created=1, unplaced=[{"slots": ["1"], "reason": "no suitable node (no memory)"}])
    assert lines(found).endswith("; no node for 1: no suitable node (no memory)\n")


def test_a_forecast_that_ends_early_says_so() -> None:
    assert lines(forecast(complete=False, created=1)).endswith("\n(only the beginning is foreseen)\n")
