# SPDX-License-Identifier: Apache-2.0
"""``/queenright/v1/watch``: the swarm's objects as they change, one JSON line for each commit, from a version on.

``{"version": 7, "time": "...", "events": [{"action": "update", "kind": "service", "id": "...", "object": {}}]}``, where
the action is create, update or remove (then there is no object).
Whoever breaks off goes on with ``from=`` the last version that was seen. The first line, and one whenever nothing
happened for a while, have no events: they say up to which version there is nothing to tell. When a reader is too slow,
or a snapshot took the place of everything, the last line has ``error`` instead of events: list again, then watch from
the version in the header ``X-Queenright-Version`` of the lists.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from queenright.edge.http.api import render, render_network
from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.stacks import stack_document
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response, encode
from queenright.edge.http.router import Router
from queenright.edge.http.slicing import slices
from queenright.manager.control import Control
from queenright.model.objects import Cluster, Config, Network, Node, Object, Secret, Service, Stack, Task
from queenright.spec.fields import encode as encode_spec
from queenright.store.history import Commit, Event, ForgottenError

IDLE = 15.0  # seconds without an event after which a line says that there was none
LOOK = 1.0
BEHIND = 5.0  # seconds for this manager to reach a version that another one has told
KINDS = {
    "swarm": "cluster",
    "node": "node",
    "service": "service",
    "task": "task",
    "secret": "secret",
    "config": "config",
    "network": "network",
    "stack": "stack",
}

Json = dict[str, Any]


class WatchHandlers(Handlers):
    """Handler of ``/queenright/v1/watch``. Every manager serves it from its own memory."""

    def register(self, router: Router) -> None:
        router.add("GET", "/queenright/v1/watch", self.watch, abandon=True, local=True)

    async def watch(self, request: Request) -> Response:
        """Begin to watch; errors that are known at once have a status: 410 for a version that is too old."""
        control = self.control()
        kinds = _kinds(request.query.get("kind", []))
        history = control.store.history
        version = control.store.index
        if request.text("from"):
            version = request.integer("from")
            await _reach(control, version)
            try:
                history.since(version)
            except ForgottenError as error:
                raise ApiError(410, f"{error}: list again, and watch from the version of the list") from None
        headers = {"Content-Type": "application/x-ndjson"}
        return Response(200, self._lines(control, version, kinds), headers)

    async def _lines(self, control: Control, version: int, kinds: frozenset[str]) -> AsyncIterator[bytes]:
        history, now = control.store.history, asyncio.get_running_loop().time
        yield _line({"version": version, "events": []})
        spoke = now()
        while True:
            try:
                commits = history.since(version)
            except ForgottenError as error:
                yield _line({"version": control.store.index, "error": f"{error}: list again"})
                return
            for commit in commits:
                version = commit.index
                if any(event.object.kind in kinds for event in commit.events):
                    for part in _commit(commit, kinds):
                        yield part
                        await asyncio.sleep(0)
                    spoke = now()
            if now() - spoke >= IDLE:
                yield _line({"version": version, "events": []})
                spoke = now()
            if self.running() is not control:
                yield _line({"version": version, "error": "this host does not manage the swarm any more"})
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await history.wait(version)


async def _reach(control: Control, version: int) -> None:
    """A manager may be a moment behind the one that told the version."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BEHIND):
            while control.store.index < version:
                await control.store.history.wait(control.store.history.index)
    if control.store.index < version:
        raise ApiError(400, f"version {version} is not reached yet: this manager is at {control.store.index}")


def _kinds(wanted: list[str]) -> frozenset[str]:
    names = [name for text in wanted for name in text.split(",") if name]
    for name in names:
        if name not in KINDS:
            raise ApiError(400, f"kind '{name[:64]}' is none of {', '.join(KINDS)}")
    return frozenset(KINDS[name] for name in names or KINDS)


def _commit(commit: Commit, kinds: frozenset[str]) -> Iterator[bytes]:
    """The line of a commit, in slices."""
    head = {"version": commit.index, "time": render.timestamp(commit.at)}
    yield encode(head)[:-1] + b',"events":'
    events = (encode(_event(event)) if event.object.kind in kinds else None for event in commit.events)
    for part, last in slices(events):
        yield part[:-1] + b"}\n" if last else part


def _event(event: Event) -> Json:
    row = event.object
    action = "create" if event.before is None else "remove" if event.after is None else "update"
    kind = next(name for name, kind in KINDS.items() if kind == row.kind)
    document: Json = {"action": action, "kind": kind, "id": row.id}
    if event.after is not None:
        document["object"] = _rendered(event.after)
    return document


def _rendered(row: Object) -> Json:
    """As the Engine API shows it; of the swarm without tokens, of secrets and configs without their data."""
    if isinstance(row, Service):
        return render.service(row)
    if isinstance(row, Task):
        return render.task(row)
    if isinstance(row, Node):
        return render.plain_node(row)
    if isinstance(row, Network):
        return render_network.network(row)
    if isinstance(row, Stack):
        return stack_document(row)
    if isinstance(row, Cluster):
        return render.cluster_info(row, ())
    assert isinstance(row, Secret | Config)
    return {**render.meta(row), "Spec": encode_spec(row.spec)}


def _line(document: Json) -> bytes:
    return encode(document) + b"\n"
