# SPDX-License-Identifier: Apache-2.0
"""Specs that are refused, and the words for it."""

from __future__ import annotations

from typing import Any

import pytest
from runtime.manager.kit import service_spec

from queenright.manager.checks import check_service
from queenright.model.errors import InvalidArgument


def generic(*wanted: tuple[str, int | str]) -> dict[str, Any]:
    """A TaskTemplate that reserves generic resources."""
    forms = {int: "DiscreteResourceSpec", str: "NamedResourceSpec"}
    items = [{forms[type(value)]: {"Kind": kind, "Value": value}} for kind, value in wanted]
    return {"Resources": {"Reservations": {"GenericResources": items}}}


def mounted(**mount: Any) -> dict[str, Any]:
    return {"container": {"Mounts": [{"Target": "/t", **mount}]}}


def bound(**mount: Any) -> dict[str, Any]:
    return mounted(**{"Type": "bind", "Source": "/s", **mount})


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name must be provided"),
    ({"container": {"Hostname": "{{.Node.Nonsense}}"}}, "ContainerSpec: "),
    ({"container": {"Env": ["A={{.Task.Slot"]}}, "the placeholder is not closed"),
    ({"name": "-web"}, "name must be valid as a DNS name component"),
    ({"name": "web-"}, "name must be valid as a DNS name component"),
    ({"name": "we b"}, "name must be valid as a DNS name component"),
    ({"name": "wéb"}, "name must be valid as a DNS name component"),
    ({"name": "w" * 64}, "name must be 63 characters or fewer"),
    ({"name": "a" * 500 + "!"}, "name must be valid as a DNS name component"),
    ({"container": {"Image": ""}}, "ContainerSpec: image reference must be provided"),
    ({"container": {"Image": "UPPER"}}, 'ContainerSpec: "UPPER" is not a valid repository/tag'),
    ({"container": {"Image": "a b"}}, 'ContainerSpec: "a b" is not a valid repository/tag'),
    ({"container": {"Image": "f" * 64}}, "is not a valid repository/tag"),
    ({"container": {"StopGracePeriod": -1}}, "ContainerSpec: StopGracePeriod cannot be negative"),
    ({"container": {"Env": ["=x"]}}, "ContainerSpec: invalid environment variable: =x"),
    (
        {"container": {"Mounts": [{"Target": "/a", "Type": "tmpfs"}, {"Target": "/a/", "Type": "tmpfs"}]}},
        "ContainerSpec: duplicate mount point: /a/",
    ),
    (
        {"container": {"Mounts": [{"Target": "a", "Type": "tmpfs"}]}},
        "ContainerSpec: invalid mount target, must be an absolute path: a",
    ),
    (
        {"container": {"Mounts": [{"Target": "/a", "Source": "b", "Type": "bind"}]}},
        "ContainerSpec: invalid bind mount source, must be an absolute path: b",
    ),
    (
        {"container": {"Mounts": [{"Target": "/a", "Source": "/b", "Type": "volume"}]}},
        "ContainerSpec: invalid volume mount source, must not be an absolute path: /b",
    ),
    (
        {"container": {"Mounts": [{"Target": "/a", "Source": "/b", "Type": "tmpfs"}]}},
        "ContainerSpec: invalid tmpfs source, source must be empty",
    ),
    (
        {"container": {"Healthcheck": {"Interval": -1}}},
        "ContainerSpec: Interval in HealthConfig cannot be negative",
    ),
    ({"container": {"Healthcheck": {"Retries": -1}}}, "ContainerSpec: Retries in HealthConfig cannot be negative"),
    ({"container": {"Healthcheck": {"Test": ["RUN"]}}}, "ContainerSpec: Test in HealthConfig begins with"),
    (
        {"task": {"Resources": {"Limits": {"NanoCPUs": 999_999}}}},
        "invalid cpu value 0.000999999: Must be at least 0.001",
    ),
    (
        {"task": {"Resources": {"Reservations": {"MemoryBytes": 4_194_303}}}},
        "invalid memory value 4194303: Must be at least 4MiB",
    ),
    ({"task": {"RestartPolicy": {"Delay": -1}}}, "TaskSpec: restart-delay cannot be negative"),
    ({"task": {"RestartPolicy": {"Window": -1}}}, "TaskSpec: restart-window cannot be negative"),
    ({"task": {"RestartPolicy": {"MaxAttempts": -1}}}, "TaskSpec: restart-max-attempts cannot be negative"),
    ({"task": {"Placement": {"Constraints": ["node.id"]}}}, "constraint expected one operator from ==, !="),
    ({"task": {"Placement": {"Constraints": ["1x==a"]}}}, "key '1x' is invalid"),
    ({"task": {"Placement": {"Constraints": ["node.id=="]}}}, "value '' is invalid"),
    ({"task": {"Placement": {"MaxReplicas": -1}}}, "TaskSpec: max-replicas cannot be negative"),
    ({"UpdateConfig": {"Delay": -1}}, "TaskSpec: update-delay cannot be negative"),
    ({"UpdateConfig": {"Monitor": -1}}, "TaskSpec: update-monitor cannot be negative"),
    ({"UpdateConfig": {"Parallelism": -1}}, "TaskSpec: update-parallelism cannot be negative"),
    (
        {"UpdateConfig": {"MaxFailureRatio": 1.5}},
        "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1",
    ),
    ({"RollbackConfig": {"Delay": -1}}, "TaskSpec: rollback-delay cannot be negative"),
    (
        {"EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 80, "PublishMode": "host"}] * 2}},
        "EndpointSpec: duplicate published ports provided",
    ),
    (
        {"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishedPort": 80}]}},
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
    ),
    ({"EndpointSpec": {"Ports": [{"TargetPort": 0, "PublishMode": "host"}]}}, "target port 0 is not within 1-65535"),
    (
        {"EndpointSpec": {"Ports": [{"TargetPort": 1, "PublishedPort": 65536, "PublishMode": "host"}]}},
        "published port 65536 is not within 0-65535",
    ),
    (
        {"EndpointSpec": {"Ports": [{"TargetPort": 1, "PublishMode": "host", "LocalFirst": True}]}},
        "local_first is for ports of mode ingress: port 1 is of mode host",
    ),
    ({"EndpointSpec": {"Drain": -1}}, "drain cannot be negative"),
    ({"EndpointSpec": {"Drain": 601_000_000_000}}, "drain is not within 0s-10m"),
    ({"container": {"Env": ["A=\0"]}}, "holds a NUL character"),
    ({"container": {"Env": ["A=\ud800"]}}, "not valid Unicode"),
    ({"task": {"ForceUpdate": 1 << 64}}, "is out of range"),
    ({"Mode": {"Replicated": {"Replicas": 1 << 63}}}, "is out of range"),
    ({"UpdateConfig": {"MaxFailureRatio": float("inf")}}, "is not finite"),
    ({"container": {"Env": ["A=" + "x" * 300_000]}}, "larger than 256 KiB"),
    ({"task": {"Resources": {"SwapBytes": 1 << 20}}}, "a limit of swap needs a limit of memory"),
    ({"task": {"Resources": {"SwapBytes": -1, "Limits": {"Pids": 5}}}}, "a limit of swap needs a limit of memory"),
    (
        {"task": {"Resources": {"SwapBytes": -2, "Limits": {"MemoryBytes": 1 << 30}}}},
        "invalid swap value -2: Must not be negative, or -1 for no limit",
    ),
    ({"task": {"Resources": {"MemorySwappiness": 101}}}, "invalid memory swappiness 101: Must be within 0-100"),
    ({"task": generic(("gpu", "uuid1"))}, "invalid argument for resource gpu"),
    ({"task": generic(("gpu", 0))}, "invalid value 0 for resource gpu: Must be at least 1"),
    ({"task": generic(("gpu", 1), ("gpu", 2))}, "resource gpu is reserved twice"),
    ({"task": generic(("g p u", 1))}, "'g p u' is no kind of a generic resource"),
    ({"UpdateConfig": {"Timeout": -1}}, "TaskSpec: update-timeout cannot be negative"),
    ({"RollbackConfig": {"Timeout": -1}}, "TaskSpec: rollback-timeout cannot be negative"),
    (mounted(Target="/"), "must not be the root of the container"),
    (mounted(BindOptions={"Propagation": "shared"}), 'type "volume": field BindOptions must not be specified'),
    (mounted(Type="tmpfs", VolumeOptions={"NoCopy": True}), 'type "tmpfs": field VolumeOptions must not be'),
    (bound(TmpfsOptions={"Mode": 7}), 'type "bind": field TmpfsOptions must not be specified'),
    (mounted(VolumeOptions={"Subpath": "a/../../b"}), "subpath must be a relative path within the volume"),
    (mounted(VolumeOptions={"Subpath": "/a"}), "subpath must be a relative path within the volume"),
    (mounted(Type="tmpfs", TmpfsOptions={"SizeBytes": -1}), "SizeBytes in TmpfsOptions cannot be negative"),
    (mounted(Type="tmpfs", TmpfsOptions={"Options": [["size", "1m"]]}), "option size has a key of its own"),
    (mounted(Type="tmpfs", TmpfsOptions={"Options": [["exec,suid"]]}), "'exec,suid' is no option"),
    (bound(Source="/a:b", BindOptions={"Relabel": "shared"}), "a path with a colon cannot be relabelled"),
    (
        bound(BindOptions={"Relabel": "shared", "NonRecursive": True}),
        "NonRecursive cannot be had together with Relabel",
    ),
    (bound(BindOptions={"ReadOnlyNonRecursive": True}), "ReadOnlyNonRecursive needs ReadOnly"),
    (
        bound(ReadOnly=True, BindOptions={"Relabel": "private", "ReadOnlyForceRecursive": True}),
        "ReadOnlyForceRecursive cannot be had together with Relabel",
    ),
    (
        bound(ReadOnly=True, BindOptions={"ReadOnlyNonRecursive": True, "ReadOnlyForceRecursive": True}),
        "exclude each other",
    ),
]


@pytest.mark.parametrize(("more", "text"), REFUSED, ids=[text[:50] for _, text in REFUSED])
def test_a_bad_spec_is_refused_in_words_that_name_what_is_wrong(more: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_service(service_spec(**more))
    assert text in str(caught.value)
    assert not caught.value.plain


TAKEN: list[dict[str, Any]] = [
    {},
    {"name": "a_b--c1"},
    {"name": "W" * 63},
    {"container": {"Image": "registry.example:5000/team/app:v1.2_3@sha256:" + "0" * 64}},
    {"container": {"Image": "localhost/app"}},
    {"container": {"Image": "[::1]:5000/app"}},
    {"container": {"Image": "sha256:" + "0" * 64}},
    {"container": {"Env": ["A", "B=", "C=d=e"]}},
    {"container": {"Hostname": "{{.Service.Name}}-{{.Task.Slot}}", "Env": ["N={{.Node.Hostname}}"]}},
    {"container": {"Mounts": [{"Target": "/a"}, {"Target": "/b", "Source": "/b", "Type": "bind"}]}},
    {"container": {"Healthcheck": {"Test": ["NONE"]}}},
    bound(ReadOnly=True, BindOptions={"ReadOnlyForceRecursive": True, "Propagation": "rprivate"}),
    bound(BindOptions={"Relabel": "private", "Propagation": "rslave", "CreateMountpoint": True}),
    mounted(Type="tmpfs", TmpfsOptions={"SizeBytes": 1 << 20, "Options": [["noexec"], ["uid", "7"]]}),
    mounted(VolumeOptions={"Subpath": "a/b"}),
    {"task": generic(("gpu", 1), ("SSD", 3))},
    {"task": {"Resources": {"SwapBytes": -1, "MemorySwappiness": 0, "Limits": {"MemoryBytes": 1 << 30}}}},
    {"UpdateConfig": {"Gate": "monitor", "Timeout": 0}},
    {"task": {"Resources": {"Limits": {"NanoCPUs": 1_000_000, "MemoryBytes": 4 << 20}}}},
    {"task": {"Networks": [{"Target": "host"}]}},
    {"task": {"Networks": [{"Target": "bridge"}]}},
    {"task": {"Placement": {"Constraints": ["node.labels.zone != a b", "node.role==worker"]}}},
    {
        "EndpointSpec": {
            "Ports": [
                {"TargetPort": 53, "PublishedPort": 53, "Protocol": "udp", "PublishMode": "host"},
                {"TargetPort": 53, "PublishedPort": 53, "Protocol": "tcp", "PublishMode": "host"},
                {"TargetPort": 80, "PublishMode": "host"},
                {"TargetPort": 81, "PublishMode": "host"},
            ]
        }
    },
    {"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishMode": "host"}]}},
    {"UpdateConfig": {"Parallelism": 0, "MaxFailureRatio": 1.0}},
]


@pytest.mark.parametrize("more", TAKEN, ids=str)
def test_a_good_spec_is_taken(more: dict[str, Any]) -> None:
    spec = service_spec(**more)
    check_service(spec)
    assert spec.task.container.image


def test_a_hostile_image_name_is_refused_without_delay() -> None:
    for image in ("a" * 5000, "a." * 500, "a-" * 500 + "!", "a/" * 500, "1" * 1000 + ":"):
        with pytest.raises(InvalidArgument):
            check_service(service_spec(container={"Image": image}))


def test_hostile_placeholders_are_refused_without_delay() -> None:
    for text in ("{{" * 50_000, "{{" + " " * 100_000, "{{ " * 30_000 + "}}", " " * 100_000 + "{{"):
        with pytest.raises(InvalidArgument, match="ContainerSpec: "):
            check_service(service_spec(container={"Env": ["A=" + text]}))
