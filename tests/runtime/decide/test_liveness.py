# SPDX-License-Identifier: Apache-2.0
"""When a node is suspect and when it is down: by silence, by a broken stream, by its own word."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws.builders import SECOND, cluster

from queenright.decide.liveness import BLINK, Beat, Standing, Tuning, judge, tuning

USUAL = Tuning()
ALIVE, SUSPECT, RESTARTING, DOWN = Standing


def standing(beat: Beat, now: float, patience: Tuning = USUAL) -> Standing:
    return judge(beat, now, patience).standing


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, ALIVE), (3, ALIVE), (4.9, ALIVE), (5, SUSPECT), (5.9, SUSPECT), (6, DOWN), (99, DOWN)]
)
def test_a_silent_node_is_suspect_after_five_seconds_and_down_one_later(seconds: float, expected: Standing) -> None:
    assert standing(Beat(heard=100), 100 + seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, ALIVE), (0.2, ALIVE), (0.3, SUSPECT), (4, SUSPECT), (4.9, SUSPECT), (5, DOWN)]
)
def test_a_broken_stream_makes_suspect_at_once_and_a_crashed_daemon_has_the_silence_to_return(
    seconds: float, expected: Standing
) -> None:
    assert standing(Beat(heard=100, broken=100), 100 + seconds) == expected


def test_a_node_whose_stream_breaks_when_it_has_been_silent_for_long_still_has_the_grace_of_the_probe() -> None:
    late = Beat(heard=100, broken=104.9)
    assert [standing(late, at) for at in (104.9, 105, 105.8, 105.9)] == [ALIVE, SUSPECT, SUSPECT, DOWN]


def test_one_probe_is_wanted_of_a_suspect_with_a_stream() -> None:
    silent = Beat(heard=100)
    assert judge(silent, 105, USUAL).probe
    probed = dataclasses.replace(silent, probed=105.0)
    assert not judge(probed, 105.5, USUAL).probe
    assert not judge(silent, 104, USUAL).probe
    assert not judge(Beat(heard=100, broken=101), 105, USUAL).probe, "nobody is there to be asked"


def test_the_grace_counts_from_the_probe() -> None:
    probed = Beat(heard=100, probed=105.7)
    assert [standing(probed, at) for at in (106.2, 106.6, 106.8)] == [SUSPECT, SUSPECT, DOWN]


def test_a_probe_of_an_earlier_suspicion_counts_for_nothing() -> None:
    again = Beat(heard=200, probed=105.0)
    assert judge(again, 205, USUAL).probe
    assert standing(again, 206) == DOWN


def test_a_sign_of_life_makes_a_suspect_alive() -> None:
    suspect = Beat(heard=100, probed=105.0)
    assert standing(dataclasses.replace(suspect, heard=105.2), 105.2) == ALIVE


def test_a_node_that_restarts_has_its_own_grace_though_it_is_silent_and_its_stream_is_broken() -> None:
    away = Beat(heard=100, broken=100, restarting_until=160)
    assert [standing(away, at) for at in (100, 130, 159)] == [RESTARTING] * 3
    assert standing(away, 160) == DOWN


def test_a_node_that_said_it_restarts_and_did_not_is_alive_when_the_grace_is_over() -> None:
    assert standing(Beat(heard=159, restarting_until=160), 160) == ALIVE


@pytest.mark.parametrize("broken", [None, 100.0])
def test_an_agent_that_answers_no_pings_is_judged_by_three_heartbeats(broken: float | None) -> None:
    old = Beat(heard=100, broken=broken, pinged=False)
    assert [standing(old, at) for at in (100, 114.9, 115)] == [ALIVE, ALIVE, DOWN]


@given(
    heard=st.floats(0, 100),
    broken=st.none() | st.floats(0, 100),
    probed=st.none() | st.floats(0, 100),
    pinged=st.booleans(),
    at=st.floats(100, 300),
)
def test_waking_at_the_times_that_are_given_misses_nothing(
    heard: float, broken: float | None, probed: float | None, pinged: bool, at: float
) -> None:
    beat = Beat(heard, broken, probed, None, pinged)
    now, seen = 100.0, [judge(beat, 100.0, USUAL)]
    while (wake := seen[-1].wake_at) is not None and wake <= at:
        assert wake > now
        now = wake
        seen.append(judge(beat, now, USUAL))
    assert judge(beat, at, USUAL).standing == seen[-1].standing
    order = [ALIVE, SUSPECT, DOWN]
    steps = [order.index(verdict.standing) for verdict in seen]
    assert steps == sorted(steps), "without a sign of life it gets only worse"


@given(heard=st.floats(0, 100), lost=st.floats(0, 3), back=st.floats(0, 2))
def test_a_node_is_never_down_within_the_silence(heard: float, lost: float, back: float) -> None:
    """A blip of three seconds moves nothing, with or without a broken stream."""
    for broken in (None, heard + lost):
        assert standing(Beat(heard=heard, broken=broken), heard + lost + min(back, 1.9)) != DOWN


def given_tuning(nodes: int = 3, **dispatcher: Any) -> Tuning:
    return tuning(cluster(Dispatcher=dispatcher), nodes)


def test_the_usual_patience() -> None:
    assert tuning(None, 0) == given_tuning(0) == USUAL
    assert BLINK < USUAL.probe < USUAL.silence


@pytest.mark.parametrize(("nodes", "ping", "silence"), [(1000, 1, 5), (1500, 1.5, 5), (5000, 5, 15)])
def test_many_nodes_are_pinged_less_often_and_then_silence_takes_longer(
    nodes: int, ping: float, silence: float
) -> None:
    found = given_tuning(nodes)
    assert (found.ping, found.silence) == (ping, silence)


def test_everything_can_be_tuned() -> None:
    found = given_tuning(
        PingPeriod=SECOND // 10, Silence=2 * SECOND, ProbeGrace=SECOND // 2, RestartGrace=9 * SECOND, HeartbeatPeriod=0
    )
    assert (found.ping, found.silence, found.probe, found.restart) == (0.1, 2, 0.5, 9)


def test_zero_means_the_usual() -> None:
    assert given_tuning(PingPeriod=0, Silence=0, ProbeGrace=0, RestartGrace=0) == given_tuning()


def test_the_silence_follows_the_heartbeats_unless_it_is_set() -> None:
    assert given_tuning(HeartbeatPeriod=30 * SECOND).silence == 30
    assert given_tuning(HeartbeatPeriod=30 * SECOND, Silence=4 * SECOND).silence == 4


def test_a_ping_is_never_due_again_at_once() -> None:
    assert given_tuning(PingPeriod=1).ping == 0.1


def test_no_node_is_judged_before_three_pings_are_missed() -> None:
    assert given_tuning(Silence=SECOND).silence == 3
    assert given_tuning(HeartbeatPeriod=SECOND).silence == 3


def test_nodes_find_a_new_leader_within_the_patience_for_a_silent_one_and_more_when_they_are_many() -> None:
    assert given_tuning(6).report == pytest.approx(6.024)
    assert given_tuning(1000).report == pytest.approx(10)


def test_an_answer_to_a_probe_has_time_to_travel() -> None:
    assert given_tuning(ProbeGrace=1).probe == 0.5
