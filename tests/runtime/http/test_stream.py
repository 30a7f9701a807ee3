# SPDX-License-Identifier: Apache-2.0
"""One socket, each direction on its own."""

from __future__ import annotations

import asyncio
import socket

import pytest

from queenright.edge.http.proxy import copy
from queenright.edge.http.stream import READ_AHEAD, READ_SIZE, PeerGoneError, Stream, connect


@pytest.fixture
async def pair():
    """(stream, the other end as a blocking socket)"""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(20)
    stream = Stream(ours)
    yield stream, theirs
    stream.close()
    theirs.close()


async def test_what_was_read_stays_until_it_is_taken(pair) -> None:
    stream, other = pair
    other.send(b"hello world")
    assert await stream.more()
    assert (stream.take(6), stream.buffer) == (b"hello ", b"world")
    other.send(b"!")
    assert await stream.more()
    assert (stream.take(6), stream.buffer) == (b"world!", b"")


async def test_reading_ahead_is_limited(pair) -> None:
    stream, other = pair
    other.settimeout(2)

    def fill() -> None:
        while True:
            other.send(b"x" * 65536)

    with pytest.raises(TimeoutError):
        await asyncio.to_thread(fill)
    assert READ_AHEAD <= len(stream.buffer) <= READ_AHEAD + READ_SIZE
    stream.take(len(stream.buffer))
    assert await stream.more()


async def test_the_end_comes_after_the_last_byte(pair) -> None:
    stream, other = pair
    other.send(b"last")
    other.shutdown(socket.SHUT_WR)
    assert await stream.more()
    assert stream.take(4) == b"last"
    assert not await stream.more()
    assert stream.ended
    assert not stream.hung_up()
    await stream.write(b"still")
    assert other.recv(10) == b"still"


async def test_a_peer_that_is_gone_is_told_from_one_that_ended(pair) -> None:
    stream, other = pair
    other.close()
    assert not await stream.more()
    assert stream.hung_up()
    with pytest.raises(PeerGoneError):
        await stream.write(b"x")


async def test_the_end_is_told_once_even_if_nobody_reads(pair, eventually) -> None:
    stream, other = pair
    told = []
    stream.on_end = lambda: told.append(True)
    other.close()
    await eventually(lambda: told)
    stream.close()
    assert told == [True]


async def test_a_write_waits_for_the_reader(pair) -> None:
    stream, other = pair
    block = bytes(range(256)) * 8192
    writing = asyncio.create_task(stream.write(block))
    await asyncio.sleep(0.05)
    assert not writing.done()
    got = b""
    while len(got) < len(block):
        got += await asyncio.to_thread(other.recv, 1 << 20)
    await writing
    assert got == block


async def test_closing_ends_whoever_waits(pair) -> None:
    stream, _ = pair
    reading = asyncio.create_task(stream.more())
    writing = asyncio.create_task(stream.write(b"x" * (4 << 20)))
    await asyncio.sleep(0.01)
    stream.close()
    stream.close()
    assert await reading is False
    with pytest.raises(PeerGoneError):
        await writing


async def test_work_is_cancelled_when_the_peer_goes(pair) -> None:
    stream, other = pair
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def leave() -> None:
        await asyncio.sleep(0.01)
        other.close()

    leaving = asyncio.create_task(leave())
    with pytest.raises(PeerGoneError):
        await stream.while_present(work())
    assert cancelled.is_set()
    await leaving


async def test_work_that_ends_gives_its_result_or_error(pair) -> None:
    stream, _ = pair

    async def fail() -> None:
        raise KeyError("x")

    assert await stream.while_present(asyncio.sleep(0, "result")) == "result"
    with pytest.raises(KeyError):
        await stream.while_present(fail())
    assert stream.on_end is None


async def test_work_ends_with_its_caller(pair) -> None:
    stream, _ = pair
    outcome = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("ended")

    task = asyncio.create_task(stream.while_present(work()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcome == ["ended"]


async def test_a_gentle_close_lets_a_peer_that_still_writes_read_the_last_answer(pair) -> None:
    stream, other = pair

    def peer() -> bytes:
        other.sendall(b"x" * (2 << 20))
        got = other.recv(100)
        other.close()
        return got

    client = asyncio.create_task(asyncio.to_thread(peer))
    await stream.write(b"413")
    await stream.close_gently(20)
    assert await client == b"413"
    assert stream.closed


async def test_a_gentle_close_does_not_wait_for_ever(pair) -> None:
    stream, _ = pair
    await stream.close_gently(0.05)
    assert stream.closed


async def test_a_copy_refuses_its_source_when_the_sink_takes_no_more() -> None:
    (a, source_peer), (b, sink_peer) = socket.socketpair(), socket.socketpair()
    a.setblocking(False)
    b.setblocking(False)
    source, sink = Stream(a), Stream(b)
    sink_peer.close()
    source_peer.send(b"data")
    await copy(source, sink)
    with pytest.raises(BrokenPipeError):
        source_peer.send(b"more")
    source.close()
    sink.close()
    source_peer.close()


async def test_connecting_waits_for_room_in_the_queue_of_the_listener(folder) -> None:
    path = str(folder / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        first = await connect(path)
        second = asyncio.create_task(connect(path))
        await asyncio.sleep(0.05)
        assert not second.done()
        accepted = [listener.accept()[0]]
        (await second).close()
        first.close()
        for sock in accepted:
            sock.close()
