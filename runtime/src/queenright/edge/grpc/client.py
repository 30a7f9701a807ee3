# SPDX-License-Identifier: Apache-2.0
"""A node's side of the control port: its agent's session (see ``agent.link``), and the renewal of its certificate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio

from queenright.agent.link import LinkError, NoLeaderError, RedirectError
from queenright.edge.grpc import options
from queenright.edge.grpc.authorize import REFUSAL
from queenright.edge.grpc.connection import write
from queenright.edge.grpc.log_pipe import GrpcLogPipe
from queenright.edge.grpc.ports import Certificates
from queenright.model.errors import NotLeading
from queenright.model.logs import LogSubscription
from queenright.model.mesh_rows import NetworksSet, NetworksState
from queenright.model.objects import NodeDescription
from queenright.wire import logs, messages, networks
from queenright.wire.gen import control_pb2, control_pb2_grpc, dispatcher_pb2_grpc, logs_pb2, logs_pb2_grpc
from queenright.wire.gen import dispatcher_pb2 as pb
from queenright.wire.messages import AssignmentSet, Ping, SessionNews, StatusUpdate

CONNECT_TIMEOUT = 3.0  # a host that is off must not hold an agent for long: another manager may lead already
CALL_TIMEOUT = 5.0
RENEW_TIMEOUT = 15.0
STATUS_TIMEOUT = 30.0  # statuses are answered when they are durable
PONG = messages.PONG.SerializeToString()


class GrpcLink:
    """One connection to one manager; opened by the first call."""

    def __init__(self, channel: grpc.aio.Channel, addr: str) -> None:
        self._channel = channel
        self._addr = addr
        self._stub = dispatcher_pb2_grpc.DispatcherStub(channel)  # type: ignore[no-untyped-call]
        self._logs = logs_pb2_grpc.LogsStub(channel)  # type: ignore[no-untyped-call]
        self._certificates = control_pb2_grpc.CertificatesStub(channel)  # type: ignore[no-untyped-call]

    async def session(self, description: NodeDescription, addr: str) -> AsyncIterator[SessionNews | Ping]:
        call = self._stub.Session()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await call.wait_for_connection()
            await write(call, messages.session_request(description, addr).SerializeToString())
            async for message in call:
                redirect = messages.read_redirect(message)
                if redirect is not None:
                    raise RedirectError(*redirect)
                told = messages.read_session_message(message)
                if isinstance(told, Ping):
                    await write(call, PONG)
                yield told
        except TimeoutError:
            raise LinkError("Unavailable", f"{self._addr} did not answer within {CONNECT_TIMEOUT:.0f} s") from None
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

    async def networks(self, session_id: str) -> AsyncIterator[NetworksSet]:
        joining = networks.Joining()
        try:
            async for message in self._stub.Networks(pb.NetworksRequest(session_id=session_id)):
                told = joining.take(message)
                if told is not None:
                    yield told
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from None

    async def networks_applied(self, session_id: str, state: NetworksState) -> None:
        await self._ask(self._stub.NetworksApplied, networks.applied_request(session_id, state), CALL_TIMEOUT)

    async def heartbeat(self, session_id: str) -> int:
        answer = await self._ask(self._stub.Heartbeat, pb.HeartbeatRequest(session_id=session_id), CALL_TIMEOUT)
        return int(answer.period_ns)

    async def update_statuses(self, session_id: str, updates: Sequence[StatusUpdate]) -> None:
        await self._ask(self._stub.UpdateTaskStatus, messages.status_request(session_id, updates), STATUS_TIMEOUT)

    async def restarting(self, session_id: str) -> None:
        await self._ask(self._stub.Restarting, pb.RestartingRequest(session_id=session_id), CALL_TIMEOUT)

    async def renew(self, csr_pem: bytes, control_addr: str) -> tuple[bytes, str]:
        """A certificate for the key of ``csr_pem``: (chain in PEM, the role it is for). ``control_addr`` is where this
        node would serve as a manager. Raises LinkError.
        """
        request = control_pb2.RenewRequest(csr=csr_pem, control_addr=control_addr)
        answer = await self._ask(self._certificates.Renew, request, RENEW_TIMEOUT)
        return bytes(answer.chain), str(answer.role)

    async def log_subscriptions(self, session_id: str) -> AsyncIterator[LogSubscription]:
        """Which logs of this node are wanted. Raises LinkError."""
        try:
            async for message in self._logs.Subscriptions(logs_pb2.LogSubscriptionsRequest(session_id=session_id)):
                yield logs.read_subscription(message)
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from None

    def publish_logs(self, session_id: str, subscription_id: str) -> GrpcLogPipe:
        """The way for the lines of one subscription."""
        return GrpcLogPipe(self._logs.Publish(), session_id, subscription_id)

    async def close(self) -> None:
        await self._channel.close(None)

    async def _ask(self, call: Any, request: Any, timeout: float) -> Any:
        try:
            return await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise self._explained(error) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # grpc says so to whoever waits when the channel is closed; nobody asked this task to stop.
            raise LinkError("Unavailable", f"the link to {self._addr} was closed meanwhile") from None

    def _explained(self, error: grpc.aio.AioRpcError) -> LinkError:
        name = "".join(part.capitalize() for part in error.code().name.split("_"))
        text = error.details() or name
        trailing: Any = error.trailing_metadata() or ()
        if (REFUSAL, NotLeading.__name__) in ((key, value) for key, value in trailing):
            return NoLeaderError(name, text)
        if error.code() == grpc.StatusCode.UNAVAILABLE and ("connect" in text.lower() or "Socket closed" in text):
            text = (
                f"{self._addr} does not answer over mutual TLS ({text}); is the port open, and are both clocks right?"
            )
        return LinkError(name, text)


class GrpcConnector:
    """Opens links with the identity that ``certificates`` gives."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates

    def connect(self, node_id: str, addr: str) -> GrpcLink:
        key, chain, roots = self._certificates()
        credentials = grpc.ssl_channel_credentials(root_certificates=roots, private_key=key, certificate_chain=chain)
        return GrpcLink(grpc.aio.secure_channel(addr, credentials, options=options.client(node_id)), addr)
