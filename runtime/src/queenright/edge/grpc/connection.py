# SPDX-License-Identifier: Apache-2.0
"""One connection to another manager, and why it could not be had or has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from queenright.edge.grpc import options
from queenright.edge.grpc.ports import Certificates

EXCHANGE = "/queenright.v1.Raft/Exchange"
FINISH_SECONDS = 1.0
STATUS_SECONDS = 1.0


class NotReachedError(Exception):
    """There is no connection. ``refused``: the other side let this member in, and its log then said no. ``epoch``: of
    which epoch of the swarm the other side is, as far as it said so."""

    def __init__(self, message: str, *, refused: bool = False, epoch: int | None = None) -> None:
        super().__init__(message)
        self.refused = refused
        self.epoch = epoch


def open_channel(member_id: str, addr: str, certificates: Certificates, *, bulk: bool = False) -> grpc.aio.Channel:
    """A channel to a manager that must have the certificate of ``member_id``. ``bulk``: see ``options``."""
    key, chain, roots = certificates()
    credentials = grpc.ssl_channel_credentials(root_certificates=roots, private_key=key, certificate_chain=chain)
    return grpc.aio.secure_channel(addr, credentials, options=options.manager(member_id, bulk=bulk))


async def write(call: Any, data: bytes) -> bool:
    """Returns when there is room for more; False: the call has ended or is about to.

    The method ``write`` of grpc.aio would put an error of its own in the place of the status with which the other side
    ended the call, so its text would be lost.
    """
    try:
        await call._cython_call.send_serialized_message(data)
    except (grpc.aio.InternalError, grpc.aio.UsageError, asyncio.InvalidStateError):
        return False
    return not call.done()


async def status(call: Any) -> tuple[grpc.StatusCode, str]:
    """Code and text with which a call has ended, or is about to."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STATUS_SECONDS):
            return await call.code(), await call.details() or ""
    call.cancel()
    return grpc.StatusCode.UNAVAILABLE, "the connection broke"


class Connection:
    """One stream of messages. Made by :meth:`open`."""

    def __init__(self, channel: grpc.aio.Channel, addr: str, on_end: Callable[[], None]) -> None:
        self._channel = channel
        metadata: Any = ((options.ADDR, addr),) if addr else ()
        self._call = channel.stream_unary(EXCHANGE, None, None)(None, metadata=metadata)
        self._call.add_done_callback(lambda _: on_end())

    @classmethod
    async def open(cls, channel: grpc.aio.Channel, addr: str, seconds: float, on_end: Callable[[], None]) -> Connection:
        """Returns when the other side has let this member in, which is itself at ``addr``. Raises NotReachedError;
        then the channel is closed.
        """
        connection = cls(channel, addr, on_end)
        try:
            try:
                async with asyncio.timeout(seconds):
                    told: Any = await connection._call.initial_metadata()
            except TimeoutError:
                raise NotReachedError(f"no answer within {seconds:.0f} s") from None
            if not any(key == options.ADMITTED for key, _ in told):
                raise await connection.error()
        except BaseException:
            await connection.close()
            raise
        return connection

    @property
    def ended(self) -> bool:
        return self._call.done()

    async def error(self) -> NotReachedError:
        """Why it ended."""
        code, details = await status(self._call)
        refused = code == grpc.StatusCode.FAILED_PRECONDITION
        return NotReachedError(details or code.name, refused=refused, epoch=await self._epoch())

    async def _epoch(self) -> int | None:
        """What the other side said of its epoch when it ended the call."""
        if not self._call.done():
            return None
        told: Any = await self._call.trailing_metadata() or ()
        return next((int(value) for key, value in told if key == options.EPOCH and str(value).isdigit()), None)

    async def write(self, frame: bytes) -> None:
        """Returns when there is room for more. A connection that has broken is ``ended`` afterwards."""
        if not await write(self._call, frame):
            await status(self._call)

    async def finish(self) -> None:
        """Returns when the other side has taken all that was written, or will not any more."""
        with contextlib.suppress(grpc.aio.AioRpcError, TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                await self._call.done_writing()
                await self._call

    async def close(self) -> None:
        await self._channel.close(None)
