# SPDX-License-Identifier: Apache-2.0
"""The resolvers to ask for names that are not ours: those of the host, as its resolv.conf names them now."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence

MOST = 3  # as the C library has it
LOOK_AGAIN = 1.0  # seconds
SHUNNED = 10.0  # seconds for which one that gave no answer is asked last
LOCAL = ("127.0.0.1",)


class Upstreams:
    """``now`` is a clock that never jumps (seconds)."""

    def __init__(self, now: Callable[[], float], file: pathlib.Path = pathlib.Path("/etc/resolv.conf")) -> None:
        self._now = now
        self._file = file
        self._looked = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._host: tuple[str, ...] = LOCAL
        self._silent: dict[str, float] = {}

    def order(self, own: Sequence[str] = ()) -> list[str]:
        """Addresses in the order in which to ask them; ``own``: what is to be asked instead of the host's."""
        now = self._now()
        self._silent = {server: until for server, until in self._silent.items() if until > now}
        return sorted(tuple(own)[:MOST] or self._hosts(now), key=lambda server: server in self._silent)

    def failed(self, server: str) -> None:
        """It gave no answer."""
        self._silent[server] = self._now() + SHUNNED

    def answered(self, server: str) -> None:
        self._silent.pop(server, None)

    def _hosts(self, now: float) -> tuple[str, ...]:
        if now - self._looked >= LOOK_AGAIN:
            self._looked = now
            self._read()
        return self._host

    def _read(self) -> None:
        """A file that cannot be read for the moment changes nothing."""
        try:
            found = self._file.stat()
            stamp = found.st_ino, found.st_mtime_ns, found.st_size
            if stamp != self._stamp:
                self._host = nameservers(self._file.read_text(errors="replace")) or LOCAL
                self._stamp = stamp
        except OSError:
            self._stamp = None


def nameservers(text: str) -> tuple[str, ...]:
    """The first resolvers that a resolv.conf names."""
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")[:MOST]
