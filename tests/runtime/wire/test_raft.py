# SPDX-License-Identifier: Apache-2.0
"""Consensus messages come back as they went, and whatever else comes in is a ValueError and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.wire.gen import raft_pb2 as pb
from queenright.wire.raft import (
    MAX_CHUNK,
    MAX_ENVELOPE,
    MAX_MESSAGES,
    MAX_NUMBER,
    AppendAnswer,
    AppendEntries,
    Entry,
    EntryEncoder,
    Envelope,
    Message,
    RequestVote,
    SnapshotHead,
    TimeoutNow,
    VoteAnswer,
    decode_envelope,
    decode_snapshot_part,
    encode_envelope,
    encode_snapshot_chunk,
    encode_snapshot_head,
)

numbers = st.integers(0, MAX_NUMBER)
small = st.integers(0, 5)
commands = st.builds(lambda kind, body: bytes((kind,)) + body, st.integers(0, 2), st.binary(max_size=50))


@st.composite
def appends(draw: Callable[..., object]) -> AppendEntries:
    previous_index, previous_term = draw(st.integers(0, MAX_NUMBER - 100)), draw(small)
    term, entries = previous_term, []
    for idx, command in enumerate(draw(st.lists(commands, max_size=8)), previous_index + 1):
        term += draw(st.integers(0, 1))
        entries.append(Entry(command, idx, term))
    return AppendEntries(
        term + draw(small), draw(numbers), previous_index, previous_term, tuple(entries), draw(numbers)
    )


messages = st.one_of(
    appends(),
    st.builds(AppendAnswer, numbers, st.booleans(), numbers, numbers),
    st.builds(RequestVote, numbers, numbers, numbers, st.booleans(), st.booleans()),
    st.builds(VoteAnswer, numbers, st.booleans(), st.booleans()),
    st.builds(TimeoutNow, numbers),
)
envelopes = st.builds(Envelope, numbers, st.integers(0, 2**31 - 1), st.lists(messages, max_size=5).map(tuple))
ENTRIES = (Entry(b"\x01", 8, 2), Entry(b"\x00abc", 9, 2), Entry(b'\x02{"members": []}', 10, 3))
APPEND = AppendEntries(3, 6, 7, 2, ENTRIES, 11)


@given(envelopes)
def test_an_envelope_comes_back_as_it_went(envelope: Envelope) -> None:
    assert decode_envelope(encode_envelope(envelope)) == envelope


@given(envelopes)
def test_what_is_written_by_hand_is_what_protobuf_reads_and_writes(envelope: Envelope) -> None:
    data = encode_envelope(envelope)
    assert pb.RaftMessages.FromString(data).ByteSize() == len(data)


@given(st.lists(messages, max_size=4), st.lists(messages, max_size=4))
def test_joined_envelopes_of_one_epoch_are_one_envelope(first: list[Message], second: list[Message]) -> None:
    one, other = Envelope(4, 2, tuple(first)), Envelope(4, 2, tuple(second))
    joined = decode_envelope(encode_envelope(one) + encode_envelope(other))
    assert joined == Envelope(4, 2, one.messages + other.messages)


@given(st.binary(max_size=300))
def test_bytes_of_anybody_are_a_value_error_or_an_envelope(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert decode_envelope(encode_envelope(decode_envelope(data))) == decode_envelope(data)
    with contextlib.suppress(ValueError):
        decode_snapshot_part(data)


@given(envelopes, st.data())
def test_damaged_envelopes_are_a_value_error_or_an_envelope(envelope: Envelope, data: st.DataObject) -> None:
    raw = bytearray(encode_envelope(envelope))
    for _ in range(data.draw(st.integers(1, 4))):
        if raw:
            place = data.draw(st.integers(0, len(raw) - 1))
            raw[place] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))]
    with contextlib.suppress(ValueError):
        found = decode_envelope(bytes(raw))
        for message in found.messages:
            if isinstance(message, AppendEntries):
                expected = range(message.previous_index + 1, message.previous_index + 1 + len(message.entries))
                assert [entry.idx for entry in message.entries] == list(expected)
                assert all(entry.command[0] in (0, 1, 2) for entry in message.entries)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(max_size=3))
def test_an_entry_of_any_numbers_is_taken_only_where_it_fits(index: int, term: int, after: int, command: bytes) -> None:
    message = pb.RaftMessage(term=5)
    message.append_entries.previous_index = after
    message.append_entries.entries.add(index=index, term=term, command=command)
    data = pb.RaftMessages(messages=[message]).SerializeToString()
    fits = index == after + 1 and index <= MAX_NUMBER and term <= 5 and command[:1] in (b"\0", b"\1", b"\2")
    if fits:
        assert decode_envelope(data).messages == (AppendEntries(5, 0, after, 0, (Entry(command, index, term),)),)
    else:
        with pytest.raises(ValueError, match=r"entry|number"):
            decode_envelope(data)


def changed(change: Callable[[pb.RaftMessages], object]) -> bytes:
    found = pb.RaftMessages.FromString(encode_envelope(Envelope(1, 1, (APPEND,))))
    change(found)
    return found.SerializeToString()


def entry(message: pb.RaftMessages, place: int) -> pb.RaftEntry:
    return message.messages[0].append_entries.entries[place]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.messages[0].append_entries.entries.pop(1), "entry 9 was expected, entry 10 came"),
        (lambda m: m.messages[0].append_entries.entries.pop(0), "entry 8 was expected, entry 9 came"),
        (lambda m: setattr(entry(m, 1), "index", 8), "entry 9 was expected, entry 8 came"),
        (lambda m: setattr(entry(m, 1), "term", 1), "entry 9 is of term 1"),
        (lambda m: setattr(entry(m, 2), "term", 4), "entry 10 is of term 4"),
        (lambda m: setattr(entry(m, 2), "command", b""), "entry 10 is of a type"),
        (lambda m: setattr(entry(m, 2), "command", b"\x03"), "entry 10 is of a type"),
        (lambda m: setattr(m.messages[0], "term", 1 << 63), "a number"),
        (lambda m: setattr(m.messages[0].append_entries, "commit_index", 1 << 63), "a number"),
        (lambda m: setattr(m.messages[0].append_entries, "context", 1 << 63), "a number"),
        (lambda m: setattr(m, "epoch", 1 << 63), "a number"),
        (lambda m: setattr(m, "level", 1 << 31), "a number"),
        (lambda m: m.messages.add(), "of a kind that this version does not know"),
        (lambda m: [m.messages.add().timeout_now.SetInParent() for _ in range(MAX_MESSAGES)], "messages is over"),
    ],
)
def test_what_is_malformed_is_named(change: Callable[[pb.RaftMessages], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_envelope(changed(change))


def test_an_envelope_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(ValueError, match="is over the limit"):
        decode_envelope(bytes(MAX_ENVELOPE + 1))


@pytest.mark.parametrize("envelope", [Envelope(-1, 0, ()), Envelope(0, 0, (TimeoutNow(-1),)), Envelope(0, 1 << 32, ())])
def test_numbers_that_no_message_holds_cannot_be_sent(envelope: Envelope) -> None:
    with pytest.raises(ValueError, match=r"range|negative|uint"):
        encode_envelope(envelope)


def test_a_newer_sender_s_fields_are_passed_over() -> None:
    assert decode_envelope(encode_envelope(Envelope(1, 2, (APPEND,))) + b"\xfa\x3e\x03abc") == Envelope(1, 2, (APPEND,))


def test_the_same_entries_are_encoded_once() -> None:
    encoder = EntryEncoder()
    data = encoder.encode(ENTRIES)
    assert encoder.encode((*ENTRIES[:1], *ENTRIES[1:])) is data
    assert encoder.encode(()) == b""


def test_entries_that_only_look_alike_are_not_taken_for_the_same() -> None:
    encoder = EntryEncoder()
    others = (ENTRIES[0], Entry(b"\x00abd", 9, 2), ENTRIES[2])
    for entries in (ENTRIES, others, ENTRIES):
        envelope = Envelope(0, 0, (AppendEntries(3, 6, 7, 2, entries),))
        assert decode_envelope(encode_envelope(envelope, encoder)) == envelope


def test_only_a_few_batches_are_remembered() -> None:
    encoder = EntryEncoder()
    for idx in range(50):
        encoder.encode((Entry(b"\0", idx, 1),))
    assert len(encoder._known) <= 4


@given(st.builds(SnapshotHead, numbers, numbers, numbers, numbers, numbers))
def test_the_head_of_a_snapshot_comes_back_as_it_went(head: SnapshotHead) -> None:
    assert decode_snapshot_part(encode_snapshot_head(head)) == head


def test_a_piece_of_a_snapshot_comes_back_as_it_went() -> None:
    assert decode_snapshot_part(encode_snapshot_chunk(b"\0abc")) == b"\0abc"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "of a kind that this version does not know"),
        (b"\x1a\x00", "of a kind that this version does not know"),
        (b"\xff", "are no SnapshotPart message"),
        (pb.SnapshotPart(chunk=b"").SerializeToString(), "has 0 bytes"),
        (pb.SnapshotPart(chunk=bytes(MAX_CHUNK + 1)).SerializeToString(), "bytes, 1 to"),
        (pb.SnapshotPart(head=pb.SnapshotHead(size=1 << 63)).SerializeToString(), "a number"),
    ],
)
def test_a_malformed_part_of_a_snapshot_is_named(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_snapshot_part(data)
