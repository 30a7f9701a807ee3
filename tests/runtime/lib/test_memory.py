# SPDX-License-Identifier: Apache-2.0
"""The collector rests while much is built, and looks at nothing that was settled."""

from __future__ import annotations

import gc
import threading

import pytest

from queenright.lib import memory


class Node:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_settled_is_not_looked_at_again_and_young_garbage_is_gone() -> None:
    kept = [[number] for number in range(1000)]
    memory.settle()
    assert not any(each is kept for each in gc.get_objects())
    assert len(kept) == 1000


def test_the_collector_rests_while_something_is_built_and_goes_on_afterwards() -> None:
    assert gc.isenabled()
    with memory.building():
        assert not gc.isenabled()
        with memory.building():
            assert not gc.isenabled()
        assert not gc.isenabled(), "the outer one still builds"
        built = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert not any(each is built for each in gc.get_objects())


def test_the_collector_goes_on_after_an_error() -> None:
    with pytest.raises(ValueError, match="no"), memory.building():
        raise ValueError("no")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with memory.building():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_several_threads_may_build_at_once() -> None:
    inside, go = threading.Barrier(3), threading.Event()

    def build() -> None:
        with memory.building():
            inside.wait(60)
            go.wait(60)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait(60)
    assert not gc.isenabled()
    go.set()
    for thread in threads:
        thread.join(60)
    assert gc.isenabled()


def test_a_daemons_collector_looks_at_the_young_less_often_than_pythons() -> None:
    before = gc.get_threshold()
    try:
        memory.tune()
        assert gc.get_threshold()[0] == memory.YOUNG > before[0]
    finally:
        gc.set_threshold(*before)
