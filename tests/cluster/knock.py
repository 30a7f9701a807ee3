#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of published ports that count what they lose, until their standard input ends.

``knock.py --rate 200 --at HOST:PORT...`` goes through the addresses in turn, at most at that many requests a second,
each by a connection of its own. ``--kept 500 --kept-at HOST:PORT...`` holds so many connections besides and says a line
on each of them once a second (the image ``web:kept`` of ``lablib/images.py`` answers). One JSON object is printed at
the end:

``asked``, ``answers``   requests, and how often which body came
``failed``               requests without an answer: moment of the start (seconds since the epoch), address, reason
``opened``, ``said``     kept connections that were opened in all, and lines answered
``ended``                kept connections that the server ended in order, after an answer that said that it was the last
``cut``                  kept connections that ended otherwise or were not opened: moment, address, reason

A server that is busy is waited for; one that refuses, resets or is silent for ``PATIENCE`` seconds has failed.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import itertools
import json
import sys
import time
from collections.abc import Awaitable
from typing import TypeVar

PATIENCE = 10.0
PERIOD = 1.0
LINES = 10
"""Every other client of a kept connection makes another one after so many lines, so that new tasks get some too."""
APART = 0.01
"""Seconds between the openings of two kept connections at the start."""
Loss = tuple[float, str, str]
T = TypeVar("T")


class Clients:
    """What came of all the requests and of all the kept connections."""

    def __init__(self) -> None:
        self.answers: collections.Counter[str] = collections.Counter()
        self.failed: list[Loss] = []
        self.cut: list[Loss] = []
        self.asked = self.opened = self.said = self.ended = 0
        self.over = asyncio.Event()

    async def knock(self, addresses: list[str], rate: float) -> None:
        """Begin a request at each moment, however slow the answers are; returns when all have come."""
        moment = time.monotonic()
        waiting: set[asyncio.Task[None]] = set()
        for turn in itertools.count():
            # Never a crowd at once, also when this process had to wait for the machine: small servers turn one away.
            moment = max(moment + 1 / rate, time.monotonic())
            await self.rest(moment - time.monotonic())
            if self.over.is_set():
                break
            task = asyncio.create_task(self.request(addresses[turn % len(addresses)]))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)

    async def request(self, address: str) -> None:
        """One request."""
        self.asked += 1
        began = time.time()
        try:
            self.answers[await ask(address)] += 1
        except (OSError, ValueError) as error:
            self.failed.append((began, address, f"{type(error).__name__}: {error}"))

    async def hold(self, address: str, turn: int, first: asyncio.Event) -> None:
        """One kept connection after the other; ``first`` is set when one was open."""
        await self.rest(turn * APART)
        while not self.over.is_set():
            try:
                await self.talk(address, LINES if turn % 2 else sys.maxsize, first)
            except (OSError, ValueError) as error:
                self.cut.append((time.time(), address, f"{type(error).__name__}: {error}"))
                first.set()
                await self.rest(PERIOD)

    async def talk(self, address: str, lines: int, first: asyncio.Event) -> None:
        """One kept connection: so many lines, or until the server says that it was the last, or until the end."""
        reader, writer = await connect(address)
        self.opened += 1
        try:
            for _ in range(lines):
                if self.over.is_set():
                    return
                writer.write(b"hello\n")
                answer = await soon(reader.readline(), "answered")
                if not answer.endswith(b"hello\n"):
                    raise ValueError(f"answered {answer!r}")
                self.said += 1
                first.set()
                if answer.startswith(b"last"):
                    self.ended += 1
                    return
                await self.rest(PERIOD)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def rest(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.over.wait(), max(seconds, 0))


async def soon(what: Awaitable[T], doing: str) -> T:
    """Its result, or an OSError after PATIENCE seconds."""
    try:
        return await asyncio.wait_for(what, PATIENCE)
    except TimeoutError:
        raise TimeoutError(f"not {doing} within {PATIENCE} s") from None


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to ``HOST:PORT``."""
    host, _, port = address.rpartition(":")
    return await soon(asyncio.open_connection(host, int(port)), "connected")


async def ask(address: str) -> str:
    """The body of ``/``. Raises OSError, or ValueError for an answer that is none."""
    reader, writer = await connect(address)
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        head, _, body = (await soon(reader.read(), "answered")).partition(b"\r\n\r\n")
    except TimeoutError as error:
        raise TimeoutError(f"{error}, connected from port {writer.get_extra_info('sockname')[1]}") from None
    finally:
        writer.close()
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ValueError(f"answered {head[:80]!r}")
    return body.decode().strip()


async def serve(options: argparse.Namespace) -> Clients:
    """All clients at work, until standard input ends."""
    clients = Clients()
    at = itertools.cycle(options.kept_at)
    firsts = [asyncio.Event() for _ in range(options.kept)]
    work = [asyncio.create_task(clients.hold(next(at), turn, first)) for turn, first in enumerate(firsts)]
    for first in firsts:
        await first.wait()
    if options.at:
        work.append(asyncio.create_task(clients.knock(options.at, options.rate)))
    print("knocking", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    clients.over.set()
    await asyncio.gather(*work)
    return clients


def main() -> None:
    """Read the options, and print the counts at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--at", nargs="*", default=[])
    parser.add_argument("--kept", type=int, default=0)
    parser.add_argument("--kept-at", nargs="*", default=[])
    found = vars(asyncio.run(serve(parser.parse_args())))
    del found["over"]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
