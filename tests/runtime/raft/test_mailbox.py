# SPDX-License-Identifier: Apache-2.0
"""What threads tell the event loop: in order, with few wakings, and nothing is lost by one report that fails."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from queenright.edge.raft.mailbox import Mailbox


def opened() -> tuple[Mailbox, list[str]]:
    """A mailbox of this loop, and what the loop was told by way of its handler of exceptions."""
    failures: list[str] = []
    loop = asyncio.get_running_loop()

    def note(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        failures.append(str(context["exception"]))

    loop.set_exception_handler(note)
    mailbox = Mailbox()
    mailbox.open(loop)
    return mailbox, failures


async def test_reports_of_a_thread_come_in_order_and_on_the_loop() -> None:
    mailbox, _ = opened()
    told: list[tuple[int, str]] = []
    done = asyncio.Event()

    def hear(number: int) -> None:
        told.append((number, threading.current_thread().name))
        if number == 999:
            done.set()

    thread = threading.Thread(target=lambda: [mailbox.post(hear, number) for number in range(1000)])
    thread.start()
    async with asyncio.timeout(60):
        await done.wait()
    thread.join()
    assert told == [(number, threading.current_thread().name) for number in range(1000)]


async def test_a_report_that_fails_is_said_and_takes_no_other_with_it() -> None:
    mailbox, failures = opened()
    told: list[int] = []

    def fail() -> None:
        raise ValueError("bad report")

    mailbox.post(told.append, 1)
    mailbox.post(fail)
    mailbox.post(told.append, 2)
    await asyncio.sleep(0)
    assert (told, failures) == ([1, 2], ["bad report"])


async def test_what_a_report_posts_comes_after_others_had_their_turn() -> None:
    mailbox, _ = opened()
    told: list[str] = []
    mailbox.post(lambda: mailbox.post(told.append, "posted by it"))
    asyncio.get_running_loop().call_soon(told.append, "another's turn")
    for _ in range(3):
        await asyncio.sleep(0)
    assert told == ["another's turn", "posted by it"]


def test_a_loop_that_is_closed_is_told_nothing_and_nothing_is_raised() -> None:
    mailbox = Mailbox()
    loop = asyncio.new_event_loop()
    mailbox.open(loop)
    loop.close()
    told: list[int] = []
    mailbox.post(told.append, 1)
    mailbox.post(told.append, 2)
    assert told == []
