# SPDX-License-Identifier: GPL-3.0-or-later
"""The managers' raft group beside Debian's etcd: commits a second, failover, what is lost in crashes, stale reads.

Members are processes of their own with fsync and mutual TLS between them; etcd runs as it comes, plain TCP, in the
same rounds. Puts of 1 KiB are proposed within the leading process, and sent by one and the same gRPC client to etcd and
to a front in our leader, one or ten in a call; puts that come in together share an entry there. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from benchmarks._lib import etcd, process, raft_faults, sandbox
from benchmarks._lib.figures import Figures
from benchmarks._lib.kv import load_over_grpc
from benchmarks._lib.raft_group import Group, formed
from benchmarks._lib.sandbox import BenchError

IN_PROCESS, FRONT, ETCD = "in process", "front", "etcd"
FRONT_TXN, ETCD_TXN = "front, 10 a call", "etcd, 10 a txn"
SIDES = {
    1: (IN_PROCESS, ETCD, FRONT),
    100: (IN_PROCESS, ETCD, FRONT, ETCD_TXN, FRONT_TXN),
}
"""Who is measured with so many puts in flight."""
TOGETHER = 10
RATIOS = (
    ("etcd_ratio_in_process", IN_PROCESS, ETCD),
    ("etcd_ratio_front", FRONT_TXN, ETCD),
    ("etcd_ratio_front_single", FRONT, ETCD),
    ("etcd_txn_ratio_front", FRONT_TXN, ETCD_TXN),
)
"""Key of the last line: whose puts a second by whose."""


def say(text: str) -> None:
    print(text, flush=True)


def name(nodes: int, flight: int) -> str:
    return f"{nodes} node{'s' * (nodes > 1)}, {flight} in flight"


def throughput(scratch: pathlib.Path, nodes: int, figures: Figures, options: argparse.Namespace) -> None:
    """Both groups are up; the load goes to one after the other, in alternating order."""
    with formed(scratch / "ours", nodes) as group, etcd.running(scratch / "etcd", nodes) as peer:
        for number in range(-1, options.rounds):
            for flight, sides in SIDES.items():
                for side in sides if number % 2 else sides[::-1]:
                    if number < 0:
                        _load(side, group, peer, flight, 0.5)  # what is only slow the first time
                        continue
                    measured = _load(side, group, peer, flight, options.seconds)
                    for unit, key in (("1/s", "per_second"), ("p50 ms", "p50_ms"), ("cpu us", "cpu_us")):
                        figures.add(f"{name(nodes, flight)}, {unit}", side, measured[key])
                    say(
                        f"  round {number + 1} of {options.rounds}: {name(nodes, flight)}: {side:17}"
                        f"{measured['per_second']:8.0f} puts/s, p50 {measured['p50_ms']:.2f} ms, "
                        f"p99 {measured['p99_ms']:.2f} ms, {measured['cpu_us']:.0f} us of processors a put"
                    )
        if nodes == 3:
            _idle(group, figures, options.idle)


def _load(side: str, group: Group, peer: etcd.Etcd, flight: int, seconds: float) -> dict[str, float]:
    """Puts a second, milliseconds, and processor time of all members (not of the client) for each put."""
    theirs = side in (ETCD, ETCD_TXN)
    together = TOGETHER if side in (ETCD_TXN, FRONT_TXN) else 1
    pids = peer.pids if theirs else [member.pid for member in group.members]
    leader = group.leader()
    used = sum(map(process.cpu_seconds, pids))
    if side == IN_PROCESS:
        measured = leader.ask("load", seconds + 60, flight=flight, seconds=seconds)
        if measured is None or "error" in measured:
            raise BenchError(f"the leader did not take the load: {measured}")
    else:
        measured = load_over_grpc(peer.address if theirs else leader.address, flight, seconds, together)
    used = sum(map(process.cpu_seconds, pids)) - used
    return {**measured, "cpu_us": 1e6 * used / measured["puts"]}


def _idle(group: Group, figures: Figures, seconds: float) -> None:
    """What a group costs that nobody asks anything."""
    time.sleep(min(2.0, seconds))
    pids = [member.pid for member in group.members]
    figures.add("idle, % of a core", "ours", *process.idle_percent(pids, seconds))
    figures.add("memory, MiB", "ours", *(process.rss_mib(pid) for pid in pids))


def snapshot_hold(scratch: pathlib.Path, objects: int, figures: Figures) -> None:
    """In a process of its own, as large as a manager with so many tasks."""
    scratch.mkdir()
    command = [*sandbox.DIE_WITH_US, sys.executable, "-B", "-m", "benchmarks._lib.snapshot_hold", str(scratch)]
    done = subprocess.run([*command, str(objects)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the snapshot could not be measured: {done.stderr[-2000:]}")
    measured = json.loads(done.stdout.splitlines()[-1])
    figures.add("snapshot hold, ms", "ours", measured["hold_ms"])
    say(
        f"  {objects} objects, {measured['mib']:.0f} MiB, written in {measured['write_s']:.1f} s: the loop was held "
        f"for {measured['hold_ms']:.1f} ms at most (the copy took {measured['freeze_ms']:.1f} ms; without a snapshot "
        f"{measured['calm_ms']:.1f} ms at most)"
    )


def measure(scratch: pathlib.Path, options: argparse.Namespace) -> tuple[Figures, dict[str, int]]:
    """All parts that were chosen."""
    figures, counts = Figures(), {}

    def part(title: str, action: Callable[[pathlib.Path], object]) -> None:
        load = " ".join(f"{value:.1f}" for value in os.getloadavg())
        say(f"{title} (load {load})")
        folder = scratch / str(len(list(scratch.iterdir())))
        folder.mkdir()
        action(folder)
        shutil.rmtree(folder, ignore_errors=True)

    if "throughput" in options.parts:
        say(f"etcd {etcd.version()}")
        for nodes in options.nodes:
            part(f"{nodes} nodes", lambda folder, nodes=nodes: throughput(folder, nodes, figures, options))
    if "kills" in options.parts:
        part(
            "kill the leader, then everybody, with compaction every 1,000 entries",
            lambda folder: counts.update(raft_faults.kills(folder, options.kills, figures, say)),
        )
    if "stops" in options.parts:
        part(
            f"stop the leader for {options.stopped:.0f} s",
            lambda folder: counts.update(raft_faults.stops(folder, options.stops, options.stopped, figures, say)),
        )
    if "snapshot" in options.parts:
        part("snapshot", lambda folder: snapshot_hold(folder / "hold", options.objects, figures))
    return figures, counts


def summary(figures: Figures, counts: dict[str, int]) -> dict[str, float]:
    """The figures of the last line. Ratios are puts a second, ours by etcd's, of medians: above 1 is more than etcd."""
    ours = figures.medians("ours")
    wanted = f"{name(3, 100)}, 1/s"
    puts = {side: figures.medians(side).get(wanted) for side in SIDES[100]}
    out: dict[str, float | None] = dict(counts)
    for key, side, other in RATIOS:
        if puts[side] and puts[other]:
            out[key] = puts[side] / puts[other]
    for key, side in (
        ("in_process_puts_per_s", IN_PROCESS),
        ("front_puts_per_s", FRONT_TXN),
        ("etcd_puts_per_s", ETCD),
    ):
        out[key] = puts[side]
    failovers = figures.values("failover_s", "ours")
    if failovers:
        out["failover_median_s"], out["failover_worst_s"] = ours["failover_s"], max(failovers)
    out["snapshot_hold_ms"] = ours.get("snapshot hold, ms")
    out["idle_cpu_pct"] = ours.get("idle, % of a core")
    out["rss_mib"] = ours.get("memory, MiB")
    return {key: round(value, 3) for key, value in out.items() if value is not None}


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench consensus", description=(__doc__ or "").splitlines()[0])
    parts = ("throughput", "kills", "stops", "snapshot")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--nodes", nargs="+", type=int, default=(1, 3, 5))
    parser.add_argument("--rounds", type=int, default=5, help="of throughput")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each of them")
    parser.add_argument("--kills", type=int, default=20, help="rounds")
    parser.add_argument("--stops", type=int, default=10, help="rounds")
    parser.add_argument("--stopped", type=float, default=10.0, help="seconds for which a leader is stopped")
    parser.add_argument("--objects", type=int, default=100_000, help="in the snapshot")
    parser.add_argument("--idle", type=float, default=10.0, help="seconds of looking at an idle group")
    parser.add_argument("--quick", action="store_true", help="a glance at everything, in under two minutes")
    options = parser.parse_args(argv)
    if options.quick:
        options.nodes, options.rounds, options.seconds, options.idle = (3,), 2, 1.5, 3.0
        options.kills, options.stops, options.stopped, options.objects = 3, 2, 4.0, 20_000
    return options


def main(argv: list[str]) -> int:
    options = _options(argv)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="qrb", dir=sandbox.real_disk()))
    try:
        if missing := etcd.missing():
            raise BenchError(f"programs are missing: apt-get install {' '.join(missing)}")
        figures, counts = measure(scratch, options)
    except (BenchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    say("\n".join(figures.table()))
    say(json.dumps(summary(figures, counts)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
