# SPDX-License-Identifier: Apache-2.0
"""The way to one other manager: a connection that is opened again whenever it breaks, and what waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from queenright.edge.grpc.connection import Connection, NotReachedError, open_channel
from queenright.edge.grpc.ports import Certificates
from queenright.wire.raft import MAX_ENVELOPE, MAX_MESSAGES, AppendEntries, EntryEncoder, Envelope, encode_envelope

log = logging.getLogger(__name__)

FRAME = 4 << 20  # bytes of messages that travel together
QUEUE_BYTES = 16 << 20
QUEUE_BYTES_AWAY = 1 << 20  # what waits for a peer that is away is mostly out of date when it returns
OPEN_SECONDS = (1.0, 3.0)  # for connecting and the handshakes; the first of several tries gets less
STEADY = 2.0  # seconds after which a connection counts as one that works
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 1.0


def pause(away: float, dice: float) -> float:
    """Seconds until the next try, for a peer that has been away for so many; ``dice`` in [0, 1).

    One that restarts is reached again at once, one that is off costs a try a second.
    """
    return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, away / 20)) * (0.5 + dice / 2)


@dataclass(slots=True, eq=False)
class Ways:
    """What all peers share. ``dice`` gives numbers in [0, 1); ``addr`` is where this member says that it is."""

    certificates: Certificates
    encoder: EntryEncoder
    dice: Callable[[], float]
    on_refused: Callable[[str, str], None]
    on_epoch: Callable[[str, int], None]
    addr: str = ""


class Peer:
    """Another manager. Runs until cancelled."""

    def __init__(self, member_id: str, addr: str, ways: Ways) -> None:
        self.member_id = member_id
        self.addr = addr
        self._ways = ways
        self._queue: deque[tuple[Envelope, int]] = deque()
        self._queued = 0  # bytes, about
        self._wake = asyncio.Event()
        self._heard = asyncio.Event()
        self._connection: Connection | None = None
        self._opening: asyncio.Task[Connection] | None = None
        self._renewed: asyncio.Future[None] | None = None
        self._since = asyncio.get_running_loop().time()  # when it was last known to be there
        self._patience = OPEN_SECONDS[0]
        self._told = ""

    # -- for the owner

    @property
    def connected(self) -> bool:
        """Whether it has let this member in, and the connection holds."""
        return self._connection is not None and not self._connection.ended

    def put(self, envelope: Envelope) -> None:
        """Have it sent, in its turn. When too much waits, the oldest goes."""
        size = _size(envelope)
        self._queue.append((envelope, size))
        self._queued += size
        most = QUEUE_BYTES if self._connection is not None else QUEUE_BYTES_AWAY
        while self._queued > most and len(self._queue) > 1:
            self._queued -= self._queue.popleft()[1]
        self._wake.set()

    def heard(self) -> None:
        """It has just connected to this member: there is no reason to wait before the next try."""
        self._heard.set()

    async def renew(self) -> None:
        """Go over to a new connection, with the certificate that now is; no message is lost or overtaken by that.
        Returns when it is done, or at once where there is no connection: the next one has that certificate.
        """
        if not self.connected:
            return
        if self._renewed is None:
            self._renewed = asyncio.get_running_loop().create_future()
            self._wake.set()
        await asyncio.shield(self._renewed)

    # -- its task

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._connection = await self._open()
                self._patience, began = OPEN_SECONDS[0], loop.time()
                try:
                    await self._serve()
                finally:
                    if loop.time() - began > STEADY:
                        self._since, self._told = loop.time(), ""
                    await self._close()
            except NotReachedError as error:
                self._tell(error)
            self._heard.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause(loop.time() - self._since, self._ways.dice())):
                    await self._heard.wait()

    async def _open(self) -> Connection:
        seconds, self._patience = self._patience, min(OPEN_SECONDS[1], self._patience * 1.5)
        channel = open_channel(self.member_id, self.addr, self._ways.certificates)
        connection = await Connection.open(channel, self._ways.addr, seconds, self._wake.set)
        if self._told:
            log.info("manager %s at %s is reached again", self.member_id, self.addr)
        return connection

    async def _serve(self) -> None:
        """Send what comes. Raises NotReachedError when the connection has ended."""
        while True:
            assert self._connection is not None
            if self._connection.ended:
                raise await self._connection.error()
            if self._renewed is not None:
                await self._renew_soon()
            if self._queue:
                for frame in self._frames():
                    await self._connection.write(frame)
            else:
                await self._wake.wait()
            self._wake.clear()

    async def _renew_soon(self) -> None:
        """The new connection is opened beside the old one, and taken when the old one's messages have arrived."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open(), name=f"raft-renew-{self.member_id}")
            self._opening.add_done_callback(lambda _: self._wake.set())
        if not self._opening.done():
            return
        opening, self._opening = self._opening, None
        try:
            connection = opening.result()
        except NotReachedError as error:
            log.warning("manager %s at %s does not take the new certificate: %s", self.member_id, self.addr, error)
        else:
            old, self._connection = self._connection, connection
            if old is not None:
                await old.finish()
                await old.close()
        self._end_renewal()

    def _end_renewal(self) -> None:
        if self._renewed is not None:
            self._renewed.set_result(None)
            self._renewed = None

    async def _close(self) -> None:
        """Leave nothing open."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
            if not self._opening.cancelled() and self._opening.exception() is None:
                await self._opening.result().close()
            self._opening = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()
        self._end_renewal()

    def _frames(self) -> list[bytes]:
        """What waits, as one frame; a single envelope that is too long for one, as one for each of its messages."""
        envelope, size = self._queue.popleft()
        self._queued -= size
        epoch, level, count = envelope.epoch, envelope.level, len(envelope.messages)
        parts = [encode_envelope(envelope, self._ways.encoder)]
        while self._queue:
            following, more = self._queue[0]
            count += len(following.messages)
            if (following.epoch, following.level) != (epoch, level) or size + more > FRAME or count > MAX_MESSAGES:
                break
            self._queue.popleft()
            self._queued -= more
            size += more
            parts.append(encode_envelope(following, self._ways.encoder))
        frame = b"".join(parts)
        if len(frame) <= MAX_ENVELOPE:
            return [frame]
        alone = [Envelope(epoch, level, (message,)) for message in envelope.messages]
        return [frame for each in alone if len(frame := encode_envelope(each, self._ways.encoder)) <= MAX_ENVELOPE]

    def _tell(self, error: NotReachedError) -> None:
        """Say why it is not reached, once for each reason."""
        if str(error) != self._told:
            self._told = str(error)
            log.warning("manager %s at %s is not reached: %s", self.member_id, self.addr, error)
            if error.refused:
                self._ways.on_refused(self.member_id, str(error))
        if error.epoch is not None:
            self._ways.on_epoch(self.member_id, error.epoch)


def _size(envelope: Envelope) -> int:
    """About as many bytes as it will have."""
    size = 16
    for message in envelope.messages:
        size += 32
        if isinstance(message, AppendEntries):
            size += sum(len(entry.command) for entry in message.entries) + 16 * len(message.entries)
    return size
