# SPDX-License-Identifier: Apache-2.0
"""A real Docker Engine for tests: the distribution's dockerd, in a network and mount namespace of its own.

Everything it writes lies in one scratch folder; it is ended by its process id. Needs root.
"""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time

from docker.api.client import APIClient

BUSYBOX = pathlib.Path("/bin/busybox")
READY_WITHIN = 120.0
IMAGE = "qr-test/busybox:1"
NAMESPACES = (("net", "net"), ("mount", "mnt"))
HOLD = "set -e; ip link set lo up; mount -t tmpfs tmpfs /run; mkdir -p /run/lock; echo; exec sleep infinity"


class DockerEngine:
    """One dockerd. ``socket`` is the path of its socket. Namespaces and containers outlive :meth:`stop`."""

    def __init__(self, *options: str) -> None:
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qre"))
        self.socket = str(self.folder / "docker.sock")
        self._options = options
        self._holder: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._cgroup = f"qr-test-{self.folder.name}"

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError with the end of its log."""
        arguments = [
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/docker.pid",
            f"--host=unix://{self.socket}",
            f"--cgroup-parent=/{self._cgroup}",
            f"--config-file={self.folder}/daemon.json",
            "--storage-driver=overlay2",
            *self._options,
        ]
        (self.folder / "daemon.json").write_text("{}")
        if self._holder is None:
            self._holder = _hold_namespaces()
        namespaces = [f"--{kind}=/proc/{self._holder.pid}/ns/{short}" for kind, short in NAMESPACES]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                ["nsenter", *namespaces, "dockerd", *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self._wait_until_ready()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End dockerd. With SIGTERM its containers end too, unless it runs with ``--live-restore``."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to dockerd: SIGSTOP makes it hang, SIGCONT go on."""
        os.kill(self.pid, number)

    def close(self) -> None:
        """Remove all containers, end dockerd and whatever it left running, remove the folder."""
        if self._process is not None:
            with contextlib.suppress(Exception), self.client() as client:
                for container in client.containers(all=True):
                    client.remove_container(container["Id"], force=True, v=True)
        self.stop()
        for pid in self._left_over():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
            self._holder = None
        shutil.rmtree(self.folder, ignore_errors=True)
        for parent in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self._cgroup}"):
            for folder in sorted(parent.glob("**/"), key=lambda path: len(path.parts), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    def _left_over(self) -> set[int]:
        """What is in the containers' cgroups or in the engine's mount namespace: shims, a containerd."""
        pids: set[int] = set()
        for listed in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self._cgroup}/**/cgroup.procs"):
            pids.update(int(line) for line in listed.read_text().split())
        if self._holder is not None:
            ours = os.readlink(f"/proc/{self._holder.pid}/ns/mnt")
            for entry in pathlib.Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if os.readlink(entry / "ns/mnt") == ours:
                        pids.add(int(entry.name))
        return pids

    @property
    def namespaces(self) -> int:
        """Id of the process that holds the network and mount namespaces."""
        if self._holder is None:
            raise RuntimeError("the engine was never started")
        return self._holder.pid

    @property
    def pid(self) -> int:
        """Process id of dockerd."""
        if self._process is None:
            raise RuntimeError("dockerd does not run")
        return self._process.pid

    def client(self) -> APIClient:
        """An SDK client of its own."""
        return APIClient(base_url=f"unix://{self.socket}", version="1.41", timeout=120)

    def make_image(self, name: str = IMAGE, *changes: str) -> str:
        """An image that holds nothing but busybox; ``changes`` are lines as in a Dockerfile. Gives its id."""
        base = IMAGE if changes else name
        repository, _, tag = base.rpartition(":")
        with self.client() as client:
            client.import_image_from_data(busybox_tar(), repository=repository, tag=tag)
            if changes:
                dockerfile = "\n".join((f"FROM {base}", *changes)).encode()
                for line in client.build(fileobj=io.BytesIO(dockerfile), tag=name, rm=True, decode=True):
                    if "error" in line:
                        raise RuntimeError(f"image {name} cannot be built: {line['error']}")
            return str(client.inspect_image(name)["Id"])

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the engine's network namespace."""
        return subprocess.run(
            ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command], capture_output=True, text=True, timeout=60
        )

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while True:
            with contextlib.suppress(Exception), self.client() as client:
                client.ping()
                return
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start:\n{self.log()[-3000:]}")
            time.sleep(0.1)


def _hold_namespaces() -> subprocess.Popen[bytes]:
    """A process that keeps a network and a mount namespace with a /run of its own."""
    holder = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation=private", "sh", "-c", HOLD],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    if holder.stdout is None or not holder.stdout.readline():
        raise RuntimeError("namespaces for dockerd cannot be made: this needs root, ip (iproute2) and mount")
    return holder


def busybox_tar() -> bytes:
    """A root file system: /bin/busybox and a link for each of its commands."""
    names = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder in ("bin", "tmp", "etc", "www"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        tar.add(os.path.realpath(BUSYBOX), "bin/busybox")
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
                tar.addfile(link)
    return out.getvalue()
