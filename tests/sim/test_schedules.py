# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong, in whatever order: nothing that was acknowledged is lost, and no read is stale.

The README says how to play one again, and how to play more.
"""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.cluster import Cluster
from sim.schedule import FAULTS, Step, plan_of, play

SEEDS = [int(seed) for seed in os.environ.get("QUEENRIGHT_SIM_SEED", "").split(",") if seed]
SCHEDULES = int(os.environ.get("QUEENRIGHT_SIM_SCHEDULES", "3000"))
LENGTH = int(os.environ.get("QUEENRIGHT_SIM_LENGTH", "14"))
FIRST = int(os.environ.get("QUEENRIGHT_SIM_FIRST", "1000"))

GROUPS = ("abc", "abcde", "a", "ab")
steps = st.builds(Step, st.sampled_from(sorted(FAULTS)), st.integers(0, 9), st.integers(0, 99))


@settings(max_examples=60)
@given(seed=st.integers(0, 2**16), plan=st.lists(steps, max_size=14), names=st.sampled_from(GROUPS))
def test_nothing_acknowledged_is_lost_whatever_happens(seed: int, plan: list[Step], names: str) -> None:
    play(seed, plan, names)


@pytest.mark.parametrize("seed", SEEDS or range(40))
def test_nothing_acknowledged_is_lost_in_the_schedule_of_seed(seed: int) -> None:
    plan, names = plan_of(seed, LENGTH)
    play(seed, plan, names)


@pytest.mark.long
def test_nothing_acknowledged_is_lost_in_thousands_of_schedules() -> None:
    for seed in range(FIRST, FIRST + SCHEDULES):
        plan, names = plan_of(seed, length=25)
        play(seed, plan, names)


def told(cluster: Cluster) -> list[str]:
    """What happened, without the directories that were made for it."""
    return [re.sub(r"/tmp/qrsim\w+", "", line) for line in cluster.judge.trace]


def test_a_schedule_that_is_played_again_is_the_same() -> None:
    plan, names = plan_of(5)
    first, second = play(5, plan, names), play(5, plan, names)
    assert told(first) == told(second)
    assert first.judge.committed == second.judge.committed
    assert first.members["a"].machine.history == second.members["a"].machine.history
