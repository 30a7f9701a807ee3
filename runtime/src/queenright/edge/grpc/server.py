# SPDX-License-Identifier: Apache-2.0
"""The control port: gRPC over mutual TLS, each call authorised by the table before its handler runs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.message import DecodeError, Message

from queenright.edge.grpc import options
from queenright.edge.grpc.authorize import Authorizer, DeniedError, require_rows
from queenright.manager.dispatch import Dispatcher
from queenright.manager.ports import Peer
from queenright.model.errors import Refusal
from queenright.wire import messages
from queenright.wire.gen import dispatcher_pb2 as pb
from queenright.wire.gen import dispatcher_pb2_grpc

log = logging.getLogger(__name__)

SERVICE = "queenright.v1.Dispatcher"

CODES = {
    "InvalidArgument": grpc.StatusCode.INVALID_ARGUMENT,
    "NotFound": grpc.StatusCode.NOT_FOUND,
    "AlreadyExists": grpc.StatusCode.ALREADY_EXISTS,
    "FailedPrecondition": grpc.StatusCode.FAILED_PRECONDITION,
    "PermissionDenied": grpc.StatusCode.PERMISSION_DENIED,
    "Unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "Unimplemented": grpc.StatusCode.UNIMPLEMENTED,
    "Unavailable": grpc.StatusCode.UNAVAILABLE,
}


class ServerError(Exception):
    """The control port could not be opened; the text says which and why."""


class DispatcherService(dispatcher_pb2_grpc.DispatcherServicer):
    """Dispatcher calls -> use cases, as the node that the certificate names."""

    def __init__(self, dispatcher: Dispatcher, authorizer: Authorizer) -> None:
        self._dispatcher = dispatcher
        self._authorizer = authorizer

    async def Session(self, request: pb.SessionRequest, context: Any) -> AsyncIterator[pb.SessionMessage]:
        peer = await _admit(self._authorizer, "Session", request, context)
        description, addr = messages.read_session_request(request)
        async with _told(context):
            session = await self._dispatcher.open(peer.node_id, description, addr or _source(context))
            async for news in self._dispatcher.news(session):
                yield messages.news_message(news)

    async def Assignments(self, request: pb.AssignmentsRequest, context: Any) -> AsyncIterator[pb.AssignmentsMessage]:
        peer = await _admit(self._authorizer, "Assignments", request, context)
        async with _told(context):
            session = self._dispatcher.session(peer.node_id, request.session_id)
            async for assigned in self._dispatcher.assignments(session):
                for part in messages.assignment_messages(assigned):
                    yield part

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Any) -> pb.HeartbeatResponse:
        peer = await _admit(self._authorizer, "Heartbeat", request, context)
        async with _told(context):
            return pb.HeartbeatResponse(period_ns=self._dispatcher.heartbeat(peer.node_id, request.session_id))

    async def UpdateTaskStatus(self, request: pb.UpdateTaskStatusRequest, context: Any) -> pb.UpdateTaskStatusResponse:
        peer = await _admit(self._authorizer, "UpdateTaskStatus", request, context)
        async with _told(context):
            updates = messages.read_status_request(request)
            await self._dispatcher.update_statuses(peer.node_id, request.session_id, updates)
            return pb.UpdateTaskStatusResponse()

    async def Restarting(self, request: pb.RestartingRequest, context: Any) -> pb.RestartingResponse:
        peer = await _admit(self._authorizer, "Restarting", request, context)
        async with _told(context):
            return pb.RestartingResponse(grace_ns=self._dispatcher.restarting(peer.node_id, request.session_id))


async def _admit(authorizer: Authorizer, method: str, request: Message | None, context: Any) -> Peer:
    """Who calls; ends the call of whom may not, and one whose message cannot be read (None)."""
    try:
        peer = authorizer.check(f"/{SERVICE}/{method}", context.auth_context())
    except DeniedError as denied:
        log.warning("refused %s from %s: %s", method, context.peer(), denied)
        await context.abort(denied.code, str(denied))
        raise
    if request is None:
        log.warning("refused %s from node %s: the message cannot be read", method, peer.node_id)
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message of {method} cannot be read")
    return peer


def _handlers(service: DispatcherService) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """The methods of the proto file. A message that cannot be read arrives as None, and is judged after its sender."""
    found = {}
    for method in pb.DESCRIPTOR.services_by_name["Dispatcher"].methods:
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        found[method.name] = make(
            getattr(service, method.name),
            request_deserializer=_reader(message_factory.GetMessageClass(method.input_type)),
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )
    return found


def _reader(kind: type[Message]) -> Callable[[bytes], Message | None]:
    def read(data: bytes) -> Message | None:
        try:
            return kind.FromString(data)
        except DecodeError:
            return None

    return read


class _told:  # noqa: N801 - used as a statement
    """Turns a use case's refusal into the status the caller sees."""

    def __init__(self, context: Any) -> None:
        self._context = context

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Refusal):
            await self._context.abort(CODES.get(error.code, grpc.StatusCode.UNKNOWN), str(error))


def _source(context: Any) -> str:
    """The caller's address: ``ipv4:10.0.0.2:4711`` and ``ipv6:%5B::1%5D:4711`` -> the host."""
    kind, _, rest = str(context.peer()).partition(":")
    host = rest.rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]") if kind in ("ipv4", "ipv6") else ""


Certificates = Callable[[], tuple[bytes, bytes, bytes]]  # (private key, certificate chain, trusted roots), PEM each


class ControlServer:
    """Serves members on the control port. ``certificates`` is read once at start."""

    def __init__(self, dispatcher: Dispatcher, authorizer: Authorizer, certificates: Certificates) -> None:
        self._service = DispatcherService(dispatcher, authorizer)
        self._certificates = certificates
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port (useful where 0 was asked). Raises ServerError."""
        key, chain, roots = self._certificates()
        server = grpc.aio.server(options=options.SERVER)
        handlers = _handlers(self._service)
        require_rows(f"/{SERVICE}/{name}" for name in handlers)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        credentials = grpc.ssl_server_credentials([(key, chain)], root_certificates=roots, require_client_auth=True)
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise ServerError(
                f"cannot listen on {address} for the swarm: {error}; is another daemon using the port?"
            ) from error
        if bound == 0:
            raise ServerError(f"cannot listen on {address} for the swarm; is another daemon using the port?")
        await server.start()
        self._server = server
        return bound

    async def stop(self, grace: float = 1.0) -> None:
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None
