# SPDX-License-Identifier: GPL-3.0-or-later
"""A group of our members, each a process of its own with its own certificate and folder."""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc

from benchmarks._lib.kv import Asker
from benchmarks._lib.sandbox import DIE_WITH_US, BenchError
from queenright.edge.pki.authority import LocalSigner, Subject, create_root
from queenright.edge.pki.keys import make_csr, make_key
from queenright.model.ids import new_id

PATIENCE = 60.0


class Member:
    """One process; it may be killed and started again."""

    def __init__(self, folder: pathlib.Path, number: int, cluster: str, snapshot_every: int) -> None:
        self.folder = folder
        self.id = new_id(bytes([number + 1]) * 17)
        self.port, self.front = free_port(), free_port()
        self.process: subprocess.Popen[str] | None = None
        self.asker = Asker(f"127.0.0.1:{self.front}")
        self.others: list[Member] = []
        self._founding = number == 0
        self._cluster = cluster
        self._snapshot_every = snapshot_every

    @property
    def control(self) -> str:
        """Of the port for members."""
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Of the plain port."""
        return f"127.0.0.1:{self.front}"

    def start(self) -> None:
        """Start it; it is there when ``ready`` returns."""
        command = [*DIE_WITH_US, sys.executable, "-B", "-m", "benchmarks._lib.raft_member", str(self.folder), self.id]
        command += [self._cluster, str(self.port), str(self.front), "--snapshot-every", str(self._snapshot_every)]
        command += ["--founding"] if self._founding else []
        for other in self.others:
            command += ["--manager", f"{other.id}={other.control}"]
        with (self.folder / "errors").open("a") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)

    def ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise BenchError(f"a member ended: {(self.folder / 'errors').read_text()[-2000:]}")

    def kill(self) -> None:
        """With -9, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def ask(self, what: str, timeout: float = 10.0, **arguments: Any) -> Any:
        """The answer, or None where nobody answers."""
        try:
            return self.asker.ask(what, timeout, **arguments)
        except grpc.RpcError:
            return None


class Group:
    """``count`` members that found each other. Made by ``formed``."""

    def __init__(self, scratch: pathlib.Path, count: int, snapshot_every: int) -> None:
        root, cluster = create_root(datetime.datetime.now(datetime.UTC)), new_id(bytes(17))
        self.members: list[Member] = []
        for number in range(count):
            folder = scratch / f"m{number}"
            folder.mkdir(parents=True)
            member = Member(folder, number, cluster, snapshot_every)
            key = make_key()
            issued = LocalSigner(root).issue(
                make_csr(key),
                Subject(member.id, cluster, "manager"),
                now=datetime.datetime.now(datetime.UTC),
                validity=datetime.timedelta(days=1),
            )
            for name, content in (("key", key), ("chain", issued.chain_pem), ("root", root.certificate_pem)):
                (folder / f"{name}.pem").write_bytes(content)
            self.members.append(member)
        for member in self.members:
            member.others = [other for other in self.members if other is not member]

    def form(self) -> None:
        """Start all; the first takes in the others one by one."""
        self.start(*self.members)
        first = self.leader()
        for member in self.members[1:]:
            answer = first.ask("add", PATIENCE, id=member.id, addr=member.control)
            if answer != {}:
                raise BenchError(f"member {member.id} was not taken in: {answer}")

    def start(self, *members: Member) -> None:
        for member in members:
            member.start()
        for member in members:
            member.ready()

    def leader(self, *but: Member, patience: float = PATIENCE) -> Member:
        """Who leads, among all or all but these."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for member in self.members:
                if member.process is None or member in but:
                    continue
                status = member.ask("status", 1.0)
                if status is not None and status["leader"]:
                    return member
            time.sleep(0.02)
        raise BenchError(f"no leader within {patience:.0f} s")

    def close(self) -> None:
        for member in self.members:
            member.kill()
            member.asker.close()


@contextlib.contextmanager
def formed(scratch: pathlib.Path, count: int, snapshot_every: int = 10_000) -> Iterator[Group]:
    """A group that has a leader, ended afterwards."""
    group = Group(scratch, count, snapshot_every)
    try:
        group.form()
        yield group
    finally:
        group.close()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
