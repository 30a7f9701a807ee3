# SPDX-License-Identifier: Apache-2.0
"""``docker stack`` by the command lines, on our socket and on Docker's own swarm: one file makes the same objects."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, until
from compat.daemon.test_data_clients import CLIENTS
from compat.daemon.test_export import Engine
from compat.engine import IMAGE

from queenright.spec.fields import difference

COMPOSE = pathlib.Path(__file__).parents[1] / "stack.yml"
WITHIN = 150
SERVICES = ["shop_all", "shop_store", "shop_web"]


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[Machine]]:
    yield from kit.machines((), ())


@pytest.fixture(scope="module")
def stock(hosts: list[Machine]) -> Engine:
    """A swarm of Docker's own."""
    engine = Engine(hosts[0].engine.socket)
    engine("POST", "/swarm/init", {"ListenAddr": f"{hosts[0].address}:2377", "AdvertiseAddr": hosts[0].address})
    return engine


@pytest.fixture(scope="module")
def daemon(hosts: list[Machine]) -> Iterator[Daemon]:
    """The only manager of a swarm of ours."""
    daemon = hosts[1].fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": hosts[1].address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    hosts[1].clean()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """The compose file, and what it names."""
    shutil.copy(COMPOSE, tmp_path / "stack.yml")
    (tmp_path / "key.txt").write_text("open sesame 7413")
    (tmp_path / "page.html").write_text("<p>hello</p>\n")
    return tmp_path


class Stacks:
    """``docker stack`` of one binary on one socket."""

    def __init__(self, binary: str, socket: object, folder: pathlib.Path) -> None:
        self._command = [binary, "-H", f"unix://{socket}", "stack"]
        self._folder = folder

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], cwd=self._folder, capture_output=True, text=True, timeout=WITHIN, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()

    def deploy(self) -> None:
        self("deploy", "--compose-file", "stack.yml", "--resolve-image", "never", "shop")


def _listed(engine: Engine) -> bool:
    """Whether a swarm has anything of the stack."""
    networks = [name for name in engine.networks() if name.startswith("shop_")]
    return bool(engine.services() or networks or engine.data("secrets") or engine.data("configs"))


def _all_of(engine: Engine) -> dict[str, Any]:
    """All that was said of the stack, ids and times aside."""
    networks = {
        name: (said, [pool["Subnet"] for pool in pools] if name == "shop_back" else [])
        for name, (said, pools) in engine.networks().items()
        if name.startswith("shop_")
    }
    return {
        "services": {name: _with_defaults(spec) for name, spec in engine.services().items()},
        "networks": networks,
        "secrets": engine.data("secrets"),
        "configs": engine.data("configs"),
    }


def _with_defaults(spec: dict[str, Any]) -> dict[str, Any]:
    """The service with those defaults said that stock Swarm writes down where the client says nothing."""
    endpoint = {"Mode": "vip", **spec.get("EndpointSpec", {})}
    endpoint["Ports"] = [{"Protocol": "tcp", **port} for port in endpoint.get("Ports", ())]
    template = dict(spec["TaskTemplate"])
    template["RestartPolicy"] = {"MaxAttempts": 0, **template.get("RestartPolicy", {})}
    return spec | {"EndpointSpec": endpoint, "TaskTemplate": template}


def _differences(one: Engine, other: Engine) -> str:
    """In what the stacks of two engines differ, in words."""
    found = difference(_all_of(one), _all_of(other))
    return "\n".join(f"{path}: {values['before']} here, {values['after']} there" for path, values in found.items())


@pytest.fixture(autouse=True)
def tidy(stock: Engine, daemon: Daemon, folder: pathlib.Path) -> Iterator[None]:
    """No stack is left to the next test, however this one ends."""
    yield
    names = [one["Name"] for one in daemon.get("/queenright/v1/stacks") if one["Managed"]]
    for name in names:
        daemon.post("/queenright/v1/apply", {"kind": "stack", "name": name, "state": "absent", "options": {}})
    for socket in (stock.socket, daemon.socket):
        cli = Stacks(CLIENTS[0], socket, folder)
        if "shop" in cli("ls", "--format", "{{.Name}}").split():
            cli("rm", "shop")
        engine = Engine(str(socket))
        until(lambda engine=engine: not _listed(engine), lambda engine=engine: _all_of(engine))


@pytest.mark.parametrize("binary", CLIENTS)
def test_the_same_file_makes_the_same_services_here_and_there(
    stock: Engine, daemon: Daemon, folder: pathlib.Path, binary: str
) -> None:
    ours = Engine(str(daemon.socket))
    sockets = {"ours": daemon.socket, "stock": pathlib.Path(stock.socket)}
    cli = {name: Stacks(binary, socket, folder) for name, socket in sockets.items()}
    for one in cli.values():
        one.deploy()
    assert not _differences(ours, stock)
    for one in cli.values():  # again: updates of services, which ask for nothing else
        one.deploy()
    assert not _differences(ours, stock)
    listed = {name: one("ls", "--format", "{{.Name}} {{.Services}}") for name, one in cli.items()}
    assert listed == {"ours": "shop 3", "stock": "shop 3"}
    assert cli["ours"]("services", "--format", "{{.Name}}", "shop").split() == SERVICES
    (row,) = daemon.get("/queenright/v1/stacks")
    assert row == {"Name": "shop", "Managed": False, "Services": 3}
    found = daemon.get("/queenright/v1/stacks/shop")
    assert [one["Name"] for one in found["Services"]] == SERVICES
    assert {one["Name"] for one in found["Networks"]} == {"shop_default", "shop_back"}
    assert [[one["Name"] for one in found[kind]] for kind in ("Secrets", "Configs")] == [["shop_key"], ["shop_page"]]
    daemon.running(daemon.get("/services/shop_web")["ID"], 2)

    def shown() -> bool:
        rows = [json.loads(line) for line in cli["ours"]("ps", "--format", "json", "shop").splitlines()]
        return {row["Name"].partition(".")[0] for row in rows} == set(SERVICES)

    if "28" in binary_version(binary):
        assert shown()
    assert "shop_web.1" in cli["ours"]("ps", "--format", "{{.Name}}", "shop")
    for engine, one in ((ours, cli["ours"]), (stock, cli["stock"])):
        one("rm", "shop")
        until(lambda engine=engine: not _listed(engine), lambda engine=engine: _all_of(engine))
        assert one("ls", "--format", "{{.Name}}") == ""


@pytest.mark.parametrize("binary", CLIENTS)
def test_a_stack_of_the_swarm_is_seen_by_the_command_line(daemon: Daemon, folder: pathlib.Path, binary: str) -> None:
    cli = Stacks(binary, daemon.socket, folder)
    spec = {"image": IMAGE, "command": ["sleep", "100000"], "stop_grace_period": "1s", "networks": [{"name": "back"}]}
    options = {"services": {"web": spec | {"replicas": 2}, "store": spec}, "networks": {"back": {}}}
    body = {
        "kind": "stack",
        "name": "ours",
        "state": "present",
        "options": options,
        "context": {"resolve_image": "never"},
    }
    daemon.post("/queenright/v1/apply", body)
    daemon.running(daemon.get("/services/ours_web")["ID"], 2)
    assert cli("ls", "--format", "{{.Name}} {{.Services}}") == "ours 2"
    assert set(cli("services", "--format", "{{.Name}} {{.Image}}", "ours").splitlines()) == {
        f"ours_web {IMAGE}",
        f"ours_store {IMAGE}",
    }
    assert set(cli("ps", "--format", "{{.Name}}", "ours").split()) == {"ours_web.1", "ours_web.2", "ours_store.1"}
    daemon.post("/queenright/v1/apply", body | {"state": "absent", "options": {}})
    until(lambda: not daemon.get("/queenright/v1/stacks"), lambda: daemon.get("/queenright/v1/stacks"))
    assert cli("ls", "--format", "{{.Name}}") == ""


def binary_version(binary: str) -> str:
    """The version that a command line says it is."""
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[2]
