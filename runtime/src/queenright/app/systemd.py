# SPDX-License-Identifier: Apache-2.0
"""What systemd asks of a service: readiness, watchdog, sockets handed over.

Does nothing where systemd did not start us.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


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
            try:
                channel.connect(address)
                channel.sendall(state.encode())
            except OSError:
                return


def inherited_socket(environment: Mapping[str, str]) -> socket.socket | None:
    """The listening socket that socket activation handed over (the first), if any."""
    if environment.get("LISTEN_PID") != str(os.getpid()) or not environment.get("LISTEN_FDS", "0").isdigit():
        return None
    if int(environment["LISTEN_FDS"]) < 1:
        return None
    handed = socket.socket(fileno=3)
    handed.setblocking(False)
    os.set_inheritable(handed.fileno(), False)
    return handed
