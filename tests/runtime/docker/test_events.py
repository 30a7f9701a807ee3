# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from queenright.decide.task_step import Health, Phase, Seen
from queenright.edge.docker.containers import Event, Watched, read_inspect
from queenright.edge.docker.events import OVERLAP, REMEMBERED, Recent, read_event
from queenright.spec.service import Port


def raw(action: str, at: int = 5, **attributes: str) -> dict[str, Any]:
    return {"Type": "container", "Action": action, "Actor": {"ID": "c1", "Attributes": attributes}, "timeNano": at}


def inspected(status: str = "running", **state: Any) -> dict[str, Any]:
    return {
        "Id": "c1",
        "State": {"Status": status, "Pid": 7, "ExitCode": 0} | state,
        "Config": {"StopSignal": "SIGQUIT"},
        "NetworkSettings": {"Ports": {}},
    }


EVENTS = [
    (raw("die", exitCode="137"), Event("c1", "die", "137", 5)),
    (raw("destroy"), Event("c1", "destroy", "", 5)),
    (raw("oom"), Event("c1", "oom", "", 5)),
    (raw("health_status: healthy"), Event("c1", "health_status", "healthy", 5)),
    (raw("health_status: unhealthy"), Event("c1", "health_status", "unhealthy", 5)),
    (raw("start"), None),
    (raw("exec_create: sh -c true"), None),
    ({"Action": "die"}, None),
    ({}, None),
]


@pytest.mark.parametrize(("given", "expected"), EVENTS)
def test_events_that_matter_are_read_and_others_are_passed_over(given: dict[str, Any], expected: Event | None) -> None:
    assert read_event(given) == expected


def test_an_event_that_was_overtaken_by_a_later_one_is_not_taken_for_an_old_one() -> None:
    recent = Recent(now=1_000)
    later, earlier = Event("a", "die", "1", 3_000), Event("b", "die", "1", 2_000)
    assert recent.is_new(later) and recent.is_new(earlier)
    assert not recent.is_new(later) and not recent.is_new(earlier)


def test_a_new_stream_begins_before_the_newest_event_that_was_had() -> None:
    recent = Recent(now=5 * 10**9)
    assert recent.since == "4.000000000"
    recent.is_new(Event("a", "die", "1", 7 * 10**9 + 5))
    recent.is_new(Event("b", "die", "1", 6 * 10**9))
    assert recent.since == "6.000000005"


def test_only_events_that_can_come_again_are_remembered() -> None:
    recent = Recent(now=0)
    for number in range(3 * REMEMBERED):
        assert recent.is_new(Event("c", "die", "1", number * OVERLAP))
    assert len(recent._had) <= REMEMBERED + 1
    assert not recent.is_new(Event("c", "die", "1", (3 * REMEMBERED - 1) * OVERLAP))


def test_an_exit_is_seen_with_its_code_and_stays_whatever_is_answered_later() -> None:
    watched = Watched("c1")
    watched.take_created()
    watched.take_event(Event("c1", "die", "3", 1))
    assert (watched.seen.phase, watched.seen.exit_code) == (Phase.EXITED, 3)
    watched.take_answer(inspected("running"), 0)
    assert (watched.seen.phase, watched.seen.exit_code) == (Phase.EXITED, 3)
    watched.take_event(Event("c1", "die", "3", 1))
    assert watched.seen.exit_code == 3


def test_a_container_that_is_gone_stays_gone() -> None:
    watched = Watched("c1")
    watched.take_answer(inspected("running"), 0)
    watched.take_event(Event("c1", "destroy", "", 2))
    watched.take_answer(inspected("exited"), 0)
    watched.take_event(Event("c1", "die", "1", 3))
    assert watched.seen.phase == Phase.ABSENT


def test_a_probes_word_by_event_is_newer_than_an_answer_that_was_asked_for_before_it() -> None:
    watched = Watched("c1")
    watched.take_created()
    before = watched.events
    watched.take_event(Event("c1", "health_status", "healthy", 2))
    watched.take_answer(inspected("running", Health={"Status": "starting"}), before)
    assert watched.seen.health == Health.HEALTHY
    watched.take_answer(inspected("running", Health={"Status": "unhealthy"}), watched.events)
    assert watched.seen.health == Health.UNHEALTHY


def test_an_end_for_want_of_memory_is_remembered_from_its_event() -> None:
    watched = Watched("c1")
    watched.take_answer(inspected("running"), 0)
    watched.take_event(Event("c1", "oom", "", 1))
    watched.take_event(Event("c1", "die", "137", 2))
    assert watched.seen.out_of_memory and watched.seen.pid == 7


async def test_all_who_wait_for_news_get_them() -> None:
    watched = Watched("c1")
    waiters = [asyncio.create_task(watched.differs(watched.seen)) for _ in range(3)]
    await asyncio.sleep(0)
    watched.take_event(Event("c1", "die", "1", 1))
    assert {seen.phase for seen in await asyncio.gather(*waiters)} == {Phase.EXITED}


STATES = [
    ("created", Phase.CREATED),
    ("running", Phase.RUNNING),
    ("paused", Phase.RUNNING),
    ("restarting", Phase.RUNNING),
    ("removing", Phase.EXITED),
    ("exited", Phase.EXITED),
    ("dead", Phase.EXITED),
]


@pytest.mark.parametrize(("status", "phase"), STATES)
def test_every_state_of_the_engine_is_a_phase(status: str, phase: Phase) -> None:
    assert read_inspect(inspected(status)).phase == phase


def test_health_counts_only_while_the_container_runs() -> None:
    health = {"Status": "unhealthy"}
    assert read_inspect(inspected("running", Health=health)).health == Health.UNHEALTHY
    assert read_inspect(inspected("exited", Health=health)).health == Health.NONE
    assert read_inspect(inspected("running", Health={"Status": "none"})).health == Health.NONE


def test_ports_of_both_address_families_are_one_and_unbound_ones_are_none() -> None:
    answer = inspected() | {
        "NetworkSettings": {
            "Ports": {
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
                "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}],
                "9/tcp": None,
            }
        }
    }
    assert read_inspect(answer).ports == (
        Port(target_port=53, published_port=49153, protocol="udp", mode="host"),
        Port(target_port=80, published_port=8080, protocol="tcp", mode="host"),
    )


def test_what_is_seen_can_be_compared_as_a_whole() -> None:
    seen = read_inspect(inspected())
    assert seen == Seen(phase=Phase.RUNNING, container_id="c1", pid=7)
    assert seen != dataclasses.replace(seen, pid=8)
