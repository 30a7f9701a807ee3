# SPDX-License-Identifier: Apache-2.0
"""The listening socket: bound by us with the right owner and mode, or inherited from systemd."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from dataclasses import dataclass

MODE = 0o660
BACKLOG = 512


class ListenError(Exception):
    """The host socket cannot be listened on; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket, and which file it made (device and inode), if it was us who made one."""

    sock: socket.socket
    path: str = ""
    made: tuple[int, int] | None = None

    def close(self) -> None:
        """Stop listening, and remove the file unless another process has put its own in its place."""
        with contextlib.suppress(FileNotFoundError):
            if self.made is not None and _identity(self.path) == self.made:
                os.unlink(self.path)
        self.sock.close()


def bind(path: str, *, gid: int | None = None, mode: int = MODE) -> Listening:
    """Listen on a new unix socket file with ``mode`` and group ``gid`` (None: the group of this process).

    A file left by a process that is gone is replaced. Raises `ListenError` if another process answers there, if
    something else than a socket is in the way, or if the file cannot be made.
    """
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), mode)  # on Linux the file is made with this mode: it is never open to others
        sock.bind(path)
        if gid is not None:
            os.chown(path, -1, gid)
        os.chmod(path, mode)
        sock.listen(BACKLOG)
        return Listening(sock, path, _identity(path))
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on unix://{path}: {error}") from None


def adopt(sock: socket.socket) -> Listening:
    """Check a socket inherited from systemd: it must be a listening unix stream socket. Raises `ListenError`."""
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
        raise ListenError("the inherited one is no unix stream socket: set ListenStream= to a path in the .socket unit")
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ListenError("the inherited socket does not listen: set Accept=no in the .socket unit")
    return Listening(sock)


def _identity(path: str) -> tuple[int, int]:
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _clear(path: str) -> None:
    """Remove a dead socket file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"cannot listen on unix://{path}: {error}") from None
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on unix://{path}: a file that is no socket is there; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except BlockingIOError:
            pass  # its queue is full, so somebody listens
        except OSError as error:
            raise ListenError(f"cannot listen on unix://{path}: {error}") from None
    raise ListenError(f"cannot listen on unix://{path}: another process answers there; stop it or set another path")
