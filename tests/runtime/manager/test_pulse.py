# SPDX-License-Identifier: Apache-2.0
"""Pings go out in turn, what comes back is noted, and a pause of the manager's own is forgiven."""

from __future__ import annotations

import asyncio

import pytest

from queenright.decide.liveness import Beat, Standing, judge
from queenright.manager.pulse import TICK, Pulse
from queenright.model.changes import Batch, Create
from queenright.model.objects import Cluster, Node
from queenright.spec.cluster import DispatcherSpec, SwarmSpec
from queenright.store.store import Store


class Scene:
    """A pulse whose clock stands; ``asked`` are the pings."""

    def __init__(self, nodes: int = 2, **dispatcher: int) -> None:
        self.now = 100.0
        self.store = Store()
        spec = SwarmSpec(dispatcher=DispatcherSpec(**dispatcher))
        made = [Create(Node(id=f"n{number}")) for number in range(1, nodes + 1)]
        self.store.apply(1, Batch(1, (Create(Cluster(id="c", spec=spec)), *made)))
        self.asked: list[str] = []
        self.pokes = 0
        self.pulse = Pulse(self.store, self, self.asked.append, self.poked)
        self.pulse.begin()

    def wall(self) -> int:
        return int(self.now * 1e9)

    def mono(self) -> float:
        return self.now

    def poked(self) -> None:
        self.pokes += 1

    def pass_time(self, seconds: float) -> None:
        """Tick by tick."""
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now = min(end, self.now + TICK)
            self.pulse.tick()

    def beat(self, node_id: str = "n1") -> Beat:
        return self.pulse.beats()[node_id]

    def standing(self, node_id: str = "n1") -> Standing:
        return judge(self.beat(node_id), self.now, self.pulse.tuning).standing


def test_every_node_with_a_session_is_pinged_each_period() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.pass_time(0.5)
    scene.pulse.opened("n2", True)
    scene.pass_time(3.55)
    assert (scene.asked.count("n1"), scene.asked.count("n2")) == (4, 3)


def test_a_thousand_nodes_are_not_pinged_at_the_same_moment() -> None:
    scene = Scene(3000)
    for number in range(1, 301):
        scene.pulse.opened(f"n{number}", True)
        scene.now += 0.01
    scene.asked.clear()
    scene.pass_time(3.0)
    assert 295 <= len(scene.asked) <= 305, "a thousandth of a second for each node"


def test_a_new_session_does_not_double_the_pings() -> None:
    scene = Scene()
    for _ in range(3):
        scene.pulse.opened("n1", True)
    scene.pass_time(2.05)
    assert scene.asked == ["n1", "n1"]


def test_who_has_no_stream_or_answers_no_pings_is_not_pinged() -> None:
    scene = Scene(3)
    scene.pulse.opened("n1", True)
    scene.pulse.opened("n2", False)
    scene.pulse.opened("n3", True)
    scene.pulse.broke("n1")
    scene.pulse.forget("n3")
    scene.pass_time(3)
    assert scene.asked == []
    scene.pulse.opened("n1", True)
    scene.pass_time(1.05)
    assert scene.asked == ["n1"]


def test_a_suspect_is_probed_at_once_and_only_once() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.pass_time(0.7)
    scene.pulse.heard("n1")  # out of step with the pings
    scene.pass_time(4.95)
    assert scene.beat().probed is None
    scene.asked.clear()
    scene.pass_time(0.2)
    assert scene.asked == ["n1"]
    probed = scene.beat().probed
    assert probed == pytest.approx(105.75, abs=2 * TICK)
    scene.pass_time(0.5)
    assert scene.beat().probed == probed
    assert scene.standing() == Standing.SUSPECT
    scene.pass_time(0.6)
    assert scene.standing() == Standing.DOWN


def test_an_answer_to_the_probe_saves_the_node() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.pass_time(5.5)
    assert scene.standing() == Standing.SUSPECT
    scene.pulse.heard("n1")
    scene.pass_time(4)
    assert scene.standing() == Standing.ALIVE


def test_the_decider_is_poked_when_a_node_may_be_judged_earlier() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    pokes = scene.pokes
    scene.pulse.heard("n1")
    assert scene.pokes == pokes, "a later judgement can wait"
    scene.pulse.broke("n1")
    assert scene.pokes == pokes + 1
    scene.pulse.broke("n1")
    assert scene.pokes == pokes + 1
    scene.pulse.restarting("n1")
    assert scene.pokes == pokes + 2


def test_a_node_at_the_door_lives_though_it_has_no_session_yet() -> None:
    scene = Scene()
    scene.pulse.knocked("n1")
    assert scene.beat() == Beat(heard=100, broken=100)
    scene.pass_time(3)
    scene.pulse.knocked("n1")
    assert scene.beat() == Beat(heard=scene.now, broken=100)
    scene.pulse.opened("n1", True)
    assert scene.beat() == Beat(heard=scene.now)


def test_pongs_do_not_take_back_the_word_of_a_node_that_restarts() -> None:
    scene = Scene(restart_grace=9 * 10**9)
    scene.pulse.opened("n1", True)
    assert scene.pulse.restarting("n1") == 9 * 10**9
    scene.pulse.heard("n1")
    scene.pulse.broke("n1")
    scene.pass_time(8)
    assert scene.standing() == Standing.RESTARTING
    scene.pulse.opened("n1", True)
    assert scene.standing() == Standing.ALIVE


def test_what_nobody_knows_is_not_made_up() -> None:
    scene = Scene()
    for say in (scene.pulse.heard, scene.pulse.broke, scene.pulse.restarting, scene.pulse.forget):
        say("stranger")
    assert scene.pulse.beats() == {}


@pytest.mark.parametrize(("pause", "forgiven"), [(0.7, False), (4.0, True), (100.0, True)])
def test_a_standstill_of_the_manager_counts_against_no_node(pause: float, forgiven: bool) -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.pulse.opened("n2", True)
    scene.pass_time(4.5)
    scene.pulse.broke("n2")
    began = scene.pulse.since
    scene.now += pause
    after = {node_id: scene.standing(node_id) for node_id in ("n1", "n2")}
    assert scene.pulse.since == pytest.approx(began + (pause if forgiven else 0))
    expected = Standing.ALIVE if forgiven else Standing.SUSPECT
    assert after == {"n1": expected, "n2": expected}
    scene.pass_time(0.6)
    assert scene.standing("n1") == Standing.SUSPECT, "the silence before the standstill still counts"
    scene.pass_time(1.2)
    assert scene.standing("n1") == Standing.DOWN


def test_nobody_was_heard_later_than_now_though_a_standstill_is_forgiven() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.now += 10
    scene.pulse.opened("n2", True)
    assert scene.beat("n2") == Beat(heard=110)
    assert scene.beat("n1") == Beat(heard=110)
    assert scene.pulse.since == 110


def test_a_dead_node_is_down_though_the_manager_stands_still_again_and_again() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    stalls = 0
    while scene.standing() != Standing.DOWN:
        scene.pass_time(2.8)
        scene.now += 1.2
        stalls += 1
        assert stalls <= 3, "only the standstills themselves are forgiven"


@pytest.mark.parametrize(
    ("silence", "probe_grace", "ping_period"), [(1.0, 0.1, 0.3), (0.3, 0.1, 0.1), (5.0, 1.0, 1.0), (5.0, 0.1, 1.0)]
)
def test_no_standstill_downs_a_node_that_was_not_asked_after_it(
    silence: float, probe_grace: float, ping_period: float
) -> None:
    tuned = {"silence": silence, "probe_grace": probe_grace, "ping_period": ping_period}
    for tenths in range(1, 31):
        scene = Scene(**{name: int(seconds * 10**9) for name, seconds in tuned.items()})
        scene.pulse.opened("n1", True)
        scene.pass_time(scene.pulse.tuning.silence - TICK)
        scene.now += tenths / 10
        assert scene.standing() != Standing.DOWN, f"a standstill of {tenths / 10} s"


def test_a_suspect_stays_suspect_through_a_standstill_and_is_not_probed_twice() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.pass_time(5.3)
    assert scene.standing() == Standing.SUSPECT
    scene.asked.clear()
    scene.now += 3
    assert scene.standing() == Standing.SUSPECT
    scene.pass_time(0.3)
    assert (scene.standing(), scene.asked) == (Standing.SUSPECT, ["n1"]), "its turn, and no other probe"
    scene.pass_time(0.8)
    assert scene.standing() == Standing.DOWN


def test_a_standstill_does_not_shorten_a_restart() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.pulse.restarting("n1")
    scene.now += 10
    assert scene.beat().restarting_until == 160


def test_a_leadership_begins_with_nothing_of_the_one_before() -> None:
    scene = Scene()
    scene.pulse.opened("n1", True)
    scene.now += 50
    scene.pulse.begin()
    assert (scene.pulse.beats(), scene.pulse.since) == ({}, 150)
    scene.pass_time(3)
    assert scene.asked == []


async def test_it_ticks_by_itself() -> None:
    scene = Scene(ping_period=1)
    scene.pulse.opened("n1", True)
    running = asyncio.create_task(scene.pulse.run())
    async with asyncio.timeout(30):
        while len(scene.asked) < 2:
            scene.now += 0.01
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
