# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's etcd-server as a cluster on loopback, plain TCP, with its own settings but for addresses."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks._lib.raft_group import free_port
from benchmarks._lib.sandbox import DIE_WITH_US, BenchError

PATIENCE = 60.0


def missing() -> list[str]:
    """Packages that are not here."""
    programs = {"etcd": "etcd-server", "etcdctl": "etcd-client"}
    return [package for program, package in programs.items() if shutil.which(program) is None]


class Etcd(NamedTuple):
    """The client address of the leader, and the processes of all."""

    address: str
    pids: list[int]


@contextlib.contextmanager
def running(scratch: pathlib.Path, count: int) -> Iterator[Etcd]:
    """A cluster that has a leader, ended afterwards."""
    ports = [(free_port(), free_port()) for _ in range(count)]
    peers = ",".join(f"e{number}=http://127.0.0.1:{peer}" for number, (_, peer) in enumerate(ports))
    processes = []
    try:
        for number, (client, peer) in enumerate(ports):
            folder = scratch / f"e{number}"
            folder.mkdir(parents=True)
            command = [*DIE_WITH_US, "etcd", "--name", f"e{number}", "--data-dir", str(folder / "data")]
            command += ["--listen-client-urls", f"http://127.0.0.1:{client}"]
            command += ["--advertise-client-urls", f"http://127.0.0.1:{client}"]
            command += ["--listen-peer-urls", f"http://127.0.0.1:{peer}"]
            command += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
            command += ["--initial-cluster", peers, "--logger", "zap", "--log-level", "error"]
            with (folder / "log").open("w") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        yield Etcd(_leader([client for client, _ in ports], scratch), [process.pid for process in processes])
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _leader(ports: list[int], scratch: pathlib.Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for port in ports:
            asked = subprocess.run(
                ["etcdctl", f"--endpoints=127.0.0.1:{port}", "endpoint", "status", "--write-out", "json"],
                env={**os.environ, "ETCDCTL_API": "3"},
                capture_output=True,
                text=True,
                check=False,
            )
            with contextlib.suppress(ValueError, LookupError, TypeError):
                status = json.loads(asked.stdout)[0]["Status"]
                if status["leader"] and status["leader"] == status["header"]["member_id"]:
                    return f"127.0.0.1:{port}"
        time.sleep(0.2)
    raise BenchError(f"etcd has no leader: {(scratch / 'e0/log').read_text()[-2000:]}")


def version() -> str:
    said = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0].rpartition(" ")[2] if said else "unknown"
