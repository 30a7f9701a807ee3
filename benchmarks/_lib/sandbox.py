# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs this program again in network, mount and process namespaces of its own, and leaves nothing behind.

Whatever happens to the program, the kernel ends all that it started; the scratch folder and the cgroups are removed.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

INSIDE = "QR_BENCH_SCRATCH"
FOLDER = "QR_BENCH_FOLDER"
NEEDED = {
    "dockerd": "docker.io",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "tini": "tini",
    "/bin/busybox": "busybox-static",
}
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")
CGROUPS = pathlib.Path("/sys/fs/cgroup")
UNSHARE = (
    *DIE_WITH_US,
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
)


class BenchError(Exception):
    """The benchmark cannot be run or went wrong; the text says where."""


def scratch() -> pathlib.Path | None:
    """The scratch folder if this is the sandbox, else None."""
    return pathlib.Path(os.environ[INSIDE]) if INSIDE in os.environ else None


def enter(argv: list[str]) -> int:
    """Run ``argv`` (this program) in a sandbox; gives its exit status."""
    if os.geteuid() != 0:
        raise BenchError("this needs root: it makes network namespaces and starts Docker Engines in them")
    missing = sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})
    if missing:
        raise BenchError(f"programs are missing: apt-get install {' '.join(missing)}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qrb", dir=real_disk()))
    command = [*_in_cgroup(folder.name), *UNSHARE, "tini", "-s", "--", sys.executable, "-B", *argv]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    process = subprocess.Popen(command, env={**os.environ, INSIDE: str(folder)})
    try:
        return process.wait()
    finally:
        process.kill()  # unshare does not pass on gentler signals; its child is killed by the kernel
        process.wait()
        _remove_cgroups(folder.name)
        shutil.rmtree(folder, ignore_errors=True)


def cpu_seconds() -> float:
    """Processor time that everything in the sandbox has used so far: engines, daemons, containers and this program."""
    folder = scratch()
    assert folder is not None
    top = _cpu_cgroups() / folder.name
    if (top / "cpuacct.usage").exists():
        return int((top / "cpuacct.usage").read_text()) / 1e9
    return int((top / "cpu.stat").read_text().split()[1]) / 1e6


def _cpu_cgroups() -> pathlib.Path:
    """The root of the hierarchy that counts processor time, in version 1 or 2."""
    named = [path.parent for path in CGROUPS.glob("*/cpuacct.usage")]
    return named[0] if named else CGROUPS


def _in_cgroup(name: str) -> tuple[str, ...]:
    """What to write in front of a command, so that it and all that it starts is counted together."""
    own = _cpu_cgroups() / name / "sandbox"
    own.mkdir(parents=True)
    return ("sh", "-c", 'echo $$ >"$1" && shift && exec "$@"', "sh", str(own / "cgroup.procs"))


def real_disk() -> str:
    """A folder for images: overlay2 cannot lie on tmpfs' cousin overlay, and a log on tmpfs would flatter.

    A machine without a disk says where in the environment.
    """
    if FOLDER in os.environ:
        return os.environ[FOLDER]
    for folder in ("/var/tmp", "/tmp"):
        asked = subprocess.run(["stat", "-f", "-c", "%T", folder], check=True, capture_output=True, text=True)
        if asked.stdout.strip() not in ("overlayfs", "tmpfs"):
            return folder
    raise BenchError("neither /var/tmp nor /tmp is on a real disk")


def _remove_cgroups(name: str) -> None:
    """Remove them; what was just killed may keep them busy for a moment."""
    deadline = time.monotonic() + 10
    while tops := [*CGROUPS.glob(f"*/{name}"), *CGROUPS.glob(name)]:
        for top in tops:
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
        if time.monotonic() > deadline:
            return
        time.sleep(0.05)
