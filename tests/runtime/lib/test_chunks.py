# SPDX-License-Identifier: Apache-2.0
"""A file in pieces."""

from __future__ import annotations

import asyncio
import os
import pathlib

import pytest

from queenright.lib.chunks import CHUNK, read_chunks


async def gathered(path: pathlib.Path, size: int, chunk: int = CHUNK) -> list[bytes]:
    return [piece async for piece in read_chunks(path, size, chunk)]


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
async def test_the_pieces_are_the_file(tmp_path: pathlib.Path, size: int) -> None:
    path = tmp_path / "file"
    content = os.urandom(size)
    path.write_bytes(content)
    pieces = await gathered(path, size, 100)
    assert b"".join(pieces) == content
    assert all(len(piece) == 100 for piece in pieces[:-1])


async def test_a_piece_is_256_kib_unless_asked_otherwise(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(600 * 1024))
    assert [len(piece) for piece in await gathered(path, 600 * 1024)] == [262_144, 262_144, 90_112]


async def test_other_work_has_its_turn_between_two_pieces(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    turns: list[str] = []

    async def other() -> None:
        for _ in range(5):
            turns.append("other")
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async for _ in read_chunks(path, 1000, 100):
        turns.append("piece")
    await task
    assert turns[:6].count("other") >= 2


@pytest.mark.parametrize("size", [99, 101])
async def test_a_file_of_another_size_is_refused(tmp_path: pathlib.Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    with pytest.raises(OSError, match=f"has 100 bytes, not {size}"):
        await gathered(path, size)


async def test_a_link_is_not_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="symbolic"):
        await gathered(tmp_path / "link", 1)


async def test_a_reader_that_stops_early_leaves_no_open_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    before = len(os.listdir("/proc/self/fd"))
    chunks = read_chunks(path, 1000, 100)
    await anext(chunks)
    await chunks.aclose()
    assert len(os.listdir("/proc/self/fd")) == before
