# SPDX-License-Identifier: Apache-2.0
"""nftables, programmed in text: by libnftables in this process, or by the ``nft`` command where there is none.

A context works in the network namespace of the thread that made it. A text is one transaction: all of it or nothing.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import subprocess
from typing import Any, Protocol

from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.netlink import NetlinkSocket, attribute

LIBRARY = "libnftables.so.1"
COMMAND = "nft"
COMMAND_TIMEOUT = 60.0  # seconds; the largest tables take one or two


_GET_TABLE = (10 << 8) | 1
_HEAD = struct.Struct("=BBH")  # family, version, resource
_INET, _TABLE_NAME = 1, 1


class Nft(Protocol):
    """A way into the nftables of one namespace."""

    def run(self, text: str) -> str:
        """Do what the text says, all of it or nothing, and answer what was printed. Raises KernelError."""
        ...

    def close(self) -> None: ...


def open_nft() -> Nft:
    """A context for the namespace of the calling thread. Raises KernelError if the host has no nftables at all."""
    library = _library()
    return Library(library) if library is not None else Command()


def has_table(sock: NetlinkSocket, name: str) -> bool:
    """Whether the namespace of a netfilter socket has a table of the family inet with that name."""
    try:
        sock.ask(_GET_TABLE, _HEAD.pack(_INET, 0, 0) + attribute(_TABLE_NAME, name.encode() + b"\0"))
    except OSError:  # there is none, or no nftables at all
        return False
    return True


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = [ctypes.c_uint32]
        library.nft_ctx_free.argtypes = [ctypes.c_void_p]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(library, name).restype = ctypes.c_char_p
            getattr(library, name).argtypes = [ctypes.c_void_p]
    except (OSError, AttributeError):  # not installed, or of another make
        return None
    return library


class Library:
    """libnftables. The interpreter's lock is let go while it works."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self._context = library.nft_ctx_new(0)
        if not self._context:
            raise KernelError("nftables cannot be opened: the agent needs root in the host's network namespace")
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, text: str) -> str:
        failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        error = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            # Of several lines it always shows the first, wherever the fault is.
            raise KernelError(_refusal(error.decode(errors="replace"), shown="\n" not in text.strip()))
        return str(output.decode(errors="replace"))

    def close(self) -> None:
        context, self._context = self._context, None
        if context:
            self._library.nft_ctx_free(context)


class Command:
    """The ``nft`` command, started for each text. It runs in the namespace of the thread that calls :meth:`run`."""

    def run(self, text: str) -> str:
        try:
            done = subprocess.run(
                [COMMAND, "-f", "-"], input=text, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
            )
        except FileNotFoundError:
            raise KernelError(f"neither {LIBRARY} nor the command nft is there: install the package nftables")
        except subprocess.TimeoutExpired:
            raise KernelError(f"the command nft did not end within {COMMAND_TIMEOUT:.0f} s")
        if done.returncode:
            raise KernelError(_refusal(done.stderr, shown=True))
        return done.stdout

    def close(self) -> None:
        """Nothing is held open."""


def _refusal(error: str, *, shown: bool) -> str:
    """The first line of what nft says, and the line of the text that it points at, if that is the right one."""
    lines = [line.strip() for line in error.splitlines() if line.strip() and not set(line) <= set(" ^~")]
    if not lines:
        return "nftables refused without a reason"
    place = f" at: {lines[1][:120]}" if shown and len(lines) > 1 else ""
    return f"nftables refused: {lines[0]}{place}"
