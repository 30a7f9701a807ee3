#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Knocks at addresses of a published port, at a rate, each time by a new connection, until its standard input ends.

``knock.py RATE HOST:PORT...`` goes through the addresses in turn and prints one JSON object at its end: ``asked``,
``answers`` (how often which body came) and ``failed`` (a list of moment in seconds since the epoch, address, reason).
A server that is busy is waited for; one that refuses, resets or is silent for ``PATIENCE`` seconds has failed.
"""

from __future__ import annotations

import collections
import json
import select
import socket
import sys
import threading
import time

PATIENCE = 10.0
THREADS = 64


class Knocker:
    """What came of all the knocking. ``step``: seconds between two of them."""

    def __init__(self, addresses: list[tuple[str, int]], step: float) -> None:
        self.addresses = addresses
        self.step = step
        self.answers: collections.Counter[str] = collections.Counter()
        self.failed: list[tuple[float, str, str]] = []
        self.asked = 0
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def work(self) -> None:
        """One of the threads: take the next turn, await its moment, knock."""
        while not self.over.is_set():
            with self._lock:
                turn = self.asked
                self.asked += 1
            wait = self._began + turn * self.step - time.monotonic()
            if wait > 0 and self.over.wait(wait):
                with self._lock:
                    self.asked -= 1
                return
            address = self.addresses[turn % len(self.addresses)]
            began = time.time()
            try:
                body = ask(address)
            except (OSError, ValueError) as error:
                with self._lock:
                    self.failed.append((began, ":".join(map(str, address)), f"{type(error).__name__}: {error}"))
            else:
                with self._lock:
                    self.answers[body] += 1


def ask(address: tuple[str, int]) -> str:
    """The body of ``/``. Raises OSError, or ValueError for an answer that is none."""
    with socket.create_connection(address, PATIENCE) as connection:
        connection.settimeout(PATIENCE)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        parts = []
        while part := connection.recv(4096):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if b" 200 " not in head.partition(b"\r\n")[0]:
        raise ValueError(f"answered {head[:80]!r}")
    return body.decode().strip()


def main(rate: str, *texts: str) -> None:
    """Knock until standard input ends."""
    addresses = [(host, int(port)) for host, _, port in (text.rpartition(":") for text in texts)]
    knocker = Knocker(addresses, 1 / float(rate))
    threads = [threading.Thread(target=knocker.work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    print("knocking", flush=True)
    select.select([sys.stdin], [], [])
    knocker.over.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"asked": knocker.asked, "answers": knocker.answers, "failed": knocker.failed}))


if __name__ == "__main__":
    main(*sys.argv[1:])
