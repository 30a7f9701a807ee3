# SPDX-License-Identifier: Apache-2.0
"""A host that is whatever a test says, and requests that go the way the server sends them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from runtime.manager.kit import World

from queenright.edge.http.api import Routes, map_error
from queenright.edge.http.errors import ApiError
from queenright.edge.http.forwarding import Forwarder
from queenright.edge.http.messages import Request, Response, encode, error_response
from queenright.edge.http.router import Pass, Router
from queenright.edge.http.upstream import Reply
from queenright.manager import texts
from queenright.manager.ports import InitOptions, JoinOptions, LocalState
from queenright.model.errors import AlreadyExists, Unavailable

VERSION = (1, 41)


class Engine:
    """dockerd, as far as our own routes ask it."""

    def __init__(self) -> None:
        self.down = ""
        self.asked: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], Any] = {}  # JSON by method and path

    async def request(self, method: str, target: str) -> Reply:
        if self.down:
            raise ApiError(502, self.down)
        known = self.answers.get((method, urlsplit(target).path))
        return Reply(200, {}, encode({"Version": "20.10.24"} if known is None else known))

    async def json(self, method: str, target: str) -> Any:
        self.asked.append((method, target))
        path = "/" + urlsplit(target).path.partition("/v1.41/")[2]
        return self.answers.get((method, path))


class Host:
    """Fulfils ``manager.ports.Host``; notes what it was asked for."""

    def __init__(self, state: LocalState, world: World | None = None) -> None:
        self.state = state
        self.world = world
        self.calls: list[Any] = []
        self.local: dict[str, Any] | None = None

    def local_state(self) -> LocalState:
        return self.state

    async def init(self, options: InitOptions) -> str:
        if self.state.state != "inactive":
            raise Unavailable(texts.ALREADY_PART, plain=True)
        self.calls.append(options)
        return "n" * 25

    async def join(self, options: JoinOptions) -> None:
        if self.state.state != "inactive":
            raise Unavailable(texts.ALREADY_PART, plain=True)
        self.calls.append(options)

    async def leave(self, force: bool) -> None:
        if self.state.state == "inactive":
            raise Unavailable(texts.NOT_PART, plain=True)
        if self.state.role == "manager" and not force:
            raise Unavailable(texts.LAST_MANAGER_LEAVES, plain=True)
        self.calls.append(force)

    async def unlock(self, key: str) -> None:
        if self.state.state == "inactive":
            raise Unavailable(texts.NOT_PART, plain=True)
        if self.state.state != "locked":
            raise AlreadyExists(texts.NOT_LOCKED, plain=True)
        self.calls.append(key)

    async def pending_key_digest(self) -> str:
        return "sha256:" + "a" * 64

    def manager(self) -> Any:
        if self.world is None:
            raise texts.not_a_manager(self.state)
        return self.world.control

    def explain_local(self, task_ref: str) -> dict[str, Any] | None:
        return self.local


class Api:
    """Calls routes as the server does: find, handle, map errors, gather the body."""

    def __init__(self, host: Host, *, forwarder: Forwarder | None = None, ids: Callable[[], str] | None = None) -> None:
        self.host = host
        self.engine = Engine()
        self.routes = Routes(host, self.engine, version="0.1.0", forwarder=forwarder, ids=ids)  # type: ignore[arg-type]
        self.router = Router()
        self.routes.register(self.router)

    @classmethod
    def manager(cls, world: World) -> Api:
        state = LocalState(
            state="active",
            role="manager",
            node_id=world.manager_id,
            node_addr="192.0.2.1",
            cluster_id=world.context.cluster.id,
            managers=((world.manager_id, "192.0.2.1:2377"),),
        )
        return cls(Host(state, world))

    @classmethod
    def worker(cls) -> Api:
        return cls(Host(LocalState(state="active", role="worker", node_id="w" * 25)))

    @classmethod
    def outside(cls) -> Api:
        return cls(Host(LocalState()))

    async def raw(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        version: tuple[int, int] | None = VERSION,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body bytes. A body that is no bytes is sent as JSON."""
        response = await self.respond(method, target, body, version=version, headers=headers)
        if isinstance(response.body, bytes):
            return response.status, response.body
        return response.status, b"".join([part async for part in response.body])

    async def respond(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        version: tuple[int, int] | None = VERSION,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """The response, errors included."""
        parts = urlsplit(target)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"content-type": "application/json", **(headers or {})} if body is not None else dict(headers or {})
        try:
            found = self.router.find(method, parts.path)
            assert found is not None, f"{method} {target} is not ours"
            route, params = found
            query = parse_qs(parts.query, keep_blank_values=True)
            request = Request(method, parts.path, version, query, sent, data, params)
            return await self._handle(route.handler(request))
        except ApiError as error:
            return error_response(error)

    async def _handle(self, call: Any) -> Response:
        try:
            answer = await call
        except ApiError:
            raise
        except Exception as error:
            known = map_error(error)
            if known is None:
                raise
            raise known from error
        assert not isinstance(answer, Pass)
        assert isinstance(answer, Response)
        return answer

    async def call(self, method: str, target: str, body: object = None, **more: Any) -> tuple[int, Any]:
        """Status and decoded JSON (None for an empty body)."""
        status, text = await self.raw(method, target, body, **more)
        return status, json.loads(text) if text.strip() else None

    async def get(self, target: str, **more: Any) -> Any:
        """The JSON of a call that must succeed."""
        status, document = await self.call("GET", target, **more)
        assert status == 200, document
        return document

    async def error(self, method: str, target: str, body: object = None, **more: Any) -> tuple[int, str]:
        """Status and message of a call that must fail."""
        status, document = await self.call(method, target, body, **more)
        assert status >= 400, document
        return status, document["message"]
