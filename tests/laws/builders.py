# SPDX-License-Identifier: Apache-2.0
"""Short ways to write down nodes, services and tasks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from typing import Any

from queenright.manager import revisions
from queenright.model.objects import (
    Cluster,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Service,
    Subnet,
    Task,
    TaskStatus,
)
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.fields import decode
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec

SECOND = 1_000_000_000
GIB = 1 << 30


def counter(prefix: str = "id") -> Callable[[], str]:
    """Ids in order of asking: id0001, id0002, ..."""
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers):04d}"


def cluster(**spec: Any) -> Cluster:
    return Cluster(id="cluster", spec=decode(SwarmSpec, spec))


def node(
    name: str,
    *,
    state: NodeState = NodeState.READY,
    availability: str = "active",
    labels: dict[str, str] | None = None,
    cpus: float = 4,
    memory: int = 8 * GIB,
    role: str = "worker",
    plugins: Iterable[str] = (),
    **description: Any,
) -> Node:
    """A ready, active worker whose id and host name are ``name``."""
    facts = {"architecture": "x86_64", "os": "linux", **description}
    return Node(
        id=name,
        role=role,
        spec=NodeSpec(labels=labels or {}, availability=availability, role=role),
        status=NodeStatus(state=state, addr="10.0.0.1"),
        description=NodeDescription(
            hostname=name, nano_cpus=int(cpus * 1e9), memory_bytes=memory, plugins=tuple(plugins), **facts
        ),
    )


def spec(name: str = "web", replicas: int | None = 1, image: str = "app:1", **api: Any) -> ServiceSpec:
    """A service specification; ``replicas`` None makes it global. Further keys are Engine JSON; ``task`` goes into
    the TaskTemplate, ``ports`` are host ports, ``publish`` pairs of a port on all nodes (0: any) and one of the
    containers, ``networks`` ids; ``dnsrr`` leaves virtual addresses out.
    """
    task = {"ContainerSpec": {"Image": image}, **api.pop("task", {})}
    ports = [{"TargetPort": port, "PublishedPort": port, "PublishMode": "host"} for port in api.pop("ports", ())]
    ports += [{"TargetPort": target, "PublishedPort": port} for port, target in api.pop("publish", ())]
    endpoint = {"Ports": ports, **({"Mode": "dnsrr"} if api.pop("dnsrr", False) else {})}
    if "networks" in api:
        task["Networks"] = [{"Target": network} for network in api.pop("networks")]
    mode = {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}}
    document = {"Name": name, "TaskTemplate": task, "Mode": mode, "EndpointSpec": endpoint, **api}
    return decode(ServiceSpec, document)


def job(name: str = "job", total: int | None = 1, at_once: int | None = None, **api: Any) -> ServiceSpec:
    """A replicated job's specification; ``total`` None makes it global."""
    counts = {"TotalCompletions": total, "MaxConcurrent": at_once if at_once is not None else total}
    return spec(name, Mode={"GlobalJob": {}} if total is None else {"ReplicatedJob": counts}, **api)


def service(name: str = "web", replicas: int | None = 1, image: str = "app:1", **api: Any) -> Service:
    """A service whose id is its name."""
    return revisions.created(name, spec(name, replicas, image, **api), "", 0)


def network(name: str, subnet: str = "10.9.0.0/24", *more: str, vni: int = 4096, **spec: Any) -> Network:
    """A network whose id is its name; each subnet's gateway is its first address."""
    subnets = tuple(Subnet(subnet=one, gateway=str(ip_network(one)[1])) for one in (subnet, *more))
    return Network(id=name, spec=NetworkSpec(name=name, driver="overlay", **spec), vni=vni, subnets=subnets)


def task(of: Service, task_id: str, slot: int = 1, **fields: Any) -> Task:
    """A task of the service's present revision; ``state`` sets the observed state."""
    state = fields.pop("state", TaskState.PENDING)
    status = fields.pop("status", TaskStatus(state=state, running_since=1 if state == TaskState.RUNNING else 0))
    values: dict[str, Any] = {
        "service_name": of.name,
        "spec": of.spec.task,
        "endpoint": of.spec.endpoint,
        "spec_version": of.spec_version,
        "job_iteration": of.job_iteration,
        "desired_state": TaskState.COMPLETE if of.job_iteration else TaskState.RUNNING,
        **fields,
    }
    return Task(id=task_id, service_id=of.id, slot=slot, status=status, **values)
