# SPDX-License-Identifier: Apache-2.0
"""A running lab in the hands of a test: hosts to run commands on and to break, playbooks, polling."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lablib import client, inventory, shell, wheels
from lablib.paths import REGISTRY, REPOSITORY, Lab, host_address, host_name

T = TypeVar("T")
Done = subprocess.CompletedProcess[str]
TOOLS = REPOSITORY / ".venv" / "bin"
_RECAP = re.compile(r"^(\S+)\s+: (ok=.*)$", re.MULTILINE)

_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)"
_GET = """
import sys, urllib.error, urllib.request as web
try:
    answer = web.build_opener(web.ProxyHandler({})).open(sys.argv[1], timeout=float(sys.argv[2]))
except urllib.error.HTTPError as error:
    answer = error
except OSError as error:
    sys.exit(str(error))
sys.stdout.write(f"{answer.status} {answer.read().decode(errors='replace')}")
"""


class CommandError(AssertionError):
    """A command ended with a code other than 0; the message holds all that it printed."""

    def __init__(self, where: str, done: Done) -> None:
        shown = done.args if isinstance(done.args, str) else shlex.join(done.args)
        super().__init__(f"{where}: rc {done.returncode}\n$ {shown}\n{done.stdout}\n{done.stderr}")
        self.done = done


class Host:
    """One host. ``name`` ("host1"), ``address`` ("10.77.0.11")."""

    def __init__(self, lab: RunningLab, index: int) -> None:
        self.name = host_name(index)
        self.address = host_address(index)
        self._lab = lab

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def run(
        self, command: str | Sequence[str], *, check: bool = True, stdin: str | None = None, timeout: float = 300
    ) -> Done:
        """Run a shell line (or an argv) over ssh; CommandError on another code than 0 unless ``check`` is off."""
        line = command if isinstance(command, str) else shlex.join(command)
        argv = client.ssh(self._lab.place, self.name, [line])
        return _run(f"{self.name} by ssh", argv, check=check, stdin=stdin, timeout=timeout)

    def exec(
        self, command: str | Sequence[str], *, check: bool = True, stdin: str | None = None, timeout: float = 300
    ) -> Done:
        """The same past network and sshd: works on a host that is cut off or has no sshd."""
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        enter = self._lab.ask("exec", host=self.name, argv=argv)
        return _run(
            f"{self.name} by exec", client.inside(self._lab.place, enter), check=check, stdin=stdin, timeout=timeout
        )

    def out(self, command: str | Sequence[str]) -> str:
        """What a command that must succeed prints on stdout, stripped."""
        return self.run(command).stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Make a file, with its folders."""
        quoted = shlex.quote(path)
        self.run(f'mkdir -p "$(dirname {quoted})" && cat > {quoted}', stdin=text)

    def reaches(self, other: Host) -> bool:
        """Whether a ping to another host is answered."""
        return self.exec(["ping", "-c", "1", "-W", "2", other.address], check=False).returncode == 0

    def kill(self) -> None:
        """Power off, as if the mains plug were pulled."""
        self._lab.ask("kill", hosts=self.name)

    def start(self, *, wait: bool = True) -> None:
        """Power on; returns when it answers ssh."""
        self._lab.ask("start", hosts=self.name, wait=wait)

    def reboot(self, *, wait: bool = True) -> None:
        """Power off and on."""
        self._lab.ask("reboot", hosts=self.name, wait=wait)

    def reimage(self, *, wait: bool = True) -> None:
        """Another machine at its address: power off, empty disk, power on."""
        self._lab.ask("reimage", hosts=self.name, wait=wait)

    def wait(self, seconds: float = 180) -> None:
        """Until it answers ssh."""
        self._lab.ask("wait", hosts=self.name, seconds=seconds)

    def freeze(self) -> None:
        """Stop all its processes; its kernel still answers ping and accepts TCP connections."""
        self._lab.ask("freeze", hosts=self.name)

    def thaw(self) -> None:
        """Let a frozen host go on."""
        self._lab.ask("thaw", hosts=self.name)

    def unplug(self) -> None:
        """Network cable out, the control side's way included (``exec`` still works)."""
        self._lab.ask("unplug", hosts=self.name)

    def plug(self) -> None:
        """Network cable in."""
        self._lab.ask("plug", hosts=self.name)

    def slow(self, percent: float | None) -> None:
        """At most that share of one core for the whole host; None lifts the limit."""
        self._lab.ask("slow", hosts=self.name, percent=percent)

    def loss(self, percent: int) -> None:
        """Lose that share of the frames between this host and other hosts, each way."""
        self._lab.ask("loss", hosts=self.name, percent=percent)

    def status(self) -> dict[str, Any]:
        """The holder's view: power, boots, init, memory_mib, faults."""
        found: dict[str, Any] = next(one for one in self._lab.status()["hosts"] if one["host"] == self.name)
        return found


class RunningLab:
    """A lab that is up. ``hosts`` in order; ``lab["host2"]`` picks one."""

    registry = REGISTRY

    def __init__(self, name: str) -> None:
        self.place = Lab(name)
        self.facts = client.facts(self.place)
        self.hosts = [Host(self, index) for index in range(1, self.facts["count"] + 1)]
        self.inventory = self.place.directory / "inventory.yml"

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def ask(self, verb: str, **arguments: object) -> Any:
        """A request to the holder (see ``holder``)."""
        return client.ask(self.place, verb, lambda text: None, **arguments)

    def status(self) -> dict[str, Any]:
        """``hosts`` (see Host.status), ``network`` (cuts and losses), ``net``."""
        status: dict[str, Any] = self.ask("status")
        return status

    def image(self, reference: str) -> str:
        """``web:v1`` as hosts pull it from the lab's registry."""
        return f"{REGISTRY}/{reference}"

    def roles(self, managers: Sequence[Host], workers: Sequence[Host]) -> None:
        """Say in the inventory who shall manage and who shall work; hosts in neither list stay out of every group."""
        names = [[host.name for host in group] for group in (managers, workers)]
        self.inventory.write_text(inventory.ansible(self.place, len(self.hosts), managers=names[0], workers=names[1]))

    def wheelhouse(self) -> str:
        """Build and place the wheelhouse of this checkout; returns its folder on the hosts."""
        wheels.place(self.place, self.facts["suite"])
        return wheels.IN_HOST

    def split(self, one: Sequence[Host], other: Sequence[Host], *, one_way: bool = False) -> None:
        """Drop frames between two sides (or only from ``one`` to ``other``); the control side still reaches all."""
        names = [",".join(host.name for host in side) for side in (one, other)]
        self.ask("split", one=names[0], other=names[1], one_way=one_way)

    def heal(self) -> None:
        """Undo every split, loss, unplug, freeze and slow."""
        self.ask("heal")

    def restore(self) -> None:
        """Heal, and power on what is off."""
        self.heal()
        self.ask("start", hosts="all")

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        stdin: str | None = None,
        timeout: float = 600,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command of this machine on the control side: it sees the hosts' network and nothing else."""
        setting = [f"{key}={value}" for key, value in (env or {}).items()]
        full = ["env", "-C", str(cwd or pathlib.Path.cwd()), *setting, *argv]
        return _run("control side", client.inside(self.place, full), check=check, stdin=stdin, timeout=timeout)

    def reaches(self, host: Host, port: int = 22) -> bool:
        """Whether the control side gets a TCP connection to the host."""
        argv = ["/usr/bin/python3", "-c", _CONNECT, host.address, str(port)]
        return self.run(argv, check=False).returncode == 0

    def http(self, url: str, *, timeout: float = 5) -> tuple[int, str]:
        """GET from the control side: status and body; status 0 and the reason when there is no answer."""
        done = self.run(["/usr/bin/python3", "-c", _GET, url, str(timeout)], check=False)
        status, _, text = done.stdout.partition(" ")
        return int(status or 0), text if status else done.stderr

    def ansible_playbook(
        self,
        *args: str,
        check: bool = True,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 1800,
    ) -> Done:
        """Run ansible-playbook of the checkout's venv on the lab's inventory."""
        return self.ansible_tool(
            "ansible-playbook", "-i", str(self.inventory), *args, check=check, cwd=cwd, env=env, timeout=timeout
        )

    def ansible_tool(
        self,
        tool: str,
        *args: str,
        check: bool = True,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 600,
    ) -> Done:
        """Run any Ansible command. Each run has connections of its own: none outlives a power-cycled host."""
        sockets = tempfile.mkdtemp(prefix="qrcp")
        setting = {
            "ANSIBLE_HOME": str(self.place.directory / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
            "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=20s",
            **(env or {}),
        }
        try:
            return self.run([str(TOOLS / tool), *args], check=check, cwd=cwd, env=setting, timeout=timeout)
        finally:
            shutil.rmtree(sockets, ignore_errors=True)

    @staticmethod
    def recap(done: Done) -> dict[str, dict[str, int]]:
        """The play recap as numbers: ``{"host1": {"ok": 9, "changed": 0, ...}}``."""
        found = {}
        for host, counts in _RECAP.findall(done.stdout):
            found[host] = {key: int(value) for key, value in (part.split("=") for part in counts.split())}
        return found

    @staticmethod
    def poll(probe: Callable[[], T], deadline: float = 60, what: str = "the condition", pause: float = 0.2) -> T:
        """Call ``probe`` until it returns something true (returned) or ``deadline`` seconds have passed (LabError)."""
        return shell.until(probe, deadline, what, pause)


def _run(where: str, argv: list[str], *, check: bool, stdin: str | None, timeout: float) -> Done:
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, input=stdin or "")
    if check and done.returncode:
        raise CommandError(where, done)
    return done
