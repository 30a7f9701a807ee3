# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks on the sandbox's hosts, and how long each task of theirs took on each host."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks._lib.hosts import Host
from benchmarks._lib.sandbox import BenchError

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANAGERS, WORKERS = "swarm_managers", "swarm_workers"
CALLBACK = '''
import json
import os
import time

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    """A line of JSON for each task that a host has done."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "clock"

    def v2_runner_on_start(self, host, task):
        self.begun = getattr(self, "begun", {})
        self.begun[host.name, task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result):
        host, task = result._host.name, result._task
        line = {
            "host": host,
            "task": task.get_name(),
            "seconds": time.monotonic() - self.begun[host, task._uuid],
            "changed": bool(result._result.get("changed")),
        }
        with open(os.environ["QR_BENCH_TASKS"], "a") as file:
            file.write(json.dumps(line) + "\\n")
'''


class Done(NamedTuple):
    """One task on one host, from its start to its result, as Ansible sees it."""

    host: str
    task: str
    seconds: float
    changed: bool


class Plays:
    """Runs ``ansible-playbook``. Each host has a Python of its own whose modules find that host's runtime."""

    def __init__(self, folder: pathlib.Path, hosts: Sequence[Host], sockets: Sequence[str]) -> None:
        self._folder = folder / "plays"
        namespace = self._folder / "collections/ansible_collections/queenright"
        namespace.mkdir(parents=True)
        (namespace / "swarm").symlink_to(ROOT)
        (self._folder / "callbacks").mkdir()
        (self._folder / "callbacks/clock.py").write_text(CALLBACK)
        (self._folder / "ansible.cfg").write_text("[defaults]\n")
        rows = {host.name: self._host(host, socket) for host, socket in zip(hosts, sockets, strict=True)}
        first, *others = (host.name for host in hosts)
        groups = {MANAGERS: {"hosts": {first: rows[first]}}, WORKERS: {"hosts": {name: rows[name] for name in others}}}
        (self._folder / "hosts.json").write_text(json.dumps({"all": {"children": groups}}))

    def _host(self, host: Host, socket: str) -> dict[str, Any]:
        python = self._folder / f"python-{host.name}"
        python.write_text(f'#!/bin/sh\nexport QUEENRIGHT_SOCKET={socket}\nexec {sys.executable} -I "$@"\n')
        python.chmod(0o755)
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(python),
            "address": host.address,
        }

    def run(self, *plays: dict[str, Any]) -> list[Done]:
        """Run plays; what was done, in order. Raises BenchError with what Ansible said."""
        book, record = self._folder / "book.json", self._folder / "tasks.jsonl"
        book.write_text(json.dumps([{"gather_facts": False, **play} for play in plays]))
        record.write_text("")
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
        env.update(
            ANSIBLE_COLLECTIONS_PATH=str(self._folder / "collections"),
            ANSIBLE_CONFIG=str(self._folder / "ansible.cfg"),
            ANSIBLE_CALLBACK_PLUGINS=str(self._folder / "callbacks"),
            ANSIBLE_CALLBACKS_ENABLED="clock",
            ANSIBLE_LOCAL_TEMP=str(self._folder / "tmp"),
            ANSIBLE_FORKS="10",
            ANSIBLE_PIPELINING="true",
            ANSIBLE_HOME=str(self._folder / "home"),
            HOME=str(self._folder),
            QR_BENCH_TASKS=str(record),
        )
        command = [sys.executable, "-m", "ansible", "playbook", "-i", str(self._folder / "hosts.json"), str(book)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchError(f"the playbook failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        return [Done(**json.loads(line)) for line in record.read_text().splitlines()]
