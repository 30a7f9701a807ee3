# SPDX-License-Identifier: Apache-2.0
"""A file in pieces, for sending it without holding the loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

CHUNK = 256 * 1024
"""Bytes of one piece."""


async def read_chunks(path: Path, size: int, chunk: int = CHUNK) -> AsyncGenerator[bytes, None]:
    """The content of the file ``path``, which must be ``size`` bytes long, in pieces of ``chunk`` bytes.

    The file is opened once: another one renamed over it does not disturb. The reads are small, and the system reads
    ahead of them; other work on the loop has its turn between two. Raises OSError.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        found = os.fstat(fd).st_size
        if found != size:
            raise OSError(f"{path} has {found} bytes, not {size}: it was replaced in the meantime")
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        sent = 0
        while sent < size:
            piece = os.pread(fd, min(chunk, size - sent), sent)
            if not piece:
                raise OSError(f"{path} ends after {sent} of {size} bytes: it was changed while it was read")
            sent += len(piece)
            os.posix_fadvise(fd, sent, 8 * chunk, os.POSIX_FADV_WILLNEED)
            yield piece
            await asyncio.sleep(0)
    finally:
        os.close(fd)
