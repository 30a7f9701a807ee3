# SPDX-License-Identifier: Apache-2.0
"""Callers of every kind for a real swarm on loopback: with and without certificates, by the join listener and by
gRPC.
"""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import pathlib
import random
import socket
import ssl
from dataclasses import dataclass
from typing import Any

import grpc
from compat.daemon.kit import PATIENCE, Daemon
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from queenright.edge.grpc import options
from queenright.edge.pki.authority import LocalSigner, Subject, create_root
from queenright.edge.pki.keys import key_digest, make_csr, make_key
from queenright.model.identity import Role
from queenright.model.ids import new_id

OK = "OK"


def free_ports() -> int:
    """A port on loopback that is free, and so is the next one."""
    dice = random.SystemRandom()
    while True:
        port = dice.randrange(20000, 30000)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for number in (port, port + 1):
                held.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port


class Manager:
    """A founded swarm's manager on loopback, as an attacker sees it from outside."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.port = free_ports()
        self.addr = f"127.0.0.1:{self.port}"
        daemon.post("/swarm/init", {"ListenAddr": self.addr, "AdvertiseAddr": self.addr})
        self.node_id = daemon.becomes(state="active", ready=True)["node_id"]
        self.cluster_id = daemon.status()["cluster_id"]
        self._sources = iter(range(2, 250))

    @property
    def root(self) -> bytes:
        return (self.daemon.state_dir / "certificates" / "swarm-root-ca.crt").read_bytes()

    def source(self) -> str:
        """A loopback address that nobody has asked from yet: limits count by source."""
        return f"127.0.1.{next(self._sources)}"

    def request(
        self, method: str, path: str, body: bytes = b"", *, source: str = "", tls: ssl.TLSVersion | None = None
    ) -> tuple[int, Any]:
        """(status, JSON or text) of the join listener."""
        context = ssl.create_default_context(cadata=self.root.decode())
        context.check_hostname = False
        if tls is not None:
            context.maximum_version = tls
        source = source or self.source()
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port + 1, timeout=PATIENCE, context=context, source_address=(source, 0)
        )
        with contextlib.closing(connection):
            connection.request(method, path, body or None)
            answer = connection.getresponse()
            text = answer.read()
        with contextlib.suppress(ValueError):
            return answer.status, json.loads(text)
        return answer.status, text

    def join(self, csr: bytes, *, source: str = "", **members: Any) -> tuple[int, Any]:
        """``POST /v1/join`` with the worker token unless told otherwise."""
        secret = {} if {"token", "ticket"} & members.keys() else {"token": self.daemon.token()}
        body = {"csr": csr.decode(), **secret, **members}
        return self.request("POST", "/v1/join", json.dumps(body).encode(), source=source)

    def ticket(self, key: bytes, **more: Any) -> str:
        body = {"role": "worker", "key_digest": key_digest(key), **more}
        return str(self.daemon.post("/queenright/v1/tickets", body)["ticket"])

    def guest(self) -> Caller:
        """A new worker that is nothing but its certificate."""
        key = make_key()
        status, grant = self.join(make_csr(key))
        assert status == 200, grant
        return Caller(self, grant["node_id"], key, grant["certificate"].encode(), self.root)

    def member(self, daemon: Daemon) -> Caller:
        """Whoever has stolen a member's files."""
        folder = daemon.state_dir / "certificates"
        return Caller(
            self,
            daemon.status()["node_id"],
            (folder / "swarm-node.key").read_bytes(),
            (folder / "swarm-node.crt").read_bytes(),
            self.root,
        )

    def stranger(self, role: Role, node_id: str) -> Caller:
        """A certificate that says all the right things, of another root."""
        now = datetime.datetime.now(datetime.UTC)
        key = make_key()
        issued = LocalSigner(create_root(now)).issue(
            make_csr(key), Subject(node_id, self.cluster_id, role), now=now, validity=datetime.timedelta(hours=2)
        )
        return Caller(self, node_id, key, issued.chain_pem, self.root)

    def nobody(self) -> Caller:
        return Caller(self, "", None, None, self.root)


@dataclass
class Caller:
    """Makes RPCs with raw bytes."""

    manager: Manager
    node_id: str
    key: bytes | None
    chain: bytes | None
    root: bytes

    @contextlib.contextmanager
    def channel(self) -> Any:
        credentials = grpc.ssl_channel_credentials(self.root, self.key, self.chain)
        name = options.client(self.manager.node_id)
        with grpc.secure_channel(self.manager.addr, credentials, options=name) as channel:
            yield channel

    def call(self, method: str, request: bytes = b"") -> tuple[str, str]:
        """(status name, details) of a call; of a stream, of its first message."""
        with self.channel() as channel:
            stream = channel.unary_stream(method, request_serializer=bytes, response_deserializer=bytes)
            answers = stream(request, timeout=PATIENCE)
            try:
                next(answers)
            except StopIteration:
                return OK, "nothing"
            except grpc.RpcError as error:
                return error.code().name, error.details()
            finally:
                answers.cancel()
            return OK, ""


def forged_csr(key: bytes, cluster_id: str) -> bytes:
    """A request that asks for everything that it must not get."""
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    name = x509.NameOID
    subject = x509.Name(
        [
            x509.NameAttribute(name.ORGANIZATION_NAME, cluster_id),
            x509.NameAttribute(name.ORGANIZATIONAL_UNIT_NAME, "swarm-manager"),
            x509.NameAttribute(name.COMMON_NAME, new_id(b"e" * 17)),
        ]
    )
    names = x509.SubjectAlternativeName([x509.DNSName("swarm-manager"), x509.DNSName("swarm-ca")])
    usage = x509.KeyUsage(True, True, True, True, True, True, True, False, False)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(names, critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return (
        builder.add_extension(usage, critical=True)
        .sign(private, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def files(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in sorted(folder.rglob("*")) if not path.is_dir() or path.is_symlink()]
