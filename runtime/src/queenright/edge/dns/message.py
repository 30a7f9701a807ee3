# SPDX-License-Identifier: Apache-2.0
"""DNS messages: a question taken apart, an answer put together. Only what a resolver for stubs needs of RFC 1035, 2308
and 6891.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import struct
from collections.abc import Iterable

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
INTERNET = 1
A, SOA, PTR, AAAA, OPT, IXFR, AXFR, ANY = 1, 6, 12, 28, 41, 251, 252, 255
KINDS = {A: "A", AAAA: "AAAA", PTR: "PTR", ANY: "ANY"}

PLAIN = 512  # bytes of an answer over UDP to who did not say more
MOST = 1232  # that fit into one packet on every link there is
LARGEST = 65535  # over TCP
NEGATIVE_TTL = 1  # seconds for which a name may be remembered as missing

QR, AUTHORITATIVE, TRUNCATED, WANTED, AVAILABLE, CHECKED = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0010
OPCODE, RCODE = 0x7800, 0x000F
DNSSEC = 0x8000
_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!2H")
_RECORD = struct.Struct("!2HIH")
_TO_QUESTION = b"\xc0\x0c"  # a name that stands in the question


class MalformedError(Exception):
    """Not a question. ``ident``: its number, if at least that could be read, and it may be answered with FORMERR."""

    def __init__(self, text: str, ident: int | None = None) -> None:
        super().__init__(text)
        self.ident = ident


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """``name``: labels with dots between them, as they came ("" for the root); ``wire`` the question's bytes.

    ``size``: bytes that the asker takes over UDP if it said so (EDNS), else None; ``version`` that of its EDNS.
    """

    ident: int
    flags: int
    name: str
    kind: int
    domain: int
    wire: bytes
    size: int | None = None
    version: int = 0
    dnssec: bool = False

    @property
    def opcode(self) -> int:
        return (self.flags & OPCODE) >> 11


def parse(data: bytes) -> Question:
    """The one question of a message. Raises MalformedError."""
    if len(data) < _HEADER.size:
        raise MalformedError("shorter than a header")
    ident, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & QR:
        raise MalformedError("an answer, not a question")
    if questions != 1:
        raise MalformedError(f"{questions} questions", ident)
    try:
        labels, end = _labels(data, _HEADER.size)
        kind, domain = _QUESTION.unpack_from(data, end)
        end += _QUESTION.size
        wire = data[_HEADER.size : end]
        option = _option(data, end, answers + authorities + additional)
    except (struct.error, IndexError, ValueError) as error:
        raise MalformedError(str(error), ident) from error
    plain = Question(ident, flags, ".".join(map(_text, labels)), kind, domain, wire)
    if option is None:
        return plain
    size, extended = option
    return dataclasses.replace(plain, size=size, version=(extended >> 16) & 0xFF, dnssec=bool(extended & DNSSEC))


def _labels(data: bytes, at: int) -> tuple[list[bytes], int]:
    """The labels of a name, and where it ends. A name in a question refers to nothing before it."""
    labels: list[bytes] = []
    start = at
    while length := data[at]:
        if length > 63:
            raise ValueError("a pointer in the name of the question")
        label = data[at + 1 : at + 1 + length]
        if len(label) < length:
            raise ValueError("the name is cut off")
        labels.append(label)
        at += 1 + length
        if at - start > 254:
            raise ValueError("the name is too long")
    return labels, at + 1


def _text(label: bytes) -> str:
    return label.decode("latin-1").replace("\\", "\\\\").replace(".", "\\.")


def _option(data: bytes, at: int, records: int) -> tuple[int, int] | None:
    """(size, extended flags) of the record that EDNS adds."""
    found: tuple[int, int] | None = None
    for _ in range(records):
        while 0 < data[at] < 64:
            at += 1 + data[at]
        at += 2 if data[at] else 1
        kind, size, extended, length = _RECORD.unpack_from(data, at)
        at += _RECORD.size + length
        if at > len(data):
            raise ValueError("a record is cut off")
        if kind == OPT:
            if found is not None:
                raise ValueError("two records of EDNS")
            found = size, extended
    return found


def limit_of(question: Question, udp: bool) -> int:
    """How many bytes an answer may have."""
    if not udp:
        return LARGEST
    return PLAIN if question.size is None else max(PLAIN, min(question.size, MOST))


def address_record(address: str, ttl: int) -> bytes:
    """A record of the question's name."""
    packed = ipaddress.ip_address(address).packed
    kind = A if len(packed) == 4 else AAAA
    return _TO_QUESTION + _RECORD.pack(kind, INTERNET, ttl, len(packed)) + packed


def pointer_record(name: str, ttl: int) -> bytes:
    """The name of an address, as a record of the question's name. Raises ValueError for what no name may be."""
    packed = packed_name(name)
    return _TO_QUESTION + _RECORD.pack(PTR, INTERNET, ttl, len(packed)) + packed


def packed_name(name: str) -> bytes:
    """``web.mynet`` on the wire. Raises ValueError."""
    labels = [label.encode() for label in name.split(".") if label]
    packed = b"".join(bytes([len(label)]) + label for label in labels if len(label) < 64) + b"\0"
    if len(packed) > 255 or any(len(label) > 63 for label in labels):
        raise ValueError(f"{name} is too long for a name")
    return packed


def _missing() -> bytes:
    """The record that says for how long nothing may be remembered."""
    data = b"\0\0" + struct.pack("!5I", 1, 60, 60, 60, NEGATIVE_TTL)
    return b"\0" + _RECORD.pack(SOA, INTERNET, NEGATIVE_TTL, len(data)) + data


def compose(question: Question, code: int, records: Iterable[bytes] = (), limit: int = LARGEST) -> bytes:
    """An answer of ours. If the records are too many, as many as fit, and the sign that there are more."""
    option = b""
    if question.size is not None:
        option = b"\0" + _RECORD.pack(OPT, MOST, (code >> 4) << 24 | (DNSSEC if question.dnssec else 0), 0)
    room = limit - _HEADER.size - len(question.wire) - len(option)
    taken: list[bytes] = []
    flags = QR | AVAILABLE | (question.flags & (OPCODE | WANTED | CHECKED)) | (code & RCODE)
    for record in records:
        if len(record) > room:
            flags |= TRUNCATED
            break
        taken.append(record)
        room -= len(record)
    authority = b""
    if code in (NOERROR, NXDOMAIN):
        flags |= AUTHORITATIVE
        if not taken and not flags & TRUNCATED:
            authority = _missing()
    header = _HEADER.pack(question.ident, flags, 1, len(taken), bool(authority), bool(option))
    return b"".join((header, question.wire, *taken, authority, option))


def refuse(ident: int) -> bytes:
    """The answer to what could not be understood."""
    return _HEADER.pack(ident, QR | AVAILABLE | FORMERR, 0, 0, 0, 0)


def with_ident(message: bytes, ident: int) -> bytes:
    return struct.pack("!H", ident) + message[2:]


def answers(message: bytes, ident: int, question: Question) -> bool:
    """Whether a message of another server answers that question."""
    if len(message) < _HEADER.size:
        return False
    found, flags, questions, *_ = _HEADER.unpack_from(message)
    if found != ident or not flags & QR:
        return False
    end = _HEADER.size + len(question.wire)
    if questions == 0:  # an error, from one that did not understand
        return bool(flags & RCODE) and len(message) == _HEADER.size
    return questions == 1 and message[_HEADER.size : end].lower() == question.wire.lower()


def code_of(message: bytes) -> int:
    """The code of an answer, without what EDNS adds to it."""
    return int(_HEADER.unpack_from(message)[1]) & RCODE


def is_truncated(message: bytes) -> bool:
    return bool(_HEADER.unpack_from(message)[1] & TRUNCATED)
