# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a service is: ``ServiceSpec`` of the Engine API, option by option, named as in the C(swarm_service) module."""

from __future__ import annotations

import dataclasses
import typing as t

from .codecs import BOOL, COUNT, CPUS, DURATION, FLOAT, INT, LABELS, SIZE, STR, STR_LIST, SWAP, WORD
from .container import ContainerSpec
from .fields import Inline, Nested, NestedList, SpecError, opt
from .network import PREDEFINED

REPLICATED = "replicated"
GLOBAL = "global"
REPLICATED_JOB = "replicated-job"
GLOBAL_JOB = "global-job"
RUNNING = "running"
MONITOR = "monitor"


@dataclasses.dataclass(frozen=True)
class Limits:
    cpus: int | None = opt(
        "NanoCPUs", CPUS, "CPUs a container may use at most, such as V(0.5).", default_doc="no limit"
    )
    memory: int | None = opt(
        "MemoryBytes", SIZE, "Memory a container may use at most, such as V(256M).", default_doc="no limit"
    )
    pids: int | None = opt(
        "Pids", INT, "Processes a container may have at most.", default_doc="no limit", since=(1, 41)
    )


@dataclasses.dataclass(frozen=True)
class GenericResource:
    """Something that a node has and a task needs: ``value`` pieces of a kind, or one of that ``name``.

    Nodes have either form; a task is given either; it asks for a number only.
    """

    kind: str = opt("Kind", WORD, "Kind of the resource, as the nodes call it.", required=True)
    value: int = opt("Value", COUNT, "How many a task needs.", required=True)
    name: str = opt("Name", WORD, "Which one.", option="")

    @classmethod
    def from_api(cls, value: t.Dict[str, t.Any], path: str, version: t.Any) -> GenericResource:
        given = {key.lower(): item for key, item in value.items() if item is not None}
        for key in ("discreteresourcespec", "namedresourcespec"):
            if key not in given:
                continue
            if not isinstance(given[key], dict):
                raise SpecError(path, "expected an object, got %s" % type(given[key]).__name__)
            held = {name.lower(): item for name, item in given[key].items()}
            kind, amount = held.get("kind"), held.get("value")
            named = key == "namedresourcespec"
            if not isinstance(kind, str) or not kind:
                raise SpecError(path, "a generic resource must name its kind")
            if isinstance(amount, bool) or not isinstance(amount, str if named else int):
                raise SpecError(path, "%r is no value of a generic resource" % (amount,))
            return cls(kind, name=str(amount)) if named else cls(kind, int(amount))
        raise SpecError(path, "expected DiscreteResourceSpec or NamedResourceSpec")

    def to_api(self) -> t.Dict[str, t.Any]:
        if self.name:
            return {"NamedResourceSpec": {"Kind": self.kind, "Value": self.name}}
        return {"DiscreteResourceSpec": {"Kind": self.kind, "Value": self.value}}


@dataclasses.dataclass(frozen=True)
class Reservations:
    cpus: int | None = opt("NanoCPUs", CPUS, "CPUs that a node must have free for a task.")
    memory: int | None = opt("MemoryBytes", SIZE, "Memory that a node must have free for a task.")
    generic: tuple[GenericResource, ...] = opt(
        "GenericResources",
        NestedList(GenericResource),
        "Other resources that a node must have free for a task.",
        option="generic_resources",
        level=2,
    )


@dataclasses.dataclass(frozen=True)
class Resources:
    limits: Limits | None = opt("Limits", Nested(Limits), "What a container may use at most.", always={})
    reservations: Reservations | None = opt(
        "Reservations", Nested(Reservations), "What a node must have free to be given a task.", always={}
    )
    swap_bytes: int | None = opt(
        "SwapBytes",
        SWAP,
        "Swap a container may use beside its memory, such as V(64M); V(-1) is no limit. It needs a limit of memory.",
        option="swap",
        since=(1, 52),
        level=2,
    )
    memory_swappiness: int | None = opt(
        "MemorySwappiness",
        INT,
        "How readily the kernel swaps the container's memory out, V(0) to V(100); V(-1) is the node's own.",
        since=(1, 52),
        level=2,
    )


@dataclasses.dataclass(frozen=True)
class RestartPolicy:
    condition: str | None = opt(
        "Condition",
        STR,
        "After which ends a task is replaced.",
        choices=("none", "on-failure", "any"),
        default_doc="V(any)",
    )
    delay: int | None = opt(
        "Delay", DURATION, "Time before the replacement starts; none when the node is down.", default_doc="5s"
    )
    max_attempts: int | None = opt(
        "MaxAttempts", INT, "Replacements per slot at most; V(0) is no limit.", default_doc="V(0)"
    )
    window: int | None = opt(
        "Window", DURATION, "Time over which attempts are counted; V(0s) is for ever.", default_doc="V(0s)"
    )


@dataclasses.dataclass(frozen=True)
class Spread:
    descriptor: str | None = opt(
        "SpreadDescriptor", STR, "Label whose values are filled evenly.", option="spread", required=True
    )


@dataclasses.dataclass(frozen=True)
class Preference:
    spread: Spread = opt("Spread", Inline(Spread), "Spread over the values of a label.")


@dataclasses.dataclass(frozen=True)
class Platform:
    architecture: str | None = opt("Architecture", STR, "Architecture, such as V(x86_64) or V(amd64).")
    os: str | None = opt("OS", STR, "Operating system, such as V(linux).")


@dataclasses.dataclass(frozen=True)
class Placement:
    constraints: tuple[str, ...] = opt(
        "Constraints", STR_LIST, "Conditions a node must meet, such as V(node.labels.zone == a). All must hold."
    )
    preferences: tuple[Preference, ...] = opt(
        "Preferences", NestedList(Preference), "Labels, such as V(node.labels.rack), to spread over, first to last."
    )
    max_replicas: int | None = opt(
        "MaxReplicas",
        INT,
        "Tasks of the service per node at most; V(0) is no limit.",
        option="max_replicas_per_node",
        since=(1, 40),
    )
    platforms: tuple[Platform, ...] = opt("Platforms", NestedList(Platform), "Platforms the image exists for.")


@dataclasses.dataclass(frozen=True)
class NetworkAttachment:
    target: str | None = opt("Target", STR, "Name or id of the network.", option="name", required=True)
    aliases: tuple[str, ...] = opt("Aliases", STR_LIST, "Further names of the service on that network.")
    driver_opts: dict[str, str] = opt("DriverOpts", LABELS, "Options for the network's driver.")

    def needs_level(self) -> int:
        return 1 if self.target in PREDEFINED else 3


@dataclasses.dataclass(frozen=True)
class LogDriver:
    name: str | None = opt("Name", STR, "Name of the log driver.", option="driver")
    options: dict[str, str] = opt("Options", LABELS, "Options of the log driver.")


@dataclasses.dataclass(frozen=True)
class TaskSpec:
    REFUSED = {
        "PluginSpec": "plugin services are not supported by queenright",
        "NetworkAttachmentSpec": "attachment tasks are made by the runtime only",
    }

    container: ContainerSpec = opt("ContainerSpec", Inline(ContainerSpec), "The containers.", always={})
    resources: Resources = opt(
        "Resources", Inline(Resources), "Limits and reservations.", always={"Limits": {}, "Reservations": {}}
    )
    restart_policy: RestartPolicy | None = opt(
        "RestartPolicy", Nested(RestartPolicy), "When and how a task that ended is replaced."
    )
    placement: Placement | None = opt("Placement", Nested(Placement), "On which nodes tasks may run.", always={})
    log_driver: LogDriver | None = opt(
        "LogDriver", Nested(LogDriver), "Where the containers' output goes.", option="logging"
    )
    networks: tuple[NetworkAttachment, ...] = opt(
        "Networks",
        NestedList(NetworkAttachment),
        "Networks the containers are attached to: networks of the swarm (see "
        "M(queenright.swarm.swarm_network)), or V(bridge) or V(host) of each node.",
    )
    force_update: int | None = opt(
        "ForceUpdate", INT, "A counter; changing it replaces all tasks though nothing else changed.", always=0
    )
    runtime: str | None = opt(
        "Runtime", STR, "Kind of the tasks.", option="", choices=("container",), always="container"
    )


@dataclasses.dataclass(frozen=True)
class Mode:
    """``{"Replicated": {"Replicas": 3}}``, ``{"Global": {}}``, ``{"ReplicatedJob": {"MaxConcurrent": 2,
    "TotalCompletions": 10}}`` or ``{"GlobalJob": {}}``; unset is replicated with one replica.
    """

    kind: str | None = opt(
        "Mode",
        STR,
        "Whether the service runs O(replicas) tasks or one on each node, or is a job: O(total_completions) tasks, or "
        "one on each node, that run to their end.",
        option="mode",
        choices=(REPLICATED, GLOBAL, REPLICATED_JOB, GLOBAL_JOB),
        default_doc="V(replicated)",
    )
    replicas: int | None = opt("Replicas", INT, "Number of tasks of a replicated service.", default_doc="V(1)")
    max_concurrent: int | None = opt(
        "MaxConcurrent", INT, "Tasks of a replicated job that run at the same time.", default_doc="1"
    )
    total_completions: int | None = opt(
        "TotalCompletions",
        INT,
        "Tasks of a replicated job that shall complete.",
        default_doc="O(max_concurrent)",
    )

    def __post_init__(self) -> None:
        """Unset is said in one way only, so that equality is equality of meaning."""
        kind = self.kind or REPLICATED
        concurrent = _or_one(self.max_concurrent) if kind == REPLICATED_JOB else None
        total = self.total_completions if self.total_completions is not None else concurrent
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "replicas", _or_one(self.replicas) if kind == REPLICATED else None)
        object.__setattr__(self, "max_concurrent", concurrent)
        object.__setattr__(self, "total_completions", total if kind == REPLICATED_JOB else None)

    @property
    def is_job(self) -> bool:
        return self.kind in (REPLICATED_JOB, GLOBAL_JOB)

    def needs_level(self) -> int:
        return 2 if self.is_job else 1

    @classmethod
    def from_api(cls, value: t.Dict[str, t.Any], path: str, version: t.Any) -> Mode:
        given = {key.lower(): (key, item) for key, item in value.items() if item is not None}
        if len(given) > 1:
            raise SpecError("", "must specify only one service mode")
        if "replicated" in given:
            held = _counts(given["replicated"][1], "%s.Replicated" % path, ("Replicas",))
            return cls(kind=REPLICATED, replicas=held["Replicas"])
        if "replicatedjob" in given:
            names = ("MaxConcurrent", "TotalCompletions")
            held = _counts(given["replicatedjob"][1], "%s.ReplicatedJob" % path, names)
            return cls(
                kind=REPLICATED_JOB,
                max_concurrent=held["MaxConcurrent"],
                total_completions=held["TotalCompletions"],
            )
        return cls(kind=GLOBAL if "global" in given else GLOBAL_JOB if "globaljob" in given else REPLICATED)

    def to_api(self) -> t.Dict[str, t.Any]:
        if self.kind == REPLICATED_JOB:
            counts = {"MaxConcurrent": self.max_concurrent, "TotalCompletions": self.total_completions}
            return {"ReplicatedJob": counts}
        if self.kind == REPLICATED:
            return {"Replicated": {"Replicas": self.replicas}}
        return {"Global": {}} if self.kind == GLOBAL else {"GlobalJob": {}}

    @staticmethod
    def after_merge(merged: Mode, options: t.Dict[str, t.Any], path: str) -> Mode:
        said = [name for name in _COUNTED if options.get(name) is not None]
        for name in said:
            if merged.kind != _COUNTED[name]:
                reason = "a %s service runs one task on each node" % merged.kind
                if merged.kind in (REPLICATED, REPLICATED_JOB):
                    reason = "the service is of mode %s" % merged.kind
                raise SpecError(name, "%s; %s belongs to mode %s" % (reason, name, _COUNTED[name]))
            if getattr(merged, name) < 0:
                raise SpecError(name, "must not be negative")
        return merged


_COUNTED = {"replicas": REPLICATED, "max_concurrent": REPLICATED_JOB, "total_completions": REPLICATED_JOB}


def _or_one(value: t.Optional[int]) -> int:
    return 1 if value is None else value


def _counts(value: t.Any, path: str, names: t.Tuple[str, ...]) -> t.Dict[str, t.Optional[int]]:
    """The numbers of that name in an object; None where there is none."""
    if not isinstance(value, dict):
        raise SpecError(path, "expected an object, got %s" % type(value).__name__)
    given = {key.lower(): item for key, item in value.items()}
    out: t.Dict[str, t.Optional[int]] = {}
    for name in names:
        number = out[name] = given.get(name.lower())
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
            raise SpecError("%s.%s" % (path, name), "expected a whole number that is not negative, got %r" % (number,))
    return out


@dataclasses.dataclass(frozen=True)
class UpdateConfig:
    parallelism: int | None = opt(
        "Parallelism", INT, "Tasks replaced at the same time; V(0) is all.", always=1, default_doc="V(1)"
    )
    delay: int | None = opt("Delay", DURATION, "Pause between two groups.", default_doc="V(0s)")
    failure_action: str | None = opt(
        "FailureAction",
        STR,
        "What happens when too many new tasks fail.",
        choices=("pause", "continue", "rollback"),
        default_doc="V(pause)",
    )
    monitor: int | None = opt(
        "Monitor",
        DURATION,
        "Time after its start in which the end of a new task counts as a failure.",
        default_doc="5s",
    )
    max_failure_ratio: float | None = opt(
        "MaxFailureRatio", FLOAT, "Share of failed tasks, 0 to 1, that is borne.", default_doc="V(0)"
    )
    order: str | None = opt(
        "Order",
        STR,
        "Whether the old task is stopped before the new one starts.",
        choices=("stop-first", "start-first"),
        default_doc="V(stop-first)",
    )
    gate: str | None = opt(
        "Gate",
        STR,
        "What the next group waits for, that the tasks of a group are running (V(running)) or that they have been for "
        "the monitor time (V(monitor)).",
        choices=(RUNNING, MONITOR),
        default_doc="V(running)",
        own=True,
        level=2,
    )
    timeout: int | None = opt(
        "Timeout",
        DURATION,
        "Time after which a new task that is not running counts as failed; V(0s) is never.",
        default_doc="15m",
        own=True,
        level=2,
    )


@dataclasses.dataclass(frozen=True)
class RollbackConfig(UpdateConfig):
    """As an update, but a rollback that fails is never itself rolled back."""

    failure_action: str | None = opt(
        "FailureAction",
        STR,
        "What happens when too many new tasks fail.",
        choices=("pause", "continue"),
        default_doc="V(pause)",
    )


@dataclasses.dataclass(frozen=True)
class Port:
    IDENTITY = ("target_port", "published_port", "protocol", "mode")

    target_port: int | None = opt("TargetPort", INT, "Port inside the container.", required=True)
    published_port: int | None = opt(
        "PublishedPort", INT, "Port outside. If not given, one of 30000 to 32767 is chosen and kept."
    )
    protocol: str | None = opt(
        "Protocol", STR, "Transport protocol.", choices=("tcp", "udp", "sctp"), default_doc="V(tcp)"
    )
    mode: str | None = opt(
        "PublishMode",
        STR,
        "V(ingress) answers on every node, also on one that runs no task; V(host) on the nodes that run a task.",
        choices=("ingress", "host"),
        default_doc="V(ingress)",
    )
    name: str | None = opt("Name", STR, "A name for the port.")
    local_first: bool | None = opt(
        "LocalFirst",
        BOOL,
        "Whether a node that runs a task of the service gives it the connections itself, so that the task sees the "
        "client's address. For ports of mode V(ingress).",
        own=True,
        level=3,
    )

    def needs_level(self) -> int:
        return 1 if self.mode == "host" else 3


@dataclasses.dataclass(frozen=True)
class EndpointSpec:
    mode: str | None = opt(
        "Mode",
        STR,
        "How the service's name is answered on its networks, with a virtual address that is balanced in the kernel "
        "(V(vip)) or with the addresses of its tasks (V(dnsrr)), which goes with ports of mode V(host) only.",
        option="endpoint_mode",
        choices=("vip", "dnsrr"),
        default_doc="V(vip)",
    )
    ports: tuple[Port, ...] = opt(
        "Ports", NestedList(Port), "Ports of the service that are reachable from outside.", option="publish"
    )
    drain: int | None = opt(
        "Drain",
        DURATION,
        "How long a task that is about to stop waits at most until all nodes have ceased to send it connections.",
        option="drain_timeout",
        default_doc="5s",
        own=True,
        level=3,
    )


@dataclasses.dataclass(frozen=True)
class ServiceSpec:
    name: str | None = opt("Name", STR, "Name of the service.", option="")
    labels: dict[str, str] = opt(
        "Labels", LABELS, "Labels of the service. Labels of its containers are O(container_labels).", always={}
    )
    task: TaskSpec = opt("TaskTemplate", Inline(TaskSpec), "The tasks.", always={})
    mode: Mode = opt("Mode", Inline(Mode), "How many tasks.", always={"Replicated": {"Replicas": 1}})
    update_config: UpdateConfig | None = opt("UpdateConfig", Nested(UpdateConfig), "How a change is rolled out.")
    rollback_config: RollbackConfig | None = opt(
        "RollbackConfig", Nested(RollbackConfig), "How a change is taken back."
    )
    endpoint: EndpointSpec = opt("EndpointSpec", Inline(EndpointSpec), "How the service is reached.")
