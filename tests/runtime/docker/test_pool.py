# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from queenright.edge.docker.pool import ThreadPool


@pytest.fixture
def pool() -> Iterator[ThreadPool]:
    pool = ThreadPool(3)
    yield pool
    pool.close()
    for thread in pool._threads:
        thread.join(60)
        assert not thread.is_alive()


async def test_threads_are_made_when_they_are_needed_and_not_before(pool: ThreadPool) -> None:
    assert pool._threads == []
    for _ in range(5):
        assert (await pool.run(lambda: threading.current_thread().name)).startswith("docker-")
    assert len(pool._threads) == 1


async def test_there_are_never_more_threads_than_allowed(pool: ThreadPool) -> None:
    gate = threading.Event()
    calls = [asyncio.create_task(pool.run(gate.wait)) for _ in range(10)]
    await asyncio.sleep(0)
    assert len(pool._threads) == 3
    gate.set()
    assert await asyncio.gather(*calls) == [True] * 10


async def test_an_error_reaches_the_caller_and_the_thread_goes_on(pool: ThreadPool) -> None:
    def fail() -> None:
        raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        await pool.run(fail)
    assert await pool.run(lambda: 42) == 42


async def test_a_caller_that_gives_up_does_not_disturb_the_call_or_the_pool(pool: ThreadPool) -> None:
    gate, done = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait()
        done.set()

    call = asyncio.create_task(pool.run(work))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    gate.set()
    assert await pool.run(lambda: done.wait(60))
    assert pool._busy == 0


async def test_a_closed_pool_takes_no_calls() -> None:
    pool = ThreadPool(1)
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        await pool.run(lambda: None)
