# SPDX-License-Identifier: Apache-2.0
"""What all services share: letting callers in, and telling those who stay out why."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import grpc

from queenright.edge.grpc.authorize import REFUSAL, TABLE, Authorizer, DeniedError
from queenright.edge.grpc.live import Live
from queenright.edge.grpc.objects import Objects, check_lists
from queenright.edge.grpc.ports import Confirm
from queenright.lib.repeats import Repeats
from queenright.manager.ports import Peer
from queenright.model.errors import NotLeading, PermissionDenied, Refusal

log = logging.getLogger(__name__)

LONGEST_TEXT = 2000  # characters of an error text; metadata has little room
CONFIRM_TIMEOUT = 5.0
BETWEEN_MANAGERS = "/queenright.v1.Raft/"  # served by all managers, for which the barrier of the leader is no help
TELL_AGAIN = 60.0  # seconds between two lines about the same refusal
FIRST_MESSAGE = 5.0  # seconds for whoever opens a stream; members send it with the call

T = TypeVar("T")

CODES = {
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "AlreadyExists": grpc.StatusCode.ALREADY_EXISTS,
    "FailedPrecondition": grpc.StatusCode.FAILED_PRECONDITION,
    "PermissionDenied": grpc.StatusCode.PERMISSION_DENIED,
    "Unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "Unimplemented": grpc.StatusCode.UNIMPLEMENTED,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
}


class Gate:
    """Stands before every method.

    A no of the store is told only after ``confirm`` returned: the store of a manager that does not lead, or no longer,
    may lack a node that has joined since, and a node that hears that it was removed goes for good. ``follows`` says
    whether this manager's store is recent enough for it to end what other managers tell it.
    """

    def __init__(
        self,
        authorizer: Authorizer,
        objects: Objects,
        confirm: Confirm | None = None,
        *,
        seen: Callable[[Peer], None] = lambda peer: None,
        follows: Callable[[], bool] = lambda: True,
    ) -> None:
        self.authorizer = authorizer
        self.live = Live(authorizer, self.judge, seen)
        self._objects = objects
        self._confirm = confirm
        self._follows = follows
        self._told = Repeats(authorizer.clock.mono, TELL_AGAIN)

    async def admit(self, method: str, request: object | None, context: Any) -> Peer:
        """Who calls; ends the call of whom may not, and one whose message cannot be read (None)."""
        peer = await self.identify(method, context)
        async with Told(context):
            await self.require(method, peer, context)
        await self.readable(method, request, peer, context)
        return peer

    async def identify(self, method: str, context: Any) -> Peer:
        """Who calls by the certificate alone; ends the call of whom may not."""
        try:
            peer = self.authorizer.identify(method, context.auth_context())
            self.live.enter(method, peer, context)
        except DeniedError as denied:
            await self.refuse(method, denied, context)
            raise
        return peer

    async def judge(self, method: str, peer: Peer) -> DeniedError | None:
        """Why a caller may not go on with what it began; None if it may, or if this manager cannot tell."""
        try:
            self.authorizer.require_dates(peer)
        except DeniedError as denied:
            return denied
        first = self._denied(method, peer)
        if first is None:
            return None
        if method.startswith(BETWEEN_MANAGERS):
            return first if self._follows() else None
        if self._confirm is None:
            return first
        try:
            await self._confirmed(method, peer)
        except NotLeading:
            return None
        return self._denied(method, peer)

    def _denied(self, method: str, peer: Peer) -> DeniedError | None:
        try:
            self.authorizer.require(method, peer)
        except DeniedError as denied:
            return denied
        return None

    async def require(self, method: str, peer: Peer, context: Any) -> None:
        """Ends the call of whom the store refuses. Raises NotLeading if that cannot be told here."""
        try:
            self.authorizer.require(method, peer)
            self.live.admitted(peer)
        except DeniedError as denied:
            if self._confirm is None:
                await self.refuse(method, denied, context)
                raise
            await self._confirmed(method, peer)
            try:
                self.authorizer.require(method, peer)
            except DeniedError as again:
                await self.refuse(method, again, context)
                raise

    async def _confirmed(self, method: str, peer: Peer) -> None:
        assert self._confirm is not None
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                await self._confirm()
        except (Refusal, TimeoutError):
            raise NotLeading(f"only the leader can tell whether node {peer.node_id} may do this") from None

    async def readable(self, method: str, request: object | None, peer: Peer, context: Any) -> None:
        """Ends the call if its message could not be read, or touches what is not the caller's."""
        name = method.rpartition("/")[2]
        if request is None:
            log.warning("refused %s from node %s: the message cannot be read", name, peer.node_id)
            text = f"the message of {name} cannot be read, or is longer than {TABLE[method].longest} bytes"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, text)
        async with Told(context):
            self.check(method, peer, request)

    def check(self, method: str, peer: Peer, message: Any) -> None:
        """Raise a Refusal for a message that touches what is not the caller's, or has too long a list."""
        check_lists(message)
        try:
            TABLE[method].rule.check(self._objects, peer, message)
        except PermissionDenied as refusal:
            log.warning("refused %s from node %s: %s", method.rpartition("/")[2], peer.node_id, refusal)
            raise

    @staticmethod
    async def first(method: str, peer: Peer, requests: AsyncIterator[T], context: Any) -> T | None:
        """The message that begins a stream, None if there is none; ends the call of one who says nothing."""
        try:
            async with asyncio.timeout(FIRST_MESSAGE):
                return await anext(requests, None)
        except TimeoutError:
            name = method.rpartition("/")[2]
            log.warning("node %s opened a stream of %s and said nothing", peer.node_id, name)
            text = f"no message of {name} came within {FIRST_MESSAGE:g} s"
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, text)
            raise

    async def refuse(self, method: str, denied: DeniedError, context: Any) -> None:
        """End the call. The log hears of it now and then, though the other side tries again and again."""
        name, place = method.rpartition("/")[2], source(context)
        repeated = self._told.held_back((name, place, str(denied)))
        if repeated is not None:
            more = {"repeated": repeated} if repeated else {}
            log.warning("refused %s from %s: %s", name, context.peer(), denied, extra=more)
        await context.abort(denied.code, str(denied), denied.metadata)


class Told:
    """``async with Told(context)``: turns a use case's refusal into the status that the caller sees."""

    def __init__(self, context: Any) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Refusal):
            code = CODES.get(error.code, grpc.StatusCode.UNKNOWN)
            await self._context.abort(code, str(error)[:LONGEST_TEXT], ((REFUSAL, type(error).__name__),))


def source(context: Any) -> str:
    """The caller's address: ``ipv4:10.0.0.2:4711`` and ``ipv6:%5B::1%5D:4711`` -> the host."""
    kind, _, rest = str(context.peer()).partition(":")
    host = rest.rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]") if kind in ("ipv4", "ipv6") else ""
