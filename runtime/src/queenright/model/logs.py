# SPDX-License-Identifier: Apache-2.0
"""Logs of tasks as they travel: what is wanted, by whom, and what comes back. Times are nanoseconds since the epoch."""

from __future__ import annotations

import dataclasses

STDOUT, STDERR = 1, 2
ALL = -1
"""The ``tail`` that is no limit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What is wanted of each log. ``since`` and ``until`` are included, 0 is no limit; ``tail`` counts the last lines
    of each task."""

    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    since: int = 0
    until: int = 0
    tail: int = ALL


@dataclasses.dataclass(frozen=True, slots=True)
class LogLine:
    """One message of a container, with its line break unless it is a part of a long line. ``attributes`` are the log
    driver's: ``k=v,k=v``, each key and value escaped as in a query."""

    at: int
    stream: int
    attributes: str
    text: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class WantedLog:
    """A task whose log is wanted, with its own ``since`` and ``tail``."""

    task_id: str
    since: int = 0
    tail: int = ALL


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogSubscription:
    """What a node is told: further tasks that are wanted for the subscription ``id``, or that it is ``over``."""

    id: str
    options: LogOptions = LogOptions()
    wanted: tuple[WantedLog, ...] = ()
    over: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogPublication:
    """What a node gives of one task: encoded lines, or that no more will come, and why (``error``)."""

    task_id: str
    lines: bytes = b""
    done: bool = False
    error: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class LogPosition:
    """How far a reader is with a task: it knows all that is older than ``since``, or all (``done``)."""

    task_id: str
    since: int = 0
    done: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogReadRequest:
    """Logs of services (their tasks to come included, where ``options.follow``) and of single tasks.

    ``positions`` and ``began`` (when it first asked) are those of a reader that goes on after a break, ``without`` the
    nodes that it has given up.
    """

    service_ids: tuple[str, ...] = ()
    task_ids: tuple[str, ...] = ()
    options: LogOptions = LogOptions()
    positions: tuple[LogPosition, ...] = ()
    began: int = 0
    without: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """What the leader gives: encoded lines of a task, that it is ``done``, what is ``missing`` and why, or that
    something broke (the way to the node, if one is named), and asking ``again`` helps. One that is empty says that the
    reading has begun.
    """

    task_id: str = ""
    node_id: str = ""
    service_id: str = ""
    lines: bytes = b""
    done: bool = False
    missing: str = ""
    again: bool = False
