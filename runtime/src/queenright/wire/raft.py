# SPDX-License-Identifier: Apache-2.0
"""Messages of the consensus group: frozen values, and what they look like as protobuf.

Terms, indexes and counts are non-negative integers. A command begins with its type byte (``edge/raft``).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from queenright.wire.codec import CodecError, parse
from queenright.wire.gen import raft_pb2 as pb


class Entry(NamedTuple):
    """One log entry, in the order in which the core unpacks it."""

    command: bytes
    idx: int
    term: int

    def __repr__(self) -> str:
        return f"Entry(idx={self.idx}, term={self.term}, {len(self.command)} bytes)"  # a command may hold a key


@dataclass(frozen=True, slots=True)
class AppendEntries:
    """From the leader: entries that follow entry ``previous_index`` of ``previous_term``, or none as a heartbeat.

    ``context`` numbers a round in which the leader asks whether it still leads; the answer repeats it. ``answers`` is
    the newest question of the member: ``commit_index`` is later than that.
    """

    term: int
    commit_index: int
    previous_index: int
    previous_term: int
    entries: tuple[Entry, ...] = ()
    context: int = 0
    answers: int = 0


@dataclass(frozen=True, slots=True)
class AppendAnswer:
    """``success``: everything below ``next_index`` is equal to the leader's and durable here. Else the leader is to go
    on from ``next_index``. ``question`` numbers a member's wish to know what is committed now."""

    term: int
    success: bool
    next_index: int
    context: int = 0
    question: int = 0


@dataclass(frozen=True, slots=True)
class RequestVote:
    """``pre``: would you vote for me? ``transfer``: the leader itself asked for this election."""

    term: int
    last_index: int
    last_term: int
    pre: bool = False
    transfer: bool = False


@dataclass(frozen=True, slots=True)
class VoteAnswer:
    """``term`` is that of the question when granted, else the answerer's own."""

    term: int
    granted: bool
    pre: bool = False


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """From the leader to the member that is to lead next: begin an election at once."""

    term: int


Message = AppendEntries | AppendAnswer | RequestVote | VoteAnswer | TimeoutNow


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one member sends another at once. ``epoch`` is the cluster's, raised when a new cluster is forced;
    ``level`` the sender's feature level."""

    epoch: int
    level: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class SnapshotHead:
    """What comes before the bytes of a snapshot file: the leader's epoch and term, what the file holds, its size."""

    epoch: int
    term: int
    index: int
    snapshot_term: int
    size: int


# -- the forms on the wire

MAX_ENVELOPE = 8 << 20
"""Bytes of an encoded envelope; the channels between managers take no more."""
MAX_MESSAGES = 4096
"""Messages in one envelope."""
CHUNK = 256 << 10
"""Bytes of a snapshot that travel in one part."""
MAX_CHUNK = 1 << 20
MAX_NUMBER = (1 << 63) - 1
_MAX_LEVEL = (1 << 31) - 1
_TYPE_BYTES = frozenset((0, 1, 2))
_REMEMBERED = 4


class EntryEncoder:
    """Encodes entries, and remembers the last few batches: what goes to several members is encoded once."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int, int], tuple[tuple[Entry, ...], bytes]] = OrderedDict()

    def encode(self, entries: tuple[Entry, ...]) -> bytes:
        """The field ``entries`` of the message AppendEntries."""
        if not entries:
            return b""
        key = (entries[0].idx, len(entries), entries[-1].term)
        known = self._known.get(key)
        if known is not None and known[0] == entries:  # costs next to nothing where they are the same objects
            self._known.move_to_end(key)
            return known[1]
        message = pb.AppendEntries()
        add = message.entries.add
        for command, idx, term in entries:
            add(index=idx, term=term, command=command)
        data = message.SerializeToString()
        self._known[key] = (entries, data)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return data


def encode_envelope(envelope: Envelope, encoder: EntryEncoder | None = None) -> bytes:
    """The envelope as bytes. Those of envelopes of one epoch and level may be joined: they are one envelope then.

    Raises ValueError for numbers that no message can hold.
    """
    encoder = encoder or EntryEncoder()
    parts = [pb.RaftMessages(epoch=envelope.epoch, level=envelope.level).SerializeToString()]
    for message in envelope.messages:
        _add_field(parts, pb.RaftMessages.MESSAGES_FIELD_NUMBER, _encode_message(message, encoder))
    return b"".join(parts)


def _encode_message(message: Message, encoder: EntryEncoder) -> list[bytes]:
    parts = [pb.RaftMessage(term=message.term).SerializeToString()]
    body: list[bytes]
    if isinstance(message, AppendEntries):
        head = pb.AppendEntries(
            commit_index=message.commit_index,
            previous_index=message.previous_index,
            previous_term=message.previous_term,
            context=message.context,
            answers=message.answers,
        )
        number, body = (
            pb.RaftMessage.APPEND_ENTRIES_FIELD_NUMBER,
            [head.SerializeToString(), encoder.encode(message.entries)],
        )
    elif isinstance(message, AppendAnswer):
        answer = pb.AppendAnswer(
            next_index=message.next_index,
            success=message.success,
            context=message.context,
            question=message.question,
        )
        number, body = pb.RaftMessage.APPEND_ANSWER_FIELD_NUMBER, [answer.SerializeToString()]
    elif isinstance(message, RequestVote):
        request = pb.RequestVote(
            last_index=message.last_index, last_term=message.last_term, pre=message.pre, transfer=message.transfer
        )
        number, body = pb.RaftMessage.REQUEST_VOTE_FIELD_NUMBER, [request.SerializeToString()]
    elif isinstance(message, VoteAnswer):
        vote = pb.VoteAnswer(granted=message.granted, pre=message.pre)
        number, body = pb.RaftMessage.VOTE_ANSWER_FIELD_NUMBER, [vote.SerializeToString()]
    else:
        number, body = pb.RaftMessage.TIMEOUT_NOW_FIELD_NUMBER, []
    _add_field(parts, number, body)
    return parts


def _add_field(parts: list[bytes], number: int, body: list[bytes]) -> None:
    """Append a field of bytes or of a message: its tag, its length, and ``body``."""
    parts.append(bytes((number << 3 | 2,)))
    length = sum(map(len, body))
    varint = bytearray()
    while length > 0x7F:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    varint.append(length)
    parts.append(bytes(varint))
    parts.extend(body)


def decode_envelope(data: bytes) -> Envelope:
    """The envelope out of its bytes. Raises ValueError, whatever is wrong with them."""
    if len(data) > MAX_ENVELOPE:
        raise CodecError(f"an envelope of {len(data)} bytes is over the limit of {MAX_ENVELOPE}")
    found = parse(pb.RaftMessages, data)
    if len(found.messages) > MAX_MESSAGES:
        raise CodecError(f"an envelope of {len(found.messages)} messages is over the limit of {MAX_MESSAGES}")
    messages = tuple(_decode_message(message) for message in found.messages)
    return Envelope(_number(found.epoch), _number(found.level, _MAX_LEVEL), messages)


def _number(value: int, most: int = MAX_NUMBER) -> int:
    if value > most:
        raise CodecError(f"a number in a consensus message is over {most}")
    return value


def _decode_message(message: pb.RaftMessage) -> Message:
    kind, term = message.WhichOneof("message"), _number(message.term)
    if kind == "append_entries":
        return _decode_append(message.append_entries, term)
    if kind == "append_answer":
        answer = message.append_answer
        context, question = _number(answer.context), _number(answer.question)
        return AppendAnswer(term, answer.success, _number(answer.next_index), context, question)
    if kind == "request_vote":
        request = message.request_vote
        return RequestVote(term, _number(request.last_index), _number(request.last_term), request.pre, request.transfer)
    if kind == "vote_answer":
        return VoteAnswer(term, message.vote_answer.granted, message.vote_answer.pre)
    if kind == "timeout_now":
        return TimeoutNow(term)
    raise CodecError("a consensus message of a kind that this version does not know")


def _decode_append(message: pb.AppendEntries, term: int) -> AppendEntries:
    idx, previous_term = _number(message.previous_index), _number(message.previous_term)
    entries = []
    last_term = previous_term
    for item in message.entries:
        idx += 1
        command = item.command
        if item.index != idx:
            raise CodecError(f"entry {idx} was expected, entry {item.index} came")
        if item.term < last_term or item.term > term:
            raise CodecError(f"entry {idx} is of term {item.term}, which cannot be between {last_term} and {term}")
        if not command or command[0] not in _TYPE_BYTES:
            raise CodecError(f"entry {idx} is of a type that this version does not know")
        last_term = item.term
        entries.append(Entry(command, idx, last_term))
    _number(idx)
    return AppendEntries(
        term,
        _number(message.commit_index),
        message.previous_index,
        previous_term,
        tuple(entries),
        _number(message.context),
        _number(message.answers),
    )


def encode_snapshot_head(head: SnapshotHead) -> bytes:
    """The first part of a snapshot's stream. Raises ValueError for numbers that no message can hold."""
    message = pb.SnapshotHead(
        epoch=head.epoch, term=head.term, index=head.index, snapshot_term=head.snapshot_term, size=head.size
    )
    return pb.SnapshotPart(head=message).SerializeToString()


def encode_snapshot_chunk(chunk: bytes) -> bytes:
    """A further part: bytes of the file, at most ``CHUNK``."""
    return pb.SnapshotPart(chunk=chunk).SerializeToString()


def decode_snapshot_part(data: bytes) -> SnapshotHead | bytes:
    """The head, or bytes of the file. Raises ValueError, whatever is wrong with them."""
    part = parse(pb.SnapshotPart, data)
    kind = part.WhichOneof("part")
    if kind == "head":
        head = part.head
        numbers = (head.epoch, head.term, head.index, head.snapshot_term, head.size)
        return SnapshotHead(*map(_number, numbers))
    if kind == "chunk":
        if not 0 < len(part.chunk) <= MAX_CHUNK:
            raise CodecError(f"a part of a snapshot has {len(part.chunk)} bytes, 1 to {MAX_CHUNK} are expected")
        return part.chunk
    raise CodecError("a part of a snapshot of a kind that this version does not know")
