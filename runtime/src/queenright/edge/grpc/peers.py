# SPDX-License-Identifier: Apache-2.0
"""The network of the consensus group: a connection to each other manager, messages in order, snapshots aside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from queenright.edge.grpc.connection import open_channel, write
from queenright.edge.grpc.peer import Peer, Ways
from queenright.edge.grpc.ports import Certificates
from queenright.lib.addresses import AddressError, parse
from queenright.lib.tasks import Background
from queenright.wire.raft import (
    EntryEncoder,
    Envelope,
    SnapshotHead,
    encode_snapshot_chunk,
    encode_snapshot_head,
)

INSTALL = "/queenright.v1.Raft/InstallSnapshot"
GUEST_SECONDS = 30.0  # for which a manager that is not named is kept after it was last answered
MOST_GUESTS = 64
DEFAULT_PORT = 2377
STALL_SECONDS = 30.0  # without a byte taken, a snapshot is given up
INSTALL_SECONDS = 300.0  # for the member to put the whole file in force


@dataclass(slots=True, eq=False)
class _Way:
    """To one manager. ``named`` is the address that ``reach`` gave; "" for one that only spoke to this one.

    ``used``: when something was last sent, on the loop's clock.
    """

    peer: Peer
    task: asyncio.Task[Any]
    named: str
    used: float


class GrpcPeers:
    """Reaches the other managers, each by a stream of its own. For the event loop's thread.

    ``certificates`` is asked for each connection. ``dice`` gives numbers in [0, 1). ``addr`` is where the others reach
    this one, ``host:port``. ``on_refused`` is told the text with which a member's log refuses this one (it was removed,
    or its swarm was left behind), ``on_epoch`` the epoch of a member that refuses this one.

    A manager whose log is empty or old does not know who leads now, or where. The leader says where it is when it
    connects, and can be answered.
    """

    def __init__(
        self,
        certificates: Certificates,
        *,
        dice: Callable[[], float],
        addr: str = "",
        on_refused: Callable[[str, str], None] = lambda member_id, text: None,
        on_epoch: Callable[[str, int], None] = lambda member_id, epoch: None,
    ) -> None:
        self._ways = Ways(certificates, EntryEncoder(), dice, on_refused, on_epoch, addr)
        self._known: dict[str, _Way] = {}
        self._heard_at: dict[str, str] = {}  # addresses of managers that spoke and are not named
        self._background = Background()

    def reach(self, members: Mapping[str, str]) -> None:
        """Keep connections to these (id -> ``host:port``) from now on, and to nobody else (but see ``heard``)."""
        for member_id, way in list(self._known.items()):
            named = members.get(member_id, "")
            if not way.named and named in ("", way.peer.addr):
                way.named = named  # a guest stays one, or becomes a member
            elif way.named != named:
                self._forget(member_id)
        for member_id, addr in members.items():
            self._heard_at.pop(member_id, None)
            if member_id not in self._known:
                self._begin(member_id, addr, addr)

    def is_at(self, addr: str) -> None:
        """Where the others reach this member; told with each new connection."""
        self._ways.addr = addr

    def heard(self, member_id: str, addr: str = "") -> None:
        """The member has just connected to this one, and says that it is at ``addr``.

        If it is not reached yet, it is tried at once, there. One that is not named is answered if need be.
        """
        try:
            addr = addr and str(parse(addr, DEFAULT_PORT))
        except AddressError:
            addr = ""
        way = self._known.get(member_id)
        if way is None:
            if addr and (member_id in self._heard_at or len(self._heard_at) < MOST_GUESTS):
                self._heard_at[member_id] = addr
        elif addr and addr != way.peer.addr and not way.peer.connected:
            self._forget(member_id)
            self._begin(member_id, addr, way.named)
        else:
            way.peer.heard()

    def send(self, member_id: str, envelope: Envelope) -> None:
        """Soon and in order, or not at all. Neither blocks nor raises; a full queue drops its oldest."""
        way = self._known.get(member_id)
        if way is None and member_id in self._heard_at:
            way = self._begin(member_id, self._heard_at.pop(member_id), "")
        if way is not None:
            way.used = asyncio.get_running_loop().time()
            way.peer.put(envelope)

    def connected(self, member_id: str) -> bool:
        """Whether the member has let this one in, and the connection holds."""
        way = self._known.get(member_id)
        return way is not None and way.peer.connected

    async def renew(self) -> None:
        """Open all connections anew, one by one, with the certificate that now is. No message is lost by that."""
        for way in list(self._known.values()):
            await way.peer.renew()

    async def close(self) -> None:
        self._known.clear()
        self._heard_at.clear()
        await self._background.stop()

    def _begin(self, member_id: str, addr: str, named: str) -> _Way:
        peer = Peer(member_id, addr, self._ways)
        task = self._background.start(peer.run(), f"raft-peer-{member_id}")
        way = self._known[member_id] = _Way(peer, task, named, asyncio.get_running_loop().time())
        if not named:
            self._watch_guest(member_id, way)
        return way

    def _watch_guest(self, member_id: str, way: _Way) -> None:
        """Forget it when it was not answered for long."""
        loop = asyncio.get_running_loop()
        if way.named or self._known.get(member_id) is not way:
            return
        left = way.used + GUEST_SECONDS - loop.time()
        if left > 0:
            loop.call_later(left, self._watch_guest, member_id, way)
        else:
            self._forget(member_id)

    def _forget(self, member_id: str) -> None:
        self._known.pop(member_id).task.cancel()

    async def send_snapshot(self, member_id: str, head: SnapshotHead, chunks: AsyncGenerator[bytes, None]) -> None:
        """Stream what ``chunks`` give, ``head.size`` bytes in all, and close them; returns when the member has taken
        it. Raises OSError or RuntimeError saying why not.

        It has a connection to itself: heartbeats do not wait behind it.
        """
        async with contextlib.aclosing(chunks):
            await self._send_snapshot(member_id, head, chunks)

    async def _send_snapshot(self, member_id: str, head: SnapshotHead, chunks: AsyncGenerator[bytes, None]) -> None:
        way = self._known.get(member_id)
        if way is None:
            raise RuntimeError(f"no way leads to member {member_id}")
        channel = open_channel(member_id, way.peer.addr, self._ways.certificates, bulk=True)
        try:
            call = channel.stream_unary(INSTALL, None, None)(None)
            try:
                await _stream(call, head, chunks)
                async with asyncio.timeout(INSTALL_SECONDS):
                    code, details = await call.code(), await call.details()
            except TimeoutError:
                raise RuntimeError(f"manager {member_id} takes the snapshot too slowly") from None
            if code != grpc.StatusCode.OK:
                raise RuntimeError(f"manager {member_id} did not take the snapshot: {details or code.name}")
        finally:
            await channel.close(None)


async def _stream(call: Any, head: SnapshotHead, chunks: AsyncGenerator[bytes, None]) -> None:
    """Until the end of the pieces or of the call. Each write returns when there is room for the next one."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        await call.wait_for_connection()
    going = await _write(call, encode_snapshot_head(head))
    async for chunk in chunks:
        going = going and await _write(call, encode_snapshot_chunk(chunk))
        if not going:
            return
    await call.done_writing()


async def _write(call: Any, part: bytes) -> bool:
    async with asyncio.timeout(STALL_SECONDS):
        return await write(call, part)
