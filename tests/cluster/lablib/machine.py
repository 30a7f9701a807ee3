# SPDX-License-Identifier: Apache-2.0
"""One host of a lab, as the holder sees it: power on, off, reboot from inside, faults. Runs in the sandbox."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import signal
import subprocess
import threading

from lablib import network
from lablib.cgroups import HostCgroup, hierarchies
from lablib.paths import CONTROL_ADDRESS, Lab, LabError, host_address, host_name
from lablib.shell import children, namespace, say, until

INIT = ("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "container=lab", "/lib/systemd/systemd")
UNSHARE = (
    "unshare",
    "--mount",
    "--net",
    "--uts",
    "--ipc",
    "--pid",
    "--cgroup",
    "--fork",
    "--kill-child",
    "--propagation",
    "private",
)
SCRIPT = str(pathlib.Path(__file__).with_name("machine.sh"))
_JOIN = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
_CONSOLE_LIMIT = 1 << 20


def join_then(cgroup: HostCgroup, *argv: str) -> list[str]:
    """A command line that enters the host's cgroups and then becomes ``argv``."""
    return ["sh", "-c", _JOIN, "sh", *cgroup.procs_files(), "--", *argv]


class Machine:
    """A host. Its public methods may be called from any thread of the holder; one lock puts them in order."""

    def __init__(self, lab: Lab, index: int, count: int, tree: pathlib.Path) -> None:
        self.name = host_name(index)
        self.address = host_address(index)
        self.disk = lab.disk(index)
        self.cgroup = HostCgroup(lab, self.name)
        self.boots = 0
        self.frozen = self.plugged_out = False
        self.cpu_percent: float | None = None
        self._lab, self._count, self._tree = lab, count, tree
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    @property
    def is_on(self) -> bool:
        """Whether its processes exist (not whether it answers)."""
        return self._process is not None and self._process.poll() is None

    @property
    def init_pid(self) -> int | None:
        """Pid of its init, in the sandbox's pid namespace."""
        process = self._process
        return next(iter(children(process.pid)), None) if process and process.poll() is None else None

    def power_on(self) -> None:
        """Boot; nothing happens when it is on."""
        with self._lock:
            if self._process is not None:
                return
            self._prepare_disk()
            self.cgroup.create()
            self.frozen = self.plugged_out = False
            self.cpu_percent = None
            process = self._launch()
            try:
                until(
                    lambda: namespace(process.pid, "net") not in ("", namespace("self", "net")),
                    30,
                    f"{self.name} to have a network namespace",
                )
                network.connect(self.name, process.pid)
                assert process.stdin is not None
                process.stdin.write(b"go\n")
                process.stdin.close()
            except BaseException:
                process.kill()
                self._clean_up()
                raise
            self.boots += 1
            self._process = process
            threading.Thread(target=self._supervise, args=(process,), name=self.name, daemon=True).start()

    def power_off(self) -> None:
        """Pull the mains plug: every process dies at once, the address stops to answer. The disk stays."""
        with self._lock:
            process, self._process = self._process, None
            if process is None:
                return
            network.disconnect(self.name)
            process.kill()
            self._clean_up()
            process.wait()

    def reimage(self) -> None:
        """Power off and throw the disk away: the next boot is the first one. The address stays."""
        with self._lock:
            self.power_off()
            shutil.rmtree(self.disk, ignore_errors=True)

    def freeze(self, frozen: bool) -> None:
        """Stop all its processes, or let them go on."""
        with self._lock:
            self._need_power()
            self.cgroup.freeze(frozen)
            self.frozen = frozen

    def plug(self, plugged: bool) -> None:
        """Its only network cable, in or out."""
        with self._lock:
            self._need_power()
            network.plug(self.name, plugged)
            self.plugged_out = not plugged

    def slow(self, percent: float | None) -> None:
        """At most that share of one core for the whole host; None lifts the limit."""
        with self._lock:
            self._need_power()
            self.cgroup.limit_cpu(percent)
            self.cpu_percent = percent

    def heal(self) -> None:
        """Undo freeze, plug and slow."""
        with self._lock:
            if self.is_on:
                self.freeze(False)
                self.plug(True)
                self.slow(None)

    def status(self) -> dict[str, object]:
        """A JSON-able description."""
        is_on = self.is_on
        marks = {"frozen": self.frozen, "unplugged": self.plugged_out, f"cpu {self.cpu_percent}%": self.cpu_percent}
        memory = 0
        with contextlib.suppress(OSError):
            memory = self.cgroup.memory_bytes() >> 20
        return {
            "host": self.name,
            "address": self.address,
            "power": "on" if is_on else "off",
            "boots": self.boots,
            "init": self.init_pid,
            "memory_mib": memory,
            "faults": [mark for mark, set_ in marks.items() if set_],
        }

    def exec_argv(self, argv: list[str]) -> list[str]:
        """A command line that runs ``argv`` in the host, past its network and sshd."""
        init = self.init_pid
        if init is None:
            raise LabError(f"{self.name} is off; `lab start {self.name}` turns it on")
        plain = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "container=lab"]
        enter = ["nsenter", "--target", str(init), "--mount", "--net", "--uts", "--ipc", "--pid", "--cgroup"]
        return join_then(self.cgroup, *enter, "--wdns=/root", *plain, *argv)

    def _need_power(self) -> None:
        if not self.is_on:
            raise LabError(f"{self.name} is off; `lab start {self.name}` turns it on")

    def _launch(self) -> subprocess.Popen[bytes]:
        console = self.disk / "console.log"
        if console.is_file() and console.stat().st_size > _CONSOLE_LIMIT:
            console.unlink()
        mounts = [each.options or "unified" for each in hierarchies()]
        argv = [SCRIPT, "0", self.name, str(self._tree), str(self.disk), str(self._lab.share), *mounts, "--", *INIT]
        with console.open("ab") as out:
            return subprocess.Popen(
                join_then(self.cgroup, *UNSHARE, *argv),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _prepare_disk(self) -> None:
        for folder in ("upper/etc", "work", "root", "docker"):
            (self.disk / folder).mkdir(parents=True, exist_ok=True)
        etc = self.disk / "upper/etc"
        (etc / "hostname").write_text(f"{self.name}\n")
        if not (etc / "hosts").exists():
            (etc / "hosts").write_text(hosts_file(self._count))

    def _clean_up(self) -> None:
        network.disconnect(self.name)
        self.cgroup.destroy()

    def _supervise(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end; init that died of SIGHUP asked for a reboot, any other end leaves the host off."""
        code = process.wait()
        with self._lock:
            if self._process is not process:
                return  # power_off was faster and has cleaned up
            self._process = None
            try:
                self._clean_up()
                if code == -signal.SIGHUP:
                    self.power_on()
            except LabError as error:
                say(f"{self.name} ended with {code} and could not go on: {error}")


def hosts_file(count: int) -> str:
    """Text of /etc/hosts on every host and on the control side."""
    lines = ["127.0.0.1 localhost", "::1 localhost", f"{CONTROL_ADDRESS} control registry"]
    lines += [f"{host_address(index)} {host_name(index)}" for index in range(1, count + 1)]
    return "\n".join(lines) + "\n"


def wipe(lab: Lab) -> None:
    """Remove the disks of all hosts and the registry's data."""
    for folder in (*lab.directory.glob("host[0-9]*"), lab.registry):
        if folder.is_dir():
            shutil.rmtree(folder)
