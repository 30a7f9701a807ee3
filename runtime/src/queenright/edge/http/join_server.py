# SPDX-License-Identifier: Apache-2.0
"""The join listener: HTTPS on the control port + 1, where hosts that are no members yet ask to become one.

``GET /v1/root`` gives the root certificate byte for byte, ``POST /v1/join`` asks for membership. Anybody may connect,
so everything is small and bounded: one request for each connection, a deadline on every step, few connections, and a
token bucket for each source address. Whether to admit is decided by the use case behind (``Admission``).
"""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import h11

from queenright.edge.http import join_limits, join_messages
from queenright.edge.http.join_exchange import SHUTDOWN, Answer, MalformedError, close, error_answer, receive, send
from queenright.edge.http.join_limits import Connections, TokenBuckets, plain_ip, source_of
from queenright.manager.audit import Actor, acting, record
from queenright.model.errors import Refusal
from queenright.model.join import (
    BadRequest,
    JoinGrant,
    JoinLimited,
    JoinRefused,
    JoinRequest,
    NotLeader,
    NotSigned,
)
from queenright.model.tokens import SecretKind

log = logging.getLogger(__name__)


class Admission(Protocol):
    """The use case behind the listener, the manager's."""

    async def admit(self, request: JoinRequest, source_ip: str) -> JoinGrant:
        """Make the asking host a member, durably, before this returns. Raises a kind of JoinRefused.

        Asked again with the same key (an answer may get lost on its way), it gives the same membership again.
        """
        ...


class OtherDoor(Protocol):
    """What else the listener serves (``home_server``)."""

    async def answer(self, method: bytes, path: str, body: bytes, ip: str, source: str) -> Answer | None:
        """None: the path is none of this door's."""
        ...


def refusal_of(refusal: Refusal) -> JoinRefused:
    """A refusal of the use case as one of the join: what may pass, or a request that cannot be granted."""
    if isinstance(refusal, JoinRefused):
        return refusal
    return NotLeader(str(refusal)) if refusal.code == "Unavailable" else BadRequest(str(refusal))


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the listener; times in seconds, sizes in bytes."""

    handshake: float = 10.0
    request: float = 10.0  # the whole request, head and body
    admit: float = 30.0
    response: float = 10.0
    body: int = 64 * 1024
    head: int = 16 * 1024
    connections: int = 256
    connections_per_source: int = 64
    failed_per_minute: int = join_limits.FAILED_PER_MINUTE
    nodes_per_minute: int = join_limits.NODES_PER_MINUTE


def server_context(chain: Path, key: Path, password: bytes = b"") -> ssl.SSLContext:
    """The listener's TLS settings with a manager's node certificate: TLS 1.3, no certificate asked of the client.
    ``password`` opens an encrypted key.

    Blocking and short. Raises OSError or ssl.SSLError when the files are missing or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # no connection is ever resumed
    context.load_cert_chain(chain, key, password)
    return context


class JoinServer:
    """Serves joins until ``stop``.

    ``context`` gives the TLS settings and is asked at each new connection, so a renewed certificate needs no restart;
    ``root_pem`` gives the root's exact bytes; ``clock`` is monotonic, in seconds; ``managers`` gives the control
    addresses of the others, told to those who cannot be let in here now; ``home`` is the door of members.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        context: Callable[[], ssl.SSLContext],
        root_pem: Callable[[], bytes],
        clock: Callable[[], float],
        limits: Limits | None = None,
        managers: Callable[[], Sequence[str]] = tuple,
        home: OtherDoor | None = None,
    ) -> None:
        self._admission = admission
        self._home = home
        self._managers = managers
        self._context = context
        self._root_pem = root_pem
        self._limits = limits or Limits()
        self._failed = TokenBuckets(self._limits.failed_per_minute, clock)
        self._nodes = TokenBuckets(self._limits.nodes_per_minute, clock)
        self._connections = Connections(self._limits.connections, self._limits.connections_per_source)
        self._listeners: list[socket.socket] = []
        self._acceptors: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: (ip, port) of each socket."""
        return [listener.getsockname()[:2] for listener in self._listeners]

    async def start(self, host: str, port: int) -> None:
        """Listen on an IP address (0.0.0.0 and :: for all). Raises OSError saying what is taken or missing."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind((host, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise OSError(
                error.errno,
                f"the join listener cannot use {host} port {port} (the control port + 1): {error.strerror}; free the "
                "port or choose another listen address",
            ) from None
        self._listeners.append(listener)
        self._acceptors.append(asyncio.create_task(self._accept(listener), name=f"join listener {host}:{port}"))

    async def stop(self, grace: float = 5.0) -> None:
        """Accept no more, give running joins ``grace`` seconds, then cut them."""
        acceptors, self._acceptors = self._acceptors, []
        for acceptor in acceptors:
            acceptor.cancel()
        await asyncio.gather(*acceptors, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        running = list(self._tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                # Out of descriptors, or the peer is gone already: the next one may do.
                log.warning("join listener: a connection could not be accepted: %s", error.strerror)
                await asyncio.sleep(1.0)
                continue
            ip = plain_ip(peer[0])
            source = source_of(ip)
            if not self._connections.enter(source):
                connection.close()
                continue
            task = asyncio.create_task(self._serve(connection, ip, source), name="join request")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket, ip: str, source: str) -> None:
        """One connection from handshake to end; whatever happens here stays here."""
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await self._handshake(connection)
            await self._exchange(reader, writer, ip, source)
        except OSError as error:  # ssl.SSLError is an OSError
            log.debug("join listener: connection from %s ended: %s", ip, error)
        except Exception:
            log.exception("join listener: a request from %s failed", ip)
        finally:
            try:
                if writer is not None:
                    await close(writer)
            finally:
                self._connections.leave(source)

    async def _handshake(self, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """TLS on an accepted socket, which belongs to the streams (or is closed) afterwards."""
        try:
            context = self._context()
        except BaseException:
            connection.close()
            raise
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=self._limits.head)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=context,
            ssl_handshake_timeout=self._limits.handshake,
            ssl_shutdown_timeout=SHUTDOWN,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ip: str, source: str) -> None:
        state = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
        try:
            async with asyncio.timeout(self._limits.request):
                request, body = await receive(state, reader, writer, self._limits.body)
        except MalformedError as malformed:
            answer = error_answer(malformed.status, str(malformed))
        except TimeoutError:
            answer = error_answer(408, "the request did not arrive in time")
        else:
            answer = await self._answer(request, body, ip, source)
        async with asyncio.timeout(self._limits.response):
            await send(state, writer, answer)

    async def _answer(self, request: h11.Request, body: bytes, ip: str, source: str) -> Answer:
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        if path == join_messages.ROOT_PATH:
            if request.method != b"GET":
                return error_answer(405, "only GET is possible here", ("allow", "GET"))
            return Answer(200, self._root_pem(), "application/x-pem-file")
        if path == join_messages.JOIN_PATH:
            if request.method != b"POST":
                return error_answer(405, "only POST is possible here", ("allow", "POST"))
            return await self._join(body, ip, source)
        answer: Answer | None = None
        if self._home is not None:
            answer = await self._home.answer(bytes(request.method), path, body, ip, source)
        return answer or error_answer(404, "page not found")

    async def _join(self, body: bytes, ip: str, source: str) -> Answer:
        with acting(Actor("join", address=ip)):
            return await self._audited_join(body, ip, source)

    async def _audited_join(self, body: bytes, ip: str, source: str) -> Answer:
        try:
            grant = await self._admit(body, ip, source)
        except JoinRefused as refusal:
            if not isinstance(refusal, JoinLimited):
                record("join", outcome=refusal.reason)
            # A flood of tries is refused by the limit; it shall not flood the log.
            log.log(
                logging.DEBUG if isinstance(refusal, JoinLimited) else logging.WARNING,
                "join from %s refused: %s",
                ip,
                refusal.reason,
            )
            others = self._managers() if isinstance(refusal, NotLeader) else ()
            status, text = join_messages.encode_refusal(refusal, others)
            wait = refusal.retry_after if isinstance(refusal, JoinLimited) else 0.0
            headers = (("retry-after", str(max(1, math.ceil(wait)))),) if wait else ()
            return Answer(status, text, headers=headers)
        except Exception:
            log.exception("join from %s failed", ip)
            return error_answer(500, "the manager failed to answer; its log says why")
        record("join", node=grant.node_id, role=grant.role)
        log.info("node %s joined as %s from %s", grant.node_id, grant.role, ip)
        return Answer(200, join_messages.encode_grant(grant))

    async def _admit(self, body: bytes, ip: str, source: str) -> JoinGrant:
        """Ask the use case, within the source's limits: a refused secret counts as failed, a grant as a new node."""
        wait = self._failed.wait(source)
        if wait:
            raise JoinLimited("too many failed joins from this address: wait a minute", retry_after=wait)
        try:
            request = join_messages.decode_request(body)
            # Each ticket was given out for one host by somebody who may; only a token can be used without end.
            counted = request.secret.kind is SecretKind.TOKEN
            wait = self._nodes.take(source) if counted else 0.0
            if wait:
                raise JoinLimited("too many new nodes from this address: wait a minute", retry_after=wait)
            try:
                async with asyncio.timeout(self._limits.admit):
                    return await self._admission.admit(request, ip)
            except BaseException:
                if counted:
                    self._nodes.give_back(source)
                raise
        except TimeoutError:
            raise NotLeader("the manager could not decide in time: its log may say why; try again") from None
        except JoinRefused as refusal:
            if not isinstance(refusal, JoinLimited | NotLeader | NotSigned):
                self._failed.take(source)
            raise
        except Refusal as refusal:
            raise refusal_of(refusal) from refusal
