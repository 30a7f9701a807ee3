# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs this program again in network, mount and process namespaces of its own, and leaves nothing behind.

Whatever happens to the program, the kernel ends all that it started; the scratch folder and the cgroups are removed.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

INSIDE = "QR_BENCH_SCRATCH"
NEEDED = {
    "dockerd": "docker.io",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "tini": "tini",
    "/bin/busybox": "busybox-static",
}
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


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
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qrb", dir=_real_disk()))
    command = [*UNSHARE, "tini", "-s", "--", sys.executable, "-B", *argv]
    process = subprocess.Popen(command, env={**os.environ, INSIDE: str(folder)})
    try:
        return process.wait()
    finally:
        process.kill()  # unshare does not pass on gentler signals; its child is killed by the kernel
        process.wait()
        _remove_cgroups(folder.name)
        shutil.rmtree(folder, ignore_errors=True)


def _real_disk() -> str:
    """A folder for images: overlay2 cannot lie on tmpfs' cousin overlay, and a log on tmpfs would flatter."""
    for folder in ("/var/tmp", "/tmp"):
        asked = subprocess.run(["stat", "-f", "-c", "%T", folder], check=True, capture_output=True, text=True)
        if asked.stdout.strip() not in ("overlayfs", "tmpfs"):
            return folder
    raise BenchError("neither /var/tmp nor /tmp is on a real disk")


def _remove_cgroups(name: str) -> None:
    for top in [*pathlib.Path("/sys/fs/cgroup").glob(f"*/{name}*"), *pathlib.Path("/sys/fs/cgroup").glob(f"{name}*")]:
        for path, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
