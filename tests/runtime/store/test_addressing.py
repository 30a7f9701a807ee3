# SPDX-License-Identifier: Apache-2.0
"""Which addresses are in use is kept exactly, whatever tasks, services and nodes do."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from laws import invariants
from laws.builders import network, node, service, task

from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.objects import Attachment, Object
from queenright.model.states import TaskState
from queenright.store.addressing import number
from queenright.store.scratch import Scratch
from queenright.store.store import Store

WEB = service("web", 2, networks=["net"])


def at(*addresses: str) -> tuple[Attachment, ...]:
    return (Attachment(network_id="net", addresses=addresses),)


def store_with(*rows: Object) -> Store:
    store = Store()
    first = (network("net"), node("h1"), node("h2"), WEB, *rows)
    assert store.apply(1, Batch(1, tuple(Create(row) for row in first))) is None
    return store


def write(store: Store, kind: str, key: str, **fields: object) -> None:
    held = store.get(kind, key)
    assert held is not None
    assert store.apply(store.index + 1, Batch(1, (Update(dataclasses.replace(held, **fields)),))) is None  # type: ignore[arg-type]


def move(store: Store, key: str, state: TaskState, **fields: object) -> None:
    write(store, "task", key, status=dataclasses.replace(store.task(key).status, state=state), **fields)


def test_a_task_holds_its_address_until_it_has_ended() -> None:
    store = store_with(task(WEB, "t", attachments=at("10.9.0.5/24")))
    usage = store.addresses("net")
    assert usage.held == {number("10.9.0.5"): 1}
    assert (usage.unplaced, usage.nodes, usage.counts) == (1, {}, {4: 1, 6: 0})
    move(store, "t", TaskState.RUNNING, node_id="h1")
    assert (usage.unplaced, usage.nodes, usage.missing) == (0, {"h1": 1}, {"h1": None})
    move(store, "t", TaskState.RUNNING, desired_state=TaskState.SHUTDOWN)
    assert usage.held and usage.in_use
    move(store, "t", TaskState.SHUTDOWN)
    assert (usage.held, usage.nodes, usage.missing, usage.counts) == ({}, {}, {}, {4: 0, 6: 0})
    assert not usage.in_use


def test_a_node_with_an_address_and_no_task_is_idle() -> None:
    store = store_with(task(WEB, "t", node_id="h1", state=TaskState.RUNNING, attachments=at("10.9.0.5/24")))
    usage = store.addresses("net")
    assert list(store.uneven_networks()) == ["net"]
    write(store, "node", "h1", attachments=at("10.9.0.6/24"))
    assert (list(usage.seats), list(store.uneven_networks())) == (["h1"], [])
    store.apply(9, Batch(1, (Delete("task", "t"),)))
    assert list(usage.idle) == ["h1"] == list(usage.seats)
    write(store, "node", "h1", attachments=())
    assert not usage.idle and not usage.held and not list(store.uneven_networks())


def test_a_removed_node_gives_its_address_back() -> None:
    store = store_with()
    write(store, "node", "h1", attachments=at("10.9.0.6/24"))
    assert store.apply(store.index + 1, Batch(1, (Delete("node", "h1"),))) is None
    usage = store.addresses("net")
    assert not usage.held and not usage.seats and not usage.idle


def test_virtual_addresses_are_held_while_the_service_has_them() -> None:
    store = store_with()
    write(store, "service", "web", vips=at("10.9.0.3/24", "fd00::3/64"))
    usage = store.addresses("net")
    assert usage.counts == {4: 1, 6: 1} and list(usage.services) == ["web"] and usage.in_use
    write(store, "service", "web", vips=at("10.9.0.4/24", "fd00::3/64"))
    assert set(usage.held) == {number("10.9.0.4"), number("fd00::3")}
    store.apply(store.index + 1, Batch(1, (Delete("service", "web"),)))
    assert not usage.held and not usage.services and not usage.in_use


def test_the_address_that_was_given_last_is_remembered_after_it_was_freed() -> None:
    store = store_with(task(WEB, "a", attachments=at("10.9.0.5/24")))
    store.apply(2, Batch(2, (Create(task(WEB, "b", 2, attachments=at("10.9.0.6/24"))),)))
    move(store, "b", TaskState.FAILED)
    usage = store.addresses("net")
    assert usage.last[4][1] == number("10.9.0.6")
    assert usage.held == {number("10.9.0.5"): 1}


def test_a_clock_that_went_back_does_not_keep_the_memory_from_moving_on() -> None:
    store = store_with()
    store.apply(2, Batch(100, (Create(task(WEB, "a", attachments=at("10.9.0.9/24"))),)))
    store.apply(3, Batch(50, (Create(task(WEB, "b", 2, attachments=at("10.9.0.10/24"))),)))
    assert store.addresses("net").last[4][1] == number("10.9.0.10")


def test_a_snapshot_brings_back_what_is_held_and_what_was_given_last() -> None:
    store = store_with()
    for at_time, (key, address) in enumerate((("a", "10.9.0.8/24"), ("b", "10.9.0.3/24")), 10):
        made = task(WEB, key, attachments=at(address))
        assert store.apply(store.index + 1, Batch(at_time, (Create(made),))) is None
    move(store, "b", TaskState.FAILED)
    fresh = Store()
    fresh.restore(store.index, reversed(list(store.freeze()())))
    usage = fresh.addresses("net")
    assert usage.held == {number("10.9.0.8"): 1} and usage.unplaced == 1
    assert usage.last[4][1] == number("10.9.0.3"), "the youngest was given last, though it has ended"


def test_a_removed_network_is_forgotten() -> None:
    store = store_with()
    move_on = Batch(1, (Delete("service", "web"), Delete("network", "net")))
    assert store.apply(store.index + 1, move_on) is None
    assert store.addresses("net") == store.addresses("never")


def test_networks_that_tell_of_an_error_are_known() -> None:
    store = store_with()
    assert list(store.failing_networks()) == []
    write(store, "network", "net", error="full")
    assert list(store.failing_networks()) == ["net"]
    write(store, "network", "net", error="")
    assert list(store.failing_networks()) == []


def test_a_scratch_counts_for_itself() -> None:
    store = store_with(task(WEB, "t", node_id="h1", state=TaskState.RUNNING, attachments=at("10.9.0.5/24")))
    scratch = Scratch(store, lambda key: True)
    move(scratch, "t", TaskState.FAILED)
    assert not scratch.addresses("net").held and not list(scratch.uneven_networks())
    assert store.addresses("net").held and list(store.uneven_networks()) == ["net"]


states = st.sampled_from(list(TaskState))
addresses = st.integers(3, 9).map(lambda last: at(f"10.9.0.{last}/24", f"fd00::{last}/64"))
rows = st.one_of(
    st.tuples(
        st.just("task"),
        st.sampled_from(["a", "b"]),
        st.one_of(st.just(()), addresses),
        states,
        st.sampled_from(["h1", ""]),
    ),
    st.tuples(st.just("node"), st.sampled_from(["h1", "h2"]), st.one_of(st.just(()), addresses)),
    st.tuples(st.just("service"), st.just("web"), st.one_of(st.just(()), addresses)),
    st.tuples(st.just("gone"), st.sampled_from(["a", "b"])),
)


@given(st.lists(rows, max_size=25))
def test_what_is_kept_equals_what_is_counted_after_any_history(history: list[tuple[object, ...]]) -> None:
    store = store_with()
    for step in history:
        kind, key, *rest = step
        assert isinstance(kind, str) and isinstance(key, str)
        if kind == "gone":
            store.apply(store.index + 1, Batch(1, (Delete("task", key),)))
        elif kind != "task":
            write(store, kind, key, **{"vips" if kind == "service" else "attachments": rest[0]})
        else:
            made = task(WEB, key, attachments=rest[0], state=rest[1], node_id=rest[2])
            held = store.tasks.get(key)
            version = held.version if held is not None else 0
            change = Create(made) if held is None else Update(dataclasses.replace(made, version=version))
            assert store.apply(store.index + 1, Batch(1, (change,))) is None
        invariants.check_aggregates(store)
