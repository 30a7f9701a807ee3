# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What can be said of the swarm and of a node: ``SwarmSpec`` and ``NodeSpec`` of the Engine API, option by option."""

from __future__ import annotations

import dataclasses

from .codecs import BOOL, DURATION, INT, LABELS, STR
from .fields import Inline, NestedList, opt

WORKER = "worker"
MANAGER = "manager"
ACTIVE = "active"
PAUSE = "pause"
DRAIN = "drain"
NFTABLES = "nftables"
IPVS = "ipvs"
CFSSL = "cfssl"
P256 = "p256"
P384 = "p384"


@dataclasses.dataclass(frozen=True)
class Orchestration:
    task_history_limit: int | None = opt(
        "TaskHistoryRetentionLimit",
        INT,
        "Ended tasks kept per slot; negative keeps all.",
        option="task_history_retention_limit",
        default_doc="V(5)",
    )


@dataclasses.dataclass(frozen=True)
class RaftSpec:
    snapshot_interval: int | None = opt(
        "SnapshotInterval", INT, "Log entries between two snapshots.", default_doc="V(10000)"
    )
    keep_old_snapshots: int | None = opt("KeepOldSnapshots", INT, "Old snapshots that are kept.", default_doc="V(0)")
    log_entries_for_slow_followers: int | None = opt(
        "LogEntriesForSlowFollowers", INT, "Log entries kept behind a snapshot.", default_doc="V(500)"
    )
    election_tick: int | None = opt(
        "ElectionTick", INT, "Ticks without a leader before an election.", default_doc="V(10)"
    )
    heartbeat_tick: int | None = opt(
        "HeartbeatTick", INT, "Ticks between two heartbeats of the leader.", default_doc="V(1)"
    )


@dataclasses.dataclass(frozen=True)
class DispatcherSpec:
    heartbeat_period: int | None = opt(
        "HeartbeatPeriod",
        DURATION,
        "Time between two heartbeats of a node. Nodes are also pinged in between, so that one that is gone is noticed "
        "sooner; one whose agent answers no pings is down after three missed heartbeats.",
        option="dispatcher_heartbeat_period",
        default_doc="5s",
    )
    ping_period: int | None = opt(
        "PingPeriod",
        DURATION,
        "Time between two signs of life on a node's session; V(0s) is one second, or a thousandth of a second for each "
        "node of a large swarm.",
        option="dispatcher_ping_period",
        default_doc="V(0s)",
        own=True,
        level=2,
    )
    silence: int | None = opt(
        "Silence",
        DURATION,
        "Time without a sign of life after which a node is suspected to be down, three pings at least. V(0s) is the "
        "heartbeat period.",
        option="dispatcher_silence",
        default_doc="V(0s)",
        own=True,
        level=2,
    )
    probe_grace: int | None = opt(
        "ProbeGrace",
        DURATION,
        "Time that a suspected node has to show itself before it is down, half a second at least.",
        option="dispatcher_probe_grace",
        default_doc="V(1s)",
        own=True,
        level=2,
    )
    restart_grace: int | None = opt(
        "RestartGrace",
        DURATION,
        "Time that a node has to come back when its daemon said that it restarts.",
        option="dispatcher_restart_grace",
        default_doc="V(60s)",
        own=True,
        level=2,
    )


@dataclasses.dataclass(frozen=True)
class ExternalCA:
    protocol: str | None = opt(
        "Protocol", STR, "How the authority is spoken to.", choices=(CFSSL,), default_doc="V(cfssl)"
    )
    url: str | None = opt("URL", STR, "Where it signs, as V(https://ca.example:8888/api/v1/cfssl/sign).", required=True)
    options: dict[str, str] = opt("Options", LABELS, "Options of the protocol.", option="")
    ca_cert: str | None = opt(
        "CACert",
        STR,
        "The root certificate (PEM) that it signs under; its own certificate for TLS must lead there too. Without it, "
        "the root of the swarm.",
    )


@dataclasses.dataclass(frozen=True)
class CAConfig:
    """The key of a root that is brought along (C(SigningCAKey)) is no part of it: it is taken, and never shown."""

    node_cert_expiry: int | None = opt(
        "NodeCertExpiry", DURATION, "How long a node's certificate is valid, V(30m) at least.", default_doc="V(2160h)"
    )
    external_cas: tuple[ExternalCA, ...] = opt(
        "ExternalCAs",
        NestedList(ExternalCA),
        "Authorities outside of the swarm that sign its certificates, tried in this order.",
        option="",
        level=4,
    )
    signing_ca_cert: str | None = opt(
        "SigningCACert", STR, "The root certificate that the swarm was told to use (PEM).", option="", level=4
    )
    force_rotate: int | None = opt("ForceRotate", INT, "Counter of root CA rotations.", option="")
    key_algorithm: str | None = opt(
        "KeyAlgorithm",
        STR,
        "The kind of key of roots that the swarm makes; the present root keeps its own.",
        option="ca_key_algorithm",
        no_log=False,  # it is no key
        choices=(P256, P384),
        default_doc="V(p256)",
        own=True,
        level=4,
    )
    rotation_grace: int | None = opt(
        "RotationGrace",
        DURATION,
        "Time for which a change of the root waits for a node that is down. Then it is left behind, and finds home "
        "when it is up again.",
        option="ca_rotation_grace",
        default_doc="V(1m)",
        own=True,
        level=4,
    )
    expired_grace: int | None = opt(
        "ExpiredGrace",
        DURATION,
        "Time after the end of a node's certificate in which the node may come back by proof of its key; as long, a "
        "root that was replaced is remembered.",
        option="ca_expired_grace",
        default_doc="V(720h)",
        own=True,
        level=4,
    )


@dataclasses.dataclass(frozen=True)
class EncryptionConfig:
    autolock: bool | None = opt(
        "AutoLockManagers",
        BOOL,
        "Whether a manager needs the unlock key after a restart, see M(queenright.swarm.swarm_unlock).",
        always=False,
        default_doc="V(false)",
    )


@dataclasses.dataclass(frozen=True)
class SwarmSpec:
    """Options that can be changed on a live swarm."""

    REFUSED = {"TaskDefaults": "defaults of tasks are not supported: say it in each service"}

    name: str | None = opt("Name", STR, "Name of the swarm.", option="", always="default")
    labels: dict[str, str] = opt("Labels", LABELS, "Labels of the swarm.", always={})
    orchestration: Orchestration = opt("Orchestration", Inline(Orchestration), "History.", always={})
    raft: RaftSpec = opt("Raft", Inline(RaftSpec), "Consensus.", always={})
    dispatcher: DispatcherSpec = opt("Dispatcher", Inline(DispatcherSpec), "Heartbeats.", always={})
    ca: CAConfig = opt("CAConfig", Inline(CAConfig), "Certificates.", always={})
    task_defaults: None = opt("TaskDefaults", STR, "Defaults of tasks.", option="", always={})
    encryption: EncryptionConfig = opt(
        "EncryptionConfig", Inline(EncryptionConfig), "Locking.", always={"AutoLockManagers": False}
    )
    mesh_backend: str | None = opt(
        "MeshBackend",
        STR,
        "What balances connections to virtual addresses and published ports in the nodes' kernels. V(ipvs) needs the "
        "kernel's module V(ip_vs) on each node.",
        choices=(NFTABLES, IPVS),
        default_doc="V(nftables)",
        own=True,
        level=3,
    )


@dataclasses.dataclass(frozen=True)
class NodeSpec:
    name: str | None = opt("Name", STR, "Name of the node.", option="")
    labels: dict[str, str] = opt(
        "Labels", LABELS, "Labels of the node, for constraints V(node.labels.KEY) and preferences.", always={}
    )
    role: str | None = opt("Role", STR, "Whether the node manages the swarm.", choices=(WORKER, MANAGER))
    availability: str | None = opt(
        "Availability",
        STR,
        "V(active) takes tasks, V(pause) keeps what it runs and takes no more, V(drain) gives its tasks away.",
        choices=(ACTIVE, PAUSE, DRAIN),
    )
    mesh_backend: str | None = opt(
        "MeshBackend",
        STR,
        "What balances connections in this node's kernel.",
        choices=(NFTABLES, IPVS),
        default_doc="what the swarm says",
        own=True,
        level=3,
    )
