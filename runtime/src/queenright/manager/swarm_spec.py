# SPDX-License-Identifier: Apache-2.0
"""What a swarm's spec must be, and what it is when nobody said. Pure functions."""

from __future__ import annotations

import dataclasses
from typing import Any

from queenright.manager.checks import check_values
from queenright.model.errors import InvalidArgument
from queenright.spec.cluster import (
    CAConfig,
    DispatcherSpec,
    EncryptionConfig,
    Orchestration,
    RaftSpec,
    SwarmSpec,
)
from queenright.spec.fields import encode

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
LEAST_EXPIRY = HOUR // 2
LEAST_HEARTBEAT = SECOND
LEAST_SILENCE = SECOND
LEAST_PING = SECOND // 10
SILENCE = 5 * SECOND  # that applies where none is said
NAME = "default"

DEFAULT = SwarmSpec(
    name=NAME,
    orchestration=Orchestration(task_history_limit=5),
    raft=RaftSpec(
        snapshot_interval=10_000,
        keep_old_snapshots=0,
        log_entries_for_slow_followers=500,
        election_tick=10,
        heartbeat_tick=1,
    ),
    dispatcher=DispatcherSpec(heartbeat_period=5 * SECOND),
    ca=CAConfig(node_cert_expiry=2160 * HOUR),
    encryption=EncryptionConfig(autolock=False),
)


def with_defaults(spec: SwarmSpec) -> SwarmSpec:
    """The spec with a swarm's defaults wherever it says nothing."""
    filled: SwarmSpec = _fill(spec, DEFAULT)
    return filled


def normal(spec: SwarmSpec) -> SwarmSpec:
    """The spec with zeros that mean "the default" unset, so that nobody takes them for times."""
    dispatcher, ca = spec.dispatcher, spec.ca
    return dataclasses.replace(
        spec,
        name=NAME,
        dispatcher=dataclasses.replace(dispatcher, heartbeat_period=dispatcher.heartbeat_period or None),
        ca=dataclasses.replace(ca, node_cert_expiry=ca.node_cert_expiry or None),
    )


def certificate_validity(spec: SwarmSpec) -> int:
    """How long a node's certificate is valid, in nanoseconds; zero and unset mean the default."""
    return spec.ca.node_cert_expiry or 2160 * HOUR


def _fill(value: Any, default: Any) -> Any:
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(default):
        held, fallback = getattr(value, field.name), getattr(default, field.name)
        if dataclasses.is_dataclass(fallback):
            changes[field.name] = _fill(held, fallback)
        elif held is None:
            changes[field.name] = fallback
    return dataclasses.replace(value, **changes)


def check_swarm(spec: SwarmSpec) -> None:
    """Refuse a spec that cannot be."""
    check_values(encode(spec))
    if (spec.name or NAME) != NAME:
        raise InvalidArgument("modification of cluster name is not allowed")
    expiry = spec.ca.node_cert_expiry
    if expiry and expiry < LEAST_EXPIRY:
        raise InvalidArgument("minimum certificate expiry time is: 30m0s")
    _check_heartbeat(spec.dispatcher.heartbeat_period)
    _check_patience(spec.dispatcher)
    _check_raft(spec.raft)
    for name in ("rotation_grace", "expired_grace"):
        if (getattr(spec.ca, name) or 0) < 0:
            raise InvalidArgument(f"{name.replace('_', ' ')} cannot be a negative duration")


def _check_heartbeat(period: int | None) -> None:
    if period is None or period == 0:
        return
    if period < 0:
        raise InvalidArgument("heartbeat time period cannot be a negative duration")
    if period < LEAST_HEARTBEAT:
        raise InvalidArgument("minimum heartbeat time period is: 1s")


def _check_patience(said: DispatcherSpec) -> None:
    """Refuse times in which no node could answer."""
    for name in ("ping_period", "silence", "probe_grace", "restart_grace"):
        if (getattr(said, name) or 0) < 0:
            raise InvalidArgument(f"Dispatcher: {name.replace('_', ' ')} cannot be a negative duration")
    if said.silence and said.silence < LEAST_SILENCE:
        raise InvalidArgument("Dispatcher: minimum silence is: 1s")
    if said.ping_period and said.ping_period < LEAST_PING:
        raise InvalidArgument("Dispatcher: minimum ping period is: 100ms")
    if said.ping_period and said.ping_period >= (said.silence or SILENCE):
        raise InvalidArgument(
            "Dispatcher: the ping period must be shorter than the silence after which a node is suspect"
        )


def _check_raft(raft: RaftSpec) -> None:
    for field in dataclasses.fields(raft):
        if (getattr(raft, field.name) or 0) < 0:
            raise InvalidArgument(f"Raft: {field.name.replace('_', ' ')} cannot be negative")
    if raft.election_tick and raft.heartbeat_tick and raft.election_tick <= raft.heartbeat_tick:
        raise InvalidArgument("Raft: ElectionTick must be greater than HeartbeatTick")
