# SPDX-License-Identifier: Apache-2.0
"""Is a node alive? A state machine over what was heard of it; time is an argument.

A node that was silent for too long, or whose session stream broke, is suspect: it gets no new tasks, and is asked for
a sign of life once more. If none comes it is down. A stream that breaks says that an agent is gone, not that its host
is: a daemon that crashed is back within seconds and finds its containers, so such a node has the whole silence to
return. An agent that says that it restarts has a longer grace. Agents that answer no pings (of an earlier release) are
judged by their heartbeats alone.

All times here are seconds of the monotonic clock.
"""

from __future__ import annotations

import dataclasses
import enum

from queenright.decide import defaults
from queenright.decide.base import SECOND
from queenright.model.objects import Cluster

PING = 1.0
LEAST_PING = 0.1
NODES_PER_SECOND = 1000.0  # pings that a manager sends and takes in a second
PROBE_GRACE = 1.0
LEAST_PROBE = 0.5  # for a ping and its answer, and for a manager that looks late
RESTART_GRACE = 60.0
MISSED = 3  # heartbeats, or pings, without which no node is judged
BLINK = 0.25  # a stream that is opened again within this time is nobody's concern
REPORTS_PER_SECOND = 250.0  # sessions that a new leader opens in a second, at least
JOINING = 30.0  # for the first session of a node that has only just joined


@dataclasses.dataclass(frozen=True, slots=True)
class Beat:
    """What this manager knows of a node that has spoken to it.

    ``heard``: its last sign of life. ``broken``: since when it has no session stream. ``probed``: when it was last
    asked although it was suspect. ``restarting_until``: it said that it goes away for a moment. ``pinged``: it answers
    pings.
    """

    heard: float
    broken: float | None = None
    probed: float | None = None
    restarting_until: float | None = None
    pinged: bool = True


@dataclasses.dataclass(frozen=True, slots=True)
class Tuning:
    """How patient a swarm is, in seconds; made by :func:`tuning`.

    ``ping``: between two pings of a session. ``silence``: after it a node is suspect. ``probe``: for its answer to the
    probe. ``restart``: for an agent that restarts. ``heartbeat``: between two heartbeats of agents that are not pinged.
    ``report``: for nodes to find a new leader.
    """

    ping: float = PING
    silence: float = 5.0
    probe: float = PROBE_GRACE
    restart: float = RESTART_GRACE
    heartbeat: float = 5.0
    report: float = 6.0


class Standing(enum.Enum):
    """What a node's beat says of it."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    RESTARTING = "restarting"
    DOWN = "down"


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """``wake_at``: when it may be another one if nothing is heard. ``probe``: the node should be asked now."""

    standing: Standing
    wake_at: float | None = None
    probe: bool = False


def tuning(cluster: Cluster | None, nodes: int) -> Tuning:
    """What the swarm's settings mean for this many nodes.

    Many nodes are pinged less often, and then a longer silence says no more than a short one among few. Who asked for
    other heartbeats than usual wants as much patience, unless the silence is set too.
    """
    heartbeat = defaults.heartbeat_period(cluster) / SECOND
    own = cluster.spec.dispatcher if cluster is not None else None
    asked = _seconds(own.ping_period if own else None)
    ping = max(LEAST_PING, asked) if asked else max(PING, nodes / NODES_PER_SECOND)
    silence = max(_seconds(own.silence if own else None) or heartbeat, MISSED * ping)
    probe = max(LEAST_PROBE, _seconds(own.probe_grace if own else None) or PROBE_GRACE)
    return Tuning(
        ping=ping,
        silence=silence,
        probe=probe,
        restart=_seconds(own.restart_grace if own else None) or RESTART_GRACE,
        heartbeat=heartbeat,
        report=silence + probe + nodes / REPORTS_PER_SECOND,
    )


def judge(beat: Beat, now: float, tuning: Tuning) -> Verdict:
    """Where a node stands now, and when to ask again."""
    if beat.restarting_until is not None and now < beat.restarting_until:
        return Verdict(Standing.RESTARTING, beat.restarting_until)
    if not beat.pinged:
        down_at = beat.heard + MISSED * tuning.heartbeat
        return Verdict(Standing.DOWN) if now >= down_at else Verdict(Standing.ALIVE, down_at)
    suspect_at, down_at = _limits(beat, tuning)
    if now < suspect_at:
        return Verdict(Standing.ALIVE, suspect_at)
    if now >= down_at:
        return Verdict(Standing.DOWN)
    probe = beat.broken is None and (beat.probed is None or beat.probed < suspect_at)
    return Verdict(Standing.SUSPECT, down_at, probe)


def _limits(beat: Beat, tuning: Tuning) -> tuple[float, float]:
    """When a node is suspect, and when it is down."""
    silent_at = beat.heard + tuning.silence
    if beat.broken is not None:
        suspect_at = min(silent_at, beat.broken + BLINK)
        return suspect_at, max(silent_at, beat.broken + tuning.probe)
    asked_at = silent_at if beat.probed is None else max(silent_at, beat.probed)
    return silent_at, asked_at + tuning.probe


def _seconds(nanoseconds: int | None) -> float:
    return (nanoseconds or 0) / SECOND
