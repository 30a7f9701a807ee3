# SPDX-License-Identifier: Apache-2.0
"""Real processes, really killed: every acknowledged write is there afterwards."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from runtime.raft.kit import Machine, running

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'runtime' / 'src'}:{ROOT / 'tests'}"}
CHILD = Path(__file__).with_name("kill_child.py")


async def child(directory, turn, **options):
    return await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(directory), str(turn),
        stdout=asyncio.subprocess.PIPE, env=ENVIRONMENT, **options,
    )  # fmt: skip


async def killed_after(directory, turn, count):
    """Run a child until it has acknowledged ``count`` keys, kill it, give all the keys that it acknowledged."""
    process = await child(directory, turn)
    keys = []
    try:
        async with asyncio.timeout(120):
            assert await process.stdout.readline() == b"started\n"
            while len(keys) < count:
                line = await process.stdout.readline()
                assert line, "the child ended by itself"
                keys.append(line)
    finally:
        process.send_signal(signal.SIGKILL)
    keys += (await process.stdout.read()).splitlines(keepends=True)
    await process.wait()
    return [key.strip() for key in keys if key.endswith(b"\n")]


async def test_every_acknowledged_write_survives_kill_9_in_a_loop_with_compaction_all_the_time(tmp_path):
    acknowledged = set()
    for turn in range(8):
        acknowledged.update(await killed_after(tmp_path, turn, 250 + 37 * turn))
        machine = Machine()
        async with running(tmp_path, machine) as log:
            assert acknowledged - set(machine.data) == set()
            assert all(machine.data[key].rstrip(b"x") == key for key in acknowledged)
            assert machine.restored_at > 0
            assert log.failure is None
    assert len(acknowledged) > 8 * 250


async def test_a_file_system_that_takes_no_more_stops_the_log_and_keeps_what_was_acknowledged(tmp_path):
    process = await child(tmp_path, 0)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (30_000, 30_000))
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    lines = out.splitlines()
    failed = [line for line in lines if line.startswith(b"failed")]
    assert len(failed) == 1
    assert failed[0].startswith(b"failed UnwritableError: [Errno 27] ")
    assert b"/log cannot be written (File too large)" in failed[0]
    keys = set(lines[: lines.index(failed[0])]) - {b"started"}
    assert len(keys) > 10
    machine = Machine()
    async with running(tmp_path, machine) as log:
        assert keys - set(machine.data) == set()
        await log.propose(b"goes=on")
