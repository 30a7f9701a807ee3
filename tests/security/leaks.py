# SPDX-License-Identifier: Apache-2.0
"""Secrets that are marked, a life in which all of them are used, and a look at all that others could read of it.

The texts are what is logged before anything is hidden in it: that a filter would have caught it is no excuse.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime.api.kit import Api
from runtime.manager.kit import World
from security.table import NOW, WORKER

from queenright.edge.http import join_server
from queenright.edge.http.join_server import JoinServer
from queenright.edge.pki.authority import LocalSigner, Subject, create_root
from queenright.edge.pki.keys import make_csr, make_key
from queenright.manager.ports import InitOptions, JoinOptions, RootCA
from queenright.model.changes import Batch, Create
from queenright.model.ids import new_id
from queenright.model.join import JoinRequest
from queenright.model.objects import Cluster, Registry, Secret, Service
from queenright.model.tokens import make_join_token, make_ticket, parse_join_secret
from queenright.wire import codec
from queenright.wire.messages import AssignmentSet, ForwardAnswer, ForwardCall
from queenright.wire.raft import AppendEntries, Entry, Envelope

MARK = "hive-mark-7413"  # begins all that is secret and made up


class Secrets:
    """All that must not be seen, in each of the forms in which it travels."""

    def __init__(self) -> None:
        self.forms: set[str] = set()
        self._count = 0

    def make(self) -> str:
        self._count += 1
        return self.add(f"{MARK}-{self._count:04d}")

    def add(self, text: str) -> str:
        encoded = text.encode()
        self.forms |= {text, base64.b64encode(encoded).decode(), base64.urlsafe_b64encode(encoded).decode()}
        self.forms |= {encoded.hex()}
        return text

    def token(self, text: str) -> str:
        self.forms |= {text, text.rpartition("-")[2]}
        return text

    def key(self, pem: bytes) -> bytes:
        self.forms |= {line for line in pem.decode().splitlines() if len(line) > 40 and not line.startswith("-----")}
        return pem

    def found(self, text: str) -> list[str]:
        """Names of what is in it; not the thing itself."""
        return sorted(f"{form[:8]}..." for form in self.forms if form in text)


class Hearing(logging.Handler):
    """Everything that is logged, raw: message, arguments, extras, traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        told = {key: value for key, value in vars(record).items() if key not in ("msg", "args")}
        error = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
        self.texts.append(f"{record.getMessage()} {told!r} {error}")


@contextlib.contextmanager
def hearing() -> Iterator[Hearing]:
    root, held = logging.getLogger(), Hearing()
    before = root.level
    root.addHandler(held)
    root.setLevel(logging.DEBUG)
    try:
        yield held
    finally:
        root.setLevel(before)
        root.removeHandler(held)


def shown(secrets: Secrets) -> Iterator[str]:
    """How objects that hold secrets look to who prints them: in a traceback, a debugger, a log line."""
    made = secrets.make
    data = made().encode()
    token = secrets.token(make_join_token(b"root", made().encode()[:16]).text)
    spec: dict[str, Any] = {"CAConfig": {"SigningCAKey": made()}}
    secret = Secret(id="s", data=data)
    cluster = Cluster(id="c", root_key=made(), worker_token=token, manager_token=token)
    objects = (
        cluster,
        secret,
        Registry(id="r", auth=made().encode()),
        RootCA("PEM", made()),
        JoinOptions(secret=token),
        InitOptions(spec=spec),
        parse_join_secret(token),
        make_ticket(b"root", secrets.make().encode()[:16]),
        JoinRequest(b"csr", parse_join_secret(token)),
        ForwardCall("POST", "/secrets/create", body=made().encode(), headers={"x-registry-auth": made()}),
        ForwardAnswer(200, {"x": made()}, made().encode(), 1),
        AssignmentSet(
            complete=True, applies_to="", results_in="", secrets=(secret,), credentials={"x": made().encode()}
        ),
        Envelope(0, 1, (AppendEntries(1, 0, 0, 0, (Entry(codec.encode_batch(Batch(1, (Create(secret),))), 1, 1),)),)),
        Batch(1, (Create(cluster), Create(secret))),
    )
    for each in objects:
        yield f"{each!r} {each!s} {[each]!r}"


async def used(secrets: Secrets) -> list[str]:
    """The Engine API with secrets in good and bad calls: all answers but those that are asked for tokens."""
    world = World.make()
    api, texts = Api.manager(world), []
    cluster = world.context.cluster
    for token in (cluster.worker_token, cluster.manager_token):
        secrets.token(token)

    async def call(method: str, target: str, body: object = None, **headers: str) -> None:
        response = await api.raw(method, target, body, headers={"content-type": "application/json", **headers})
        texts.append(f"{response[0]} {response[1].decode(errors='replace')}")

    auth = base64.b64encode(json.dumps({"username": "bee", "password": secrets.make()}).encode()).decode()
    secrets.forms.add(auth)
    for body in (
        {"Name": "a", "Data": base64.b64encode(secrets.make().encode()).decode()},
        {"Name": "a", "Data": base64.b64encode(secrets.make().encode()).decode()},
        {"Name": "-", "Data": base64.b64encode(secrets.make().encode()).decode()},
        {"Name": "b", "Data": secrets.make()},
        {"Name": "b", "Data": [secrets.make()]},
        {"Name": "b", "Data": {"x": secrets.make()}},
        {"Data": secrets.make()},
        {"Name": "c", "Data": "", "Driver": {"Name": "x", "Options": {"o": secrets.make()}}},
    ):
        await call("POST", "/secrets/create", body)
        await call("POST", "/secrets/create?dry_run=1", body)
    service = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "x:1"}}}
    await call("POST", "/services/create", service, **{"x-registry-auth": auth})
    await call("POST", "/services/create", ("{" + secrets.make()).encode(), **{"x-registry-auth": secrets.make()})
    for kind, name, text in (
        ("secret", "kept", secrets.make()),
        ("registry", "r.example.com", auth),
        ("registry", "bad server", auth),
    ):
        data = text if text == auth else base64.b64encode(text.encode()).decode()
        for query in ("?dry_run=1", ""):
            await call("POST", f"/queenright/v1/apply{query}", {"kind": kind, "name": name, "context": {"data": data}})
    await call("POST", "/swarm/join", {"RemoteAddrs": ["10.0.0.1"], "JoinToken": cluster.worker_token[:-1] + "0"})
    for target in (
        "/secrets",
        "/secrets/a",
        "/services",
        "/services/web",
        "/tasks",
        "/nodes",
        "/queenright/v1/status",
    ):
        await call("GET", target)
    held = next(iter(world.store.services))
    assert isinstance(held, Service) and held.registry_auth  # it was taken: there was something to leak
    return texts


async def joined(secrets: Secrets, folder: Path) -> list[str]:
    """Joins over TLS by good and bad secrets, and what is answered."""
    world, root, key = World.make(), create_root(NOW), secrets.key(make_key())
    issued = LocalSigner(root).issue(make_csr(key), Subject(WORKER, new_id(b"\x09" * 17), "manager"), now=NOW)
    (folder / "key").write_bytes(key)
    (folder / "crt").write_bytes(issued.chain_pem)
    context = join_server.server_context(folder / "crt", folder / "key")
    server = JoinServer(
        world.control.authority, context=lambda: context, root_pem=lambda: root.certificate_pem, clock=world.clock.mono
    )
    await server.start("127.0.0.1", 0)
    token, texts = secrets.token(world.context.cluster.worker_token), []
    wrong = secrets.token(token[:-5] + "zzzzz")
    try:
        for body in (
            {"csr": make_csr(secrets.key(make_key())).decode(), "token": token},
            {"csr": make_csr(secrets.key(make_key())).decode(), "token": wrong},
            {"csr": secrets.key(make_key()).decode(), "token": token},  # a key, by mistake
            {"csr": "x", "token": token, "availability": secrets.make()},
            {"csr": "x", "token": token.upper()},
            {"csr": "x", "token": token, "ticket": token},
        ):
            texts.append(await _post(server.addresses[0][1], json.dumps(body).encode()))
    finally:
        await server.stop(0.1)
    secrets.forms.discard(token.upper())
    return texts


async def _post(port: int, body: bytes) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(b"POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer.decode(errors="replace")


async def scan(folder: Path) -> tuple[int, list[str]]:
    """(texts looked at, hits: what was found in which)."""
    secrets = Secrets()
    with hearing() as heard:
        texts = [*shown(secrets), *await used(secrets), *await joined(secrets, folder)]
    texts += heard.texts
    hits = [f"{found} in {text[:60]!r}" for text in texts if (found := secrets.found(text))]
    return len(texts), hits
