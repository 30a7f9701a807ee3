# SPDX-License-Identifier: Apache-2.0
"""The network of the consensus group: a connection to each other manager, messages in order, snapshots aside."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from queenright.edge.grpc.peer import Peer, Ways, open_channel, write
from queenright.edge.grpc.ports import Certificates
from queenright.lib.chunks import read_chunks
from queenright.lib.tasks import Background
from queenright.wire.raft import (
    EntryEncoder,
    Envelope,
    SnapshotHead,
    encode_snapshot_chunk,
    encode_snapshot_head,
)

INSTALL = "/queenright.v1.Raft/InstallSnapshot"
STALL_SECONDS = 30.0  # without a byte taken, a snapshot is given up
INSTALL_SECONDS = 300.0  # for the member to put the whole file in force


class GrpcPeers:
    """Reaches the other managers, each by a stream of its own. For the event loop's thread.

    ``certificates`` is asked for each connection. ``dice`` gives numbers in [0, 1). ``on_refused`` is told the text
    with which a member's log refuses this one (it was removed, or its swarm was left behind).
    """

    def __init__(
        self,
        certificates: Certificates,
        *,
        dice: Callable[[], float],
        on_refused: Callable[[str, str], None] = lambda member_id, text: None,
    ) -> None:
        self._ways = Ways(certificates, EntryEncoder(), dice, on_refused)
        self._peers: dict[str, tuple[Peer, asyncio.Task[Any]]] = {}
        self._background = Background()

    def reach(self, members: Mapping[str, str]) -> None:
        """Keep connections to these (id -> ``host:port``) from now on, and to nobody else."""
        for member_id, (peer, task) in list(self._peers.items()):
            if members.get(member_id) != peer.addr:
                del self._peers[member_id]
                task.cancel()
        for member_id, addr in members.items():
            if member_id not in self._peers:
                peer = Peer(member_id, addr, self._ways)
                self._peers[member_id] = peer, self._background.start(peer.run(), f"raft-peer-{member_id}")

    def send(self, member_id: str, envelope: Envelope) -> None:
        """Soon and in order, or not at all. Neither blocks nor raises; a full queue drops its oldest."""
        peer = self._peer(member_id)
        if peer is not None:
            peer.put(envelope)

    def connected(self, member_id: str) -> bool:
        """Whether the member has let this one in, and the connection holds."""
        peer = self._peer(member_id)
        return peer is not None and peer.connected

    def heard(self, member_id: str) -> None:
        """The member has just connected to this one: if it is not reached yet, try again at once."""
        peer = self._peer(member_id)
        if peer is not None:
            peer.heard()

    async def renew(self) -> None:
        """Open all connections anew, one by one, with the certificate that now is. No message is lost by that."""
        for peer, _ in list(self._peers.values()):
            await peer.renew()

    async def close(self) -> None:
        self._peers.clear()
        await self._background.stop()

    async def send_snapshot(self, member_id: str, head: SnapshotHead, path: Path) -> None:
        """Stream the file; returns when the member has taken it. Raises OSError or RuntimeError saying why not.

        It has a connection to itself: heartbeats do not wait behind it.
        """
        peer = self._peer(member_id)
        if peer is None:
            raise RuntimeError(f"no way leads to member {member_id}")
        channel = open_channel(member_id, peer.addr, self._ways.certificates)
        try:
            call = channel.stream_unary(INSTALL, None, None)(None)
            try:
                await _stream(call, head, path)
                async with asyncio.timeout(INSTALL_SECONDS):
                    code, details = await call.code(), await call.details()
            except TimeoutError:
                raise RuntimeError(f"manager {member_id} takes the snapshot too slowly") from None
            if code != grpc.StatusCode.OK:
                raise RuntimeError(f"manager {member_id} did not take the snapshot: {details or code.name}")
        finally:
            await channel.close(None)

    def _peer(self, member_id: str) -> Peer | None:
        return self._peers.get(member_id, (None,))[0]


async def _stream(call: Any, head: SnapshotHead, path: Path) -> None:
    """Until the end of the file or of the call. Each write returns when there is room for the next one."""
    pieces: Any = read_chunks(path, head.size)
    async with contextlib.aclosing(pieces) as chunks:
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
