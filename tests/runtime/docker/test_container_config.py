# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import dataclasses
from typing import Any

import pytest

from queenright.agent.ports import TaskError
from queenright.edge.docker.container_config import create_body
from queenright.model.objects import NodeDescription, Task
from queenright.spec import fields
from queenright.spec.container import ContainerSpec, Healthcheck, Ulimit
from queenright.spec.service import (
    EndpointSpec,
    GenericResource,
    Limits,
    LogDriver,
    NetworkAttachment,
    Port,
    Resources,
    TaskSpec,
)

MIB = 1 << 20
NODE = NodeDescription(hostname="h1", architecture="x86_64", os="linux")
BARE: dict[str, Any] = {
    "Image": "app:1",
    "Labels": {
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": "tid",
        "com.docker.swarm.task.name": "web.2.tid",
        "com.docker.swarm.node.id": "nid",
        "com.docker.swarm.service.id": "sid",
        "com.docker.swarm.service.name": "web",
        "queenright.cluster.id": "cid",
    },
    "HostConfig": {"NetworkMode": "default", "Init": False},
}


def body_of(container: dict[str, Any] | None = None, **task: Any) -> dict[str, Any]:
    """The body for a container given as Engine JSON."""
    endpoint = task.pop("endpoint", EndpointSpec())
    spec = fields.decode(ContainerSpec, {"Image": "app:1"} | (container or {}))
    return create_body(
        Task(
            id="tid",
            service_id="sid",
            service_name="web",
            service_labels={"zone": "a"},
            slot=2,
            node_id="nid",
            spec=TaskSpec(container=spec, **task),
            endpoint=endpoint,
        ),
        NODE,
        "cid",
    )


def test_a_bare_task_sets_only_what_every_task_has() -> None:
    assert body_of() == BARE


PROFILE = '{"defaultAction": "SCMP_ACT_ALLOW"}'
TOP = [
    ({"Command": ["/bin/app"]}, {"Entrypoint": ["/bin/app"]}),
    ({"Args": ["-v"]}, {"Cmd": ["-v"]}),
    ({"Env": ["A=1", "B={{.Task.Slot}}"]}, {"Env": ["A=1", "B=2"]}),
    ({"Hostname": "{{.Service.Name}}-{{.Node.Hostname}}"}, {"Hostname": "web-h1"}),
    ({"Dir": "/srv"}, {"WorkingDir": "/srv"}),
    ({"User": "1000:1000"}, {"User": "1000:1000"}),
    ({"StopSignal": "SIGINT"}, {"StopSignal": "SIGINT"}),
    ({"StopGracePeriod": 1_500_000_000}, {"StopTimeout": 2}),
    ({"StopGracePeriod": 0}, {"StopTimeout": 0}),
    ({"TTY": True}, {"Tty": True}),
    ({"OpenStdin": True}, {"OpenStdin": True}),
    (
        {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 5, "Timeout": 6, "Retries": 7, "StartPeriod": 8}},
        {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 5, "Timeout": 6, "Retries": 7, "StartPeriod": 8}},
    ),
    ({"Healthcheck": {"Test": ["NONE"]}}, {"Healthcheck": {"Test": ["NONE"]}}),
    ({"Healthcheck": {"StartInterval": 9}}, {"Healthcheck": {"StartInterval": 9}}),
]


@pytest.mark.parametrize(("given", "expected"), TOP)
def test_options_of_the_container(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body_of(given) == BARE | expected


HOST = [
    ({"Groups": ["audio", "101"]}, {"GroupAdd": ["audio", "101"]}),
    ({"Init": True}, {"Init": True}),
    ({"Init": False}, {"Init": False}),
    ({"ReadOnly": True}, {"ReadonlyRootfs": True}),
    ({"Hosts": ["10.0.0.1 db", "fd00::1 six alias"]}, {"ExtraHosts": ["db:10.0.0.1", "six:fd00::1"]}),
    (
        {"DNSConfig": {"Nameservers": ["9.9.9.9"], "Search": ["a.example"], "Options": ["ndots:2"]}},
        {"Dns": ["9.9.9.9"], "DnsSearch": ["a.example"], "DnsOptions": ["ndots:2"]},
    ),
    ({"Isolation": "default"}, {}),
    ({"Sysctls": {"net.core.somaxconn": "1024"}}, {"Sysctls": {"net.core.somaxconn": "1024"}}),
    ({"CapabilityAdd": ["CAP_NET_ADMIN"]}, {"CapAdd": ["CAP_NET_ADMIN"]}),
    ({"CapabilityDrop": ["ALL"]}, {"CapDrop": ["ALL"]}),
    (
        {"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]},
        {"Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]},
    ),
    ({"OomScoreAdj": 500}, {"OomScoreAdj": 500}),
    ({"Privileges": {"NoNewPrivileges": True}}, {"SecurityOpt": ["no-new-privileges=true"]}),
    ({"Privileges": {"AppArmor": {"Mode": "disabled"}}}, {"SecurityOpt": ["apparmor=unconfined"]}),
    ({"Privileges": {"AppArmor": {"Mode": "default"}}}, {}),
    ({"Privileges": {"Seccomp": {"Mode": "unconfined"}}}, {"SecurityOpt": ["seccomp=unconfined"]}),
    ({"Privileges": {"Seccomp": {"Mode": "default"}}}, {}),
    (
        {"Privileges": {"Seccomp": {"Mode": "custom", "Profile": base64.b64encode(PROFILE.encode()).decode()}}},
        {"SecurityOpt": [f"seccomp={PROFILE}"]},
    ),
    ({"Privileges": {"SELinuxContext": {"Disable": True}}}, {"SecurityOpt": ["label=disable"]}),
    (
        {"Privileges": {"SELinuxContext": {"User": "u", "Role": "r", "Type": "t", "Level": "l"}}},
        {"SecurityOpt": ["label=user:u", "label=role:r", "label=type:t", "label=level:l"]},
    ),
    (
        {"Mounts": [{"Source": "data-{{.Task.Slot}}", "Target": "/data"}]},
        {"Mounts": [{"Type": "volume", "Source": "data-2", "Target": "/data"}]},
    ),
    (
        {
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": "data",
                    "Target": "/{{.Service.Name}}",
                    "ReadOnly": True,
                    "VolumeOptions": {
                        "NoCopy": True,
                        "Labels": {"zone": "{{.Service.Labels.zone}}"},
                        "Subpath": "sub",
                        "DriverConfig": {"Name": "local", "Options": {"device": "/srv/{{.Task.Slot}}"}},
                    },
                }
            ]
        },
        {
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": "data",
                    "Target": "/web",
                    "ReadOnly": True,
                    "VolumeOptions": {
                        "NoCopy": True,
                        "Labels": {"zone": "a"},
                        "Subpath": "sub",
                        "DriverConfig": {"Name": "local", "Options": {"device": "/srv/2"}},
                    },
                }
            ]
        },
    ),
    (
        {
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": "/srv",
                    "Target": "/srv",
                    "BindOptions": {"Propagation": "rslave", "NonRecursive": True, "CreateMountpoint": True},
                }
            ]
        },
        {
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": "/srv",
                    "Target": "/srv",
                    "BindOptions": {"Propagation": "rslave", "NonRecursive": True, "CreateMountpoint": True},
                }
            ]
        },
    ),
    (
        {"Mounts": [{"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o1777}}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/tmp", "TmpfsOptions": {"SizeBytes": 4096, "Mode": 0o1777}}]},
    ),
]


@pytest.mark.parametrize(("given", "expected"), HOST)
def test_options_of_the_host_side(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body_of(given) == BARE | {"HostConfig": BARE["HostConfig"] | expected}


TASK = [
    ({"resources": Resources(limits=Limits(cpus=500_000_000))}, {"NanoCpus": 500_000_000}),
    ({"resources": Resources(limits=Limits(memory=64 << 20))}, {"Memory": 64 << 20}),
    ({"resources": Resources(limits=Limits(pids=100))}, {"PidsLimit": 100}),
    (
        {"log_driver": LogDriver(name="local", options={"max-size": "1m"})},
        {"LogConfig": {"Type": "local", "Config": {"max-size": "1m"}}},
    ),
    ({"resources": Resources(swap_bytes=-1, limits=Limits(memory=MIB))}, {"Memory": MIB, "MemorySwap": -1}),
    ({"resources": Resources(swap_bytes=0, limits=Limits(memory=MIB))}, {"Memory": MIB, "MemorySwap": MIB}),
    ({"resources": Resources(swap_bytes=MIB, limits=Limits(memory=MIB))}, {"Memory": MIB, "MemorySwap": 2 * MIB}),
    ({"resources": Resources(memory_swappiness=0)}, {"MemorySwappiness": 0}),
    ({"networks": (NetworkAttachment(target="host"),)}, {"NetworkMode": "host"}),
    ({"networks": (NetworkAttachment(target="bridge"),)}, {"NetworkMode": "bridge"}),
]


@pytest.mark.parametrize(("given", "expected"), TASK)
def test_options_of_the_task(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert body_of(**given) == BARE | {"HostConfig": BARE["HostConfig"] | expected}


def test_a_container_is_told_what_it_was_given_of_generic_resources() -> None:
    given = (
        GenericResource("gpu", name="uuid2"),
        GenericResource("SSD", 3),
        GenericResource("gpu", name="uuid1"),
    )
    task = Task(id="tid", service_id="sid", spec=TaskSpec(container=ContainerSpec(image="a", env=("A=1",))))
    body = create_body(dataclasses.replace(task, assigned_generic=given), NODE, "cid")
    assert body["Env"] == ["A=1", "DOCKER_RESOURCE_GPU=uuid2,uuid1", "DOCKER_RESOURCE_SSD=3"]


def test_every_field_of_a_container_has_a_row_above() -> None:
    covered = {key for given, _ in TOP + HOST for key in given} | {"Image", "Labels"}
    covered |= {"Secrets", "Configs"}  # files of their own, see test_data_mounts
    assert covered == {row.api for _, _, row in fields.rows(ContainerSpec)}
    shown = {key for given, _ in TOP for key in given.get("Healthcheck", {})}
    assert shown == {row.api for _, _, row in fields.rows(Healthcheck)}
    assert {row.api for _, _, row in fields.rows(Ulimit)} == {"Name", "Soft", "Hard"}


def test_host_ports_are_exposed_and_bound_and_others_are_not_ours() -> None:
    ports = (
        Port(target_port=80, published_port=8080, mode="host"),
        Port(target_port=80, published_port=8081, mode="host"),
        Port(target_port=53, protocol="udp", mode="host"),
        Port(target_port=443, published_port=443, mode="ingress"),
    )
    body = body_of(endpoint=EndpointSpec(ports=ports))
    assert body["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert body["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostPort": "8080"}, {"HostPort": "8081"}],
        "53/udp": [{"HostPort": ""}],
    }


def test_the_labels_by_which_a_container_is_found_cannot_be_overridden() -> None:
    body = body_of({"Labels": {"mine": "x", "queenright.cluster.id": "forged", "com.docker.swarm.task.id": "forged"}})
    assert body["Labels"] == BARE["Labels"] | {"mine": "x"}


def test_a_global_tasks_container_is_named_after_its_node() -> None:
    task = Task(id="tid", service_id="sid", service_name="web", node_id="nid", spec=TaskSpec())
    task = dataclasses.replace(task, spec=TaskSpec(container=ContainerSpec(image="a")))
    assert create_body(task, NODE, "cid")["Labels"]["com.docker.swarm.task.name"] == "web.nid.tid"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"container": {"Image": ""}}, "image reference must be provided"),
        ({"container": {"Env": ["A={{.Nothing}}"]}}, "Env A: .*there is no .Nothing"),
        ({"container": {"Hosts": ["lonely"]}}, "'lonely' is not of the form"),
        ({"container": {"Privileges": {"Seccomp": {"Mode": "custom", "Profile": "!"}}}}, "not base64 of a JSON"),
        ({"networks": (NetworkAttachment(target="mesh"),)}, "network 'mesh': the task has no address in it"),
        (
            {"networks": (NetworkAttachment(target="host"), NetworkAttachment(target="bridge"))},
            "more than one of the networks",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        body_of(**given)
