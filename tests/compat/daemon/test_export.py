# SPDX-License-Identifier: Apache-2.0
"""Swarms exported, and declared again by ansible-playbook: Docker's own and ours, on real engines."""

from __future__ import annotations

import base64
import dataclasses
import difflib
import os
import pathlib
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest
from compat import wide
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine
from compat.engine import IMAGE

from queenright.app.ask import ask
from queenright.app.exported_options import unknown
from queenright.spec.fields import decode, encode
from queenright.spec.service import ServiceSpec

CHECKOUT = pathlib.Path(__file__).parents[3]
CHANGED = "changed="
SECRETS = {f"secret_{name}": data for name, data, _labels in wide.SECRETS}


@dataclasses.dataclass(frozen=True)
class Engine:
    """Any engine, by its socket."""

    socket: str

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        return ask(pathlib.Path(self.socket), method, path, body, timeout=60)

    def make(self) -> None:
        """Fill its swarm with everything."""
        ids = {one["Name"]: self("POST", "/networks/create", one)["Id"] for one in wide.NETWORKS}
        for kind, values in (("secrets", wide.SECRETS), ("configs", wide.CONFIGS)):
            for name, data, labels in values:
                ids[name] = self("POST", f"/{kind}/create", wide.data_body(name, data, labels))["ID"]
        for spec in wide.services(ids):
            self("POST", "/services/create", spec)

    def services(self) -> dict[str, Any]:
        """The specs of all services by name, with names for ids."""
        networks = {one["Id"]: one["Name"] for one in self("GET", "/networks")}
        return {one["Spec"]["Name"]: _named(one["Spec"], networks) for one in self("GET", "/services")}

    def networks(self) -> dict[str, Any]:
        """What was said of the networks."""
        filters = urllib.parse.quote('{"scope":["swarm"]}')
        keys = ("Internal", "Attachable", "Ingress", "EnableIPv6", "Labels", "Driver")
        return {
            one["Name"]: ({key: one[key] or None for key in keys}, one["IPAM"]["Config"])
            for one in self("GET", f"/networks?filters={filters}")
        }

    def data(self, kind: str) -> dict[str, Any]:
        return {one["Spec"]["Name"]: one["Spec"] for one in self("GET", f"/{kind}")}


def _named(spec: dict[str, Any], networks: dict[str, str]) -> dict[str, Any]:
    """What is said, whatever an engine shows of what is not said (stock Swarm keeps what is empty as it came)."""
    for one in spec["TaskTemplate"].get("Networks") or ():
        one["Target"] = networks[one["Target"]]
    spec["TaskTemplate"].get("Networks", []).sort(key=lambda one: one["Target"])  # clients put them in order of ids
    for kind in ("Secret", "Config"):
        for one in spec["TaskTemplate"]["ContainerSpec"].get(f"{kind}s") or ():
            del one[f"{kind}ID"]
    assert unknown(ServiceSpec, spec) == []
    return encode(decode(ServiceSpec, spec))


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[Machine]]:
    yield from kit.machines((), ())


@pytest.fixture(scope="module")
def stock(hosts: list[Machine]) -> Engine:
    """A swarm of Docker's own."""
    engine = Engine(hosts[0].engine.socket)
    body = {"ListenAddr": f"{hosts[0].address}:2377", "AdvertiseAddr": hosts[0].address}
    engine("POST", "/swarm/init", body | {"Spec": {"Orchestration": {"TaskHistoryRetentionLimit": 3}}})
    engine.make()
    (node,) = engine("GET", "/nodes")
    spec = node["Spec"] | {"Labels": {"zone": "b", "rack": "1"}}
    engine("POST", f"/nodes/{node['ID']}/update?version={node['Version']['Index']}", spec)
    return engine


@pytest.fixture
def daemon(hosts: list[Machine]) -> Iterator[Daemon]:
    """The only manager of a swarm of ours."""
    daemon = hosts[1].fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": hosts[1].address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    daemon.post("/swarm/leave?force=1")
    hosts[1].clean()


def exported(daemon: Daemon, *arguments: str) -> tuple[str, list[str]]:
    """What ``queenright export`` writes, and what it says beside."""
    done = daemon.run("export", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.splitlines()


def played(folder: pathlib.Path, daemon: Daemon, text: str, *arguments: str) -> str:
    """Run a playbook against a daemon; gives the number of changes in words of the recap."""
    assert text.count("swarm_init:") == text.count("install_runtime: false"), "it would install onto this very machine"
    collections = folder / "collections/ansible_collections/queenright"
    if not collections.exists():
        collections.mkdir(parents=True)
        (collections / "swarm").symlink_to(CHECKOUT)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexport QUEENRIGHT_SOCKET={daemon.socket}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    (folder / "play.yml").write_text(text)
    inventory = f"[swarm_managers]\nmanager ansible_connection=local ansible_python_interpreter={python}\n"
    (folder / "inventory").write_text(inventory)
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        [
            pathlib.Path(sys.executable).parent / "ansible-playbook",
            "-i",
            str(folder / "inventory"),
            str(folder / "play.yml"),
            *arguments,
        ],
        env=kept
        | {
            "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "LC_ALL": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    recap = done.stdout.rpartition("PLAY RECAP")[2]
    return next(word for word in recap.split() if word.startswith(CHANGED))


def test_a_swarm_of_docker_itself_is_declared_here_as_it_was(
    stock: Engine, daemon: Daemon, hosts: list[Machine], tmp_path: pathlib.Path
) -> None:
    text, said = exported(daemon, f"--from=unix://{stock.socket}")
    (node,) = daemon.get("/nodes")
    text = text.replace(stock("GET", "/nodes")[0]["Description"]["Hostname"], node["Description"]["Hostname"])
    assert said == [
        "queenright: the data of secret cert cannot be read: give it in the variable secret_cert",
        "queenright: the data of secret key cannot be read: give it in the variable secret_key",
    ]
    (tmp_path / "vars.yml").write_text("secret_key: open sesame 7413\nsecret_cert: other\n")
    assert played(tmp_path, daemon, text, "-e", f"@{tmp_path}/vars.yml") != "changed=0"
    ours = Engine(str(daemon.socket))
    assert ours.services() == stock.services()
    assert ours.networks() == stock.networks()
    for kind in ("secrets", "configs"):
        assert ours.data(kind) == stock.data(kind)
    assert daemon.get("/swarm")["Spec"]["Orchestration"] == {"TaskHistoryRetentionLimit": 3}
    assert daemon.get("/nodes")[0]["Spec"]["Labels"] == {"zone": "b", "rack": "1"}
    # again, and from here, without the secrets
    assert played(tmp_path, daemon, text) == "changed=0"
    again, _said = exported(daemon)
    assert not list(difflib.unified_diff(text.splitlines(), again.splitlines(), n=1))


@pytest.mark.parametrize("form", ["playbook", "apply"])
def test_a_stack_of_ours_is_declared_again_and_that_is_no_new_revision(
    daemon: Daemon, tmp_path: pathlib.Path, form: str
) -> None:
    sleeper = {
        "image": IMAGE,
        "command": ["sleep", "100000"],
        "stop_grace_period": "0s",
        "networks": [{"name": "back"}],
    }
    options = {
        "networks": {"back": {}},
        "configs": {"conf": {"data": base64.b64encode(b"colour = blue").decode()}},
        "services": {
            "db": sleeper,
            "web": sleeper
            | {"replicas": 2, "depends_on": {"db": {"condition": "started"}}, "configs": [{"config_name": "conf"}]},
        },
        "keep": 3,
    }
    wish = {"kind": "stack", "name": "shop", "options": options, "context": {"resolve_image": "never"}}
    daemon.post("/queenright/v1/apply", wish)
    daemon.running("shop_web", 2)
    text, _said = exported(daemon, f"--format={form}")
    assert played(tmp_path, daemon, text) == "changed=0"
    (shop,) = daemon.get("/queenright/v1/stacks")
    assert (shop["Name"], shop["Revision"]) == ("shop", 1)
    again, _said = exported(daemon, f"--format={form}")
    assert again == text
