# SPDX-License-Identifier: Apache-2.0
"""Batches are taken as a whole or not at all; versions, names, watch and snapshots."""

from __future__ import annotations

import dataclasses

import pytest
from laws.builders import cluster, node, service, task

from queenright.model.changes import Batch, Conflict, Create, Delete, Update
from queenright.model.errors import InvalidArgument, NotFound
from queenright.model.objects import Ticket
from queenright.model.states import TaskState
from queenright.store.store import Store


def filled() -> Store:
    store = Store()
    rows = (cluster(), node("h1"), service("web"), task(service("web"), "t1"))
    assert store.apply(1, Batch(100, tuple(map(Create, rows)))) is None
    return store


def test_an_object_carries_the_index_and_the_times_of_its_entry() -> None:
    store = filled()
    held = store.services.get("web")
    assert held is not None and (held.version, held.created_at, held.updated_at) == (1, 100, 100)
    assert store.apply(2, Batch(200, (Update(dataclasses.replace(held, created_at=5)),))) is None
    held = store.services.get("web")
    assert held is not None and (held.version, held.created_at, held.updated_at) == (2, 100, 200)


def test_objects_of_one_batch_share_a_version() -> None:
    store = filled()
    assert {store.nodes.get("h1").version, store.tasks.get("t1").version} == {1}  # type: ignore[union-attr]


def test_an_update_from_an_old_reading_is_refused_and_nothing_of_its_batch_is_taken() -> None:
    store = filled()
    read = store.service("web")
    store.apply(2, Batch(2, (Update(read),)))
    conflict = store.apply(3, Batch(3, (Create(node("h2")), Update(read))))
    assert conflict == Conflict("service", "web", "changed meanwhile")
    assert "h2" not in store.nodes
    assert store.index == 3, "the entry was still applied"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (Create(node("h1")), "exists already"),
        (Update(node("h9")), "is gone"),
        (Delete("node", "h1", 7), "changed meanwhile"),
        (Create(dataclasses.replace(service("WEB"), id="other")), "name in use"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(change: object, reason: str) -> None:
    conflict = filled().apply(2, Batch(2, (change,)))  # type: ignore[arg-type]
    assert conflict is not None and conflict.reason == reason


def test_removing_what_is_not_there_is_no_conflict_unless_a_version_is_asked_for() -> None:
    store = filled()
    assert store.apply(2, Batch(2, (Delete("task", "nowhere"),))) is None
    assert store.apply(3, Batch(3, (Delete("task", "nowhere", 1),))) is not None


def test_changes_of_one_batch_see_each_other() -> None:
    store = filled()
    other = dataclasses.replace(service("web"), id="other")
    held = store.service("web")
    assert store.apply(2, Batch(2, (Create(node("h2")), Delete("node", "h2"), Create(node("h2"))))) is None
    assert store.apply(3, Batch(3, (Create(dataclasses.replace(service("a"), id="x")),) * 2)) is not None
    assert store.apply(4, Batch(4, (Delete("service", held.id, held.version), Create(other)))) is None
    assert [each.id for each in store.services] == ["other"]


def test_two_services_of_one_batch_cannot_share_a_name() -> None:
    twins = [dataclasses.replace(service(name), id=key) for name, key in (("db", "a"), ("DB", "b"))]
    conflict = filled().apply(2, Batch(2, tuple(map(Create, twins))))
    assert conflict == Conflict("service", "b", "name in use")


def test_a_name_given_up_by_an_update_is_free_for_the_next_change() -> None:
    store = filled()
    held = store.service("web")
    renamed = dataclasses.replace(held, spec=dataclasses.replace(held.spec, name="old"))
    fresh = dataclasses.replace(service("web"), id="fresh")
    assert store.apply(2, Batch(2, (Update(renamed), Create(fresh)))) is None
    assert [each.id for each in store.services.by("name", "web")] == ["fresh"]


def test_things_are_found_by_id_then_name_then_unique_prefix() -> None:
    store = Store()
    rows = [dataclasses.replace(service("abc"), id="abcdef"), dataclasses.replace(service("abcdef"), id="abxyz")]
    store.apply(1, Batch(1, tuple(map(Create, rows))))
    assert store.service("abcdef").id == "abcdef"
    assert store.service("ABC").id == "abcdef"
    assert store.service("abx").id == "abxyz"
    with pytest.raises(InvalidArgument, match=r"service ab is ambiguous \(2 matches found\)") as ambiguous:
        store.service("ab")
    assert ambiguous.value.plain, "as people read it, without a prefix"
    with pytest.raises(NotFound, match="service nothing not found"):
        store.service("nothing")
    with pytest.raises(NotFound):
        store.service("")


def test_two_nodes_of_one_host_name_are_ambiguous() -> None:
    store = Store()
    twins = [dataclasses.replace(node("same"), id=key) for key in ("n1", "n2")]
    store.apply(1, Batch(1, tuple(map(Create, twins))))
    with pytest.raises(InvalidArgument, match="ambiguous"):
        store.node("same")
    assert store.node("n2").id == "n2"


def test_a_task_is_found_by_its_full_name() -> None:
    assert filled().task("web.1.t1").id == "t1"


def test_a_watch_sees_whole_commits_in_order_without_gaps() -> None:
    store = filled()
    with store.watch() as subscription:
        held = store.node("h1")
        store.apply(2, Batch(2, (Create(node("h2")), Update(held))))
        store.apply(3, Batch(3, (Delete("node", "h2"),)))
        first, second = subscription.drain()
    assert [commit.index for commit in (first, second)] == [2, 3]
    assert [(event.before is None, event.after is None) for event in first.events] == [(True, False), (False, False)]
    assert first.events[1].before is held
    assert second.events[0].after is None and second.events[0].object.id == "h2"
    store.apply(4, Batch(4, (Create(node("h3")),)))
    assert subscription.drain() == [], "a closed watch hears nothing"


async def test_the_next_commit_can_be_waited_for() -> None:
    store = filled()
    with store.watch() as subscription:
        store.apply(2, Batch(2, (Create(node("h2")),)))
        assert (await subscription.next()).index == 2


def test_a_refused_batch_and_one_without_effect_are_not_announced() -> None:
    store = filled()
    with store.watch() as subscription:
        store.apply(2, Batch(2, (Create(node("h1")),)))
        store.apply(3, Batch(3, (Delete("task", "nowhere"),)))
        assert subscription.drain() == []


def test_a_snapshot_is_the_state_of_its_moment_and_brings_it_back() -> None:
    store = filled()
    frozen = store.freeze()
    store.apply(2, Batch(2, (Delete("task", "t1"), Create(Ticket(id="k", secret_digest="s")))))
    copied = Store()
    copied.restore(1, frozen())
    assert {each.id for each in copied.tasks} == {"t1"} and len(copied.tickets) == 0
    assert copied.index == 1
    assert copied.services.get("web") == store.services.get("web")
    with pytest.raises(ValueError, match="empty store"):
        copied.restore(1, frozen())


def test_the_same_batches_make_the_same_store() -> None:
    one, other = filled(), filled()
    for store in (one, other):
        store.apply(2, Batch(9, (Create(node("h2")), Update(store.node("h1")))))
    assert list(one.nodes) == list(other.nodes)


def test_the_cluster_is_the_one_there_is() -> None:
    assert Store().cluster is None
    held = filled().cluster
    assert held is not None and held.id == "cluster"


def test_keys_and_tokens_are_not_shown_in_texts() -> None:
    secret = dataclasses.replace(cluster(), root_key="PRIVATE", worker_token="SWMTKN")
    assert "PRIVATE" not in repr(secret) and "SWMTKN" not in repr(secret)
    hidden = dataclasses.replace(service("web"), registry_auth="c2VjcmV0")
    assert "c2VjcmV0" not in repr(hidden) + repr(task(hidden, "t"))


def test_a_task_in_its_final_state_is_not_pending() -> None:
    store = filled()
    held = store.task("t1")
    assert store.tasks.by("pending", True) == (held,)
    store.apply(2, Batch(2, (Update(dataclasses.replace(held, desired_state=TaskState.SHUTDOWN)),)))
    assert store.tasks.by("pending", True) == ()
