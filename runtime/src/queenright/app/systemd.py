# SPDX-License-Identifier: Apache-2.0
"""What systemd asks of a service: readiness, watchdog, sockets handed over.

Does nothing where systemd did not start us.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

FIRST = 3  # the first descriptor that is handed over


RUNS = Path("/run/systemd/system")  # there where systemd is the machine's init
ASK_SECONDS = 1.0


async def machine_stops() -> bool:
    """Whether the whole machine is about to stop or to boot anew, and not only this service."""
    if not _is_init():
        return False
    try:
        asked = await asyncio.create_subprocess_exec(
            "systemctl",
            "is-system-running",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(ASK_SECONDS):
            said, _ = await asked.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            asked.kill()
        await asked.wait()
        return False
    return said.strip() == b"stopping"


def _is_init() -> bool:
    return RUNS.is_dir()


class Notifier:
    """Speaks the notify protocol. ``environment`` is the process's."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        usec = environment.get("WATCHDOG_USEC", "")
        pid = environment.get("WATCHDOG_PID", "")
        mine = not pid or pid == str(os.getpid())
        self.watchdog_interval = int(usec) / 2e6 if usec.isdigit() and mine else None

    def tell(self, state: str) -> None:
        """``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``, ``STATUS=...``; an unreachable supervisor is not our fault."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.setblocking(False)  # a supervisor that hangs shall not hang us
            try:
                channel.connect(address)
                channel.sendall(state.encode())
            except OSError:
                return


def inherited_socket(environment: Mapping[str, str]) -> socket.socket | None:
    """The listening socket that socket activation handed over (the first), if any.

    Raises OSError where something else than a socket was handed over.
    """
    count = environment.get("LISTEN_FDS", "0")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or int(count) < 1:
        return None
    handed = socket.socket(fileno=FIRST)
    handed.setblocking(False)
    os.set_inheritable(handed.fileno(), False)
    return handed
