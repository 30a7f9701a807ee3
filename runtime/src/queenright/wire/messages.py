# SPDX-License-Identifier: Apache-2.0
"""What managers and agents exchange, as frozen values, and their protobuf forms."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from queenright.model.objects import Config, Node, NodeDescription, Secret, Task, TaskStatus
from queenright.wire.codec import from_message, to_message
from queenright.wire.gen import control_pb2
from queenright.wire.gen import dispatcher_pb2 as pb

PART_BYTES = 1 << 20  # an assignment message stays below this (a single larger task travels alone)


@dataclasses.dataclass(frozen=True, slots=True)
class SessionNews:
    """What an agent is told when its session opens and after each change.

    ``root_certificate`` holds the roots to trust now, ``root_path`` why a new one of them may be.
    ``heartbeat``, ``manager_time`` and ``ping`` (the time between two pings, 0: there are none) in nanoseconds.
    """

    session_id: str
    node: Node
    managers: tuple[tuple[str, str], ...]  # (node id, host:port)
    heartbeat: int
    root_certificate: str
    manager_time: int
    ping: int = 0
    root_path: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Ping:
    """The manager is there, and asks whether the agent is; the next ping comes ``every`` nanoseconds later."""

    every: int


@dataclasses.dataclass(frozen=True, slots=True)
class AssignmentSet:
    """All tasks of a node (``complete``), or a difference that builds on the state named ``applies_to``.

    ``secrets`` and ``configs`` are those that the tasks read, with their data; ``credentials`` (by task id) what their
    images are pulled with.
    """

    complete: bool
    applies_to: str
    results_in: str
    updates: tuple[Task, ...] = ()
    removes: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    configs: tuple[Config, ...] = ()
    secret_removes: tuple[str, ...] = ()
    config_removes: tuple[str, ...] = ()
    credentials: Mapping[str, bytes] = dataclasses.field(default_factory=dict, repr=False)


StatusUpdate = tuple[str, TaskStatus]  # (task id, status)


@dataclasses.dataclass(frozen=True, slots=True)
class ForwardCall:
    """An Engine API request that another manager received, for the leader.

    ``path`` is without the API version, ``api_version`` like ``1.41``; ``request_id`` is the same for each try of one
    request. All but ``method`` and ``path`` may be empty.
    """

    method: str
    path: str
    query: str = ""
    api_version: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    body: bytes = dataclasses.field(default=b"", repr=False)
    request_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class ForwardAnswer:
    """The leader's answer. Whoever has applied the log up to ``index`` sees what was done."""

    status: int
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    body: bytes = dataclasses.field(default=b"", repr=False)
    index: int = 0


PONG = pb.SessionRequest(pong=True)


def session_request(description: NodeDescription, addr: str) -> pb.SessionRequest:
    """The first message of a session, of an agent that answers pings."""
    message = pb.SessionRequest(addr=addr, answers_pings=True)
    to_message(description, message.description)
    return message


def read_session_request(message: pb.SessionRequest) -> tuple[NodeDescription, str, bool]:
    """(machine, address, whether pings are answered)."""
    return from_message(NodeDescription, message.description), message.addr, message.answers_pings


def session_message(told: SessionNews | Ping) -> pb.SessionMessage:
    if isinstance(told, Ping):
        return pb.SessionMessage(ping_ns=told.every)
    message = pb.SessionMessage(
        session_id=told.session_id,
        managers=[pb.ManagerPeer(node_id=node_id, addr=addr, weight=10) for node_id, addr in told.managers],
        heartbeat_ns=told.heartbeat,
        root_certificate=told.root_certificate,
        manager_time=told.manager_time,
        ping_ns=told.ping,
        root_path=told.root_path,
    )
    to_message(told.node, message.node)
    return message


def read_session_message(message: pb.SessionMessage) -> SessionNews | Ping:
    if message.ping_ns and not message.session_id:
        return Ping(message.ping_ns)
    return SessionNews(
        session_id=message.session_id,
        node=from_message(Node, message.node),
        managers=tuple((peer.node_id, peer.addr) for peer in message.managers),
        heartbeat=message.heartbeat_ns,
        root_certificate=message.root_certificate,
        manager_time=message.manager_time,
        ping=message.ping_ns,
        root_path=tuple(message.root_path),
    )


def redirect_message(node_id: str, addr: str) -> pb.SessionMessage:
    """The only message of a manager that does not lead: where to find the one that does."""
    return pb.SessionMessage(redirect=pb.ManagerPeer(node_id=node_id, addr=addr))


def read_redirect(message: pb.SessionMessage) -> tuple[str, str] | None:
    """(node id, ``host:port``) of the leader, if the message says no more than that."""
    return (message.redirect.node_id, message.redirect.addr) if message.HasField("redirect") else None


def assignment_messages(assigned: AssignmentSet, part_bytes: int = PART_BYTES) -> Iterator[pb.AssignmentsMessage]:
    """The set in one or more messages, each below ``part_bytes``; all but the last say ``more``.

    What tasks need comes before them.
    """
    part = _begin(assigned)
    size = 0
    for piece, weight in _pieces(assigned):
        if size and size + weight > part_bytes:
            part.more = True
            yield part
            part, size = _begin(assigned), 0
        part.MergeFrom(piece)
        size += weight
    yield part


def _pieces(assigned: AssignmentSet) -> Iterator[tuple[pb.AssignmentsMessage, int]]:
    """Messages of one thing each, with their sizes in bytes."""
    for name, records in (("secrets", assigned.secrets), ("configs", assigned.configs), ("updates", assigned.updates)):
        for record in records:
            piece = pb.AssignmentsMessage()
            to_message(record, getattr(piece, name).add())
            yield piece, piece.ByteSize()
    for task_id, auth in assigned.credentials.items():
        piece = pb.AssignmentsMessage(credentials={task_id: auth})
        yield piece, piece.ByteSize()
    for name in ("removes", "secret_removes", "config_removes"):
        for key in getattr(assigned, name):
            piece = pb.AssignmentsMessage()
            getattr(piece, name).append(key)
            yield piece, len(key) + 4


def _begin(assigned: AssignmentSet) -> pb.AssignmentsMessage:
    kind = pb.AssignmentsMessage.COMPLETE if assigned.complete else pb.AssignmentsMessage.INCREMENTAL
    return pb.AssignmentsMessage(type=kind, applies_to=assigned.applies_to, results_in=assigned.results_in)


def read_assignments(parts: Sequence[pb.AssignmentsMessage]) -> AssignmentSet:
    """Join the parts of one set."""
    last = parts[-1]
    return AssignmentSet(
        complete=last.type == pb.AssignmentsMessage.COMPLETE,
        applies_to=last.applies_to,
        results_in=last.results_in,
        updates=tuple(from_message(Task, task) for part in parts for task in part.updates),
        removes=tuple(task_id for part in parts for task_id in part.removes),
        secrets=tuple(from_message(Secret, secret) for part in parts for secret in part.secrets),
        configs=tuple(from_message(Config, config) for part in parts for config in part.configs),
        secret_removes=tuple(key for part in parts for key in part.secret_removes),
        config_removes=tuple(key for part in parts for key in part.config_removes),
        credentials={key: auth for part in parts for key, auth in part.credentials.items()},
    )


def status_request(session_id: str, updates: Sequence[StatusUpdate]) -> pb.UpdateTaskStatusRequest:
    message = pb.UpdateTaskStatusRequest(session_id=session_id)
    for task_id, status in updates:
        item = message.updates.add(task_id=task_id)
        item.status.SetInParent()
        to_message(status, item.status)
    return message


def read_status_request(message: pb.UpdateTaskStatusRequest) -> list[StatusUpdate]:
    return [(item.task_id, from_message(TaskStatus, item.status)) for item in message.updates]


def forward_request(call: ForwardCall) -> control_pb2.ForwardRequest:
    return control_pb2.ForwardRequest(
        method=call.method,
        path=call.path,
        query=call.query,
        api_version=call.api_version,
        headers=call.headers,
        body=call.body,
        request_id=call.request_id,
    )


def read_forward_request(message: control_pb2.ForwardRequest) -> ForwardCall:
    return ForwardCall(
        method=message.method,
        path=message.path,
        query=message.query,
        api_version=message.api_version,
        headers=dict(message.headers),
        body=message.body,
        request_id=message.request_id,
    )


def forward_response(answer: ForwardAnswer) -> control_pb2.ForwardResponse:
    return control_pb2.ForwardResponse(
        status=answer.status, headers=answer.headers, body=answer.body, index=answer.index
    )


def read_forward_response(message: control_pb2.ForwardResponse) -> ForwardAnswer:
    return ForwardAnswer(message.status, dict(message.headers), message.body, message.index)
