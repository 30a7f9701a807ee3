# SPDX-License-Identifier: Apache-2.0
"""Small wrappers around child processes, locks and deadlines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from lablib.paths import LabError

T = TypeVar("T")


def say(text: str) -> None:
    """One progress line on stderr, so that stdout stays usable by scripts."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


def call(*argv: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a tool and return its output; LabError with the tool's own words when it fails (unless ``check`` is off)."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace")
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is missing; install the packages named in tests/cluster/apt.txt") from None
    if check and done.returncode:
        raise LabError(f"{' '.join(argv)}: rc {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def until(probe: Callable[[], T], seconds: float, what: str, pause: float = 0.05) -> T:
    """Call ``probe`` until it returns something true and return that; LabError naming ``what`` at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not so within {seconds:.0f} s")
        time.sleep(pause)


@contextlib.contextmanager
def locked(path: pathlib.Path, *, shared: bool = False) -> Iterator[int]:
    """Hold a file lock while the block runs; waits for it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def try_lock(path: pathlib.Path) -> int | None:
    """An exclusive lock's descriptor, or None when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def children(pid: int) -> list[int]:
    """Direct children of a process, by /proc (empty when it is gone)."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(after_name[1]) == pid:
                    found.append(int(entry.name))
    return sorted(found)


def namespace(pid: int | str, kind: str) -> str:
    """Identity of a process's namespace (``kind`` as in /proc/PID/ns), empty when the process is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def detached(argv: Sequence[str], log: pathlib.Path, *, keep: Sequence[int] = (), stdin: int | None = None) -> int:
    """Start a process that outlives its caller, in its own session, output to ``log``; returns its pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        source = subprocess.DEVNULL if stdin is None else stdin
        return subprocess.Popen(argv, stdin=source, stdout=out, stderr=out, pass_fds=keep, start_new_session=True).pid
