# SPDX-License-Identifier: Apache-2.0
"""The engine's networks: made, found again, made anew, removed; and tasks in them."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
from typing import Any

import pytest
from docker.errors import APIError, NotFound

from queenright.agent.data import NodeData
from queenright.agent.ports import TemporaryError
from queenright.decide.task_step import Phase
from queenright.edge.docker.client import translate
from queenright.edge.docker.executor import DockerExecutor
from queenright.edge.docker.networks import DockerNetworks
from queenright.model.mesh import Overlay
from queenright.model.objects import Attachment, NodeDescription, Subnet, Task
from queenright.spec.container import ContainerSpec, DNSConfig, Mount
from queenright.spec.service import NetworkAttachment, TaskSpec

OVERLAY = Overlay(
    network_id="n1",
    name="mynet",
    vni=4097,
    mtu=1450,
    subnets=(Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"),),
    dns=("10.0.1.2",),
    internal=False,
    ingress=False,
    addresses=("10.0.1.7/24",),
    vtep="192.0.2.1",
    vxlan_port=4789,
)
BACK = dataclasses.replace(
    OVERLAY,
    network_id="n2",
    name="back",
    subnets=(Subnet(subnet="10.0.2.0/24", gateway="10.0.2.1"),),
    dns=("10.0.2.2",),
)
TASK = Task(
    id="t" * 25,
    service_id="svc",
    service_name="web",
    slot=1,
    node_id="node",
    spec=TaskSpec(container=ContainerSpec(image="app:1"), networks=(NetworkAttachment(target="n1"),)),
    attachments=(
        Attachment(network_id="n1", addresses=("10.0.1.5/24",), aliases=("web",)),
        Attachment(network_id="n2", addresses=("10.0.2.5/24",)),
    ),
)


class _Answer:
    def __init__(self, code: int) -> None:
        self.status_code = code
        self.reason = "said the engine"


def refusal(code: int, text: str, kind: type[APIError] = APIError) -> APIError:
    return kind(text, response=_Answer(code), explanation=text)


class Engine:
    """An engine with networks and containers, as its SDK shows it."""

    def __init__(self, api_version: str = "1.47") -> None:
        self.api_version = api_version
        self.nets: dict[str, dict[str, Any]] = {}
        self.boxes: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.refuse_connect = 0
        self._numbers = itertools.count(1)

    async def call(self, function: Any) -> Any:
        try:
            return function(self)
        except APIError as error:
            raise translate(error) from error

    async def on_thread(self, function: Any) -> Any:
        return function()

    # -- networks

    def networks(self, filters: dict[str, list[str]] | None = None) -> list[dict[str, Any]]:
        wanted = (filters or {}).get("label", [])
        return [item for item in self.nets.values() if all(self._bears(item, label) for label in wanted)]

    @staticmethod
    def _bears(item: dict[str, Any], label: str) -> bool:
        key, _, value = label.partition("=")
        return key in item["Labels"] and value in ("", item["Labels"][key])

    def create_network(self, name: str, driver: str, ipam: Any, internal: bool, **rest: Any) -> None:
        self.calls.append(f"create {name}")
        if any(item["Name"] == name for item in self.nets.values()):
            raise refusal(409, f"network with name {name} already exists")
        for item in self.nets.values():
            if item["IPAM"]["Config"][0]["Subnet"] == ipam["Config"][0]["Subnet"]:
                raise refusal(403, "Pool overlaps with other one on this address space")
        key = f"{next(self._numbers):064d}"
        self.nets[key] = {
            "Id": key,
            "Name": name,
            "Driver": driver,
            "IPAM": ipam,
            "Internal": internal,
            "EnableIPv6": rest["enable_ipv6"],
            "Labels": rest["labels"],
            "Options": rest["options"],
            "Containers": {},
        }

    def own_network(self, name: str, subnet: str) -> str:
        """A network that somebody made by hand."""
        ipam = {"Config": [{"Subnet": subnet}]}
        self.create_network(name, "bridge", ipam, False, enable_ipv6=False, labels={}, options={})
        self.calls.pop()
        return next(key for key, item in self.nets.items() if item["Name"] == name)

    def remove_network(self, key: str) -> None:
        if key not in self.nets:
            raise refusal(404, "no such network", NotFound)
        if self.nets[key]["Containers"]:
            raise refusal(403, "network has active endpoints")
        self.calls.append(f"remove {self.nets[key]['Name']}")
        del self.nets[key]

    def inspect_network(self, key: str) -> dict[str, Any]:
        if key not in self.nets:
            raise refusal(404, "no such network", NotFound)
        return self.nets[key]

    def disconnect_container_from_network(self, container: str, key: str, force: bool) -> None:
        members = self.nets[key]["Containers"]
        for member in [member for member, item in members.items() if container in (member, item["Name"])]:
            self.calls.append(f"disconnect {container}")
            del members[member]

    def connect_container_to_network(self, container: str, name: str, **options: Any) -> None:
        if self.refuse_connect:
            self.refuse_connect -= 1
            raise refusal(500, "Address already in use")
        self.calls.append(f"connect {name} {options['ipv4_address']} {options['mac_address']}")
        self.boxes[container]["NetworkSettings"]["Networks"][name] = {}

    # -- containers

    def info(self) -> dict[str, Any]:
        return {}

    def create_container_from_config(self, body: dict[str, Any], name: str) -> dict[str, str]:
        if any(box["Name"] == f"/{name}" for box in self.boxes.values()):
            raise refusal(409, "name in use")
        endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
        self.boxes["c1"] = {
            "Id": "c1",
            "Name": f"/{name}",
            "Config": {"Labels": body["Labels"]},
            "State": {"Status": "created"},
            "NetworkSettings": {"Networks": {key: {} for key in endpoints}},
            "Body": body,
        }
        return {"Id": "c1"}

    def inspect_container(self, reference: str) -> dict[str, Any]:
        for key, box in self.boxes.items():
            if reference in (key, box["Name"][1:]):
                return box
        raise refusal(404, "no such container", NotFound)

    def start(self, key: str) -> None:
        self.boxes[key]["State"] = {"Status": "running", "Pid": 7}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def networks(engine: Engine) -> DockerNetworks:
    return DockerNetworks(engine, "c1", lambda: True)  # type: ignore[arg-type]


@pytest.fixture
def executor(engine: Engine, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> DockerExecutor:
    made = DockerExecutor("c1", wall=lambda: 1, supplies=NodeData(), data_root=tmp_path / "task-files")
    monkeypatch.setattr(made, "_engine", engine)
    monkeypatch.setattr(made, "_description", NodeDescription(hostname="h1"))
    monkeypatch.setattr(made.networks, "_engine", engine)
    monkeypatch.setattr(made._files, "_engine", engine)
    return made


async def test_a_network_is_made_once_and_found_again(networks: DockerNetworks, engine: Engine) -> None:
    await networks.ensure(OVERLAY)
    await networks.ensure(OVERLAY)
    again = DockerNetworks(engine, "c1", lambda: True)  # type: ignore[arg-type]
    await again.ensure(OVERLAY)
    assert engine.calls == ["create mynet"]


async def test_one_that_is_otherwise_is_made_anew(networks: DockerNetworks, engine: Engine) -> None:
    await networks.ensure(OVERLAY)
    await networks.ensure(dataclasses.replace(OVERLAY, internal=True))
    assert engine.calls == ["create mynet", "remove mynet", "create mynet"]


async def test_one_that_is_otherwise_stays_while_containers_are_in_it(networks: DockerNetworks, engine: Engine) -> None:
    await networks.ensure(OVERLAY)
    key = next(iter(engine.nets))
    engine.nets[key]["Containers"] = {"c9": {"Name": "guest"}}
    with pytest.raises(TemporaryError, match="network mynet cannot be removed from this node while guest is in it"):
        await networks.ensure(dataclasses.replace(OVERLAY, internal=True))
    assert key in engine.nets


async def test_another_size_of_packets_waits_until_nobody_is_in_it(networks: DockerNetworks, engine: Engine) -> None:
    await networks.ensure(OVERLAY)
    key = next(iter(engine.nets))
    engine.nets[key]["Containers"] = {"c9": {"Name": "guest"}}
    await networks.ensure(dataclasses.replace(OVERLAY, mtu=1400))
    assert engine.calls == ["create mynet"]
    engine.nets[key]["Containers"] = {}
    await networks.ensure(dataclasses.replace(OVERLAY, mtu=1400))
    assert engine.calls == ["create mynet", "remove mynet", "create mynet"]


async def test_a_name_that_is_taken_is_an_error_in_words_and_goes_away_with_its_cause(
    networks: DockerNetworks, engine: Engine
) -> None:
    key = engine.own_network("mynet", "172.30.0.0/16")
    with pytest.raises(TemporaryError, match=f"network of its own of that name .*docker network rm {key[:12]}"):
        await networks.ensure(OVERLAY)
    with pytest.raises(TemporaryError, match="not made on this node yet"):
        networks.plan(TASK)
    engine.remove_network(key)
    await networks.ensure(OVERLAY)


async def test_a_subnet_that_is_taken_names_both(networks: DockerNetworks, engine: Engine) -> None:
    engine.own_network("lan", "10.0.1.0/24")
    with pytest.raises(TemporaryError, match=r"mynet \(10.0.1.0/24\) overlaps with network lan \(10.0.1.0/24\)"):
        await networks.ensure(OVERLAY)


async def test_another_refusal_is_told_as_the_engine_says_it(
    networks: DockerNetworks, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_arguments: Any) -> None:
        raise refusal(500, "no iptables here")

    monkeypatch.setattr(engine, "create_network", refuse)
    with pytest.raises(TemporaryError, match="network mynet: no iptables here"):
        await networks.ensure(OVERLAY)


async def test_what_is_gone_is_removed_already(networks: DockerNetworks, engine: Engine) -> None:
    await networks.remove("n1")
    await networks.ensure(OVERLAY)
    await networks.remove("n1")
    await networks.remove("n1")
    assert engine.calls == ["create mynet", "remove mynet"]


async def test_networks_of_others_are_never_touched(networks: DockerNetworks, engine: Engine) -> None:
    engine.own_network("lan", "172.30.0.0/16")
    other = DockerNetworks(engine, "c2", lambda: True)  # type: ignore[arg-type]
    await other.ensure(BACK)
    await networks.ensure(OVERLAY)
    await networks.remove("n2")
    await networks.sweep(())
    assert sorted(item["Name"] for item in engine.nets.values()) == ["back", "lan"]


async def test_a_sweep_takes_away_all_but_what_is_kept_even_from_who_joined_by_hand(
    networks: DockerNetworks, engine: Engine
) -> None:
    await networks.ensure(OVERLAY)
    await networks.ensure(BACK)
    for item in engine.nets.values():
        item["Containers"] = {"c9": {"Name": "guest"}, "ep-77": {"Name": "web.1.gone"}}
    await networks.sweep(("n1",))
    assert [item["Name"] for item in engine.nets.values()] == ["mynet"]
    assert "disconnect guest" not in engine.calls
    assert {"disconnect c9", "disconnect web.1.gone", "remove back"} <= set(engine.calls)


async def test_a_sweep_leaves_tasks_where_they_are_and_says_so(executor: DockerExecutor, engine: Engine) -> None:
    await executor.networks.ensure(OVERLAY)
    await executor.networks.ensure(BACK)
    await executor.create(TASK)
    next(item for item in engine.nets.values() if item["Name"] == "mynet")["Containers"] = {"c1": {"Name": TASK.name}}
    with pytest.raises(TemporaryError, match=f"mynet cannot be removed from this node while {TASK.name} is in it"):
        await executor.networks.sweep(())
    assert [item["Name"] for item in engine.nets.values()] == ["mynet"]


# -- tasks


async def test_a_task_waits_for_its_networks(executor: DockerExecutor, engine: Engine) -> None:
    await executor.networks.ensure(OVERLAY)
    with pytest.raises(TemporaryError, match="network n2 is not made on this node yet"):
        await executor.create(TASK)
    assert not engine.boxes


async def test_a_task_is_created_with_all_its_networks(executor: DockerExecutor, engine: Engine) -> None:
    await executor.networks.ensure(OVERLAY)
    await executor.networks.ensure(BACK)
    assert (await executor.create(TASK)).phase == Phase.CREATED
    body = engine.boxes["c1"]["Body"]
    assert set(body["NetworkingConfig"]["EndpointsConfig"]) == {"mynet", "back"}
    assert body["HostConfig"]["NetworkMode"] == "mynet"
    assert "Aliases" not in str(body)
    await executor.start(TASK, "c1")
    assert not [call for call in engine.calls if call.startswith("connect")]


async def test_an_older_engine_lets_it_join_the_others_before_it_starts(
    executor: DockerExecutor, engine: Engine
) -> None:
    engine.api_version = "1.41"
    await executor.networks.ensure(OVERLAY)
    await executor.networks.ensure(BACK)
    await executor.create(TASK)
    assert engine.boxes["c1"]["Body"]["MacAddress"] == "02:42:0a:00:01:05"
    assert engine.calls[-1] == "connect back 10.0.2.5 02:42:0a:00:02:05"


async def test_a_crash_between_two_networks_is_made_good_at_the_start(executor: DockerExecutor, engine: Engine) -> None:
    engine.api_version = "1.41"
    engine.refuse_connect = 1
    await executor.networks.ensure(OVERLAY)
    await executor.networks.ensure(BACK)
    with pytest.raises(Exception, match="Address already in use"):
        await executor.create(TASK)
    assert (await executor.create(TASK)).container_id == "c1"
    assert list(engine.boxes["c1"]["NetworkSettings"]["Networks"]) == ["mynet"]
    await executor.start(TASK, "c1")
    assert list(engine.boxes["c1"]["NetworkSettings"]["Networks"]) == ["mynet", "back"]


async def test_a_task_in_no_network_is_created_as_ever(executor: DockerExecutor, engine: Engine) -> None:
    plain = dataclasses.replace(TASK, attachments=(), spec=TaskSpec(container=ContainerSpec(image="app:1")))
    await executor.create(plain)
    body = engine.boxes["c1"]["Body"]
    assert body["HostConfig"]["NetworkMode"] == "default"
    assert not {"NetworkingConfig", "MacAddress"} & set(body)
    assert not {"Dns", "Binds"} & set(body["HostConfig"])


def resolv_of(engine: Engine) -> pathlib.Path:
    (bind,) = [item for item in engine.boxes["c1"]["Body"]["HostConfig"]["Binds"] if ":/etc/resolv.conf:" in item]
    assert bind.endswith(":z")
    return pathlib.Path(bind.split(":")[0])


async def test_a_task_asks_its_network_and_not_the_engine_for_names(executor: DockerExecutor, engine: Engine) -> None:
    await executor.networks.ensure(OVERLAY)
    await executor.networks.ensure(BACK)
    dns = DNSConfig(nameservers=("9.9.9.9",), search=("corp.example",), options=("ndots:2", "timeout:1"))
    spec = dataclasses.replace(TASK.spec, container=ContainerSpec(image="app:1", dns=dns))
    task = dataclasses.replace(TASK, spec=spec)
    await executor.create(task)
    file = resolv_of(engine)
    assert file.read_text() == "nameserver 10.0.1.2\nsearch corp.example\noptions ndots:2 timeout:1\n"
    host = engine.boxes["c1"]["Body"]["HostConfig"]
    assert (host["Dns"], host["DnsOptions"]) == (["10.0.1.2"], ["timeout:1"])
    file.unlink()  # the node was started anew
    await executor.start(task, "c1")
    assert "nameserver 10.0.1.2" in file.read_text()
    await executor.release(task.id)
    assert not file.exists()


async def test_files_of_tasks_that_are_gone_are_swept(executor: DockerExecutor, engine: Engine) -> None:
    await executor.networks.ensure(OVERLAY)
    await executor.networks.ensure(BACK)
    await executor.create(TASK)
    file = resolv_of(engine)
    await executor.sweep((TASK.id,))
    assert file.exists()
    await executor.sweep(())
    assert not file.parent.exists()


async def test_a_service_that_brings_its_own_resolv_conf_keeps_it(executor: DockerExecutor, engine: Engine) -> None:
    await executor.networks.ensure(OVERLAY)
    await executor.networks.ensure(BACK)
    mount = Mount(type="bind", source="/srv/resolv.conf", target="/etc/resolv.conf")
    spec = dataclasses.replace(TASK.spec, container=ContainerSpec(image="app:1", mounts=(mount,)))
    await executor.create(dataclasses.replace(TASK, spec=spec))
    assert "Binds" not in engine.boxes["c1"]["Body"]["HostConfig"]


def test_a_bridge_that_is_missing_for_the_moment_is_no_fault_of_the_task() -> None:
    said = translate(refusal(500, "could not find bridge sw-0123456789: route ip+net: no such network interface"))
    assert isinstance(said, TemporaryError)
