# SPDX-License-Identifier: GPL-3.0-or-later
"""Three managers live through many certificates and several roots while somebody writes through each of them.

Their daemons see a wall clock that is moved on under them (``skew.c``), so half-hour certificates come of age in a
moment. Run by ``benchmarks/trust.py``, in a sandbox; the figures go to the file named last.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import json
import mmap
import os
import pathlib
import struct
import subprocess
import sys
import threading
import time
from typing import Any

from benchmarks._lib import sandbox
from benchmarks._lib.engine_api import Api, RefusedError, until
from benchmarks._lib.hosts import Host, Image, make_bridge
from benchmarks._lib.sandbox import BenchError
from benchmarks._lib.sides import Queenright

LIFE = 30 * 60  # seconds of a certificate
STEP = 24 * 60  # by which the clock is moved on: past the latest moment of a renewal, before the end
REPLICAS = 6
PATIENCE = 150.0  # seconds; a node looks at the clock every 20
Figures = dict[str, float]


def say(text: str) -> None:
    print(text, flush=True)


class Clock:
    """The wall clock of all daemons at once."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.path = folder / "clock"
        self.path.write_bytes(bytes(mmap.PAGESIZE))
        self.library = folder / "skew.so"
        source = pathlib.Path(__file__).with_name("skew.c")
        command = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(self.library), str(source), "-ldl"]
        subprocess.run(command, check=True)
        with open(self.path, "r+b") as file:
            self._held = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        self.ahead = 0

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "QR_CLOCK_FILE": str(self.path)}

    def move_on(self, seconds: int) -> None:
        self.ahead += seconds
        self._held[0:8] = struct.pack("=q", self.ahead)


class Writer(threading.Thread):
    """Creates, looks at and removes services without tasks through one manager, until told to stop."""

    def __init__(self, socket: str, name: str, image: str) -> None:
        super().__init__(name=f"writer at {name}")
        self._api = Api(socket)
        self._prefix = name
        self._image = image
        self.stopped = threading.Event()
        self.calls = 0
        self.failed: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.stopped.is_set():
            number += 1
            name = f"{self._prefix}-{number}"
            container = {"ContainerSpec": {"Image": self._image}}
            spec = {"Name": name, "TaskTemplate": container, "Mode": {"Replicated": {"Replicas": 0}}}
            if self._call("POST", "/services/create", spec):
                self._call("GET", f"/services/{name}")
                self._call("DELETE", f"/services/{name}")

    def _call(self, method: str, path: str, body: Any = None) -> bool:
        self.calls += 1
        try:
            self._api.call(method, path, body)
        except (RefusedError, OSError, http.client.HTTPException) as error:
            self.failed.append(f"{time.strftime('%H:%M:%S')} {method} {path}: {error or type(error).__name__}")
            self._api.close()
            return False
        return True


@dataclasses.dataclass
class Lifetime:
    """The swarm under its load; ``serials`` are those of all certificates that were ever in use."""

    side: Queenright
    clock: Clock
    serials: set[str] = dataclasses.field(default_factory=set)
    renewals: int = 0
    rotations: list[float] = dataclasses.field(default_factory=list)

    def prepare(self, image: str) -> None:
        """Three managers with short certificates below a second root, and tasks."""
        side = self.side
        for host in side.hosts[1:]:
            self._promote(side.node_ids[host.name])
        until(self._all_manage, "three managers", PATIENCE)
        container = {"Image": image, "Command": ["/bin/busybox", "sleep", "86400"], "StopSignal": "SIGKILL"}
        task = {"ContainerSpec": container}
        body = {"Name": "web", "TaskTemplate": task, "Mode": {"Replicated": {"Replicas": REPLICAS}}}
        side.api.call("POST", "/services/create", body)
        until(lambda: sum(map(len, self.containers())) == REPLICAS, f"{REPLICAS} containers", PATIENCE)
        swarm = side.api.call("GET", "/swarm")
        swarm["Spec"]["CAConfig"]["NodeCertExpiry"] = LIFE * 10**9
        side.api.call("POST", "/swarm/update", swarm["Spec"], version=swarm["Version"]["Index"])

    def _promote(self, node_id: str) -> None:
        node = self.side.api.call("GET", f"/nodes/{node_id}")
        spec = {**node["Spec"], "Role": "manager"}
        until(lambda: self._updated(node_id, spec), f"{node_id} to be promoted")

    def _updated(self, node_id: str, spec: Any) -> bool:
        version = self.side.api.call("GET", f"/nodes/{node_id}")["Version"]["Index"]
        self.side.api.call("POST", f"/nodes/{node_id}/update", spec, version=version)
        return True

    def _all_manage(self) -> bool:
        for api in self.side.apis:
            status = api.call("GET", "/queenright/v1/status")
            voters = [member for member in (status["raft"] or {"members": []})["members"] if member["voter"]]
            if status["role"] != "manager" or not status["ready"] or len(voters) != len(self.side.hosts):
                return False
        return True

    def containers(self) -> list[list[tuple[str, str, int]]]:
        """Of each host: what runs, since when, and how often it was restarted."""
        found = []
        for host in self.side.hosts:
            host.engine.close()  # an engine hangs up on those who say nothing for minutes
            listed = host.engine.call("GET", "/containers/json")
            each = [host.engine.call("GET", f"/containers/{one['Id']}/json") for one in listed]
            found.append(sorted((one["Id"], one["State"]["StartedAt"], one["RestartCount"]) for one in each))
        return found

    def in_use(self) -> dict[str, str]:
        """The serial of each node's certificate."""
        known = self.side.api.call("GET", "/queenright/v1/ca")["certificates"]
        return {one["node_id"]: one["serial"] for one in known if one["in_use"] == "current"}

    def grow_old(self) -> None:
        """Move the clock on until every certificate is due, and wait until each node has another one."""
        before = self.in_use()
        began = time.monotonic()
        self.clock.move_on(STEP)
        until(lambda: self._all_new(before), "every node to have another certificate", PATIENCE)
        self.renewals += len(before)
        took = time.monotonic() - began
        say(f"  {self.renewals:3} renewals; the clock is {self.clock.ahead // 60} min ahead, {took:.1f} s")

    def _all_new(self, before: dict[str, str]) -> bool:
        now = self.in_use()
        new = set(now.values()) - set(before.values())
        if len(now) != len(self.side.hosts) or len(new) != len(now):
            return False
        self.serials |= new
        return self._all_manage()

    def rotate(self) -> None:
        """Replace the root, and wait until nobody uses the old one any more."""
        api = self.side.api
        before = api.call("GET", "/queenright/v1/ca")["root_digest"]
        began = time.monotonic()
        api.call("POST", "/queenright/v1/ca", {"rotate": True})
        until(lambda: self._rotated(before), "the root to be another", PATIENCE, 0.02)
        self.rotations.append(time.monotonic() - began)
        left = api.call("GET", "/queenright/v1/ca")["left_behind"]
        if left:
            raise BenchError(f"nodes were left behind though all are up: {left}")
        self.serials |= set(self.in_use().values())
        say(f"  root {len(self.rotations)} replaced after {self.rotations[-1]:.2f} s")

    def _rotated(self, before: str) -> bool:
        shown = self.side.api.call("GET", "/queenright/v1/ca")
        return shown["rotation"] is None and shown["root_digest"] != before


def measure(folder: pathlib.Path, options: argparse.Namespace) -> Figures:
    """All of it, in the sandbox."""
    make_bridge()
    clock = Clock(folder)
    hosts = [Host(folder, index) for index in (1, 2, 3)]
    for host in hosts:
        host.power_on()
    image = Image(hosts[0])
    for host in hosts[1:]:
        image.load(host)
    side = Queenright(hosts, environment=clock.environment)
    side.form()
    life = Lifetime(side, clock)
    life.prepare(image.id)
    before = life.containers()
    writers = [Writer(side.socket(host), host.name, image.id) for host in hosts]
    for writer in writers:
        writer.start()
    try:
        life.rotate()
        for number in range(1, options.renewals + 1):
            life.grow_old()
            if number in (options.renewals // 2, options.renewals):
                life.rotate()
    except BaseException:
        for host in hosts:
            say(f"--- {host.name}:\n" + "\n".join(_log(host)[-40:]))
        raise
    finally:
        for writer in writers:
            writer.stopped.set()
        for writer in writers:
            writer.join()
    failed = [line for writer in writers for line in writer.failed]
    for line in failed[:20]:
        say(f"  {line}")
    restarted = sum(one not in now for old, now in zip(before, life.containers(), strict=True) for one in old)
    calls = sum(writer.calls for writer in writers)
    say(f"{calls} calls, {len(failed)} failed; {restarted} of {REPLICAS} containers restarted")
    side.dissolve()
    for host in hosts:
        host.kill()
    return {
        "renewals": life.renewals,
        "rotations": len(life.rotations),
        "rotation_s": round(max(life.rotations), 2),
        "certificates": len(life.serials),
        "rpcs": calls,
        "failed_rpcs": len(failed),
        "containers_restarted": restarted,
    }


def _log(host: Host) -> list[str]:
    return [
        line
        for path in host.folder.glob("python*.log")
        for line in path.read_text(errors="replace").splitlines()
        if '"info"' not in line
    ]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--renewals", type=int, default=20, help="of each node")
    parser.add_argument("figures", type=pathlib.Path)
    options = parser.parse_args(argv)
    try:
        folder = sandbox.scratch()
        if folder is None:
            return sandbox.enter([str(pathlib.Path(__file__).resolve()), *argv])
        options.figures.write_text(json.dumps(measure(folder, options)))
    except (BenchError, OSError, http.client.HTTPException, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONDONTWRITEBYTECODE", "1")
    sys.exit(main(sys.argv[1:]))
