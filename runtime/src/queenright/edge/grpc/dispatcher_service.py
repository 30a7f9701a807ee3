# SPDX-License-Identifier: Apache-2.0
"""Calls of agents. The leader serves them; any other manager says where the leader is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from queenright.edge.grpc.gate import Gate, Told, source
from queenright.edge.grpc.ports import Leader
from queenright.manager import dispatch
from queenright.manager.ports import Peer
from queenright.model.errors import NotLeading
from queenright.wire import messages, networks
from queenright.wire.gen import dispatcher_pb2 as pb
from queenright.wire.gen import dispatcher_pb2_grpc

NAME = "queenright.v1.Dispatcher"
NO_LEADER = "the swarm has no leader"
LEADER_WAIT = 2.0  # seconds for which an agent waits here while there is no leader, instead of asking again and again
LEADER_POLL = 0.05
LEADER_LOOKS = 4


class DispatcherService(dispatcher_pb2_grpc.DispatcherServicer):
    """Dispatcher calls -> use cases, as the node that the certificate names."""

    def __init__(self, dispatcher: dispatch.Dispatcher, gate: Gate, leader: Leader) -> None:
        self._dispatcher = dispatcher
        self._gate = gate
        self._leader = leader
        self._watch: asyncio.Task[None] | None = None

    async def Session(
        self, requests: AsyncIterator[pb.SessionRequest | None], context: Any
    ) -> AsyncIterator[pb.SessionMessage]:
        method = f"/{NAME}/Session"
        peer = await self._gate.identify(method, context)
        request = await self._gate.first(method, peer, requests, context)
        await self._gate.readable(method, request, peer, context)
        assert request is not None
        async with Told(context):
            session = await self._open(method, peer, request, context)
            if isinstance(session, tuple):
                yield messages.redirect_message(*session)
                return
            pongs = asyncio.create_task(self._listen(requests, session), name=f"pongs-{peer.node_id}")
            try:
                async for told in self._dispatcher.news(session):
                    # Pings take the place of heartbeats, each of which was let in anew: so no session outlives the
                    # right to it, and a node whose role changed comes back with its new certificate.
                    await self._gate.require(method, await self._gate.identify(method, context), context)
                    yield messages.session_message(told)
            finally:
                pongs.cancel()
                self._dispatcher.lost(session)

    async def _listen(self, requests: AsyncIterator[pb.SessionRequest | None], session: dispatch.Session) -> None:
        """Take pongs until the caller says no more, which agents that are not pinged do at once."""
        async for request in requests:
            if request is not None and request.pong:
                self._dispatcher.pong(session)

    async def Assignments(self, request: pb.AssignmentsRequest, context: Any) -> AsyncIterator[pb.AssignmentsMessage]:
        peer = await self._gate.admit(f"/{NAME}/Assignments", request, context)
        async with Told(context):
            session = self._dispatcher.session(peer.node_id, request.session_id)
            async for assigned in self._dispatcher.assignments(session):
                for part in messages.assignment_messages(assigned):
                    yield part

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> pb.HeartbeatResponse:
        peer = await self._gate.admit(f"/{NAME}/Heartbeat", request, context)
        async with Told(context):
            return pb.HeartbeatResponse(period_ns=self._dispatcher.heartbeat(peer.node_id, request.session_id))

    async def UpdateTaskStatus(self, request: pb.UpdateTaskStatusRequest, context: Any) -> pb.UpdateTaskStatusResponse:
        peer = await self._gate.admit(f"/{NAME}/UpdateTaskStatus", request, context)
        async with Told(context):
            updates = messages.read_status_request(request)
            await self._dispatcher.update_statuses(peer.node_id, request.session_id, updates)
            return pb.UpdateTaskStatusResponse()

    async def Restarting(self, request: pb.RestartingRequest, context: Any) -> pb.RestartingResponse:
        peer = await self._gate.admit(f"/{NAME}/Restarting", request, context)
        async with Told(context):
            return pb.RestartingResponse(grace_ns=self._dispatcher.restarting(peer.node_id, request.session_id))

    async def Networks(self, request: pb.NetworksRequest, context: Any) -> AsyncIterator[pb.NetworksMessage]:
        peer = await self._gate.admit(f"/{NAME}/Networks", request, context)
        async with Told(context):
            session = self._dispatcher.session(peer.node_id, request.session_id)
            async for told in self._dispatcher.networks(session):
                for part in networks.networks_messages(told):
                    yield part

    async def NetworksApplied(self, request: pb.NetworksAppliedRequest, context: Any) -> pb.NetworksAppliedResponse:
        peer = await self._gate.admit(f"/{NAME}/NetworksApplied", request, context)
        async with Told(context):
            state = networks.read_applied(request)
            self._dispatcher.networks_applied(peer.node_id, request.session_id, state)
            return pb.NetworksAppliedResponse()

    async def _open(
        self, method: str, peer: Peer, request: pb.SessionRequest, context: Any
    ) -> dispatch.Session | tuple[str, str]:
        """The session, or where the leader is that can open it; waits a while for either. Raises a Refusal."""
        description, addr, pinged = messages.read_session_request(request)
        addr = addr or source(context)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEADER_WAIT
        while (leader := self._leader()) is None:
            try:
                await self._gate.require(method, peer, context)
                return await self._dispatcher.open(peer.node_id, description, addr, pinged=pinged)
            except NotLeading as error:
                if error.leader is not None:
                    return error.leader
            if loop.time() >= deadline:
                raise NotLeading(NO_LEADER)
            await self._look_for_leader()
        return leader

    async def _look_for_leader(self) -> None:
        """Return when another manager leads, or after a moment: this one may lead. All who wait share a task."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._watch_leader(), name="leader-watch")
        await asyncio.shield(self._watch)

    async def _watch_leader(self) -> None:
        for _ in range(LEADER_LOOKS):
            if self._leader() is not None:
                return
            await asyncio.sleep(LEADER_POLL)
