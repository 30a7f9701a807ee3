# SPDX-License-Identifier: Apache-2.0
"""Which process is at the other end of the host socket, as the kernel says; it cannot be forged."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from queenright.manager.audit import Actor

_CREDENTIALS = struct.Struct("iII")  # struct ucred of Linux: pid, uid, gid
_UNKNOWN = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Caller:
    """A process when it connected. All of -1: the socket is none of a kind that knows."""

    pid: int = -1
    uid: int = -1
    gid: int = -1

    @property
    def is_root(self) -> bool:
        return self.uid == 0

    @property
    def actor(self) -> Actor:
        """For the audit."""
        return Actor("socket", uid=self.uid, gid=self.gid, pid=self.pid)

    def __str__(self) -> str:
        return f"uid={self.uid} gid={self.gid} pid={self.pid}"


NOBODY = Caller()


def caller_of(sock: socket.socket) -> Caller:
    """The process that connected a unix socket; `NOBODY` where the kernel does not say."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(data)
    except (OSError, struct.error):
        return NOBODY
    return NOBODY if _UNKNOWN in (uid, gid) else Caller(pid, uid, gid)
