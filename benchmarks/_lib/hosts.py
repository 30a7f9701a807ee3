# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the sandbox: namespaces with an address on one bridge, and a Docker Engine of Debian's in each."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import tarfile
import time

from benchmarks._lib.engine_api import Api, until
from benchmarks._lib.sandbox import BenchError

BRIDGE = "bench0"
NETWORK = "192.168.87"
BUSYBOX = "/bin/busybox"
REPOSITORY = "bench/busybox"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"}
UNSHARE = (
    *("unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"),
    *("--mount-proc", "--propagation", "private"),
)
INIT = 'set -e; hostname "$1"; ip link set lo up; mount -t tmpfs tmpfs /run; mkdir /run/lock; echo; exec sleep infinity'


def run(*command: str) -> str:
    """Output of a command. Raises BenchError with what it said."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def make_bridge() -> None:
    """The wire between the hosts."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "add", f"{NETWORK}.254/24", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")


class Host:
    """One host. What it runs is in a process namespace of its own, so that a kill takes everything at once."""

    def __init__(self, scratch: pathlib.Path, index: int) -> None:
        self.name = f"host{index}"
        self.address = f"{NETWORK}.{index}"
        self.folder = scratch / str(index)
        self.docker_socket = str(self.folder / "docker.sock")
        self._cgroup = f"{scratch.name}/{index}"
        self._mac = f"02:87:00:00:00:{index:02x}"
        self._init: subprocess.Popen[bytes] | None = None
        self.dockerd = 0  # process id
        self.engine = Api(self.docker_socket)

    def power_on(self) -> None:
        """An empty host with an engine that answers."""
        self.folder.mkdir()
        self._init = subprocess.Popen(
            [*UNSHARE, "tini", "-s", "--", "sh", "-c", INIT, "sh", self.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        if self._init.stdout is None or not self._init.stdout.readline():
            raise BenchError(f"the namespaces of {self.name} cannot be made")
        self._plug()
        self.dockerd = self.spawn(
            "dockerd",
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/docker.pid",
            f"--host=unix://{self.docker_socket}",
            f"--cgroup-parent=/{self._cgroup}",
            f"--config-file={self._write('daemon.json', '{}')}",
            "--storage-driver=overlay2",
            "--log-driver=local",
        )
        until(lambda: self.engine.call("GET", "/info"), f"dockerd of {self.name} (see {self.folder}/dockerd.log)")

    def kill(self) -> None:
        """Pull the mains plug: network and all processes go at once."""
        if self._init is None:
            return
        with contextlib.suppress(BenchError):
            run("ip", "link", "delete", self.name)
        self._init.kill()
        self._init.wait()
        self._init = None
        self.engine.close()

    def unplug(self) -> None:
        """Pull the network cable."""
        run("ip", "link", "set", self.name, "down")

    def plug_in(self) -> None:
        """Put it back."""
        run("ip", "link", "set", self.name, "up")

    def wipe(self) -> None:
        """Forget the disk of a host that is off."""
        deadline = time.monotonic() + 30
        while self.folder.exists() and time.monotonic() < deadline:
            shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self, *argv: str, env: dict[str, str] | None = None) -> int:
        """Start a program on the host; gives its process id as the sandbox sees it."""
        assert self._init is not None
        with open(self.folder / f"{pathlib.Path(argv[0]).name}.log", "ab") as log:
            entered = subprocess.Popen(
                ["nsenter", f"--target={self.init_pid}", "--net", "--mount", "--uts", "--ipc", "--pid", *argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**ENVIRONMENT, **(env or {})},
            )
        return int(until(lambda: _child(entered.pid), f"{argv[0]} of {self.name} to start", every=0.001))

    @property
    def init_pid(self) -> int:
        """The host's process 1 as the sandbox sees it."""
        assert self._init is not None
        return int(until(lambda: _child(self._init.pid if self._init else 0), f"{self.name} to have processes"))

    def is_empty(self) -> bool:
        """Whether there is no container, running or not."""
        return not self.engine.call("GET", "/containers/json", all="1")

    def _plug(self) -> None:
        run(
            *("ip", "link", "add", self.name, "type", "veth"),
            *("peer", "name", "eth0", "address", self._mac, "netns", str(self.init_pid)),
        )
        run("ip", "link", "set", self.name, "master", BRIDGE, "up")
        inside = ("nsenter", f"--target={self.init_pid}", "--net")
        run(*inside, "ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        run(*inside, "ip", "link", "set", "eth0", "up")

    def _write(self, name: str, text: str) -> pathlib.Path:
        path = self.folder / name
        path.write_text(text)
        return path


def _child(pid: int) -> int:
    """The only child of a process, 0 while there is none."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


class Image:
    """A root file system that holds nothing but busybox; the same image, by the same id, on every host."""

    def __init__(self, first: Host) -> None:
        first.engine.raw("POST", "/images/create", _busybox(), fromSrc="-", repo=REPOSITORY, tag="1")
        self.id: str = first.engine.call("GET", f"/images/{REPOSITORY}:1/json")["Id"]
        self._saved = first.engine.raw("GET", f"/images/{REPOSITORY}:1/get")

    def load(self, host: Host) -> None:
        """Put it on a host."""
        host.engine.raw("POST", "/images/load", self._saved, quiet="1")


def _busybox() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(os.path.realpath(BUSYBOX), "bin/busybox")
    return out.getvalue()
