# SPDX-License-Identifier: Apache-2.0
"""What managers hand on to the leader, and the renewal of certificates."""

from __future__ import annotations

from typing import Any

from queenright.edge.grpc.gate import Gate, Told, source
from queenright.edge.grpc.ports import Admitting, Forwarding, Renewing
from queenright.manager.audit import acting, member
from queenright.wire import messages
from queenright.wire.gen import control_pb2 as pb
from queenright.wire.gen import control_pb2_grpc

CONTROL = "queenright.v1.Control"
CERTIFICATES = "queenright.v1.Certificates"


class ControlService(control_pb2_grpc.ControlServicer):
    """Requests that came in at another manager."""

    def __init__(self, forwarding: Forwarding, admitting: Admitting, gate: Gate) -> None:
        self._forwarding = forwarding
        self._admitting = admitting
        self._gate = gate

    async def Forward(self, request: pb.ForwardRequest, context: Any) -> pb.ForwardResponse:
        peer = await self._gate.admit(f"/{CONTROL}/Forward", request, context)
        async with Told(context):
            with acting(member(peer, source(context))):
                answer = await self._forwarding.forward(messages.read_forward_request(request))
            return messages.forward_response(answer)

    async def Admit(self, request: pb.AdmitRequest, context: Any) -> pb.AdmitResponse:
        peer = await self._gate.admit(f"/{CONTROL}/Admit", request, context)
        async with Told(context):
            with acting(member(peer, source(context))):
                return pb.AdmitResponse(body=await self._admitting.admit(request.body, request.source))


class CertificatesService(control_pb2_grpc.CertificatesServicer):
    """Certificates for the keys of members."""

    def __init__(self, renewing: Renewing, gate: Gate) -> None:
        self._renewing = renewing
        self._gate = gate

    async def Renew(self, request: pb.RenewRequest, context: Any) -> pb.RenewResponse:
        peer = await self._gate.admit(f"/{CERTIFICATES}/Renew", request, context)
        async with Told(context):
            with acting(member(peer, source(context))):
                chain, role = await self._renewing.renew(
                    peer.node_id, request.csr, request.control_addr, serial=peer.serial
                )
            return pb.RenewResponse(chain=chain, role=role)
