# SPDX-License-Identifier: Apache-2.0
"""Logs of an engine that speaks HTTP over a unix socket."""

from __future__ import annotations

import asyncio
import pathlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from runtime.agent.kit import until
from runtime.docker.test_log_frames import AT, STAMP, frame

from queenright.agent.log_ports import LogGoneError
from queenright.agent.ports import EngineLostError, TaskError, TemporaryError
from queenright.edge.docker import logs
from queenright.edge.docker.logs import DockerLogs
from queenright.model.logs import LogLine, LogOptions

LINE = frame(1, STAMP + b"  hello\n")
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Engine:
    """Answers each connection with the same bytes, or as ``answer`` does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.requests: list[bytes] = []
        self.reply = CHUNKED + chunk(LINE) + END
        self.answer: Answer | None = None
        self.open = 0
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if self.answer is not None:
                await self.answer(reader, writer)
            else:
                writer.write(self.reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    folder = tempfile.mkdtemp(prefix="qr")
    made = Engine(str(pathlib.Path(folder) / "s"))
    await made.start()
    yield made
    assert made.server is not None
    made.server.close()
    shutil.rmtree(folder)


async def lines_of(engine: Engine, *, tty: bool = False, **options: object) -> list[LogLine]:
    read = DockerLogs(engine.path).read("abc", tty, LogOptions(**options))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        return [line async for some in read for line in some]


async def test_the_lines_of_a_container_are_read(engine: Engine) -> None:
    assert await lines_of(engine) == [LogLine(AT, 1, "", b"hello\n")]
    method, target, _ = engine.requests[0].split(b"\r\n")[0].decode().split(" ")
    parts = urlsplit(target)
    assert (method, parts.path) == ("GET", "/containers/abc/logs")
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    assert asked == {"stdout": "1", "stderr": "1", "follow": "0", "timestamps": "1", "details": "1", "tail": "all"}


async def test_what_is_wanted_is_said(engine: Engine) -> None:
    await lines_of(engine, follow=True, stdout=False, since=1_500_000_007, until=2 * 10**9, tail=0)
    asked = parse_qs(urlsplit(engine.requests[0].split(b" ")[1].decode()).query)
    assert (asked["follow"], asked["stdout"], asked["tail"]) == (["1"], ["0"], ["0"])
    assert (asked["since"], asked["until"]) == (["1.500000007"], ["2.000000000"])


async def test_chunks_need_not_be_lines(engine: Engine) -> None:
    data = LINE * 3
    engine.reply = CHUNKED + b"".join(chunk(data[start : start + 5]) for start in range(0, len(data), 5)) + END
    assert len(await lines_of(engine)) == 3


@pytest.mark.parametrize("head", [OK + b"\r\n", OK + b"Content-Length: %d\r\n\r\n" % len(LINE)])
async def test_an_answer_without_chunks_is_read_too(engine: Engine, head: bytes) -> None:
    engine.reply = head + LINE
    assert len(await lines_of(engine)) == 1


async def test_a_terminal_s_log_has_no_frames(engine: Engine) -> None:
    engine.reply = CHUNKED + chunk(STAMP + b"  one\r\n" + STAMP + b"  two") + END
    assert [line.text for line in await lines_of(engine, tty=True)] == [b"one\r\n", b"two"]


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (404, LogGoneError, "No such container: abc"),
        (409, LogGoneError, "can not get logs from container which is dead or marked for removal"),
        (501, TaskError, "configured logging driver does not support reading"),
        (500, TaskError, "configured logging driver does not support reading"),
        (503, TemporaryError, "busy"),
    ],
)
async def test_a_refusal_is_told_in_the_engine_s_words(
    engine: Engine, status: int, kind: type[Exception], text: str
) -> None:
    body = b'{"message":"%b"}\n' % text.encode()
    engine.reply = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body
    with pytest.raises(kind, match=text):
        await lines_of(engine)


@pytest.mark.parametrize(
    "reply",
    [
        CHUNKED + chunk(LINE),
        CHUNKED + b"40\r\nabc",
        OK + b"Content-Length: 900\r\n\r\n" + LINE,
        b"",
        b"nonsense\r\n\r\n",
        CHUNKED + b"xyz\r\n",
    ],
)
async def test_an_answer_that_breaks_off_is_not_taken_for_the_end(engine: Engine, reply: bytes) -> None:
    engine.reply = reply
    with pytest.raises(EngineLostError, match="does not give a log"):
        await lines_of(engine)


async def test_an_engine_that_is_not_there_is_lost() -> None:
    with pytest.raises(EngineLostError, match="does not give a log"):
        await anext(DockerLogs("/nonexistent/engine.sock").read("abc", False, LogOptions()))


async def test_an_engine_that_says_nothing_is_not_waited_for_for_ever(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        await reader.read()

    monkeypatch.setattr(logs, "IDLE_SECONDS", 0.05)
    engine.answer = silent
    with pytest.raises(TemporaryError, match="does not answer"):
        await lines_of(engine)


async def test_who_stops_reading_closes_the_connection(engine: Engine) -> None:
    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + chunk(LINE))
        await reader.read()

    engine.answer = follow
    read = DockerLogs(engine.path).read("abc", False, LogOptions(follow=True))
    async with asyncio.timeout(60):
        assert len(await anext(read)) == 1
        assert engine.open == 1
        await read.aclose()
        await until(lambda: engine.open == 0)


async def test_an_engine_that_has_much_waits_until_it_is_taken(engine: Engine) -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        while True:
            writer.write(chunk(frame(1, STAMP + b"  " + b"x" * 8000 + b"\n")))
            await writer.drain()
            sent += 8000

    engine.answer = flood
    read = DockerLogs(engine.path).read("abc", False, LogOptions(follow=True))
    async with asyncio.timeout(60):
        await anext(read)
        before, deadline = -1, time.monotonic() + 30
        while before != sent:
            assert time.monotonic() < deadline
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 2_000_000
        await anext(read)
    await read.aclose()
