# SPDX-License-Identifier: GPL-3.0-or-later
"""Integration targets on three machines: each a Docker Engine with a runtime, all on one bridge nobody else sees.

A target is a role in `targets/`. It begins with runtimes that are in no swarm, on the hosts that `HOSTS` names.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import yaml
from compat.daemon import kit
from compat.engine import IMAGE

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ROOT / "tests/integration/targets"
INSTALLED = ROOT / ".test-output/installed"
MANAGER, WORKERS = "manager1", ("worker1", "worker2")
HOSTS = {"managers": "all", "swarm_join": "swarm_workers", "swarm_leave": "swarm_workers", "relay": "swarm_workers"}
TIMEOUT = 600.0


def targets() -> list[str]:
    """Names of all targets; those that only prepare others are left out."""
    found = []
    for path in sorted(TARGETS.iterdir()):
        aliases = (path / "aliases").read_text().split()
        if "hidden" not in aliases:
            found.append(path.name)
    return found


def collections(folder: pathlib.Path, checkout: bool) -> pathlib.Path:
    """Where ansible finds the collection: a copy of what was installed from the tarball, or this checkout."""
    namespace = folder / "collections/ansible_collections/queenright"
    namespace.mkdir(parents=True)
    installed = INSTALLED / "ansible_collections/queenright/swarm"
    if not checkout and (installed / "MANIFEST.json").exists():
        shutil.copytree(installed, namespace / "swarm")  # the other may be built anew meanwhile
    else:
        (namespace / "swarm").symlink_to(ROOT)
    return folder / "collections"


def inventory(folder: pathlib.Path, machines: list[kit.Machine]) -> pathlib.Path:
    """Each host has a Python of its own whose modules find that host's runtime."""
    hosts = {}
    for name, machine in zip((MANAGER, *WORKERS), machines, strict=True):
        python = folder / f"python-{name}"
        python.write_text(
            f'#!/bin/sh\nexport QUEENRIGHT_SOCKET={machine.daemon.socket}\nexec {sys.executable} -I "$@"\n'
        )
        python.chmod(0o755)
        hosts[name] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": str(python),
            "address": machine.address,
            "daemon_pid": machine.daemon.pid,
            "docker_socket": machine.engine.socket,
        }
    groups = {
        "swarm_managers": {"hosts": {MANAGER: hosts[MANAGER]}},
        "swarm_workers": {"hosts": {name: hosts[name] for name in WORKERS}},
    }
    path = folder / "inventory.yml"
    path.write_text(yaml.safe_dump({"all": {"children": groups, "vars": {"image": IMAGE}}}))
    return path


def play(folder: pathlib.Path, machines: list[kit.Machine], target: str, paths: pathlib.Path) -> bool:
    """Run one target on hosts that are in no swarm."""
    for machine in machines:
        machine.clean()
        machine.fresh().start()
    playbook = folder / f"{target}.yml"
    hosts = HOSTS.get(target, "swarm_managers")
    playbook.write_text(yaml.safe_dump([{"hosts": hosts, "gather_facts": False, "roles": [target]}]))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    env.update(
        ANSIBLE_COLLECTIONS_PATH=str(paths),
        ANSIBLE_ROLES_PATH=str(TARGETS),
        ANSIBLE_LOCAL_TEMP=str(folder / "tmp"),
        ANSIBLE_CONFIG=str(folder / "ansible.cfg"),
    )
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory(folder, machines)), str(playbook)]
    done = subprocess.run(command, env=env, timeout=TIMEOUT, check=False)
    if done.returncode:
        for machine in machines:
            print(f"--- log of the runtime at {machine.address}", machine.daemon.tail(), sep="\n")
    return done.returncode == 0


def main(names: list[str]) -> int:
    """Run the named targets, or all."""
    checkout = "--checkout" in names
    names = [name for name in names if name != "--checkout"]
    unknown = sorted(set(names) - set(targets()))
    if unknown:
        print(f"no such target: {', '.join(unknown)}; there are {', '.join(targets())}", file=sys.stderr)
        return 2
    results = {}
    with tempfile.TemporaryDirectory(prefix="qri") as place:
        folder = pathlib.Path(place)
        (folder / "ansible.cfg").write_text("[defaults]\n")
        paths = collections(folder, checkout)
        for machines in kit.machines((), (), ()):
            for name in names or targets():
                begun = time.monotonic()
                results[name] = play(folder, machines, name, paths)
                print(f"{'ok' if results[name] else 'FAILED'}: {name} ({time.monotonic() - begun:.0f} s)", flush=True)
    failed = [name for name, good in results.items() if not good]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
