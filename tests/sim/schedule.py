# SPDX-License-Identifier: Apache-2.0
"""Schedules of faults: what goes wrong, in which order, while clients read and write. A seed says all of it.

A plan is a list of steps that hypothesis can shrink; ``plan_of`` makes one from a seed alone. ``play`` carries it out
and ends with everything well, when the group must find together again.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from sim.clock import Clock, virtual
from sim.cluster import Cluster
from sim.network import FAIR, GUSTS, STORM

REGISTERS = ("x", "y")
MOST_MEMBERS = 7


class Step(NamedTuple):
    """One fault: what, to whom (an index among the members), and how long or how much, 0 to 99."""

    what: str
    who: int
    size: int


def play(
    seed: int, plan: Sequence[Step], names: str = "abc", *, end: Callable[[Cluster], None] | None = None
) -> Cluster:
    """Carry out a plan. An error tells the seed, the plan and what happened last."""
    directory = Path(tempfile.mkdtemp(prefix="qrsim"))
    clock = Clock()
    cluster = None
    try:
        with virtual(clock, random.Random(seed)):
            cluster = Cluster(directory, clock, seed, names)
            cluster.until(cluster.leader, what="a first leader")
            for step in plan:
                cluster.note(f"-- {step.what} {step.who} {step.size}")
                FAULTS[step.what](cluster, step)
                busy(cluster, 0.1 + step.size / 100)
            cluster.settle()
        return cluster
    except BaseException as error:
        error.add_note(f"seed {seed}, members {names!r}, plan {[tuple(step) for step in plan]}")
        if cluster is not None:
            error.add_note("what happened last:\n  " + "\n  ".join(cluster.judge.trace))
        raise
    finally:
        if cluster is not None:
            cluster.close()
        shutil.rmtree(directory, ignore_errors=True)


def plan_of(seed: int, length: int = 14) -> tuple[list[Step], str]:
    """The plan that a seed stands for, and the members it begins with."""
    dice = random.Random(seed * 7919 + 1)
    names = dice.choice(["abc", "abc", "abcde", "ab", "a", "abcd"])
    kinds = [*FAULTS, *3 * ["start all", "heal"], *2 * ["wait", "burst", "join"]]
    return [Step(dice.choice(kinds), dice.randrange(10), dice.randrange(100)) for _ in range(length)], names


def busy(cluster: Cluster, seconds: float) -> None:
    """Let time pass while clients ask: mostly the leader, sometimes anybody."""
    end = cluster.clock.now + seconds
    while cluster.clock.now < end:
        leader = cluster.leader()
        for _ in range(cluster.dice.randrange(3)):
            anyone = cluster.dice.choice(sorted(cluster.members))
            name = leader.name if leader is not None and cluster.dice.random() < 0.7 else anyone
            key = cluster.dice.choice(REGISTERS)
            if cluster.dice.random() < 0.5:
                cluster.write(name, key)
            else:
                cluster.read(name, key)
        cluster.run(min(cluster.dice.uniform(0.01, 0.1), max(0.0, end - cluster.clock.now)))


# -- faults


def _name(cluster: Cluster, step: Step) -> str:
    """Who is meant; 9 is the leader."""
    leader = cluster.leader()
    if step.who == 9 and leader is not None:
        return leader.name
    names = sorted(cluster.members)
    return names[step.who % len(names)]


def _nothing(cluster: Cluster, step: Step) -> None:
    pass


def _kill(cluster: Cluster, step: Step) -> None:
    cluster.kill(_name(cluster, step))


def _kill_all(cluster: Cluster, step: Step) -> None:
    for name in cluster.members:
        cluster.kill(name)
    cluster.run(step.size / 100)
    _start_all(cluster, step)


def _start_all(cluster: Cluster, step: Step) -> None:
    for name in cluster.members:
        cluster.start(name)


def _cut_power(cluster: Cluster, step: Step) -> None:
    """In the middle of one of the next operations on disk."""
    cluster.members[_name(cluster, step)].disk.cut_after = 1 + step.size % 40


def _cut_everywhere(cluster: Cluster, step: Step) -> None:
    for number, name in enumerate(sorted(cluster.members)):
        cluster.members[name].disk.cut_after = 1 + (step.size + 7 * number) % 40


def _start(cluster: Cluster, step: Step) -> None:
    down = sorted(name for name, member in cluster.members.items() if not member.up)
    if down:
        cluster.start(down[step.who % len(down)])


def _pause(cluster: Cluster, step: Step) -> None:
    cluster.pause(_name(cluster, step), step.size / 15)


def _isolate(cluster: Cluster, step: Step) -> None:
    name = _name(cluster, step)
    cluster.network.split({name}, set(cluster.members) - {name})


def _split(cluster: Cluster, step: Step) -> None:
    names = sorted(cluster.members)
    cluster.dice.shuffle(names)
    place = 1 + step.who % max(1, len(names) - 1)
    cluster.network.split(set(names[:place]), set(names[place:]))


def _one_way(cluster: Cluster, step: Step) -> None:
    """Others hear nothing of one that hears them."""
    name = _name(cluster, step)
    for other in cluster.members:
        cluster.network.cut(name, other)


def _bridge(cluster: Cluster, step: Step) -> None:
    """Two members do not reach each other, everybody else reaches both."""
    names = sorted(cluster.members)
    one, other = names[step.who % len(names)], names[(step.who + 1 + step.size) % len(names)]
    cluster.network.cut(one, other)
    cluster.network.cut(other, one)


def _heal(cluster: Cluster, step: Step) -> None:
    cluster.network.heal()


def _weather(cluster: Cluster, step: Step) -> None:
    cluster.network.weather = (FAIR, GUSTS, STORM)[step.size % 3]


def _full_disk(cluster: Cluster, step: Step) -> None:
    member = cluster.members[_name(cluster, step)]
    member.disk.full = not member.disk.full


def _burst(cluster: Cluster, step: Step) -> None:
    leader = cluster.leader()
    for _ in range(step.size):
        cluster.write(leader.name if leader is not None else _name(cluster, step), cluster.dice.choice(REGISTERS))


def _transfer(cluster: Cluster, step: Step) -> None:
    cluster.transfer()


def _join(cluster: Cluster, step: Step) -> None:
    if len(cluster.members) < MOST_MEMBERS:
        name = f"n{len(cluster.members)}"
        cluster.add(name)
        cluster.join(name)


def _join_again(cluster: Cluster, step: Step) -> None:
    """Ask once more for one that is running and no member."""
    leader = cluster.leader()
    if leader is not None:
        members = {member.id for member in leader.wal.config.members}
        for name in sorted(set(cluster.members) - members)[:1]:
            if cluster.members[name].wal.base.members == ():
                cluster.join(name)


def _remove(cluster: Cluster, step: Step) -> None:
    cluster.remove(_name(cluster, step))


def _snapshot(cluster: Cluster, step: Step) -> None:
    member = cluster.members[_name(cluster, step)]
    if member.up:
        member.begin_snapshot(at_once=True)


def _fenced(cluster: Cluster, step: Step) -> None:
    """A write that only the leader of an earlier or a later term might take."""
    leader = cluster.leader()
    if leader is not None:
        cluster.write(leader.name, "x", leader.replica.status().term + (1 if step.size % 2 else -1))


FAULTS: dict[str, Callable[[Cluster, Step], None]] = {
    "wait": _nothing,
    "kill": _kill,
    "kill all": _kill_all,
    "cut power": _cut_power,
    "cut power everywhere": _cut_everywhere,
    "start": _start,
    "start all": _start_all,
    "pause": _pause,
    "isolate": _isolate,
    "split": _split,
    "one way": _one_way,
    "bridge": _bridge,
    "heal": _heal,
    "weather": _weather,
    "full disk": _full_disk,
    "burst": _burst,
    "transfer": _transfer,
    "join": _join,
    "join again": _join_again,
    "remove": _remove,
    "snapshot": _snapshot,
    "fenced": _fenced,
}
