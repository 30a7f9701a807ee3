# SPDX-License-Identifier: Apache-2.0
"""A task as the body of ``POST /containers/create``, and the labels by which its container is known again."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from queenright.agent.ports import TaskError
from queenright.edge.docker.mount_config import mount_keys
from queenright.model.objects import NodeDescription, Task
from queenright.model.templates import TemplateError, context_of, expand_container
from queenright.spec import fields
from queenright.spec.container import ContainerSpec, Privileges, SELinux
from queenright.spec.service import GenericResource, Port, Resources, TaskSpec

CLUSTER_LABEL = "queenright.cluster.id"
TASK_LABEL = "com.docker.swarm.task.id"
NAME_LABEL = "com.docker.swarm.task.name"
HOST_NETWORKS = ("bridge", "host", "none")  # what every engine has

Body = dict[str, Any]


def labels_of(task: Task, cluster_id: str) -> dict[str, str]:
    """The container's own labels and those by which it is found; the latter win."""
    return task.spec.container.labels | {
        "com.docker.swarm.task": "",
        TASK_LABEL: task.id,
        NAME_LABEL: task.name,
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": task.service_name,
        CLUSTER_LABEL: cluster_id,
    }


def create_body(task: Task, node: NodeDescription, cluster_id: str) -> Body:
    """The container of a task. Raises TaskError for what this executor cannot run."""
    spec = expanded(task, node)
    if not spec.image:
        raise TaskError("ContainerSpec: image reference must be provided")
    ports = host_ports(task)
    body: Body = {
        "Image": spec.image,
        "Labels": labels_of(task, cluster_id),
        "Entrypoint": list(spec.command) or None,
        "Cmd": list(spec.args) or None,
        "Env": [*spec.env, *generic_env(task.assigned_generic)] or None,
        "Hostname": spec.hostname,
        "WorkingDir": spec.working_dir,
        "User": spec.user,
        "StopSignal": spec.stop_signal,
        "StopTimeout": None if spec.stop_grace_period is None else -(-spec.stop_grace_period // 10**9),
        "Tty": spec.tty,
        "OpenStdin": spec.open_stdin,
        "Healthcheck": fields.encode(spec.healthcheck) if spec.healthcheck else None,
        "ExposedPorts": {_port_key(port): {} for port in ports} or None,
        "HostConfig": {
            **_host_config(task.spec, spec, ports, _network(task)),
            **mount_keys(spec.mounts, node.engine_version),
        },
    }
    return _without_none(body)


def expanded(task: Task, node: NodeDescription) -> ContainerSpec:
    """The container's specification with its templates filled in. Raises TaskError."""
    try:
        return expand_container(task.spec.container, context_of(task, node))
    except TemplateError as error:
        raise TaskError(str(error)) from error


def host_ports(task: Task) -> tuple[Port, ...]:
    """The ports that are published on the task's own node."""
    return tuple(port for port in task.endpoint.ports if port.mode == "host")


def _host_config(task: TaskSpec, spec: ContainerSpec, ports: tuple[Port, ...], network: str) -> Body:
    limits = task.resources.limits
    log = task.log_driver
    return _without_none(
        {
            "NetworkMode": network,
            "PortBindings": _bindings(ports) or None,
            "GroupAdd": list(spec.groups) or None,
            "SecurityOpt": _security(spec.privileges) or None,
            "Init": bool(spec.init),
            "ReadonlyRootfs": spec.read_only,
            "ExtraHosts": [_extra_host(line) for line in spec.hosts] or None,
            "Dns": list(spec.dns.nameservers) or None,
            "DnsSearch": list(spec.dns.search) or None,
            "DnsOptions": list(spec.dns.options) or None,
            "Isolation": spec.isolation if spec.isolation not in (None, "", "default") else None,
            "Sysctls": spec.sysctls or None,
            "CapAdd": list(spec.cap_add) or None,
            "CapDrop": list(spec.cap_drop) or None,
            "Ulimits": [fields.encode(ulimit) for ulimit in spec.ulimits] or None,
            "OomScoreAdj": spec.oom_score_adj,
            "NanoCpus": limits.cpus if limits else None,
            "Memory": limits.memory if limits else None,
            "PidsLimit": limits.pids if limits else None,
            "MemorySwap": _swap(task.resources),
            "MemorySwappiness": task.resources.memory_swappiness,
            "LogConfig": {"Type": log.name or "", "Config": log.options} if log else None,
        }
    )


def _without_none(values: Body) -> Body:
    return {key: value for key, value in values.items() if value is not None}


def _port_key(port: Port) -> str:
    return f"{port.target_port}/{port.protocol or 'tcp'}"


def _bindings(ports: tuple[Port, ...]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        published = str(port.published_port) if port.published_port else ""
        bindings.setdefault(_port_key(port), []).append({"HostPort": published})
    return bindings


def _network(task: Task) -> str:
    """What every engine has. A task with addresses in networks of the swarm is put into these instead (``networks``):
    "bridge" adds nothing to them.
    """
    names = [network.target or "" for network in task.spec.networks]
    if task.attachments and not (set(names) & {"host", "none"}):
        return "default"
    for name in names:
        if name not in HOST_NETWORKS:
            raise TaskError(f"network {name!r}: the task has no address in it; update its service to make it anew")
    if task.attachments or len(names) > 1:
        raise TaskError(f"a container cannot be in more than one of the networks {', '.join(HOST_NETWORKS)}")
    return names[0] if names else "default"


def generic_env(given: Iterable[GenericResource]) -> list[str]:
    """What the task was given of generic resources: ``DOCKER_RESOURCE_GPU=gpu0,gpu1``, or a number."""
    named: dict[str, list[str]] = {}
    counted: dict[str, int] = {}
    for item in given:
        variable = f"DOCKER_RESOURCE_{item.kind.upper()}"
        if item.name:
            named.setdefault(variable, []).append(item.name)
        else:
            counted[variable] = counted.get(variable, 0) + item.value
    texts = {**{name: str(number) for name, number in counted.items()}, **{n: ",".join(i) for n, i in named.items()}}
    return [f"{name}={texts[name]}" for name in sorted(texts)]


def _swap(resources: Resources) -> int | None:
    """The engine counts memory and swap together; -1 is no limit of either."""
    memory = resources.limits.memory if resources.limits else None
    if resources.swap_bytes is None or resources.swap_bytes < 0 or not memory:
        return resources.swap_bytes
    return memory + resources.swap_bytes


def _extra_host(line: str) -> str:
    """``10.0.0.1 db`` -> ``db:10.0.0.1``. Further names on the line do not count."""
    words = line.split()
    if len(words) < 2:
        raise TaskError(f"Hosts: {line!r} is not of the form 'ADDRESS NAME'")
    return f"{words[1]}:{words[0]}"


def _security(privileges: Privileges | None) -> list[str]:
    if privileges is None:
        return []
    options = _selinux(privileges.selinux)
    if privileges.seccomp is not None:
        if privileges.seccomp.mode == "unconfined":
            options.append("seccomp=unconfined")
        elif privileges.seccomp.mode == "custom":
            options.append(f"seccomp={_profile(privileges.seccomp.profile)}")
    if privileges.apparmor is not None and privileges.apparmor.mode == "disabled":
        options.append("apparmor=unconfined")
    if privileges.no_new_privileges:
        options.append("no-new-privileges=true")
    return options


def _selinux(labels: SELinux | None) -> list[str]:
    if labels is None:
        return []
    if labels.disable:
        return ["label=disable"]
    pairs = {"user": labels.user, "role": labels.role, "type": labels.type, "level": labels.level}
    return [f"label={key}:{value}" for key, value in pairs.items() if value]


def _profile(encoded: str | None) -> str:
    try:
        text = base64.b64decode(encoded or "", validate=True).decode()
        json.loads(text)
    except (binascii.Error, ValueError) as error:
        raise TaskError("Privileges.Seccomp.Profile: not base64 of a JSON document") from error
    return text
