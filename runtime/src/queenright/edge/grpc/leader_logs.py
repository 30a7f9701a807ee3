# SPDX-License-Identifier: Apache-2.0
"""Logs that one manager reads of the one that leads."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import grpc
import grpc.aio

from queenright.edge.grpc.connection import open_channel
from queenright.edge.grpc.leader import connected, refusal
from queenright.edge.grpc.ports import Certificates
from queenright.model.errors import Unavailable, Unimplemented
from queenright.model.logs import LogRead, LogReadRequest
from queenright.wire import logs
from queenright.wire.gen import logs_pb2_grpc

OLDER = "the manager that leads, {} at {}, runs an older version of queenright that gives no logs: upgrade it"


class LeaderLogs:
    """Fulfils ``manager.log_reader.LogSource`` with the manager at ``leader`` (node id, ``host:port``).

    Each reader has a connection of its own: one that takes nothing makes nobody else wait, and with it goes all that is
    held for it on both sides.
    """

    def __init__(self, certificates: Certificates, leader: tuple[str, str]) -> None:
        self._certificates = certificates
        self._leader = leader

    async def read(self, request: LogReadRequest) -> AsyncGenerator[LogRead, None]:
        """Raises a Refusal: what the leader says, Unavailable or OutcomeUnknown if it is not reached any more."""
        channel = open_channel(*self._leader, self._certificates)
        try:
            if not await connected(channel):
                raise Unavailable(f"the manager that leads, {self._leader[0]} at {self._leader[1]}, is not reached")
            stub = logs_pb2_grpc.LogsStub(channel)  # type: ignore[no-untyped-call]
            async for message in stub.Read(logs.read_request_message(request)):
                yield logs.read_read(message)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                raise Unimplemented(OLDER.format(*self._leader)) from None
            raise refusal(error, self._leader) from None
        finally:
            await channel.close(None)
