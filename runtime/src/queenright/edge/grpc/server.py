# SPDX-License-Identifier: Apache-2.0
"""The control port: gRPC over mutual TLS, each call authorised by the table before its handler runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from google.protobuf.message import DecodeError, Message

from queenright.edge.grpc import control_service, dispatcher_service, logs_service, options, raft_service
from queenright.edge.grpc.authorize import TABLE, Authorizer, require_rows, require_rules
from queenright.edge.grpc.control_service import CertificatesService, ControlService
from queenright.edge.grpc.dispatcher_service import DispatcherService
from queenright.edge.grpc.gate import Gate
from queenright.edge.grpc.live import Live
from queenright.edge.grpc.logs_service import LogsService
from queenright.edge.grpc.objects import Objects
from queenright.edge.grpc.ports import Admitting, Certificates, Confirm, Forwarding, Leader, RaftReceiver, Renewing
from queenright.edge.grpc.raft_service import RaftService
from queenright.lib.tasks import Background
from queenright.manager.dispatch import Dispatcher
from queenright.manager.logs import LogBroker
from queenright.manager.ports import Peer
from queenright.wire.gen import control_pb2, dispatcher_pb2, logs_pb2, raft_pb2

Handlers = dict[str, Any]  # name of a method -> its grpc.RpcMethodHandler

_MAKERS = {  # (does the caller send many, does the method)
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}

_FILES = (control_pb2.DESCRIPTOR, dispatcher_pb2.DESCRIPTOR, logs_pb2.DESCRIPTOR, raft_pb2.DESCRIPTOR)


class ServerError(Exception):
    """The control port could not be opened; the text says which and why."""


class ControlServer:
    """Serves members on the control port, whether this manager leads or not.

    ``certificates`` is asked at each handshake, on gRPC's thread. ``heard`` is told which manager's messages begin to
    come in, and its address; ``seen`` whom the store let in. ``leader`` and ``confirm``: see ``ports``. A service with
    nobody behind it is not served.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        authorizer: Authorizer,
        certificates: Certificates,
        *,
        raft: RaftReceiver | None = None,
        heard: Callable[[str, str], None] = lambda node_id, addr: None,
        forwarding: Forwarding | None = None,
        admitting: Admitting | None = None,
        renewing: Renewing | None = None,
        logs: LogBroker | None = None,
        leader: Leader = lambda: None,
        confirm: Confirm | None = None,
        seen: Callable[[Peer], None] = lambda peer: None,
    ) -> None:
        gate = self._gate = Gate(
            authorizer,
            Objects(authorizer.store, dispatcher.session),
            confirm,
            seen=seen,
            follows=lambda: raft is not None and authorizer.has_swarm and raft.has_quorum,
        )
        self._background = Background()
        self._services: dict[str, Handlers] = {
            dispatcher_service.NAME: _handlers(
                dispatcher_pb2.DESCRIPTOR, dispatcher_service.NAME, DispatcherService(dispatcher, gate, leader)
            )
        }
        if raft is not None:
            self._services[raft_service.NAME] = _raw_handlers(RaftService(raft, gate, heard))
        if forwarding is not None and admitting is not None:
            service = ControlService(forwarding, admitting, gate)
            self._services[control_service.CONTROL] = _handlers(
                control_pb2.DESCRIPTOR, control_service.CONTROL, service
            )
        if renewing is not None:
            self._services[control_service.CERTIFICATES] = _handlers(
                control_pb2.DESCRIPTOR, control_service.CERTIFICATES, CertificatesService(renewing, gate)
            )
        if logs is not None:
            self._services[logs_service.NAME] = _handlers(
                logs_pb2.DESCRIPTOR, logs_service.NAME, LogsService(logs, dispatcher, gate)
            )
        self._certificates = certificates
        self._in_use: tuple[bytes, bytes, bytes] | None = None
        self._changing = threading.Lock()
        self._server: grpc.aio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port (useful where 0 was asked). Raises ServerError."""
        server = grpc.aio.server(options=options.SERVER)
        require_rows(f"/{service}/{name}" for service, handlers in self._services.items() for name in handlers)
        require_rules(
            {
                f"/{service}/{name}": _request(service, name)
                for service in self._services
                for name in self._services[service]
            }
        )
        for service, handlers in self._services.items():
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        credentials = grpc.dynamic_ssl_server_credentials(self._configuration(), self._changed, True)  # type: ignore[arg-type]
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
        self._background.start(self._gate.live.run(), "live-calls")
        return bound

    @property
    def live(self) -> Live:
        """The calls under way."""
        return self._gate.live

    async def stop(self, grace: float = 1.0) -> None:
        await self._background.stop()
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        self._in_use = key, chain, roots = self._certificates()
        return grpc.ssl_server_certificate_configuration([(key, chain)], root_certificates=roots)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked by gRPC before each handshake, on its threads; None: the same as for the last one. Anything else is a
        change, said once: gRPC has crashed where many handshakes were given the same object.
        """
        with self._changing:
            return None if self._certificates() == self._in_use else self._configuration()


def _handlers(file: Any, service: str, servicer: object) -> Handlers:
    """The methods of a service. A message that cannot be read, or is too long, arrives as None, and is judged after
    its sender.
    """
    found: Handlers = {}
    for method in file.services_by_name[service.rpartition(".")[2]].methods:
        found[method.name] = _MAKERS[method.client_streaming, method.server_streaming](
            getattr(servicer, method.name),
            request_deserializer=_reader(
                message_factory.GetMessageClass(method.input_type), TABLE[f"/{service}/{method.name}"].longest
            ),
            response_serializer=message_factory.GetMessageClass(method.output_type).SerializeToString,
        )
    return found


def _request(service: str, name: str) -> Any:
    """The descriptor of a method's request."""
    file = next(file for file in _FILES if service.rpartition(".")[2] in file.services_by_name)
    return file.services_by_name[service.rpartition(".")[2]].methods_by_name[name].input_type


def _raw_handlers(service: RaftService) -> Handlers:
    """The codec of consensus messages is not protobuf's alone: they pass as bytes."""
    methods = raft_pb2.DESCRIPTOR.services_by_name["Raft"].methods
    return {method.name: grpc.stream_unary_rpc_method_handler(getattr(service, method.name)) for method in methods}


def _reader(kind: type[Message], longest: int) -> Callable[[bytes], Message | None]:
    def read(data: bytes) -> Message | None:
        try:
            return kind.FromString(data) if len(data) <= longest else None
        except DecodeError:
            return None

    return read
