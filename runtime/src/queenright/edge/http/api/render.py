# SPDX-License-Identifier: Apache-2.0
"""Model objects as the Engine API's JSON, key for key in Docker's order; absent where Docker leaves out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from queenright.decide import defaults
from queenright.manager.ports import Consensus
from queenright.manager.views import ManagerStatus, manager_status
from queenright.model.objects import Cluster, Config, Node, Secret, Service, Task, UpdateStatus
from queenright.spec.fields import encode
from queenright.spec.service import GLOBAL, GLOBAL_JOB, REPLICATED_JOB, Port
from queenright.store.store import Store

SECOND = 1_000_000_000
ZERO_TIME = "0001-01-01T00:00:00Z"

Json = dict[str, Any]


def timestamp(nanoseconds: int) -> str:
    """RFC 3339 in UTC with nine digits; Go's zero time for 0."""
    if not nanoseconds:
        return ZERO_TIME
    seconds, rest = divmod(nanoseconds, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def meta(value: Cluster | Node | Service | Task | Secret | Config) -> Json:
    return {
        "ID": value.id,
        "Version": {"Index": value.version},
        "CreatedAt": timestamp(value.created_at),
        "UpdatedAt": timestamp(value.updated_at),
    }


def _present(document: Json) -> Json:
    """Without what Go's ``omitempty`` leaves out."""
    return {key: value for key, value in document.items() if value not in (None, "", 0, [], {}) or value is True}


# -- services


def service(value: Service, *, insert_defaults: bool = False, waits: str = "") -> Json:
    """``waits``: what its update waits for, which the message of its status then says too."""
    spec = defaults.with_defaults(value.spec) if insert_defaults else value.spec
    document = meta(value)
    document["Spec"] = encode(spec)
    if value.previous_spec is not None:
        document["PreviousSpec"] = encode(value.previous_spec)
    document["Endpoint"] = _endpoint(value)
    if value.update_status is not None:
        document["UpdateStatus"] = update_status(value.update_status, waits)
    if value.job_iteration:
        document["JobStatus"] = {"JobIteration": _iteration(value), "LastExecution": timestamp(value.last_execution)}
    return document


def _iteration(value: Service | Task) -> Json:
    """Runs of a job as Docker counts them, from 0."""
    return _present({"Index": value.job_iteration - 1})


def _endpoint(value: Service) -> Json:
    endpoint: Json = {"Spec": encode(value.spec.endpoint)}
    ports = value.ports or value.spec.endpoint.ports
    if ports:
        endpoint["Ports"] = [_port(port) for port in ports]
    if value.vips:
        endpoint["VirtualIPs"] = [
            {"NetworkID": one.network_id, "Addr": address} for one in value.vips for address in one.addresses
        ]
    return endpoint


def _port(value: Port) -> Json:
    """A port as it is published: clients look at what applies where the specification is silent."""
    return encode(dataclasses.replace(value, protocol=value.protocol or "tcp", mode=value.mode or "ingress"))


def readiness(port: Json) -> Json:
    """A published port as ``manager.mesh_view`` describes it, in the way of a service's JSON: where it answers."""
    return {
        "Protocol": port["protocol"],
        "PublishedPort": port["port"],
        "TargetPort": port["target_port"],
        "Ready": port["ready"],
        "Nodes": [
            {"ID": one["id"], "Hostname": one["hostname"], "Ready": one["ready"], "Err": one["error"]}
            for one in port["nodes"]
        ],
    }


def update_status(value: UpdateStatus, waits: str = "") -> Json:
    return _present(
        {
            "State": value.state.value,
            "StartedAt": timestamp(value.started_at) if value.started_at else None,
            "CompletedAt": timestamp(value.completed_at) if value.completed_at else None,
            "Message": f"{value.message}: {waits}" if waits else value.message,
        }
    )


def service_status(store: Store, value: Service) -> Json:
    """How many tasks run, how many shall: the numbers of ``docker service ls``. Of a job, those of its last run."""
    count = store.service_count(value.id, value.job_iteration)
    kind, completed = value.spec.mode.kind, count.completed
    if kind == GLOBAL:
        desired = count.desired
    elif kind == GLOBAL_JOB:  # here clients add what has completed to what shall
        desired = max(0, count.desired - count.completed)
    elif kind == REPLICATED_JOB:
        desired = defaults.max_concurrent(value.spec)
        completed = min(completed, defaults.completions(value.spec))  # a task given up may be heard to have completed
    else:
        desired = defaults.replicas(value.spec)
    return {"RunningTasks": count.running, "DesiredTasks": desired, "CompletedTasks": completed}


# -- tasks


def task(value: Task, *, last_slot: int = 0, networks: Sequence[Json] = ()) -> Json:
    """``networks``: what it is attached to. ``last_slot``: the number of the last slot, if the task is of a replicated
    job. It is shown as 0: clients count the slots of such a job from there, and the Docker CLI waits for ever where one
    of them is missing.
    """
    document = meta(value)
    document["Labels"] = {}
    document["Spec"] = encode(value.spec)
    document["ServiceID"] = value.service_id
    if value.slot and value.slot != last_slot:
        document["Slot"] = value.slot
    if value.node_id:
        document["NodeID"] = value.node_id
    document["Status"] = _task_status(value)
    document["DesiredState"] = value.desired_state.text
    if networks:
        document["NetworksAttachments"] = list(networks)
    if value.assigned_generic:
        document["GenericResources"] = [encode(one) for one in value.assigned_generic]
    if value.job_iteration:
        document["JobIteration"] = _iteration(value)
    return document


def _task_status(value: Task) -> Json:
    status = value.status
    document: Json = {
        "Timestamp": timestamp(status.at or status.applied_at or value.created_at),
        "State": status.state.text,
    }
    if status.message:
        document["Message"] = status.message
    if status.err:
        document["Err"] = status.err
    if status.container_id:
        document["ContainerStatus"] = {
            "ContainerID": status.container_id,
            "PID": status.pid,
            "ExitCode": status.exit_code or 0,
        }
    document["PortStatus"] = {"Ports": [encode(port) for port in status.ports]} if status.ports else {}
    return document


# -- nodes


def node(value: Node, consensus: Consensus | None = None) -> Json:
    """``consensus``: the group of managers as this one knows it; None where it is the only one."""
    document = plain_node(value)
    status = manager_status(value, consensus)
    if status is not None:
        document["ManagerStatus"] = manager(status)
    return document


def plain_node(value: Node) -> Json:
    """The node without what it is among the managers, which changes without it."""
    document = meta(value)
    document["Spec"] = {**encode(value.spec), "Role": value.spec.role or value.role, "Availability": value.availability}
    document["Description"] = _description(value)
    document["Status"] = _present(
        {"State": value.status.state.value, "Message": value.status.message, "Addr": value.status.addr}
    )
    return document


def manager(status: ManagerStatus) -> Json:
    document: Json = {"Leader": True} if status.leader else {}
    document["Reachability"] = status.reachability
    if status.addr:
        document["Addr"] = status.addr
    return document


def _description(value: Node) -> Json:
    described = value.description
    engine: Json = {"EngineVersion": described.engine_version}
    if described.engine_labels:
        engine["Labels"] = dict(described.engine_labels)
    engine["Plugins"] = [
        {"Type": kind, "Name": name} for kind, _, name in (plugin.partition("/") for plugin in described.plugins)
    ]
    return {
        "Hostname": described.hostname,
        "Platform": _present({"Architecture": described.architecture, "OS": described.os}),
        "Resources": _present(
            {
                "NanoCPUs": described.nano_cpus,
                "MemoryBytes": described.memory_bytes,
                "GenericResources": [encode(one) for one in described.generic_resources],
            }
        ),
        "Engine": engine,
        "TLSInfo": _present(
            {
                "TrustRoot": described.trust_root,
                "CertIssuerSubject": described.issuer_subject,
                "CertIssuerPublicKey": described.issuer_public_key,
            }
        ),
    }


# -- the swarm


def cluster_info(value: Cluster, managers: tuple[Node, ...]) -> Json:
    """The swarm without its secrets, as in ``/info``. ``managers`` know who issued their certificates."""
    described = [one.description for one in managers if one.description.issuer_subject]
    described.sort(key=lambda one: not one.trust_root.endswith(value.root_certificate))  # last who missed a change
    issuer = value.root_rotation or next(iter(described), None)  # clients find out by it who has yet to turn
    document = meta(value)
    document["Spec"] = encode(value.spec)
    document["TLSInfo"] = _present(
        {
            "TrustRoot": value.root_certificate,
            "CertIssuerSubject": issuer.issuer_subject if issuer else "",
            "CertIssuerPublicKey": issuer.issuer_public_key if issuer else "",
        }
    )
    document["RootRotationInProgress"] = value.root_rotation is not None
    document["DefaultAddrPool"] = list(value.default_addr_pool)
    document["SubnetSize"] = value.subnet_size
    document["DataPathPort"] = value.data_path_port
    return document


def swarm(value: Cluster, managers: tuple[Node, ...]) -> Json:
    """The swarm with its join tokens, for those who may manage it."""
    document = cluster_info(value, managers)
    document["JoinTokens"] = {"Worker": value.worker_token, "Manager": value.manager_token}
    return document
