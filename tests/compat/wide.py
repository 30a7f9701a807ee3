# SPDX-License-Identifier: Apache-2.0
"""A swarm with something of everything, as the bodies of calls of the Engine API that make it."""

from __future__ import annotations

import base64
from typing import Any

IMAGE = "qr-test/busybox:1"
SECOND = 1_000_000_000
SLEEP = ["sleep", "100000"]

NETWORKS: list[dict[str, Any]] = [
    {
        "Name": "back",
        "Driver": "overlay",
        "Internal": True,
        "Labels": {"tier": "back"},
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.77.1.0/24", "Gateway": "10.77.1.254"}]},
    },
    {"Name": "front", "Driver": "overlay", "Options": {"com.docker.network.driver.mtu": "1400"}},
]
CONFIGS = [
    ("nginx", b"server {\n  listen 80;\n\n  # {{ env }}\n}\n", {}),
    ("binary", b"\x00\xff\x80", {"part": "db"}),
    ("templated", b'{"host": "{{ .Node.Hostname }}", "n": 1}', {}),
]
SECRETS = [("key", b"open sesame 7413", {"part": "db"}), ("cert", b"\xfe\x00", {})]


def data_body(name: str, data: bytes, labels: dict[str, str]) -> dict[str, Any]:
    """What creates a secret or config."""
    body: dict[str, Any] = {"Name": name, "Labels": labels, "Data": base64.b64encode(data).decode()}
    return body | ({"Templating": {"Name": "golang"}} if name == "templated" else {})


def services(ids: dict[str, str]) -> list[dict[str, Any]]:
    """Services; ``ids`` are those of networks, secrets and configs by name. Most run no task: what is said matters."""
    return [*_plain(), _everything(ids), *_jobs()]


def _plain() -> list[dict[str, Any]]:
    return [
        _service("least", {"Image": IMAGE, "Command": SLEEP}, Mode={"Replicated": {"Replicas": 1}}),
        _service("everywhere", {"Image": IMAGE, "Command": SLEEP, "StopGracePeriod": 0}, Mode={"Global": {}}),
        _service(
            "pinned",
            {
                "Image": "example.com/app:1@sha256:" + "0" * 64,
                "Env": ["TEMPLATE={{.Node.Hostname}}", "NOTHING", "A=yes"],
            },
            Labels={"with.dots/and-slash": "{{ not jinja }}", "number": "1", "empty": ""},
            EndpointSpec={"Mode": "dnsrr"},
        ),
        _service(
            "published",
            {"Image": IMAGE, "Hostname": "{{.Service.Name}}-{{.Task.Slot}}"},
            EndpointSpec={
                "Mode": "vip",
                "Ports": [
                    {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"},
                    {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 5353, "PublishMode": "host"},
                    {"Protocol": "tcp", "TargetPort": 81, "PublishMode": "ingress"},
                ],
            },
        ),
    ]


_CONTAINER: dict[str, Any] = {
    "Image": IMAGE,
    "Labels": {"in": "container"},
    "Command": ["sh", "-c"],
    "Args": ["echo '{% raw %}' \"$HOME\"\nexec sleep 1", "", " yes "],
    "Env": ["A=1", "A=2", "MULTI=a\nb", "UNICODE=käse \U0001f41d", "TAB=\t"],
    "Dir": "/tmp",
    "User": "1000:1000",
    "Groups": ["5", "audio"],
    "Privileges": {"SELinuxContext": {"Disable": True}},
    "TTY": True,
    "OpenStdin": True,
    "ReadOnly": True,
    "Init": True,
    "StopSignal": "SIGINT",
    "StopGracePeriod": 90 * SECOND,
    "Hosts": ["10.0.0.1 gateway"],
    "DNSConfig": {"Nameservers": ["1.1.1.1"], "Search": ["example.com"], "Options": ["ndots:2"]},
    "Healthcheck": {
        "Test": ["CMD-SHELL", "true || {{ false }}"],
        "Interval": 1_500_000_000,
        "Timeout": 3 * SECOND,
        "Retries": 2,
        "StartPeriod": 60 * SECOND,
    },
    "Sysctls": {"net.core.somaxconn": "1024"},
    "CapabilityAdd": ["CAP_NET_ADMIN"],
    "CapabilityDrop": ["CAP_MKNOD"],
    "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
}
_MOUNTS: list[dict[str, Any]] = [
    {
        "Type": "bind",
        "Source": "/etc",
        "Target": "/host",
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rslave"},
    },
    {
        "Type": "volume",
        "Source": "data",
        "Target": "/data",
        "VolumeOptions": {
            "NoCopy": True,
            "Labels": {"a": "b"},
            "DriverConfig": {"Name": "local", "Options": {"o": "x"}},
        },
    },
    {"Type": "tmpfs", "Target": "/run/x", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1770}},
]
_TEMPLATE: dict[str, Any] = {
    "Resources": {
        "Limits": {"NanoCPUs": 1_500_000_000, "MemoryBytes": 256 << 20, "Pids": 100},
        "Reservations": {
            "NanoCPUs": 1_234_567,
            "MemoryBytes": 10_000_001,
            "GenericResources": [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}],
        },
    },
    "RestartPolicy": {"Condition": "on-failure", "Delay": 1, "MaxAttempts": 3, "Window": 3600 * SECOND},
    "Placement": {
        "Constraints": ["node.labels.zone == a", "node.role != manager"],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.rack"}}],
        "MaxReplicas": 2,
        "Platforms": [{"Architecture": "amd64", "OS": "linux"}],
    },
    "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "tag": "{{.Name}}"}},
    "ForceUpdate": 3,
}


def _data(ids: dict[str, str]) -> dict[str, Any]:
    return {
        "Secrets": [
            {
                "SecretID": ids["key"],
                "SecretName": "key",
                "File": {"Name": "tls.key", "UID": "33", "GID": "34", "Mode": 0o440},
            },
            {
                "SecretID": ids["cert"],
                "SecretName": "cert",
                "File": {"Name": "cert", "UID": "0", "GID": "0", "Mode": 0o444},
            },
        ],
        "Configs": [
            {
                "ConfigID": ids["nginx"],
                "ConfigName": "nginx",
                "File": {"Name": "/etc/nginx.conf", "UID": "0", "GID": "0", "Mode": 0o444},
            }
        ],
    }


def _everything(ids: dict[str, str]) -> dict[str, Any]:
    container = _CONTAINER | {"Mounts": _MOUNTS} | _data(ids)
    spec = _service("everything", container, Mode={"Replicated": {"Replicas": 0}}, Labels={"a": "b"})
    attached = [{"Target": ids["front"], "Aliases": ["web", "www"]}, {"Target": ids["back"]}]
    spec["TaskTemplate"] |= _TEMPLATE | {"Networks": attached}
    update = {
        "Parallelism": 0,
        "Delay": 10 * SECOND,
        "FailureAction": "rollback",
        "Monitor": 15 * SECOND,
        "MaxFailureRatio": 0.25,
        "Order": "start-first",
    }
    return spec | {"UpdateConfig": update, "RollbackConfig": update | {"FailureAction": "pause", "Parallelism": 2}}


def _jobs() -> list[dict[str, Any]]:
    # their constraint holds nowhere: a job that ran would be run again where it is declared anew
    nowhere = {"Constraints": ["node.labels.nowhere == true"]}
    once = _service("once", {"Image": IMAGE, "Command": ["true"]})
    job = {"ReplicatedJob": {"MaxConcurrent": 2, "TotalCompletions": 0}}
    once["TaskTemplate"]["Placement"] = nowhere
    return [once | {"Mode": job}]


def _service(name: str, container: dict[str, Any], **more: Any) -> dict[str, Any]:
    spec = {"Name": name, "TaskTemplate": {"ContainerSpec": container}, "Mode": {"Replicated": {"Replicas": 0}}}
    return spec | more
