# SPDX-License-Identifier: Apache-2.0
"""The process that keeps a lab: it owns the hosts and obeys requests on a unix socket until told to go down.

It runs in mount, network and pid namespaces of its own, under tini as pid 1. When it dies, of whatever cause, the
kernel ends every process of every host with it; all that stays are empty cgroups, swept by the next ``up``.

One request is one JSON line ``{"do": VERB, ...}``; the answer is JSON lines ``{"say": text}`` for progress and at
last ``{"ok": value}`` or ``{"error": text}``.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import socketserver
import sys
import threading
from collections.abc import Callable
from typing import Any

from lablib import cgroups, images, network, registry
from lablib.machine import Machine, hosts_file
from lablib.paths import REGISTRY, Lab, LabError, host_index, host_name
from lablib.shell import call, namespace, until

Say = Callable[[str], None]


class Holder:
    """State of the running lab; ``do_*`` are the requests."""

    def __init__(self, lab: Lab, count: int, tree: pathlib.Path) -> None:
        self.lab = lab
        self.tree = tree
        self.machines = {host_name(i): Machine(lab, i, count, tree) for i in range(1, count + 1)}
        self.ended = threading.Event()

    def enter_sandbox(self) -> None:
        """Make the namespaces this process was started in into the control side of a lab."""
        with contextlib.suppress(FileNotFoundError):
            for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
                if line.split()[1].startswith("/run/netns"):  # a copied mount would keep a foreign netns alive
                    call("umount", "--lazy", line.split()[1], check=False)
        cgroups.mount_view()
        cgroups.sweep(self.lab)
        etc = self.lab.directory / "control"
        etc.mkdir(parents=True, exist_ok=True)
        for name, text in (("hosts", hosts_file(len(self.machines))), ("resolv.conf", "")):
            (etc / name).write_text(text)
            call("mount", "--bind", str(etc / name), str(pathlib.Path("/etc", name).resolve()))
        network.create()
        self.lab.share.mkdir(parents=True, exist_ok=True)

    def machine(self, name: str) -> Machine:
        """The machine of that name ("host2" or "2")."""
        try:
            return self.machines[host_name(host_index(name))]
        except KeyError:
            raise LabError(f"no host {name!r} here; this lab has {', '.join(self.machines)}") from None

    def hosts(self, names: str) -> list[Machine]:
        """Machines of a comma-separated list; ``all`` is every one."""
        if names == "all":
            return list(self.machines.values())
        return [self.machine(name.strip()) for name in names.split(",")]

    def each(self, names: str, act: Callable[[Machine], Any]) -> None:
        """Do it to all named hosts at once; the first failure is raised after all are done."""
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for done in [pool.submit(act, machine) for machine in self.hosts(names)]:
                done.result()

    def wait(self, machine: Machine, seconds: float = 180) -> None:
        """Until the host runs a command over ssh; tells the console's last words when it does not."""
        ssh = ["ssh", "-F", str(self.lab.directory / "ssh_config"), machine.name, "true"]
        try:
            until(lambda: call(*ssh, check=False).returncode == 0, seconds, f"{machine.name} to answer ssh", 0.2)
        except LabError as error:
            console = (machine.disk / "console.log").read_text(errors="replace")[-1500:]
            raise LabError(f"{error}; console:\n{console}") from None

    def do_start(self, say: Say, hosts: str, wait: bool = True) -> None:
        def start(machine: Machine) -> None:
            machine.power_on()
            if wait:
                self.wait(machine)
                say(f"{machine.name} ({machine.address}) answers")

        self.each(hosts, start)

    def do_kill(self, say: Say, hosts: str) -> None:
        self.each(hosts, Machine.power_off)

    def do_reboot(self, say: Say, hosts: str, wait: bool = True) -> None:
        self.each(hosts, Machine.power_off)
        self.do_start(say, hosts, wait)

    def do_reimage(self, say: Say, hosts: str, wait: bool = True) -> None:
        self.each(hosts, Machine.reimage)
        self.do_start(say, hosts, wait)

    def do_wait(self, say: Say, hosts: str, seconds: float = 180) -> None:
        self.each(hosts, lambda machine: self.wait(machine, seconds))

    def do_freeze(self, say: Say, hosts: str) -> None:
        self.each(hosts, lambda machine: machine.freeze(True))

    def do_thaw(self, say: Say, hosts: str) -> None:
        self.each(hosts, lambda machine: machine.freeze(False))

    def do_unplug(self, say: Say, hosts: str) -> None:
        self.each(hosts, lambda machine: machine.plug(False))

    def do_plug(self, say: Say, hosts: str) -> None:
        self.each(hosts, lambda machine: machine.plug(True))

    def do_slow(self, say: Say, hosts: str, percent: float | None) -> None:
        if percent is not None and percent <= 0:
            raise LabError("slow: the quota is a percentage of one core, above 0")
        self.each(hosts, lambda machine: machine.slow(percent))

    def do_split(self, say: Say, one: str, other: str, one_way: bool = False) -> None:
        sides = [[machine.name for machine in self.hosts(side)] for side in (one, other)]
        if set(sides[0]) & set(sides[1]):
            raise LabError(f"split: {one!r} and {other!r} share a host")
        network.split(sides[0], sides[1], one_way=one_way)

    def do_loss(self, say: Say, hosts: str, percent: int) -> None:
        if not 0 <= percent <= 100:
            raise LabError("loss: the share is a whole percentage, 0 to 100")
        self.each(hosts, lambda machine: network.loss(machine.name, percent))

    def do_heal(self, say: Say) -> None:
        network.heal()
        self.each("all", Machine.heal)

    def do_status(self, say: Say) -> dict[str, Any]:
        machines = [machine.status() for machine in self.machines.values()]
        return {
            "name": self.lab.name,
            "tree": self.tree.name,
            "hosts": machines,
            "network": network.faults(),
            "net": namespace("self", "net"),
        }

    def do_exec(self, say: Say, host: str, argv: list[str]) -> list[str]:
        return self.machine(host).exec_argv(argv)

    def do_down(self, say: Say) -> None:
        self.each("all", Machine.power_off)
        cgroups.sweep(self.lab)
        self.ended.set()


class _Handler(socketserver.StreamRequestHandler):
    holder: Holder

    def handle(self) -> None:
        """Serve one request."""
        line = self.rfile.readline()
        if not line:
            return  # somebody only looked whether we listen
        try:
            request = json.loads(line)
            verb = getattr(self.holder, f"do_{request.pop('do')}")
            self._answer({"ok": verb(lambda text: self._answer({"say": text}), **request)})
        except LabError as error:
            self._answer({"error": str(error)})
        except Exception as error:
            self._answer({"error": f"{type(error).__name__}: {error} (see {self.holder.lab.log})"})
            raise

    def _answer(self, message: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # an impatient client may be gone
            self.wfile.write(json.dumps(message).encode() + b"\n")
            self.wfile.flush()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main(argv: list[str]) -> None:
    """``NAME COUNT TREE TIED``: keep a lab until a ``down`` request, SIGTERM, or (tied) the end of stdin."""
    name, count, tree, tied = argv
    lab = Lab(name)
    holder = Holder(lab, int(count), pathlib.Path(tree))
    holder.enter_sandbox()
    served = registry.serve(lab)
    images.push_all(REGISTRY, holder.tree / "bin/busybox")
    lab.socket.unlink(missing_ok=True)
    with _Server(str(lab.socket), type("Handler", (_Handler,), {"holder": holder})) as server:
        os.chmod(lab.socket, 0o600)
        threading.Thread(target=server.serve_forever, name="server", daemon=True).start()
        signal.signal(signal.SIGTERM, lambda *_: holder.ended.set())
        if tied == "tied":
            threading.Thread(target=_until_eof, args=(holder.ended,), name="tie", daemon=True).start()
        holder.ended.wait()
        holder.do_down(print)
        lab.socket.unlink(missing_ok=True)
    served.terminate()
    served.wait()
    sys.stdout.flush()
    os._exit(0)  # not sys.exit: a thread may still wait for a host that will never answer


def _until_eof(ended: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    ended.set()


if __name__ == "__main__":
    main(sys.argv[1:])
