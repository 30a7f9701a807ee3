# SPDX-License-Identifier: Apache-2.0
"""What an update waits for, in words."""

from __future__ import annotations

from typing import Any

from laws.builders import SECOND, job, network, node, spec
from laws.world import START, Behaviour, World

from queenright.decide.convergence import convergence
from queenright.decide.narrate import clock, waiting_for
from queenright.model.changes import Create


def updating(replicas: int | None = 3, **config: Any) -> World:
    """``web`` runs image 1 for a second; image 2 needs two seconds to start."""
    made = World(node("h1"), node("h2"), node("h3"))
    made.behaviours["app:2"] = Behaviour(starts=2)
    made.create(spec("web", replicas, UpdateConfig=config))
    made.advance(1)
    made.update(spec("web", replicas, "app:2", UpdateConfig=config))
    made.settle()
    return made


def words(made: World, name: str = "web") -> str:
    return waiting_for(made.store, made.service(name), made.now)


def after(seconds: float) -> str:
    """The time of the day so many seconds after the update began."""
    return clock(START + round((1 + seconds) * SECOND))


def test_a_task_that_starts_is_named_with_its_node_and_its_time() -> None:
    made = updating(Timeout=60 * SECOND)
    assert words(made) == f"0 of 3 tasks updated; waits for web.1 on node h1 (starting), until {after(60)} at most"


def test_without_a_timeout_no_time_is_promised() -> None:
    assert words(updating(Timeout=0)) == "0 of 3 tasks updated; waits for web.1 on node h1 (starting)"


def test_a_gate_on_the_monitor_time_says_until_when_it_watches() -> None:
    made = updating(Gate="monitor", Monitor=10 * SECOND)
    made.advance(3)
    assert words(made) == f"1 of 3 tasks updated; watches web.1 on node h1 until {after(12)}"


def test_a_delay_is_told_as_one() -> None:
    made = updating(Delay=20 * SECOND)
    made.advance(3)
    assert words(made) == f"1 of 3 tasks updated; the next follows at {after(22)}, after the delay"


def test_the_end_of_an_update_waits_for_the_last_to_have_passed() -> None:
    made = updating(Parallelism=0, Monitor=30 * SECOND)
    made.advance(3)
    named = "web.1 on node h1, web.2 on node h2 and web.3 on node h3"
    assert words(made) == f"3 of 3 tasks updated; watches {named} until {after(32)}"
    made.advance(30)
    assert words(made) == ""


def test_of_many_tasks_the_first_are_named() -> None:
    made = updating(6, Parallelism=0, Timeout=0)
    assert words(made).endswith("web.3 on node h3 (starting) and 3 more")


def test_what_finds_no_node_says_why() -> None:
    made = World(node("h1"))
    made.create(spec("web", 2, UpdateConfig={"Timeout": 0}))
    made.advance(1)
    made.update(
        spec("web", 2, task={"Placement": {"Constraints": ["node.labels.a == b"]}}, UpdateConfig={"Timeout": 0})
    )
    made.settle()
    assert words(made) == (
        "0 of 2 tasks updated; waits for web.1 (no suitable node (scheduling constraints not satisfied on 1 node))"
    )


def test_what_finds_no_address_says_why() -> None:
    made = World(node("h1"), laws=False)
    made.do(Create(network("tiny", "10.9.0.0/29")))
    made.create(spec("hog", 2, networks=["tiny"]))
    made.create(spec("web", 1, UpdateConfig={"Timeout": 0}))
    made.advance(1)
    made.update(spec("web", 1, networks=["tiny"], UpdateConfig={"Timeout": 0}))
    made.settle()
    error = "network tiny (10.9.0.0/29) has no free address: 4 of 4 in use"
    assert words(made) == f"0 of 1 tasks updated; waits for web.1 ({error})"
    assert convergence(made.store, made.service("web"), made.now).reasons == (f"task web.1: {error}",)


def test_a_task_that_waits_for_another_to_stop_says_so() -> None:
    made = World(node("h1"))
    made.behaviours["app:1"] = Behaviour(stops=30)
    made.create(spec("web", 1))
    made.advance(1)
    made.update(spec("web", 1, "app:2", UpdateConfig={"Timeout": 0}))
    made.settle()
    assert words(made) == (
        "0 of 1 tasks updated; waits for web.1 on node h1 (starts when the task before it, now running, has stopped)"
    )


def test_a_global_service_names_its_nodes() -> None:
    assert words(updating(None, Timeout=0)) == "0 of 3 tasks updated; waits for web.h1 (starting)"


def test_a_paused_update_says_how_many_were_left_alone() -> None:
    made = updating(Gate="monitor")
    made.behaviours["app:2"] = Behaviour(lives=1)
    made.advance(60)
    assert words(made).startswith("2 of 3 tasks were left as they are; update the service again to go on")


def test_failures_that_are_borne_are_counted() -> None:
    made = updating(FailureAction="continue", Delay=30 * SECOND)
    made.behaviours["app:2"] = Behaviour(lives=1)
    made.advance(4)
    assert words(made).endswith("1 failed, which is borne")


def test_a_rollback_is_told_like_an_update() -> None:
    made = updating(Parallelism=0)
    made.advance(30)
    made.behaviours["app:1"] = Behaviour(starts=5)
    made.rollback("web")
    made.settle()
    assert words(made).startswith("0 of 3 tasks updated; waits for web.1 on node h1 (starting), until ")


def test_there_is_nothing_to_say_of_a_service_at_rest_or_of_a_job() -> None:
    made = World(node("h1"))
    made.create(spec("web", 2))
    made.create(job(total=2))
    made.update(job(total=3))
    made.settle()
    assert words(made) == words(made, "job") == ""
