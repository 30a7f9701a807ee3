# SPDX-License-Identifier: Apache-2.0
"""Logs: what nodes are told to give, what they give, and what other managers read. The leader serves it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from queenright.edge.grpc.gate import Gate, Told
from queenright.manager.dispatch import Dispatcher
from queenright.manager.logs import LogBroker
from queenright.manager.ports import Peer
from queenright.model.errors import InvalidArgument
from queenright.model.logs import LogPublication
from queenright.wire import logs
from queenright.wire.gen import logs_pb2 as pb
from queenright.wire.gen import logs_pb2_grpc

NAME = "queenright.v1.Logs"


class LogsService(logs_pb2_grpc.LogsServicer):
    """Logs calls -> the broker, as the node that the certificate names."""

    def __init__(self, broker: LogBroker, dispatcher: Dispatcher, gate: Gate) -> None:
        self._broker = broker
        self._dispatcher = dispatcher
        self._gate = gate

    async def Subscriptions(
        self, request: pb.LogSubscriptionsRequest, context: Any
    ) -> AsyncGenerator[pb.LogSubscription, None]:
        peer = await self._gate.admit(f"/{NAME}/Subscriptions", request, context)
        async with Told(context):
            self._dispatcher.session(peer.node_id, request.session_id)
            async with contextlib.aclosing(self._broker.listen(peer.node_id, request.session_id)) as told:
                async for subscription in told:
                    yield logs.subscription_message(subscription)

    async def Publish(self, requests: AsyncIterator[pb.LogPublication | None], context: Any) -> pb.LogPublished:
        method = f"/{NAME}/Publish"
        peer = await self._gate.identify(method, context)
        async with Told(context):
            await self._gate.require(method, peer, context)
            first = await self._gate.first(method, peer, aiter(requests), context)
            await self._gate.readable(method, first, peer, context)
            assert first is not None
            self._dispatcher.session(peer.node_id, first.session_id)
            given = self._given(method, peer, first, requests)
            await self._broker.publish(peer.node_id, first.session_id, first.subscription_id, given)
        return pb.LogPublished()

    async def Read(self, request: pb.LogReadRequest, context: Any) -> AsyncGenerator[pb.LogRead, None]:
        peer = await self._gate.admit(f"/{NAME}/Read", request, context)
        async with Told(context):
            asked = logs.read_read_request(request)
            async with contextlib.aclosing(self._broker.read(asked, peer.node_id)) as parts:
                async for part in parts:
                    yield logs.read_message(part)

    async def _given(
        self, method: str, peer: Peer, first: pb.LogPublication, rest: AsyncIterator[pb.LogPublication | None]
    ) -> AsyncIterator[LogPublication]:
        """What a node gives. Raises a Refusal for a message that cannot be read or is not the node's to send."""
        if first.task_id:
            yield logs.read_publication(first)
        async for message in rest:
            if message is None:
                raise InvalidArgument("the message of Publish cannot be read")
            self._gate.check(method, peer, message)
            yield logs.read_publication(message)
