# SPDX-License-Identifier: Apache-2.0
"""The role of managers founds a swarm below a real cfssl, at Ansible's loudest, and shows and leaves no key."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from compat.daemon.kit import Daemon, until
from runtime.app.kit import Dockerd
from security.kit import files
from security.outside import Authority
from security.test_cfssl import CLUSTER, Site, serial

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ENTRY = "import sys; from ansible.cli.playbook import main; main(sys.argv[1:])"
PLAY = [
    {
        "hosts": "swarm_managers",
        "gather_facts": False,
        "roles": ["queenright.swarm.manager"],
        "post_tasks": [
            {"queenright.swarm.swarm_init": {"install_runtime": False}, "register": "found"},
            {"ansible.builtin.debug": {"var": "found"}},
        ],
    }
]


@pytest.fixture
def site() -> Iterator[Site]:
    dockerd = Dockerd()
    made = Site(dockerd)
    yield made
    made.close()
    dockerd.close()


def play(folder: pathlib.Path, daemon: Daemon, *arguments: str) -> str:
    """The output of ``ansible-playbook`` for a host whose runtime is the daemon."""
    namespace = folder / "collections/ansible_collections/queenright"
    if not namespace.exists():
        namespace.mkdir(parents=True)
        (namespace / "swarm").symlink_to(CHECKOUT)
        (folder / "ansible.cfg").write_text("[defaults]\n")
        (folder / "play.json").write_text(json.dumps(PLAY))
        python = folder / "python"
        python.write_text(f'#!/bin/sh\nexport QUEENRIGHT_SOCKET={daemon.socket}\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        host = f"h1 ansible_connection=local ansible_python_interpreter={python}"
        (folder / "inventory").write_text(f"[swarm_managers]\n{host} ansible_remote_tmp={folder}/remote\n")
    env = {
        "PATH": os.environ["PATH"],
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
        "ANSIBLE_NOCOLOR": "1",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
    }
    files_of = ("-i", str(folder / "inventory"), str(folder / "play.json"))
    command = [sys.executable, "-c", ENTRY, "ansible-playbook", *files_of, *arguments]
    done = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def forms(key: str) -> set[str]:
    """The key as it may be written: lines, one line, encoded."""
    lines = [line for line in key.splitlines() if not line.startswith("-----")]
    return {*lines[:2], "".join(lines)[:40], base64.b64encode(key.encode()).decode()[:60]}


def test_the_role_founds_below_an_external_ca_once_and_shows_no_key(site: Site, tmp_path: pathlib.Path) -> None:
    daemon = site.daemon()
    first = site.ca.first(CLUSTER)
    variables = {
        "manager_external_cas": [{"url": site.ca.url, "ca_cert": site.ca.root}],
        "manager_first_manager": {
            "key": first.key,
            "certificate": first.certificate,
            "root_certificate": first.root_certificate,
        },
        "manager_listen_addr": site.addrs[daemon],
        "manager_advertise_addr": site.addrs[daemon],
    }
    given = site.folder / "vars.json"  # outside of what is looked at
    given.write_text(json.dumps(variables))
    arguments = ("-vvvvv", "--diff", "-e", f"@{given}")
    outputs = [play(tmp_path, daemon, *arguments, "--check")]
    assert daemon.status()["state"] == "inactive" and "changed=2 " in outputs[0]  # both tasks would found
    outputs.append(play(tmp_path, daemon, *arguments))
    assert "changed=1 " in outputs[1] and '"found a swarm"' in outputs[1]
    founded = daemon.becomes(state="active", ready=True)
    assert (founded["cluster_id"], daemon.get("/queenright/v1/ca")["has_key"]) == (CLUSTER, False)
    outputs.append(play(tmp_path, daemon, *arguments))
    assert "changed=0 " in outputs[2]
    until(lambda: len(site.ca.asked) == 1 and serial(daemon) in str(daemon.get("/queenright/v1/ca")), daemon.tail)
    for output in outputs:
        assert not {form for form in forms(first.key) if form in output}
        assert "PRIVATE KEY" not in output
    left = [path for path in files(tmp_path) if path.is_file() and "collections" not in path.parts]
    left += [path for path in files(daemon.folder) if path.is_file()]
    assert [path for path in left if any(form.encode() in path.read_bytes() for form in forms(first.key))] == []


def test_another_authority_is_declared_by_the_role_once(site: Site, tmp_path: pathlib.Path) -> None:
    daemon = site.found_outside()
    second = Authority(site.folder / "second", "second")
    cas = [
        {"url": site.ca.url, "ca_cert": site.ca.root},
        {"url": second.url, "ca_cert": second.root},
    ]
    given = site.folder / "vars.json"
    given.write_text(json.dumps({"manager_external_cas": cas}))
    arguments = ("--diff", "-e", f"@{given}")
    for mode, changed in (("--check", 1), ("-v", 1), ("-v", 0), ("--check", 0)):
        output = play(tmp_path, daemon, *arguments, mode)
        assert f"changed={changed} " in output, output
    held = daemon.get("/queenright/v1/ca")["spec"]["ExternalCAs"]
    assert [one["URL"] for one in held] == [site.ca.url, second.url]
