# SPDX-License-Identifier: Apache-2.0
"""Background tasks: none is lost, none fails in silence, all end together."""

from __future__ import annotations

import asyncio
import logging

import pytest

from queenright.lib.tasks import Background


async def fails() -> None:
    raise ValueError("broken")


async def test_an_error_reaches_the_owner_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, BaseException]] = []
    background = Background(lambda name, error: told.append((name, error)))
    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="broken"):
        await background.start(fails(), "digger")
    await background.stop()
    assert [(name, str(error)) for name, error in told] == [("digger", "broken")]
    assert "background task digger ended: broken" in caplog.text


async def test_without_an_owner_it_is_logged_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    task = background.start(fails(), "digger")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "background task digger ended: broken" in caplog.text


async def test_stopping_cancels_and_waits_and_is_no_error() -> None:
    told: list[str] = []
    ended = []

    async def works() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(True)

    background = Background(lambda name, error: told.append(name))
    for _ in range(3):
        background.start(works(), "worker")
    await asyncio.sleep(0)
    await background.stop()
    assert (ended, told) == ([True] * 3, [])
    await background.stop()


async def test_a_task_may_stop_the_others_and_goes_on_itself() -> None:
    background = Background()
    other = background.start(asyncio.sleep(1000), "other")

    async def ends_all() -> str:
        await background.stop()
        return "still here"

    assert await background.start(ends_all(), "ender") == "still here"
    assert other.cancelled()


async def test_a_failure_while_stopping_does_not_keep_the_others_from_it() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("in the end") from None

    told: list[str] = []
    background = Background(lambda name, error: told.append(str(error)))
    first = background.start(stubborn(), "a")
    second = background.start(asyncio.sleep(1000), "b")
    await asyncio.sleep(0)
    await background.stop()
    assert first.done() and second.cancelled()
    assert told == ["in the end"]
