# SPDX-License-Identifier: Apache-2.0
"""What a caller may do with single objects: the rules that rows of the table of calls name.

A rule looks at each message before the use case does. ``covers`` are the fields of the request by which a message can
name an object; the server does not start if a request has one that its row's rule does not cover.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from queenright.manager.ports import Peer
from queenright.model.errors import InvalidArgument, PermissionDenied
from queenright.store.store import Store

MOST_ITEMS = 20_000
"""Of each list and map of a request; far more than a node has tasks."""

_NAMING = ("_id", "_ids")


@dataclasses.dataclass(frozen=True, slots=True)
class Objects:
    """What rules look at. ``session`` takes (node id, session id) and raises a Refusal unless it is open and theirs."""

    store: Store
    session: Callable[[str, str], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """``says`` is for people; ``check`` raises a Refusal for a message that touches what is not the caller's."""

    says: str
    check: Callable[[Objects, Peer, Any], None]
    covers: frozenset[str] = frozenset()


def _nothing(objects: Objects, peer: Peer, message: Any) -> None:
    """The message can name no object: ``require_covered`` makes sure of it."""


def _own_session(objects: Objects, peer: Peer, message: Any) -> None:
    objects.session(peer.node_id, message.session_id)


def _own_tasks(objects: Objects, peer: Peer, message: Any) -> None:
    _own_session(objects, peer, message)
    for update in message.updates:
        _own_task(objects, peer, update.task_id)


def _own_lines(objects: Objects, peer: Peer, message: Any) -> None:
    """Only the first message of a stream of lines says of which session it is, and it may have no lines."""
    if message.session_id or not message.task_id:
        _own_session(objects, peer, message)
    _own_task(objects, peer, message.task_id)


def _own_task(objects: Objects, peer: Peer, task_id: str) -> None:
    task = objects.store.tasks.get(task_id)
    if task is not None and task.node_id != peer.node_id:
        raise PermissionDenied(f"task {task_id} is not on this node")


NAMES_NOBODY = Rule("it is about the caller's own node, whatever it says", _nothing)
ITS_SENDER_S = Rule("it counts as its sender's, and each part is checked by the log", _nothing)
OWN_SESSION = Rule("the caller's own open session", _own_session, frozenset({"session_id"}))
OWN_TASKS = Rule(
    "the caller's own session and tasks on its node, whose containers are the node's to name",
    _own_tasks,
    frozenset({"session_id", "task_id", "container_id"}),
)
OWN_LINES = Rule(
    "the caller's own session, and lines of tasks on its node that are wanted",
    _own_lines,
    frozenset({"session_id", "subscription_id", "task_id"}),
)
ANY_LOG = Rule("any log: managers read for people", _nothing, frozenset({"task_id", "task_ids", "service_ids"}))
OF_THE_SWARM = Rule(
    "what the router knows as the swarm's, never the host's own engine", _nothing, frozenset({"request_id"})
)
WITH_A_SECRET = Rule("what the join listener takes: a token or a ticket decides", _nothing)


def require_covered(method: str, rule: Rule, request: Any) -> None:
    """Fail at the start if a request (a protobuf descriptor) can name objects that the rule does not look at."""
    missing = sorted(set(_names(request, set())) - rule.covers)
    if missing:
        raise RuntimeError(
            f"the rule for objects of {method} (edge/grpc/authorize.py) does not cover {', '.join(missing)}"
        )


def check_lists(message: Any) -> None:
    """Raise InvalidArgument for a request with a list or a map that is too long."""
    for field, value in message.ListFields():
        if isinstance(value, Mapping) or field.is_repeated:
            _check_length(field.name, value)


def _check_length(name: str, value: Any) -> None:
    if len(value) > MOST_ITEMS:
        raise InvalidArgument(f"{name} has {len(value)} items, at most {MOST_ITEMS} are taken")


def _names(request: Any, seen: set[str]) -> Iterator[str]:
    """Fields, at any depth, that name objects."""
    if request.full_name in seen:
        return
    seen.add(request.full_name)
    yield from _own_names(request.fields)
    for field in request.fields:
        if field.message_type is not None:
            yield from _names(field.message_type, seen)


def _own_names(fields: Iterable[Any]) -> Iterator[str]:
    return (field.name for field in fields if field.name.endswith(_NAMING))
