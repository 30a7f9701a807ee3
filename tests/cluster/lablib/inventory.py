# SPDX-License-Identifier: Apache-2.0
"""How others reach the hosts: an ssh configuration and an Ansible inventory."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lablib.paths import Lab, host_address, host_name

_SSH_OPTIONS = {
    "User": "root",
    "BatchMode": "yes",
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "6",
}


def ssh_config(lab: Lab, count: int) -> str:
    """Text for ``ssh -F``: host1 ... hostN by name."""
    lines = []
    for index in range(1, count + 1):
        lines += [f"Host {host_name(index)} {host_address(index)}", f"  HostName {host_address(index)}"]
    lines += ["Host *", f"  IdentityFile {lab.key}", "  IdentitiesOnly yes"]
    lines += [f"  {key} {value}" for key, value in _SSH_OPTIONS.items()]
    return "\n".join(lines) + "\n"


def ansible(
    lab: Lab, count: int, *, managers: Sequence[str] | None = None, workers: Sequence[str] | None = None
) -> str:
    """The inventory as YAML (written as JSON, which is YAML): host1 manages and the others work, unless said."""
    arguments = " ".join(f"-o {key}={value}" for key, value in _SSH_OPTIONS.items() if key not in ("User", "BatchMode"))
    hosts = [host_name(index) for index in range(1, count + 1)]
    managers = hosts[:1] if managers is None else managers
    workers = hosts[1:] if workers is None else workers
    common = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_ssh_common_args": arguments,
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    tree = {
        "all": {
            "vars": common,
            "hosts": {host_name(index): {"ansible_host": host_address(index)} for index in range(1, count + 1)},
            "children": {
                "swarm_managers": {"hosts": {host: {} for host in managers}},
                "swarm_workers": {"hosts": {host: {} for host in workers}},
            },
        }
    }
    return json.dumps(tree, indent=2) + "\n"
