# SPDX-License-Identifier: Apache-2.0
"""The last commits: in order, bounded, without secrets."""

from __future__ import annotations

import asyncio

import pytest

from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.objects import Cluster, Config, Registry, Secret, Service, Ticket
from queenright.spec.data import ConfigSpec, RegistrySpec, SecretSpec
from queenright.spec.service import ServiceSpec
from queenright.store.history import Commit, Event, ForgottenError, History
from queenright.store.store import Store


def commit(index: int, count: int = 1) -> Commit:
    event = Event(None, Ticket(id=str(index)))
    return Commit(index, (event,) * count, at=index)


def test_what_came_after_a_version_is_given_in_order() -> None:
    history = History()
    for index in (3, 5, 9):
        history.add(commit(index))
    assert [one.index for one in history.since(0)] == [3, 5, 9]
    assert [one.index for one in history.since(4)] == [5, 9]
    assert history.since(9) == []


def test_the_oldest_is_forgotten_first_and_whoever_asks_for_it_is_told() -> None:
    history = History(most=10)
    for index in range(1, 21):
        history.add(commit(index))
    assert len(history) == 5  # each weighs its event and itself
    with pytest.raises(ForgottenError, match="version 14 is too old: what came after it is remembered from version 15"):
        history.since(14)
    assert [one.index for one in history.since(15)] == [16, 17, 18, 19, 20]


def test_one_large_commit_is_kept_though_it_is_too_much() -> None:
    history = History(most=10)
    history.add(commit(1))
    history.add(commit(2, count=50))
    assert [one.index for one in history.since(1)] == [2]


def test_after_a_snapshot_nothing_before_it_is_known() -> None:
    store = Store()
    store.apply(1, Batch(1, (Create(Service(id="a", spec=ServiceSpec(name="a"))),)))
    other = Store()
    other.adopt(Store.prepare_restore(7, store.freeze()()))
    with pytest.raises(ForgottenError):
        other.history.since(6)
    assert other.history.since(7) == []


def test_no_secret_is_remembered() -> None:
    store = Store()
    rows = [
        Cluster(id="c", root_key="hunter2", worker_token="hunter2", manager_token="hunter2"),
        Secret(id="s", spec=SecretSpec(name="s"), data=b"hunter2"),
        Config(id="k", spec=ConfigSpec(name="k"), data=b"hunter2"),
        Registry(id="r", spec=RegistrySpec(server="r", username="u"), auth=b"hunter2"),
        Service(id="w", spec=ServiceSpec(name="w"), registry_auth="hunter2", previous_registry_auth="hunter2"),
        Ticket(id="t", secret_digest="hunter2", key_digest="hunter2"),
    ]
    assert store.apply(1, Batch(1, tuple(map(Create, rows)))) is None
    changes = [Update(store.get(row.kind, row.id)) for row in rows]  # type: ignore[arg-type]
    assert store.apply(2, Batch(2, tuple(changes))) is None
    assert store.apply(3, Batch(3, tuple(Delete(row.kind, row.id) for row in rows))) is None
    seen = [part for one in store.history for event in one.events for part in (event.before, event.after)]
    assert len(seen) == 36
    for row in seen:
        if row is not None:
            assert "hunter2" not in repr([getattr(row, name) for name in row.__dataclass_fields__ if name != "kind"])
    assert [one.at for one in store.history] == [1, 2, 3]


async def test_whoever_waits_is_woken_by_the_next_commit_and_by_a_reset() -> None:
    history = History()
    waiting = asyncio.create_task(history.wait(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    history.add(commit(1))
    await asyncio.wait_for(waiting, 30)
    again = asyncio.create_task(history.wait(1))
    await asyncio.sleep(0)
    history.reset(50)
    await asyncio.wait_for(again, 30)
    await asyncio.wait_for(history.wait(0), 30)  # forgotten: there is nothing to wait for
