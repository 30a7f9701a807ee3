# SPDX-License-Identifier: Apache-2.0
"""A node's lines of one subscription, on their way to the leader."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio

from queenright.agent.link import LinkError
from queenright.edge.grpc.connection import status, write
from queenright.model.logs import LogPublication
from queenright.wire import logs
from queenright.wire.gen import logs_pb2 as pb

CONNECT_TIMEOUT = 5.0


class GrpcLogPipe:
    """Fulfils ``agent.log_ports.LogPipe`` with the call ``call`` of Publish."""

    def __init__(self, call: Any, session_id: str, subscription_id: str) -> None:
        self._call = call
        self._first = pb.LogPublication(session_id=session_id, subscription_id=subscription_id)

    async def open(self) -> None:
        """Say which subscription it is. Raises LinkError."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._call.wait_for_connection()
        except (grpc.aio.AioRpcError, TimeoutError):
            raise await self._ended() from None
        await self._send(self._first)

    async def write(self, given: LogPublication) -> None:
        """Returns when there is room for more: as long as the leader's reader takes nothing, there is none."""
        await self._send(logs.publication_message(given))

    def close(self) -> None:
        self._call.cancel()

    async def _send(self, message: pb.LogPublication) -> None:
        if not await write(self._call, message.SerializeToString()):
            raise await self._ended()

    async def _ended(self) -> LinkError:
        code, text = await status(self._call)
        return LinkError("".join(part.capitalize() for part in code.name.split("_")), text or "it is wanted no more")
