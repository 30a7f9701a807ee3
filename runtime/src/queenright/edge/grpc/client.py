# SPDX-License-Identifier: Apache-2.0
"""The agent's side of the control port (see ``agent.link``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from queenright.agent.link import LinkError
from queenright.edge.grpc import options
from queenright.model.objects import NodeDescription
from queenright.wire import messages
from queenright.wire.gen import dispatcher_pb2 as pb
from queenright.wire.gen import dispatcher_pb2_grpc
from queenright.wire.messages import AssignmentSet, SessionNews, StatusUpdate

CALL_TIMEOUT = 5.0
STATUS_TIMEOUT = 30.0  # statuses are answered when they are durable


class GrpcLink:
    """One connection to one manager; opened by the first call."""

    def __init__(self, channel: grpc.aio.Channel, addr: str) -> None:
        self._channel = channel
        self._addr = addr
        self._stub = dispatcher_pb2_grpc.DispatcherStub(channel)  # type: ignore[no-untyped-call]

    async def session(self, description: NodeDescription, addr: str) -> AsyncIterator[SessionNews]:
        try:
            async for message in self._stub.Session(messages.session_request(description, addr)):
                yield messages.read_news(message)
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from None

    async def assignments(self, session_id: str) -> AsyncIterator[AssignmentSet]:
        parts: list[pb.AssignmentsMessage] = []
        try:
            async for message in self._stub.Assignments(pb.AssignmentsRequest(session_id=session_id)):
                parts.append(message)
                if not message.more:
                    yield messages.read_assignments(parts)
                    parts = []
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from None

    async def heartbeat(self, session_id: str) -> int:
        answer = await self._ask(self._stub.Heartbeat, pb.HeartbeatRequest(session_id=session_id), CALL_TIMEOUT)
        return int(answer.period_ns)

    async def update_statuses(self, session_id: str, updates: Sequence[StatusUpdate]) -> None:
        await self._ask(self._stub.UpdateTaskStatus, messages.status_request(session_id, updates), STATUS_TIMEOUT)

    async def restarting(self, session_id: str) -> None:
        await self._ask(self._stub.Restarting, pb.RestartingRequest(session_id=session_id), CALL_TIMEOUT)

    async def close(self) -> None:
        await self._channel.close(None)

    async def _ask(self, call: Any, request: Any, timeout: float) -> Any:
        try:
            return await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from None

    def _explained(self, error: grpc.aio.AioRpcError) -> LinkError:
        name = "".join(part.capitalize() for part in error.code().name.split("_"))
        text = error.details() or name
        if error.code() == grpc.StatusCode.UNAVAILABLE and ("connect" in text.lower() or "Socket closed" in text):
            text = (
                f"{self._addr} does not answer over mutual TLS ({text}); is the port open, and are both clocks right?"
            )
        return LinkError(name, text)


class GrpcConnector:
    """Opens links with the identity that ``certificates`` gives: (private key, certificate chain, trusted roots), PEM
    each.
    """

    def __init__(self, certificates: Callable[[], tuple[bytes, bytes, bytes]]) -> None:
        self._certificates = certificates

    def connect(self, node_id: str, addr: str) -> GrpcLink:
        key, chain, roots = self._certificates()
        credentials = grpc.ssl_channel_credentials(root_certificates=roots, private_key=key, certificate_chain=chain)
        return GrpcLink(grpc.aio.secure_channel(addr, credentials, options=options.client(node_id)), addr)
