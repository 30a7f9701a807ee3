# SPDX-License-Identifier: Apache-2.0
"""What one manager asks of the one that leads."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from queenright.edge.grpc.authorize import REFUSAL
from queenright.edge.grpc.connection import open_channel
from queenright.edge.grpc.ports import Certificates
from queenright.lib.tasks import Background
from queenright.model import errors
from queenright.model.errors import OutcomeUnknown, Refusal, Unavailable
from queenright.wire import messages
from queenright.wire.gen import control_pb2 as pb
from queenright.wire.gen import control_pb2_grpc
from queenright.wire.messages import ForwardAnswer, ForwardCall

CONNECT_TIMEOUT = 3.0
GRACE = 60.0  # seconds for the calls on a connection that is out of use
Place = tuple[str, str]
"""(node id, ``host:port``)"""


class LeaderCalls:
    """Calls to the leader, over one connection that is kept while it stays the same.

    Every call raises a Refusal: that of the use case behind; Unavailable if the request did not get there, so that it
    may be sent again; OutcomeUnknown if nobody can say.
    """

    def __init__(self, certificates: Certificates) -> None:
        self._certificates = certificates
        self._channel: grpc.aio.Channel | None = None
        self._made_for: tuple[Place, tuple[bytes, bytes, bytes]] | None = None
        self._retired = Background()

    async def ready(self, leader: Place) -> None:
        """Return when there is a connection to that manager; nothing is sent. Raises Unavailable."""
        await self._stub(leader)

    async def forward(self, leader: Place, call: ForwardCall, timeout: float) -> ForwardAnswer:
        """The leader's answer to a request, within ``timeout`` seconds."""
        stub = await self._stub(leader)
        answer = await _ask(stub.Forward, messages.forward_request(call), timeout, leader)
        return messages.read_forward_response(answer)

    async def admit(self, leader: Place, body: bytes, source: str, timeout: float) -> bytes:
        """The leader's answer to a join request of ``source``; both are JSON."""
        stub = await self._stub(leader)
        answer = await _ask(stub.Admit, pb.AdmitRequest(body=body, source=source), timeout, leader)
        return bytes(answer.body)

    async def close(self) -> None:
        """End all calls."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            await channel.close(None)
        await self._retired.stop()

    async def _stub(self, leader: Place) -> Any:
        """Ready to ask: nothing was sent before this returns."""
        made_for = leader, self._certificates()
        if self._channel is None or made_for != self._made_for:
            self._retire()
            self._channel, self._made_for = open_channel(*leader, self._certificates), made_for
        channel = self._channel
        if not await connected(channel):
            if self._channel is channel:
                self._retire()  # its pauses between tries are not those of the next call
            raise Unavailable(f"the manager that leads, {leader[0]} at {leader[1]}, is not reached")
        return control_pb2_grpc.ControlStub(channel)  # type: ignore[no-untyped-call]

    def _retire(self) -> None:
        """Close the channel once the calls that run on it must have ended."""
        if self._channel is not None:
            self._retired.start(_close_later(self._channel), "retired-leader-channel")
            self._channel = None


async def _close_later(channel: grpc.aio.Channel) -> None:
    try:
        await asyncio.sleep(GRACE)
    finally:
        await channel.close(None)


async def connected(channel: grpc.aio.Channel) -> bool:
    """Wait for the connection; one that is refused is not waited for any longer."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            while (state := channel.get_state(try_to_connect=True)) != grpc.ChannelConnectivity.READY:
                if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
                    return False
                await channel.wait_for_state_change(state)
    except (TimeoutError, grpc.aio.UsageError):  # the latter: closed meanwhile
        return False
    return True


async def _ask(call: Any, request: Any, timeout: float, leader: Place) -> Any:
    try:
        return await call(request, timeout=timeout)
    except grpc.aio.AioRpcError as error:
        raise refusal(error, leader) from None


def refusal(error: grpc.aio.AioRpcError, leader: Place) -> Refusal:
    """What the use case said, if it was one that spoke; else nobody knows what became of the request."""
    details = error.details() or error.code().name
    trailing: Any = error.trailing_metadata() or ()
    kind = getattr(errors, next((str(value) for key, value in trailing if key == REFUSAL), ""), None)
    if isinstance(kind, type) and issubclass(kind, Refusal):
        return kind(details)
    return OutcomeUnknown(
        f"the manager that leads, {leader[0]} at {leader[1]}, did not answer ({details}); whether it did what was "
        "asked is not known"
    )
