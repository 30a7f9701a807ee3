# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet for ansible-playbook: each host has a Python of its own whose modules find that host's fake runtime."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import typing as t

import pytest
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeRuntime

CHECKOUT = pathlib.Path(__file__).resolve().parents[4]
ENTRY = "import sys; from ansible.cli.playbook import main; main(sys.argv[1:])"
DEAD = '''
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: dead
short_description: A host that is off
description: Fails to connect.
author: tests
extends_documentation_fragment: [connection_pipelining]
"""


class Connection(Local):
    transport = "dead"

    def exec_command(self, *args, **kwargs):
        raise AnsibleConnectionFailure("no route to host")
'''


@dataclasses.dataclass(frozen=True)
class Played:
    """What ansible-playbook did."""

    code: int
    output: str

    def recap(self, host: str) -> dict[str, int]:
        """The host's numbers in the recap."""
        line = re.search(rf"^{host} +: (.*)$", self.output, re.MULTILINE)
        assert line is not None, self.output
        return {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line[1])}

    def text(self) -> str:
        """The output in one line, so that wrapped messages can be looked for."""
        return " ".join(self.output.split())


class Fleet:
    """Hosts by name; ``managers`` and ``workers`` are the inventory's groups."""

    def __init__(self, folder: pathlib.Path, new_runtime: t.Callable[[str], FakeRuntime]) -> None:
        self._folder = folder
        self._new_runtime = new_runtime
        self._lines: dict[str, str] = {}
        self.hosts: dict[str, FakeRuntime] = {}
        self.managers: list[str] = []
        self.workers: list[str] = []
        (folder / "ansible.cfg").write_text("[defaults]\n")
        (folder / "connection").mkdir()
        (folder / "connection/dead.py").write_text(DEAD)

    def manager(self, *names: str) -> None:
        """Add hosts to the managers group."""
        self.managers += [self._add(name) for name in names]

    def worker(self, *names: str) -> None:
        """Add hosts to the workers group."""
        self.workers += [self._add(name) for name in names]

    def bare(self, name: str) -> None:
        """Take a host's runtime away."""
        self.hosts[name].stop()

    def over_ssh(self, name: str) -> None:
        """Reach a host by the ssh plugin, with a program that plays ssh and runs the command right here."""
        program = self._folder / "ssh"
        program.write_text('#!/bin/bash\nexec /bin/sh -c "${@: -1}"\n')
        program.chmod(0o755)
        options = f"ansible_ssh_executable={program} ansible_ssh_transfer_method=piped ansible_host=192.0.2.1"
        self._lines[name] = self._lines[name].replace("=local ", f"=ssh {options} ", 1)

    def kill(self, name: str) -> None:
        """A host does not answer any more."""
        self._lines[name] = f"{name} ansible_connection=dead"

    def _add(self, name: str) -> str:
        runtime = self.hosts[name] = self._new_runtime(name)
        python = self._folder / f"python-{name}"
        python.write_text(f'#!/bin/sh\nexport QUEENRIGHT_SOCKET={runtime.socket}\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        self._lines[name] = f"{name} ansible_connection=local ansible_python_interpreter={python}"
        return name

    def play(self, tasks: str, *arguments: str, hosts: str = "all") -> Played:
        """Run tasks on hosts."""
        inventory = self.inventory()
        playbook = self._folder / "play.yml"
        body = textwrap.indent(textwrap.dedent(tasks).strip("\n"), "    ")
        playbook.write_text(f"- hosts: {hosts}\n  gather_facts: false\n  tasks:\n{body}\n")
        return self.ansible_playbook("-i", str(inventory), str(playbook), *arguments)

    def inventory(self) -> pathlib.Path:
        """The inventory's file, as the hosts are now."""
        inventory = self._folder / "inventory"
        groups = (("swarm_managers", self.managers), ("swarm_workers", self.workers))
        inventory.write_text(
            "".join(f"[{group}]\n" + "".join(f"{self._lines[name]}\n" for name in names) for group, names in groups)
        )
        return inventory

    def ansible_playbook(self, *arguments: str) -> Played:
        """Run ``ansible-playbook`` with this checkout as the collection."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        env.update(
            ANSIBLE_COLLECTIONS_PATH=str(self._collections()),
            ANSIBLE_CONNECTION_PLUGINS=str(self._folder / "connection"),
            ANSIBLE_CONFIG=str(self._folder / "ansible.cfg"),
            ANSIBLE_LOCAL_TEMP=str(self._folder / "local"),
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_PIPELINING="1",
            ANSIBLE_HOME=str(self._folder / "home"),
            HOME=str(self._folder),
            LC_ALL="C.UTF-8",
        )
        done = subprocess.run(
            [sys.executable, "-c", ENTRY, "ansible-playbook", *arguments],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return Played(done.returncode, done.stdout)

    def _collections(self) -> pathlib.Path:
        namespace = self._folder / "collections/ansible_collections/queenright"
        if not namespace.exists():
            namespace.mkdir(parents=True)
            (namespace / "swarm").symlink_to(CHECKOUT)
        return self._folder / "collections"


@pytest.fixture
def fleet(tmp_path, new_runtime) -> Fleet:
    """An empty fleet."""
    return Fleet(tmp_path, new_runtime)
