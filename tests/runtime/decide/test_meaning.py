# SPDX-License-Identifier: Apache-2.0
"""Two ways to write the same service are one service; everything that makes another container is a change."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws.builders import SECOND, service, task
from runtime.spec.test_laws import bodies

from queenright.decide import defaults, meaning
from queenright.model.objects import Service
from queenright.spec.fields import decode, encode
from queenright.spec.service import ServiceSpec

C = "ContainerSpec"


def container(**more: Any) -> dict[str, Any]:
    return {C: {"Image": "app", **more}}


def spec_of(body: dict[str, Any]) -> ServiceSpec:
    return decode(ServiceSpec, {"TaskTemplate": {**container(), **body}})


SAME: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a switch that is off", container(TTY=False, OpenStdin=False, ReadOnly=False, Init=False), container()),
    ("texts that are empty", container(Hostname="", User="", Dir="", StopSignal="", Isolation=""), container()),
    ("the order of variables", container(Env=["A=1", "B=2"]), container(Env=["B=2", "A=1"])),
    ("the order of labels", container(Labels={"a": "1", "b": "2"}), container(Labels={"b": "2", "a": "1"})),
    ("the default grace", container(StopGracePeriod=10 * SECOND), container()),
    (
        "capabilities",
        container(CapabilityAdd=["NET_ADMIN", "SYS_TIME"], CapabilityDrop=["ALL"]),
        container(CapabilityAdd=["CAP_SYS_TIME", "net_admin", "NET_ADMIN"], CapabilityDrop=["all"]),
    ),
    (
        "the kind of a volume, and switches of mounts",
        container(Mounts=[{"Target": "/a", "Source": "v", "Type": "volume", "ReadOnly": False, "VolumeOptions": {}}]),
        container(Mounts=[{"Target": "/a", "Source": "v"}]),
    ),
    (
        "the order of mounts",
        container(Mounts=[{"Target": "/a", "Source": "v"}, {"Target": "/b", "Type": "tmpfs"}]),
        container(Mounts=[{"Target": "/b", "Type": "tmpfs", "TmpfsOptions": {}}, {"Target": "/a", "Source": "v"}]),
    ),
    (
        "the propagation that applies anyway",
        container(
            Mounts=[{"Type": "bind", "Source": "/s", "Target": "/t", "BindOptions": {"Propagation": "rprivate"}}]
        ),
        container(Mounts=[{"Type": "bind", "Source": "/s", "Target": "/t"}]),
    ),
    (
        "a probe's zeros",
        container(Healthcheck={"Test": ["CMD", "true"], "Interval": 0, "Timeout": 0, "Retries": 0, "StartPeriod": 0}),
        container(Healthcheck={"Test": ["CMD", "true"]}),
    ),
    (
        "profiles that apply anyway",
        container(
            Privileges={
                "Seccomp": {"Mode": "default"},
                "AppArmor": {"Mode": "default"},
                "NoNewPrivileges": False,
                "SELinuxContext": {"Disable": False, "User": ""},
            }
        ),
        container(),
    ),
    (
        "whose a file is",
        container(
            Secrets=[
                {
                    "SecretID": "s",
                    "SecretName": "k",
                    "File": {"Name": "k", "UID": "0", "GID": "0", "Mode": 0o444},
                }
            ]
        ),
        container(Secrets=[{"SecretID": "s", "SecretName": "k", "File": {"Name": "k"}}]),
    ),
    ("limits of nothing", {"Resources": {"Limits": {"NanoCPUs": 0, "MemoryBytes": 0, "Pids": 0}}}, {}),
    ("the swappiness of the node", {"Resources": {"MemorySwappiness": -1}}, {}),
    (
        "the order of generic resources",
        {
            "Resources": {
                "Reservations": {
                    "GenericResources": [
                        {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}},
                        {"DiscreteResourceSpec": {"Kind": "fpga", "Value": 2}},
                    ]
                }
            }
        },
        {
            "Resources": {
                "Reservations": {
                    "GenericResources": [
                        {"DiscreteResourceSpec": {"Kind": "fpga", "Value": 2}},
                        {"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}},
                    ]
                }
            }
        },
    ),
    (
        "the restart policy that applies anyway",
        {"RestartPolicy": {"Condition": "any", "Delay": 5 * SECOND, "MaxAttempts": 0, "Window": 0}},
        {},
    ),
    (
        "blanks and order of constraints",
        {"Placement": {"Constraints": ["node.role==worker", "node.labels.zone != a"]}},
        {"Placement": {"Constraints": ["node.labels.zone!=a", "node.role == worker", "node.role==worker"]}},
    ),
    ("placement without a limit", {"Placement": {"MaxReplicas": 0, "Constraints": [], "Preferences": None}}, {}),
    ("a log driver of no name", {"LogDriver": {"Name": "", "Options": {}}}, {}),
    ("the counter's zero, the runtime's name", {"ForceUpdate": 0, "Runtime": "container"}, {}),
]


@pytest.mark.parametrize(("one", "other"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_what_means_the_same_replaces_nothing(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert defaults.same_meaning(spec_of(one).task, spec_of(other).task)
    assert defaults.same_meaning(spec_of(other).task, spec_of(one).task)


OTHER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("a variable that is set twice", container(Env=["A=1", "A=2"]), container(Env=["A=2", "A=1"])),
    ("a command's order", container(Args=["a", "b"]), container(Args=["b", "a"])),
    ("no grace at all", container(StopGracePeriod=0), container()),
    ("no delay at all", {"RestartPolicy": {"Delay": 0}}, {}),
    ("no swap at all", {"Resources": {"SwapBytes": 0}}, {}),
    ("never swapped out", {"Resources": {"MemorySwappiness": 0}}, {}),
    (
        "a file that nobody may read",
        container(Configs=[{"ConfigID": "c", "ConfigName": "k", "File": {"Name": "k", "Mode": 0}}]),
        container(Configs=[{"ConfigID": "c", "ConfigName": "k", "File": {"Name": "k"}}]),
    ),
    (
        "another version of a secret",
        container(Secrets=[{"SecretID": "s1", "SecretName": "k", "File": {"Name": "k"}}]),
        container(Secrets=[{"SecretID": "s2", "SecretName": "k", "File": {"Name": "k"}}]),
    ),
    (
        "the label of a bind",
        container(Mounts=[{"Type": "bind", "Source": "/s", "Target": "/t", "BindOptions": {"Relabel": "shared"}}]),
        container(Mounts=[{"Type": "bind", "Source": "/s", "Target": "/t"}]),
    ),
    ("no probe", container(Healthcheck={"Test": ["NONE"]}), container()),
    (
        "the order of preferences",
        {"Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": f"node.labels.{key}"}} for key in "ab"]}},
        {"Placement": {"Preferences": [{"Spread": {"SpreadDescriptor": f"node.labels.{key}"}} for key in "ba"]}},
    ),
    ("another log driver", {"LogDriver": {"Name": "json-file"}}, {}),
    (
        "the order of resolvers",
        container(DNSConfig={"Nameservers": ["a", "b"]}),
        container(DNSConfig={"Nameservers": ["b", "a"]}),
    ),
    ("the counter", {"ForceUpdate": 1}, {}),
]


@pytest.mark.parametrize(("one", "other"), [row[1:] for row in OTHER], ids=[row[0] for row in OTHER])
def test_what_makes_another_container_is_a_change(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not defaults.same_meaning(spec_of(one).task, spec_of(other).task)
    assert not defaults.same_meaning(spec_of(other).task, spec_of(one).task)


def of_another_revision(service_body: dict[str, Any], task_body: dict[str, Any]) -> tuple[Service, Any]:
    """A service of revision 2, and a task of the revision before it."""
    old = service("web", 1, EndpointSpec=task_body)
    new = dataclasses.replace(service("web", 1, EndpointSpec=service_body), spec_version=2)
    return new, task(old, "t")


PORT = {"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"Mode": "vip"}, {}),
        ({"Mode": "vip", "Ports": []}, {"Ports": None}),
        ({"Ports": [{**PORT, "Protocol": "tcp", "Name": ""}]}, {"Ports": [PORT]}),
        (
            {"Ports": [{"TargetPort": 80, "PublishedPort": 0}]},
            {"Ports": [{"TargetPort": 80, "PublishMode": "ingress"}]},
        ),
        ({"Ports": [PORT, {"TargetPort": 443}]}, {"Ports": [{"TargetPort": 443}, PORT]}),
    ],
)
def test_an_endpoint_that_says_what_applies_anyway_replaces_nothing(one: dict[str, Any], other: dict[str, Any]) -> None:
    for first, second in ((one, other), (other, one)):
        assert not defaults.is_dirty(*of_another_revision(first, second))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"Mode": "dnsrr"}, {}),
        ({"Ports": [PORT]}, {}),
        ({"Ports": [PORT]}, {"Ports": [{**PORT, "Protocol": "udp"}]}),
        ({"Ports": [PORT]}, {"Ports": [{**PORT, "PublishedPort": 8081}]}),
        ({"Ports": [PORT]}, {"Ports": [{**PORT, "PublishMode": "ingress"}]}),
    ],
)
def test_another_endpoint_replaces_the_tasks(one: dict[str, Any], other: dict[str, Any]) -> None:
    for first, second in ((one, other), (other, one)):
        assert defaults.is_dirty(*of_another_revision(first, second))


@given(bodies(), st.randoms(use_true_random=False))
def test_defaults_that_are_filled_in_change_nothing(body: dict[str, Any], random: Any) -> None:
    spec = decode(ServiceSpec, body)
    shown = decode(ServiceSpec, encode(defaults.with_defaults(spec)))
    assert defaults.same_meaning(spec.task, shown.task)
    assert meaning.same_endpoint(spec.endpoint, shown.endpoint)
    again = meaning.plainest(spec.task)
    assert meaning.plainest(again) == again
    variables = list(spec.task.container.env)
    if len({entry.partition("=")[0] for entry in variables}) == len(variables):
        random.shuffle(variables)
        shuffled = dataclasses.replace(spec.task.container, env=tuple(variables))
        assert defaults.same_meaning(spec.task, dataclasses.replace(spec.task, container=shuffled))


@given(bodies(), bodies())
def test_specifications_of_one_meaning_make_one_container(one: dict[str, Any], other: dict[str, Any]) -> None:
    """The law behind it all: whatever else differs, the image, the command and the resources do not."""
    first, second = decode(ServiceSpec, one).task, decode(ServiceSpec, other).task
    if defaults.same_meaning(first, second):
        assert first.container.image == second.container.image
        assert (first.container.command, first.container.args) == (second.container.command, second.container.args)
        assert meaning.plainest(first.resources) == meaning.plainest(second.resources)


def test_a_pair_is_compared_once_and_what_was_compared_is_held() -> None:
    asked: list[int] = []

    def compare(one: Any, other: Any) -> bool:
        asked.append(1)
        return bool(one == other)

    memory = meaning.Memory(compare)
    memory.MOST = 16
    first, second = spec_of({}).task, spec_of({}).task
    assert memory.same(first, first) and not asked
    assert all(memory.same(first, second) for _ in range(3))
    assert len(asked) == 1
    for number in range(30 * memory.MOST):  # each is dropped here; an identity that is used again must not mislead
        assert not memory.same(first, spec_of({"ForceUpdate": number + 1}).task)
    assert len(asked) == 1 + 30 * memory.MOST
