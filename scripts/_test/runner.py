# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one stage in a process group of its own, with a log, a time limit and a sign of life."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

from environment import OUTPUT, ROOT
from results import BLOCKED, MISSING, OK, Result, judge
from stages import Stage

_SIGN_OF_LIFE = 30.0
_TAIL = 60


def obstacle(stage: Stage, env: dict[str, str], done: dict[str, Result]) -> Result | None:
    """Why the stage cannot run here, or None. What is missing is a failure, never a skip."""
    broken = [name for name in stage.after if name not in done or done[name].state != OK]
    if broken:
        return Result(stage.name, BLOCKED, failed=1, note=f"needs the stage {', '.join(broken)}")
    missing = [tool for tool in stage.tools if shutil.which(tool, path=env["PATH"]) is None]
    missing += [stage.command[0]] if shutil.which(str(ROOT / stage.command[0])) is None else []
    if missing:
        return Result(stage.name, MISSING, failed=1, note=f"not on this machine: {', '.join(missing)}")
    if stage.root and os.geteuid() != 0:
        return Result(stage.name, MISSING, failed=1, note="needs root: run scripts/test with sudo")
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: all are asked; who is still there when the first has ended, or after a while, is made to."""
    os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_bytes()[-2000:].decode(errors="replace").strip().splitlines()
    return lines[-1][:100] if lines else ""


@contextlib.contextmanager
def _alone(stage: Stage) -> Iterator[None]:
    """Two runs in one checkout take turns at a stage: they would write the same log and report."""
    with (OUTPUT / f"{stage.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("      ... another run is at this stage: waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(stage: Stage, env: dict[str, str]) -> Result:
    """Run a stage to its end or its time limit; what it prints goes to `.test-output/STAGE.log`."""
    with _alone(stage):
        return _run(stage, env)


def _run(stage: Stage, env: dict[str, str]) -> Result:
    log = OUTPUT / f"{stage.name}.log"
    if stage.junit:
        pathlib.Path(stage.junit).unlink(missing_ok=True)
    start = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            stage.command,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        code: int | None = None
        try:
            while code is None and (left := start + stage.timeout - time.monotonic()) > 0:
                try:
                    code = process.wait(timeout=min(left, _SIGN_OF_LIFE))
                except subprocess.TimeoutExpired:
                    print(f"      ... {time.monotonic() - start:4.0f} s  {_last_line(log)}", flush=True)
        finally:
            if code is None:
                _stop(process)
    result = judge(stage.name, time.monotonic() - start, code, stage.junit, stage.timeout)
    if code is not None and _group_lives(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
        result.note = f"{result.note} left processes behind; they were ended".strip()
    return result


def show_failure(stage: Stage) -> None:
    """The end of a failed stage's log, and where the rest is."""
    log = OUTPUT / f"{stage.name}.log"
    tail = log.read_bytes().decode(errors="replace").splitlines()[-_TAIL:]
    print("\n".join(f"      | {line}" for line in tail))
    print(f"      whole log: {log.relative_to(ROOT)}; again: scripts/test --only {stage.name}")
    sys.stdout.flush()
