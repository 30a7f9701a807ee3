# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills and stops members of a group under load, and counts what became of the writes that were acknowledged."""

from __future__ import annotations

import json
import pathlib
import signal
import threading
import time
from collections.abc import Callable

import grpc

from benchmarks._lib.figures import Figures
from benchmarks._lib.raft_group import Group, Member, formed
from benchmarks._lib.sandbox import BenchError

WORKERS = 12
WARM = 1.0
"""Seconds of load before something is killed."""
LONGEST = 20.0
"""Seconds in which a survivor has to take a write."""


class Load:
    """Workers in threads; each writes keys of its own to whoever leads, one after another.

    A key that was not acknowledged for sure is never counted, and never written again.
    """

    def __init__(self, group: Group, prefix: str) -> None:
        self._group = group
        self._prefix = prefix
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in range(WORKERS)]
        self.acknowledged: set[str] = set()
        self.last: dict[str, float] = {}
        """When each member last acknowledged a write, by the monotonic clock."""

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _work(self, worker: int) -> None:
        number, place = 0, worker
        members = self._group.members
        while not self._stop.is_set():
            key = f"{self._prefix}-{worker}-{number}"
            member = members[place % len(members)]
            try:
                answer = {"error": ""}
                if member.process is not None:
                    answer = member.asker.ask("put", 3.0, key=key, value=key)
            except grpc.RpcError:
                answer = {"error": "connection"}
            if "error" in answer:
                place += 1
                time.sleep(0.01)
                number += answer["error"] not in ("NotLeaderError", "StoppedError", "")
                continue
            number += 1
            with self._lock:
                self.acknowledged.add(key)
                self.last[member.id] = time.monotonic()


def kills(scratch: pathlib.Path, rounds: int, figures: Figures, say: Callable[[str], None]) -> dict[str, int]:
    """Each round: kill the leader under load, then everybody, start all again and look for all that was acknowledged.

    Compaction every 1,000 entries goes on during all of it. Gives ``acked``, ``acked_lost`` and ``unequal``.
    """
    counts = {"acked": 0, "acked_lost": 0, "unequal": 0}
    acknowledged: set[str] = set()
    with formed(scratch, 3, snapshot_every=1000) as group:
        for number in range(rounds):
            load = Load(group, f"r{number}")
            load.start()
            try:
                time.sleep(WARM)
                leader = group.leader()
                failover = _failover(leader, load)
                figures.add("failover_s", "ours", failover)
                time.sleep(0.5)
                if number % 2:
                    group.start(leader)
                    time.sleep(0.5)
                for member in group.members:
                    if member.process is not None:
                        member.signal(signal.SIGKILL)
                for member in group.members:
                    member.kill()
            finally:
                load.stop()
            acknowledged |= load.acknowledged
            group.start(*group.members)
            lost, unequal = _look(group, acknowledged)
            counts["acked"], counts["acked_lost"] = len(acknowledged), counts["acked_lost"] + lost
            counts["unequal"] += unequal
            say(
                f"  round {number + 1} of {rounds}: a survivor took a write after {failover:.2f} s; "
                f"{len(acknowledged)} acknowledged so far, {lost} of them missing, "
                f"stores {'differ' if unequal else 'equal'}"
            )
    return counts


def _failover(leader: Member, load: Load) -> float:
    """Kill the leader; seconds until somebody else acknowledges a write."""
    leader.kill()
    killed = time.monotonic()
    while time.monotonic() - killed < LONGEST:
        taken = [when for member_id, when in list(load.last.items()) if member_id != leader.id and when > killed]
        if taken:
            return min(taken) - killed
        time.sleep(0.002)
    raise BenchError(f"no survivor took a write within {LONGEST:.0f} s")


def _look(group: Group, acknowledged: set[str]) -> tuple[int, bool]:
    """How many acknowledged keys the leader lacks, and whether the members differ once they have caught up."""
    barrier = f"barrier-{time.monotonic_ns()}"
    deadline = time.monotonic() + 60
    while True:
        leader = group.leader()
        answer = leader.ask("put", key=barrier, value="")
        if answer is not None and "error" not in answer:
            break
        if time.monotonic() > deadline:
            raise BenchError(f"no write goes through after a restart of all: {answer}")
        time.sleep(0.05)
    held = set(leader.ask("keys", 60.0)["keys"])
    while True:
        digests = [member.ask("digest", 30.0) for member in group.members]
        if all(digest == digests[0] for digest in digests) or time.monotonic() > deadline:
            return len(acknowledged - held), any(digest != digests[0] for digest in digests)
        time.sleep(0.05)


def stops(
    scratch: pathlib.Path, rounds: int, seconds: float, figures: Figures, say: Callable[[str], None]
) -> dict[str, int]:
    """Each round: stop the leader with reads waiting at its door, have a successor take a newer value, let it go on.

    A read is stale if it gives the older value. Gives ``stale_reads``, ``answered_reads`` (by whoever, of those that
    waited) and ``stale_writes`` (acknowledged by the one that was stopped, and gone).
    """
    counts = {"stale_reads": 0, "answered_reads": 0, "stale_writes": 0}
    with formed(scratch, 3, snapshot_every=1000) as group:
        for number in range(rounds):
            old = group.leader()
            while "error" in (old.ask("put", key="register", value=f"old{number}") or {"error": ""}):
                old = group.leader()
            old.signal(signal.SIGSTOP)
            began = time.monotonic()
            reads = [old.asker.begin("get", key="register") for _ in range(20)]
            write = old.asker.begin("put", key=f"stale{number}", value="")
            new = _write_elsewhere(group, old, f"new{number}")
            took = time.monotonic() - began
            figures.add("stopped_failover_s", "ours", took)
            time.sleep(max(0.0, seconds - took))
            old.signal(signal.SIGCONT)
            answers = [_answer(read) for read in reads]
            reads = [old.asker.begin("get", key="register") for _ in range(20)]
            answers += [_answer(read) for read in reads]
            values = [answer["value"] for answer in answers if "value" in answer]
            stale = sum(value != f"new{number}" for value in values)
            written = _answer(write)
            counts["stale_reads"] += stale
            counts["answered_reads"] += len(values)
            if "index" in written and f"stale{number}" not in new.ask("keys", 60.0)["keys"]:
                counts["stale_writes"] += 1
            say(
                f"  round {number + 1} of {rounds}: a successor took a write after {took:.2f} s; of 40 reads at the "
                f"one that was stopped {len(values)} were answered, {stale} stale; its write: {written}"
            )
    return counts


def _write_elsewhere(group: Group, stopped: Member, value: str) -> Member:
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        new = group.leader(stopped, patience=LONGEST)
        answer = new.ask("put", key="register", value=value)
        if answer is not None and "error" not in answer:
            return new
    raise BenchError(f"no successor took a write within {LONGEST:.0f} s")


def _answer(call: grpc.Future) -> dict[str, object]:
    try:
        found: dict[str, object] = json.loads(call.result(timeout=30))
    except (grpc.RpcError, grpc.FutureTimeoutError) as error:
        return {"error": type(error).__name__}
    return found
