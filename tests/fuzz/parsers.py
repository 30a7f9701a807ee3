# SPDX-License-Identifier: Apache-2.0
"""Every parser of the runtime that reads what others wrote: the wire, the sockets, certificates, files, templates."""

from __future__ import annotations

import base64
import datetime
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import DecodeError

from queenright.agent.ports import TaskError
from queenright.edge.dns import message as dns
from queenright.edge.docker.log_frames import Frames, Plain
from queenright.edge.grpc import objects
from queenright.edge.http import filters, framing, heads, home_messages, join_messages
from queenright.edge.http.errors import ApiError, ResponseError
from queenright.edge.pki import outside, possession, succession
from queenright.edge.pki.authority import LocalSigner, Root, Subject, create_root
from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import check_csr, load_key, make_csr, make_key
from queenright.edge.pki.locking import parse_lock
from queenright.edge.pki.peer import read_chain, read_identity, verify
from queenright.lib import addresses
from queenright.manager.description import cleaned
from queenright.model import constraints, tokens, unlock
from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.errors import Refusal
from queenright.model.home import HomeGrant, HomeRequest
from queenright.model.ids import new_id
from queenright.model.join import JoinGrant, JoinRefused, JoinRequest, ManagerAddress
from queenright.model.logs import LogLine
from queenright.model.mesh_rows import NetworksState
from queenright.model.objects import Cluster, Node, NodeDescription, Task, TaskStatus
from queenright.model.template_words import TemplateError
from queenright.model.templates import Context, expand
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.container import ContainerSpec
from queenright.spec.fields import decode
from queenright.spec.network import NetworkSpec
from queenright.spec.rows import SpecError
from queenright.spec.service import ServiceSpec, TaskSpec
from queenright.wire import codec, logs, messages, networks
from queenright.wire.gen import control_pb2, dispatcher_pb2, logs_pb2
from queenright.wire.messages import ForwardCall
from queenright.wire.raft import (
    AppendEntries,
    Entry,
    Envelope,
    SnapshotHead,
    decode_envelope,
    decode_snapshot_part,
    encode_envelope,
    encode_snapshot_chunk,
    encode_snapshot_head,
)

from . import sources
from .fuzzer import Target

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NODE, CLUSTER = new_id(b"\x01" * 17), new_id(b"\x02" * 17)
CALL = ForwardCall("POST", "/services/create", "a=1", "1.41", {"content-type": "application/json"}, b"{}", "r")


def text(run: Callable[[str], object]) -> Callable[[bytes], object]:
    """A parser of texts: any bytes become one."""
    return lambda data: run(data.decode("utf-8", "replace"))


def targets() -> Iterator[Target]:
    """All of them."""
    yield from _http()
    yield from _joining()
    yield from _certificates()
    yield from _wire()
    yield from _calls()
    yield from _texts()
    yield from _engine()
    yield from sources.targets()


# -- the sockets


def _request(data: bytes) -> object:
    head = heads.parse_request(data)
    return head.framing(), head.query(), head.keep_alive, head.expects_continue


def _response(data: bytes) -> object:
    head = heads.parse_response(data)
    return head.framing("GET"), head.keep_alive, head.interim


def _chunks(data: bytes) -> object:
    """In one piece and byte by byte: with the same end."""
    whole, parts = _fed([data]), _fed([data[at : at + 1] for at in range(len(data))])
    assert whole == parts, "the pieces in which bytes come make a difference"
    if isinstance(whole, str):
        raise framing.FramingError(whole)
    return whole


def _fed(parts: Iterable[bytes]) -> object:
    scanner, payload = framing.Chunked(), bytearray()
    try:
        for part in parts:
            if not scanner.done:
                scanner.feed(bytearray(part), payload)
    except framing.FramingError as error:
        return str(error)
    return scanner.done, bytes(payload)


def _http() -> Iterator[Target]:
    requests = (
        b"GET /v1.41/services?filters=%7B%22name%22%3A%7B%22a%22%3Atrue%7D%7D HTTP/1.1\r\nHost: d\r\n\r\n",
        b"POST /services/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
        b"Expect: 100-continue\r\nConnection: keep-alive\r\n\r\n",
        b"POST http://docker/v1.24/containers/x/attach HTTP/1.0\r\nUpgrade: tcp\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    yield Target("head of a request", requests, _request, (ApiError,))
    answers = (
        b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        b"HTTP/1.0 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    yield Target("head of a response", answers, _response, (ResponseError,))
    yield Target(
        "chunks",
        (b"5;x=1\r\nhello\r\n0\r\nA: b\r\n\r\n", b"a\r\n0123456789\r\n0\r\n\r\n"),
        _chunks,
        (framing.FramingError,),
    )
    given = (b'{"name":{"web":true},"label":{"a=b":true}}', b'{"name":["web","db"]}', b"{}")
    yield Target("filters", given, text(lambda said: filters.parse_filters(said, {"name", "label"})), (ApiError,))


def _joining() -> Iterator[Target]:
    secret = tokens.make_join_token(b"root", b"x" * 16)
    csr = make_csr(make_key())
    request = join_messages.encode_request(JoinRequest(csr, secret, advertise_addr="10.0.0.2:2377"))
    yield Target("join request", (request,), join_messages.decode_request, (JoinRefused,))
    grant = JoinGrant(NODE, "worker", CLUSTER, b"PEM", (ManagerAddress(NODE, "10.0.0.1:2377"),))
    yield Target("join grant", (join_messages.encode_grant(grant),), join_messages.decode_grant, (ValueError,))
    refusal = join_messages.encode_refusal(JoinRefused("no"), ["10.0.0.1:2377"])[1]
    yield Target("join refusal", (refusal,), lambda data: join_messages.decode_refusal(data, "5"), (ValueError,))
    yield Target("other managers", (refusal,), join_messages.decode_others, (ValueError,))
    home = home_messages.encode_request(HomeRequest(b"PEM", csr, b"c" * 32, b"proof"))
    yield Target("home request", (home,), home_messages.decode_request, (JoinRefused,))
    let_in = home_messages.encode_grant(HomeGrant(b"PEM", "worker", b"ROOTS", (b"STEP",)))
    yield Target("home grant", (let_in,), home_messages.decode_grant, (ValueError,))
    challenge = home_messages.encode_challenge(b"c" * 32)
    yield Target("home challenge", (challenge,), home_messages.decode_challenge, (ValueError,))
    ticket = tokens.make_ticket(b"root", b"y" * 16)
    texts = (secret.text.encode(), ticket.text.encode())
    lock_key = unlock.unlock_key_text(b"k" * 32).encode()
    yield Target("unlock key", (lock_key, lock_key + b"\n"), text(unlock.parse_unlock_key), (unlock.UnlockKeyError,))
    salt, sealed = b"s" * 16, b"c" * 60
    lock = {
        "magic": "queenright-autolock",
        "format": 1,
        "salt": base64.b64encode(salt).decode(),
        "sealed": base64.b64encode(sealed).decode(),
        "crc": zlib.crc32(salt + sealed),
    }
    yield Target("lock", (json.dumps(lock).encode(),), lambda data: parse_lock(data, Path("autolock.key")), (PkiError,))
    yield Target("join token", texts, text(tokens.parse_join_secret), (tokens.TokenError,))


# -- certificates


def _certificates() -> Iterator[Target]:
    root, key = create_root(NOW), make_key()
    issued = LocalSigner(root).issue(make_csr(key), Subject(NODE, CLUSTER, "worker"), now=NOW)
    chain = issued.chain_pem
    yield Target("certificate request", (make_csr(key),), check_csr, (PkiError,))
    yield Target("certificate", (chain, chain + root.certificate_pem), read_identity, (PkiError,))
    yield Target("certificate chain", (chain, chain * 3), read_chain, (PkiError,))
    yield Target("chain below a root", (chain,), lambda data: verify(root.certificate_pem, data, NOW), (PkiError,))
    yield Target("root of a chain", (root.certificate_pem,), lambda data: verify(data, chain, NOW), (PkiError,))
    yield Target("private key", (key, root.key_pem), load_key, (PkiError,))
    yield from _trust(root, key, chain)


def _trust(root: Root, key: bytes, chain: bytes) -> Iterator[Target]:
    """What leads from one root to the next, and what an authority outside may answer."""
    new, subject, csr = create_root(NOW), Subject(NODE, CLUSTER, "worker"), make_csr(key)
    crossed, proof = succession.cross_sign(root, new.certificate_pem), possession.prove(key, b"challenge", csr)

    def signed(data: bytes) -> object:
        validity = datetime.timedelta(days=90)
        return outside.check_signed(data, csr, subject, root.certificate_pem, b"", now=NOW, validity=validity)

    def led(data: bytes) -> object:
        found = succession.leads(root.certificate_pem, new.certificate_pem, [data])
        assert not found or data.strip(), "nothing leads nowhere"
        return found

    def proven(data: bytes) -> object:
        found = possession.is_proven(chain, data, b"challenge", csr)
        if not found:
            raise PkiError("not proven")
        assert data == proof or len(data) > 60, "a proof that is none was taken"
        return found

    yield Target(
        "imported root",
        (root.certificate_pem,),
        lambda data: succession.read_import(data, root.key_pem, NOW),
        (PkiError,),
    )
    yield Target(
        "imported key",
        (root.key_pem,),
        lambda data: succession.read_import(root.certificate_pem, data, NOW),
        (PkiError,),
    )
    yield Target("way to a new root", (crossed,), led, (PkiError,))
    yield Target("proof of an old key", (proof,), proven, (PkiError,))
    yield Target("certificate from outside", (chain,), signed, (PkiError,))


# -- between managers, and the log


def _wire() -> Iterator[Target]:
    entries = (Entry(b"\0command", 1, 1), Entry(b"\0more", 2, 1))
    envelope = encode_envelope(Envelope(0, 3, (AppendEntries(1, 0, 0, 0, entries),)))
    yield Target("consensus messages", (envelope,), decode_envelope, (ValueError,))
    parts = (encode_snapshot_head(SnapshotHead(1, 2, 5, 2, 3)), encode_snapshot_chunk(b"abc"))
    yield Target("part of a snapshot", parts, decode_snapshot_part, (ValueError,))
    spec = TaskSpec(container=ContainerSpec(image="x", env=("A=b",), labels={"a": "b"}))
    task = Task(id="t", node_id=NODE, service_id="s", spec=spec)
    node = Node(id=NODE, spec=NodeSpec(labels={"a": "b"}), description=NodeDescription(hostname="h", nano_cpus=2))
    cluster = Cluster(id=CLUSTER, root_certificate="PEM")
    batch = Batch(5, (Create(task), Update(node), Create(cluster), Delete("task", "t", 3)))
    yield Target("log entry", (codec.encode_batch(batch),), _round_trip, (ValueError,))
    seeds = tuple(map(codec.encode_object, (task, node, cluster)))
    yield Target("object of the store", seeds, codec.decode_object, (ValueError,))
    yield Target("task of an agent", seeds[:1], codec.decode_task, (ValueError,))
    lines = logs.pack_lines([LogLine(1, 1, "a=b", b"hello\n"), LogLine(2, 2, "", b"\xff")])
    yield Target("lines of a log", (lines,), logs.unpack_lines, (ValueError,))
    row = dispatcher_pb2.NetworksMessage(endpoints=[dispatcher_pb2.Endpoint(network_id="n", task_id="t")])
    assigned = messages.AssignmentSet(complete=True, applies_to="", results_in="1", updates=(task,))
    parts = tuple(part.SerializeToString() for part in messages.assignment_messages(assigned))
    yield Target("assignments", parts, _call(dispatcher_pb2.AssignmentsMessage.DESCRIPTOR, _assignments), (ValueError,))
    yield Target("row of a network", (row.SerializeToString(),), networks.decode_row, (ValueError,))


def _assignments(message: Any) -> object:
    return messages.read_assignments([message])


def _round_trip(data: bytes) -> object:
    """What is read can be written, and is the same when it is read again: so all managers have the same."""
    batch = codec.decode_batch(data)
    assert codec.decode_batch(codec.encode_batch(batch)) == batch
    return batch


# -- what members call


def _calls() -> Iterator[Target]:
    description = NodeDescription(hostname="h", engine_labels={"a": "b"}, plugins=("x",))
    session = dispatcher_pb2.SessionRequest(addr="10.0.0.2", answers_pings=True)
    status = messages.status_request("s", [("t", TaskStatus(message="m", err="e"))])
    applied = networks.applied_request("s", NetworksState("a", {"n": "e"}, {("tcp", 80): "e"}))
    publication = logs_pb2.LogPublication(session_id="s", subscription_id="x", task_id="t", lines=b"l")
    read = logs_pb2.LogReadRequest(service_ids=["s"], task_ids=["t"], began=1)
    assert cleaned(description) == description
    calls: tuple[tuple[str, Any, Callable[[Any], object]], ...] = (
        ("Session", session, lambda message: cleaned(messages.read_session_request(message)[0])),
        ("UpdateTaskStatus", status, messages.read_status_request),
        ("NetworksApplied", applied, networks.read_applied),
        ("Forward", messages.forward_request(CALL), messages.read_forward_request),
        ("Admit", control_pb2.AdmitRequest(body=b"{}", source="x"), lambda message: message.body),
        ("Renew", control_pb2.RenewRequest(csr=b"x", control_addr="y"), lambda message: message.csr),
        ("Publish", publication, logs.read_publication),
        ("Read", read, logs.read_read_request),
    )
    for name, seed, reading in calls:
        yield Target(
            f"call {name}", (seed.SerializeToString(),), _call(seed.DESCRIPTOR, reading), (ValueError, Refusal)
        )


def _call(descriptor: Any, reading: Callable[[Any], object]) -> Callable[[bytes], object]:
    kind = message_factory.GetMessageClass(descriptor)

    def run(data: bytes) -> object:
        try:
            message = kind.FromString(data)
        except DecodeError as error:
            raise ValueError from error
        objects.check_lists(message)
        return reading(message)

    return run


# -- what people write


def _texts() -> Iterator[Target]:
    yield Target(
        "address",
        (b"10.0.0.1:2377", b"[fe80::1]:2377", b"manager1.example.org", b"eth0:2377", b"0.0.0.0"),
        text(lambda said: addresses.parse(said, 2377, interfaces=("eth0",))),
        (addresses.AddressError,),
    )
    yield Target(
        "constraint",
        (b"node.labels.zone==a", b"node.role != manager", b"engine.labels.os==linux", b"node.ip==10.0.0.0/8"),
        text(constraints.parse),
        (Refusal,),
    )
    context = Context({".Service.Name": "web", ".Task.Slot": "1"}, {"a": "b"})
    templates = (
        b'{{.Service.Name}}-{{ index .Service.Labels "a" }}',
        b"{{range $k, $v := .Service.Labels}}{{$k}}={{$v}},{{else}}none{{end}}",
        b'{{ if eq .Service.Name "web" }}{{ printf "%5.2s|%q|%d" .Service.Name "x" 7 }}'
        b'{{ else }}{{ len "abc" }}{{ end }}',
        b'{{ with $x := .Service.Name }}{{ $x | printf "%s" | html }}{{ end -}} {{- /* c */ -}}',
    )
    yield Target("template", templates, text(lambda said: expand(said, context)), (TemplateError,))
    yield from _specs()


def _specs() -> Iterator[Target]:
    service = {
        "Name": "web",
        "Labels": {"a": "b"},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "x:1",
                "Env": ["A=b"],
                "Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}],
                "Secrets": [
                    {"SecretID": "i", "SecretName": "n", "File": {"Name": "f", "UID": "0", "GID": "0", "Mode": 292}}
                ],
            },
            "Resources": {"Limits": {"NanoCPUs": 1, "MemoryBytes": 2}},
            "RestartPolicy": {"Condition": "any", "Delay": 5000000000},
            "Placement": {"Constraints": ["node.role==worker"], "Preferences": [{"Spread": {"SpreadDescriptor": "x"}}]},
        },
        "Mode": {"Replicated": {"Replicas": 3}},
        "UpdateConfig": {"Parallelism": 2, "Order": "start-first"},
        "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"}]},
    }
    kinds: tuple[tuple[type, dict[str, Any]], ...] = (
        (ServiceSpec, service),
        (SwarmSpec, {"Name": "default", "CAConfig": {"NodeCertExpiry": 7776000000000000}, "Labels": {}}),
        (NodeSpec, {"Role": "worker", "Availability": "active", "Labels": {"a": "b"}}),
        (NetworkSpec, {"Name": "n", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.1.0.0/24"}]}}),
    )
    for kind, seed in kinds:
        yield Target(f"JSON of {kind.__name__}", (json.dumps(seed).encode(),), _json(kind), (SpecError, _NoJsonError))


class _NoJsonError(Exception):
    """Refused before it is any parser of ours: the body of a request is read as JSON first."""


def _json(kind: type) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _NoJsonError from error
        return decode(kind, document)

    return run


# -- the engine and the names


def _engine() -> Iterator[Target]:
    question = bytes.fromhex("12340100000100000000000103776562000001000100002904d0000000000000")
    yield Target("question for a name", (question,), dns.parse, (dns.MalformedError,))
    stamp = b"2026-01-01T00:00:00.000000001Z"
    frames = b"\x01\x00\x00\x00" + (len(stamp) + 7).to_bytes(4, "big") + stamp + b" hello\n"
    yield Target("frames of a log", (frames, frames * 2), lambda data: _lines(Frames(), data), (TaskError,))
    yield Target(
        "log of a terminal", (stamp + b" hello\r\n" + stamp + b" x",), lambda data: _lines(Plain(), data), (TaskError,)
    )


def _lines(reader: Frames | Plain, data: bytes) -> list[LogLine]:
    return [*reader.feed(data), *reader.finish()]
