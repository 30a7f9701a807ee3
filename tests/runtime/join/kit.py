# SPDX-License-Identifier: Apache-2.0
"""What the join tests share: a swarm's identity, a use case that answers as told, a listener, and impostors."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from queenright.edge.http.join_client import CertificateCheck, Patience
from queenright.edge.http.join_server import Admission as AdmissionPort
from queenright.edge.http.join_server import JoinServer, Limits, server_context
from queenright.edge.pki.authority import LocalSigner, Subject, create_root
from queenright.edge.pki.keys import make_csr, make_key
from queenright.edge.pki.peer import verify
from queenright.model.identity import Role
from queenright.model.join import JoinGrant, JoinRequest, ManagerAddress
from queenright.model.tokens import JoinSecret, make_join_token

MANAGER_ID, NODE_ID, CLUSTER_ID = "m" * 25, "n" * 25, "c" * 25
QUICK = Patience(connect=20.0, answer=20.0, rounds=1, pause=0.0, total=120.0)
DEADLINE = 60.0


def now() -> datetime:
    """TLS goes by the real clock, so these certificates do too."""
    return datetime.now(UTC)


class Swarm:
    """A root, a token for it, and certificates on demand."""

    def __init__(self, directory: Path) -> None:
        self.root = create_root(now())
        self.signer = LocalSigner(self.root)
        self.token = make_join_token(self.root.certificate_pem, b"0123456789abcdef")
        self._directory = directory

    def context(
        self, *, role: Role = "manager", node_id: str = MANAGER_ID, at: datetime | None = None
    ) -> ssl.SSLContext:
        """Server settings with a certificate for the given node; ``at``: when it was issued (for one hour)."""
        self._directory.mkdir(exist_ok=True)
        key = make_key()
        issued = self.signer.issue(
            make_csr(key), Subject(node_id, CLUSTER_ID, role), now=at or now(), validity=timedelta(hours=1)
        )
        chain_path, key_path = self._directory / "chain.pem", self._directory / "key.pem"
        chain_path.write_bytes(issued.chain_pem)
        key_path.write_bytes(key)
        return server_context(chain_path, key_path)


class Admission:
    """Admits with a real certificate, unless ``answer`` is set to something else."""

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        self.asked: list[tuple[JoinRequest, str]] = []
        self.answer: Callable[[JoinRequest], Awaitable[JoinGrant]] = self.grant

    async def admit(self, request: JoinRequest, source_ip: str) -> JoinGrant:
        self.asked.append((request, source_ip))
        return await self.answer(request)

    async def grant(self, request: JoinRequest) -> JoinGrant:
        issued = self.swarm.signer.issue(request.csr_pem, Subject(NODE_ID, CLUSTER_ID, "worker"), now=now())
        managers = (ManagerAddress(MANAGER_ID, "10.0.0.1:2377"),)
        return JoinGrant(NODE_ID, "worker", CLUSTER_ID, issued.chain_pem, managers)

    def refuse(self, refusal: Exception, *, times: int = 1000) -> None:
        """Raise ``refusal`` at the next ``times`` requests, then grant."""
        left = times

        async def answer(request: JoinRequest) -> JoinGrant:
            nonlocal left
            if left:
                left -= 1
                raise refusal
            return await self.grant(request)

        self.answer = answer


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Joiner:
    """A host that wants in: its key, its request, and the check of what comes back."""

    def __init__(self, secret: JoinSecret) -> None:
        self.key = make_key()
        self.request = JoinRequest(
            make_csr(self.key), secret, availability="drain", advertise_addr="10.0.0.9", listen_port=2399, version="v9"
        )

    @property
    def check(self) -> CertificateCheck:
        return lambda root, chain: verify(root, chain, now(), key_pem=self.key)


@asynccontextmanager
async def listening(
    swarm: Swarm,
    admission: AdmissionPort,
    *,
    context: Callable[[], ssl.SSLContext] | None = None,
    clock: Callable[[], float] | None = None,
    limits: Limits | None = None,
    managers: Callable[[], Sequence[str]] = tuple,
) -> AsyncIterator[tuple[JoinServer, int]]:
    """A join listener on loopback and the control port a joiner has to name for it."""
    fixed = None if context else swarm.context()
    server = JoinServer(
        admission,
        context=context or (lambda: fixed),  # type: ignore[arg-type,return-value]
        root_pem=lambda: swarm.root.certificate_pem,
        clock=clock or Clock(),
        limits=limits,
        managers=managers,
    )
    await server.start("127.0.0.1", 0)
    try:
        yield server, server.addresses[0][1] - 1
    finally:
        await server.stop(grace=0.0)


class Impostor:
    """A TLS server that notes every byte it is sent and answers each request with ``reply``."""

    def __init__(self, context: ssl.SSLContext | None, reply: bytes) -> None:
        self._context = context
        self._reply = reply
        self.received: list[bytes] = []
        self.control_port = 0

    async def __aenter__(self) -> Impostor:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.control_port = self._server.sockets[0].getsockname()[1] - 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.received.append(await reader.read(65536))
            writer.write(self._reply)
            await writer.drain()
        except OSError:
            self.received.append(b"")
        finally:
            writer.close()


def http(body: bytes, status: str = "200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (status.encode(), len(body), body)


async def raw(swarm: Swarm | None, control_port: int, data: bytes) -> bytes:
    """Send bytes to the listener over verified TLS and give all that comes back until the end."""
    context = ssl.create_default_context(cadata=swarm.root.certificate_pem.decode()) if swarm else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", control_port + 1, ssl=context, server_hostname="swarm-ca" if swarm else None
    )
    try:
        writer.write(data)
        async with asyncio.timeout(DEADLINE):
            return await reader.read(-1)
    except ConnectionError:
        return b""
    finally:
        writer.close()
