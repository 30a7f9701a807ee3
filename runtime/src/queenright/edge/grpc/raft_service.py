# SPDX-License-Identifier: Apache-2.0
"""Messages and snapshots of the other managers, on their way into the log."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from queenright.edge.grpc.authorize import DeniedError
from queenright.edge.grpc.gate import LONGEST_TEXT, Gate
from queenright.edge.grpc.options import ADDR, ADMITTED, EPOCH
from queenright.edge.grpc.ports import RaftReceiver
from queenright.manager.ports import Peer
from queenright.wire.gen import raft_pb2_grpc
from queenright.wire.raft import SnapshotHead, decode_envelope, decode_snapshot_part

log = logging.getLogger(__name__)

NAME = "queenright.v1.Raft"
DONE = b""  # a RaftDone


class RaftService(raft_pb2_grpc.RaftServicer):
    """Requests come in as bytes; nothing of them is read before their sender is known.

    ``heard`` is told whose stream was let in, and where that manager says it is: who speaks can be spoken to.
    """

    def __init__(self, raft: RaftReceiver, gate: Gate, heard: Callable[[str, str], None]) -> None:
        self._raft = raft
        self._gate = gate
        self._heard = heard
        self._told: dict[str, str] = {}  # the last refusal of each sender

    async def Exchange(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        peer = await self._admit("Exchange", context)
        await context.send_initial_metadata(((ADMITTED, "1"),))  # the caller begins to send when it has this
        self._heard(peer.node_id, _addr(context))
        async for data in requests:
            try:
                envelope = decode_envelope(data)
            except ValueError as error:
                await self._unreadable("Exchange", peer, error, context)
                raise
            await self._check_epoch(peer, envelope.epoch, context)
            self._raft.receive(peer.node_id, envelope)
        return DONE

    async def InstallSnapshot(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        peer = await self._admit("InstallSnapshot", context)
        parts = _parts(requests)
        try:
            head = await self._gate.first("InstallSnapshot", peer, parts, context)
            if not isinstance(head, SnapshotHead):
                raise ValueError("the stream of a snapshot begins with its head")
            await self._check_epoch(peer, head.epoch, context)
            await self._raft.receive_snapshot(peer.node_id, head, _chunks(parts, head.size))
        except ValueError as error:
            await self._unreadable("InstallSnapshot", peer, error, context)
            raise
        except (grpc.aio.AbortError, grpc.aio.BaseError):
            raise
        except Exception as error:  # whatever the log found wrong is for the leader to know
            log.warning("the snapshot of manager %s was not taken: %s", peer.node_id, error)
            await context.abort(grpc.StatusCode.ABORTED, (str(error) or type(error).__name__)[:LONGEST_TEXT])
        return DONE

    async def _admit(self, name: str, context: Any) -> Peer:
        """A manager by its certificate. The store may say no only while it follows closely: one that lags may not know
        the leader yet that has what it lacks.
        """
        method = f"/{NAME}/{name}"
        peer = await self._gate.identify(method, context)
        authorizer = self._gate.authorizer
        if authorizer.has_swarm and self._raft.has_quorum:
            try:
                authorizer.require(method, peer)
            except DeniedError as denied:
                await self._refuse(peer, denied.code, str(denied), context)
                raise
        return peer

    async def _check_epoch(self, peer: Peer, epoch: int, context: Any) -> None:
        refusal = self._raft.refusal(peer.node_id, epoch)
        if refusal is None:
            self._told.pop(peer.node_id, None)
            return
        await self._refuse(peer, grpc.StatusCode.FAILED_PRECONDITION, refusal, context)

    async def _refuse(self, peer: Peer, code: grpc.StatusCode, text: str, context: Any) -> None:
        """End the call. Whoever is refused also hears of what epoch of the swarm this one is; the log hears of it once,
        though the other side tries again and again."""
        if self._told.get(peer.node_id) != text:
            self._told[peer.node_id] = text
            log.warning("refused messages of manager %s: %s", peer.node_id, text)
        await context.abort(code, text[:LONGEST_TEXT], ((EPOCH, str(self._raft.epoch)),))

    @staticmethod
    async def _unreadable(name: str, peer: Peer, error: ValueError, context: Any) -> None:
        log.warning("refused %s of manager %s: %s", name, peer.node_id, error)
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:LONGEST_TEXT])


def _addr(context: Any) -> str:
    return next((str(value) for key, value in context.invocation_metadata() or () if key == ADDR), "")


async def _parts(requests: AsyncIterator[bytes]) -> AsyncIterator[SnapshotHead | bytes]:
    async for data in requests:
        yield decode_snapshot_part(data)


async def _chunks(parts: AsyncIterator[SnapshotHead | bytes], size: int) -> AsyncIterator[bytes]:
    """The bytes of the file, all of them and no more. Raises ValueError."""
    came = 0
    async for part in parts:
        if isinstance(part, SnapshotHead):
            raise ValueError("the stream of a snapshot has a second head")
        came += len(part)
        if came > size:
            raise ValueError(f"the stream of a snapshot is longer than the {size} bytes that it announced")
        yield part
    if came < size:
        raise ValueError(f"the stream of a snapshot ended after {came} of {size} bytes")
