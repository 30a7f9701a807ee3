# SPDX-License-Identifier: Apache-2.0
"""Waking the raft thread."""

from __future__ import annotations

import threading
import time

from queenright.edge.raft.waker import Waker


def test_a_wake_before_the_wait_ends_it_at_once():
    waker = Waker()
    waker.wake()
    waker.wake()
    begin = time.monotonic()
    waker.wait(600)
    assert time.monotonic() - begin < 300
    waker.wait(0)
    waker.close()


def test_a_wait_without_a_wake_ends_by_itself():
    waker = Waker()
    waker.wait(0.01)
    waker.close()


def test_no_work_is_left_lying_when_it_is_put_down_before_the_wake():
    waker = Waker()
    work, done = [], []

    def worker():
        while len(done) < 20_000:
            while work:
                done.append(work.pop())
            if len(done) < 20_000:
                waker.wait(600)

    thread = threading.Thread(target=worker, daemon=True)
    thread.start()
    for number in range(20_000):
        work.append(number)
        waker.wake()
    thread.join(120)
    assert not thread.is_alive()
    assert sorted(done) == list(range(20_000))
    waker.close()


def test_a_closed_waker_takes_wakes_and_closes_without_harm():
    waker = Waker()
    waker.close()
    waker.wake()
    waker.close()
