# SPDX-License-Identifier: Apache-2.0
"""A task as the body of ``POST /containers/create``, and the labels by which its container is known again."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from queenright.agent.ports import TaskError
from queenright.model.objects import NodeDescription, Task
from queenright.model.templates import TemplateError, context_of, expand_container
from queenright.spec import fields
from queenright.spec.container import ContainerSpec, Mount, Privileges, SELinux
from queenright.spec.service import NetworkAttachment, Port, TaskSpec

CLUSTER_LABEL = "queenright.cluster.id"
TASK_LABEL = "com.docker.swarm.task.id"
HOST_NETWORKS = ("bridge", "host", "none")  # what every engine has

Body = dict[str, Any]


def labels_of(task: Task, cluster_id: str) -> dict[str, str]:
    """The container's own labels and those by which it is found; the latter win."""
    return task.spec.container.labels | {
        "com.docker.swarm.task": "",
        TASK_LABEL: task.id,
        "com.docker.swarm.task.name": task.name,
        "com.docker.swarm.node.id": task.node_id,
        "com.docker.swarm.service.id": task.service_id,
        "com.docker.swarm.service.name": task.service_name,
        CLUSTER_LABEL: cluster_id,
    }


def create_body(task: Task, node: NodeDescription, cluster_id: str) -> Body:
    """The container of a task. Raises TaskError for what this executor cannot run."""
    try:
        spec = expand_container(task.spec.container, context_of(task, node))
    except TemplateError as error:
        raise TaskError(str(error)) from error
    if not spec.image:
        raise TaskError("ContainerSpec: image reference must be provided")
    ports = host_ports(task)
    body: Body = {
        "Image": spec.image,
        "Labels": labels_of(task, cluster_id),
        "Entrypoint": list(spec.command) or None,
        "Cmd": list(spec.args) or None,
        "Env": list(spec.env) or None,
        "Hostname": spec.hostname,
        "WorkingDir": spec.working_dir,
        "User": spec.user,
        "StopSignal": spec.stop_signal,
        "StopTimeout": None if spec.stop_grace_period is None else -(-spec.stop_grace_period // 10**9),
        "Tty": spec.tty,
        "OpenStdin": spec.open_stdin,
        "Healthcheck": fields.encode(spec.healthcheck) if spec.healthcheck else None,
        "ExposedPorts": {_port_key(port): {} for port in ports} or None,
        "HostConfig": _host_config(task.spec, spec, ports),
    }
    return _without_none(body)


def host_ports(task: Task) -> tuple[Port, ...]:
    """The ports that are published on the task's own node."""
    return tuple(port for port in task.endpoint.ports if port.mode == "host")


def _host_config(task: TaskSpec, spec: ContainerSpec, ports: tuple[Port, ...]) -> Body:
    limits = task.resources.limits
    log = task.log_driver
    return _without_none(
        {
            "NetworkMode": _network(task.networks),
            "PortBindings": _bindings(ports) or None,
            "Mounts": [_mount(mount) for mount in spec.mounts] or None,
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


def _network(networks: tuple[NetworkAttachment, ...]) -> str:
    names = [network.target or "" for network in networks]
    for name in names:
        if name not in HOST_NETWORKS:
            raise TaskError(f"network {name!r} needs the routing mesh; without it there are {', '.join(HOST_NETWORKS)}")
    if len(names) > 1:
        raise TaskError(f"a container cannot be in more than one of the networks {', '.join(HOST_NETWORKS)}")
    return names[0] if names else "default"


def _mount(mount: Mount) -> Body:
    body = fields.encode(mount)
    body.setdefault("Type", "volume")
    return body


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
