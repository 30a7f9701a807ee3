# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a snapshot of a large store holds the event loop: the daemon's own store, codec and log, in one process.

Prints one line of JSON: ``hold_ms`` (the longest time for which nothing else had its turn while a snapshot was frozen
and written and entries went on being committed), ``calm_ms`` (the same without a snapshot), ``freeze_ms`` (the part of
it that is the copy on the loop; the rest is the writer's share of the interpreter, and of the machine), ``write_s``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator

from queenright.edge.pki.data_keys import KeyFile
from queenright.edge.pki.sealing import RecordSealer
from queenright.edge.raft import RaftLog
from queenright.manager.machine import StoreMachine
from queenright.model.changes import Batch, Change, Create
from queenright.model.objects import Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.container import ContainerSpec
from queenright.spec.service import TaskSpec
from queenright.store.store import Store
from queenright.wire import codec

BATCH = 200
CALM = 100
"""Entries that are written with no snapshot under way."""


def task(number: int) -> Task:
    """About as large as a real one."""
    container = ContainerSpec(
        image="registry.example.com/team/application@sha256:" + "0123456789abcdef" * 4,
        command=("serve", "--listen", "0.0.0.0:8080"),
        env=tuple(f"SETTING_{name}=value of setting {name}" for name in range(8)),
    )
    return Task(
        id=f"{number:025d}",
        service_id=f"service{number // 100:018d}",
        service_name=f"service{number // 100}",
        spec=TaskSpec(container=container),
        slot=number % 100 + 1,
        node_id=f"node{number % 50:021d}",
        status=TaskStatus(state=TaskState.RUNNING, at=number, running_since=number),
    )


class Timed(StoreMachine):
    """Notes how long the copy took that is made on the loop."""

    freeze_ms = 0.0

    def freeze(self) -> Callable[[], Iterator[bytes]]:
        began = time.perf_counter()
        records = super().freeze()
        self.freeze_ms = 1000 * (time.perf_counter() - began)
        return records


class Watch:
    """The longest time for which the loop did not come round."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last - 0.001)
            last = now


def stamp(path: pathlib.Path) -> int:
    """Tells one version of a file from the next; 0 while there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def wait_until_gone(path: pathlib.Path) -> None:
    while path.exists():
        time.sleep(0.05)


async def measure(folder: pathlib.Path, objects: int) -> dict[str, float]:
    store = Store()
    machine = Timed(store)
    every = max(objects // BATCH, CALM) + 200
    log = RaftLog(
        folder / "raft",
        "m1",
        machine,
        sealer=RecordSealer(KeyFile(folder / "raft.key"), "m1", os.urandom),
        snapshot_every=every,
        on_fatal=lambda error: sys.exit(str(error)),
    )
    await log.start()

    async def write(*changes: Change) -> None:
        await log.propose(codec.encode_batch(Batch(time.time_ns(), changes)))

    for first in range(0, objects, BATCH):
        await write(*(Create(task(number)) for number in range(first, min(objects, first + BATCH))))
    gc.collect()
    watch = Watch()
    watching = asyncio.create_task(watch.run())
    snapshot, written = folder / "raft/snapshot", folder / "raft/snapshot.new"
    await asyncio.to_thread(wait_until_gone, written)  # one may have been due while the store was filled
    before = stamp(snapshot)
    count = objects
    watch.longest = 0.0
    for _ in range(CALM):
        await write(Create(task(count)))
        count += 1
    calm, watch.longest, began = watch.longest, 0.0, 0.0
    while stamp(snapshot) == before:
        await write(Create(task(count)))
        count += 1
        if not began and written.exists():
            began = time.perf_counter()
    wrote = time.perf_counter() - began
    for _ in range(20):
        await write(Create(task(count)))
        count += 1
    watching.cancel()
    await log.stop()
    size = snapshot.stat().st_size / 2**20
    return {
        "hold_ms": 1000 * watch.longest,
        "calm_ms": 1000 * calm,
        "freeze_ms": machine.freeze_ms,
        "write_s": wrote,
        "mib": size,
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("objects", type=int)
    options = parser.parse_args(argv)
    print(json.dumps(asyncio.run(measure(options.folder, options.objects))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
