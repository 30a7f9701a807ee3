# SPDX-License-Identifier: Apache-2.0
"""Where bodies end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.edge.http.framing import MAX_LINE, MAX_TRAILERS, Chunked, FramingError, Sized, UntilClose


def feed(framing, data: bytes, size: int) -> tuple[bytes, bytes]:
    """Feed in pieces; returns (bytes of the body as they came, decoded content)."""
    raw, payload = bytearray(), bytearray()
    for start in range(0, len(data), size):
        piece = bytearray(data[start : start + size])
        count = framing.feed(piece, payload)
        raw += piece[:count]
        if framing.done:
            break
        assert count == len(piece)
    return bytes(raw), bytes(payload)


@given(chunks=st.lists(st.binary(min_size=1, max_size=40)), size=st.integers(1, 50), after=st.binary(max_size=20))
def test_a_chunked_body_ends_where_it_ends_however_it_arrives(chunks: list[bytes], size: int, after: bytes) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    framing = Chunked()
    raw, payload = feed(framing, body + after, size)
    assert framing.done
    assert raw == body
    assert payload == b"".join(chunks)


@given(body=st.binary(max_size=100), size=st.integers(1, 120), after=st.binary(max_size=20))
def test_a_sized_body_ends_after_its_length(body: bytes, size: int, after: bytes) -> None:
    framing = Sized(len(body))
    raw, payload = feed(framing, body + after, size) if body else (b"", b"")
    assert framing.done
    assert raw == payload == body


def test_a_body_until_close_never_ends_by_itself() -> None:
    framing = UntilClose()
    assert framing.feed(bytearray(b"abc")) == 3
    assert not framing.done


def test_extensions_and_trailers_belong_to_the_body() -> None:
    body = b"3;name=value\r\nabc\r\n0;last\r\nDigest: x\r\nOther: y\r\n\r\n"
    framing = Chunked()
    raw, payload = feed(framing, body + b"GET /", 7)
    assert (raw, payload, framing.done) == (body, b"abc", True)


def test_bare_newlines_between_chunks_are_taken() -> None:
    framing = Chunked()
    assert feed(framing, b"3\nabc\n0\n\n", 2) == (b"3\nabc\n0\n\n", b"abc")
    assert framing.done


@pytest.mark.parametrize("body", [b"xyz\r\n", b"\r\n", b"-1\r\n", b"0x3\r\nabc", b"3_0\r\n", b"11112222333344445\r\n"])
def test_a_size_that_is_no_hexadecimal_number_is_refused(body: bytes) -> None:
    with pytest.raises(FramingError, match="hexadecimal"):
        Chunked().feed(bytearray(body))


def test_a_chunk_longer_than_its_size_is_refused() -> None:
    with pytest.raises(FramingError, match="longer than its size"):
        Chunked().feed(bytearray(b"3\r\nabcd\r\n"))


def test_an_endless_line_between_chunks_is_refused() -> None:
    framing = Chunked()
    with pytest.raises(FramingError, match="longer than"):
        for _ in range(MAX_LINE // 100 + 1):
            framing.feed(bytearray(b"1" * 100))


def test_endless_trailers_are_refused() -> None:
    framing = Chunked()
    framing.feed(bytearray(b"0\r\n"))
    with pytest.raises(FramingError, match="trailers"):
        for _ in range(MAX_TRAILERS // 100 + 1):
            framing.feed(bytearray(b"a" * 100 + b"\r\n"))
