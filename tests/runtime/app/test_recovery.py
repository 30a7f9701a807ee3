# SPDX-License-Identifier: Apache-2.0
"""Managers on loopback that lost one another, their log or their place, and go on or begin anew."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from queenright.app.managing import Managing
from queenright.manager.ports import InitOptions
from queenright.model.errors import Unavailable

from .group import managers, names, same_voters, saved, service, works
from .kit import Place, until

pytestmark = pytest.mark.group


async def test_a_manager_of_a_group_comes_up_without_a_leader_and_says_what_it_knows(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    await works(group, "known")
    for place in group:
        await place.host.stop()
    alone = group[2]
    await alone.again().resume()
    state = alone.state
    assert (state.state, state.role, state.leader, state.has_quorum, state.stale) == (
        "active",
        "manager",
        "",
        False,
        True,
    )
    assert len(state.managers) == 3
    assert "known" in names(alone)
    with pytest.raises(Unavailable, match="does not have a leader"):
        await alone.control.services.create(service("no"))
    await group[1].again().resume()
    await works(group[1:], "again")


async def test_a_survivor_forces_a_new_cluster_and_the_old_majority_is_refused(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    first, second, third = group
    await works(group, "kept")
    others = second.id, third.id
    await second.host.stop()
    await third.host.stop()
    with pytest.raises(Unavailable, match="not a swarm manager"):
        await places[3].host.init(InitOptions(force_new_cluster=True))
    assert await first.host.init(InitOptions(force_new_cluster=True)) == first.id
    assert first.voters() == {first.id} and first.state.leader == first.id
    assert names(first) == {"kept"}
    assert {first.control.store.node(key).role for key in others} == {"worker"}
    assert not saved(first).forcing and saved(first).managers == ((first.id, first.addr),)
    await works([first], "alone")
    assert await first.host.init(InitOptions(force_new_cluster=True)) == first.id
    assert names(first) == {"kept", "alone"}
    await second.again().resume()
    await until(lambda: second.state.role == "worker", lambda: second.state)
    assert first.voters() == {first.id}


async def test_old_managers_that_come_back_together_do_not_go_on_beside_the_new_group(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    first, second, third = group
    await works(group, "kept")
    await second.host.stop()
    await third.host.stop()
    assert await first.host.init(InitOptions(force_new_cluster=True)) == first.id
    await asyncio.gather(second.again().resume(), third.again().resume())
    await until(lambda: second.state.role == third.state.role == "worker", lambda: (second.state, third.state))
    assert first.voters() == {first.id} and first.state.leader == first.id
    await works([first], "alone")
    assert names(first) == {"kept", "alone"}


async def test_a_forcing_that_is_cut_short_goes_on_at_the_next_start(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    first = group[0]
    await works(group, "kept")
    for place in group[1:]:
        await place.host.stop()

    async def dies(*_: object) -> None:
        raise OSError(5, "the host dies here")

    with monkeypatch.context() as broken:
        broken.setattr(Managing, "be_sole_manager", dies)
        with pytest.raises(Unavailable, match="the host dies here"):
            await first.host.init(InitOptions(force_new_cluster=True))
    assert saved(first).forcing
    await first.host.stop()
    await first.again().resume()
    assert first.voters() == {first.id} and names(first) == {"kept"}
    assert first.control.store.nodes.count("role", "manager") == 1
    assert not saved(first).forcing


async def test_a_manager_that_lost_its_log_does_not_come_back_empty(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    lost = group[2]
    await lost.host.stop()
    shutil.rmtree(lost.settings.state_dir / "raft")
    await lost.again().resume()
    assert lost.state.state == "error" and "the log of this manager is missing" in lost.state.error
    assert lost.listening() == []
    await lost.host.leave(force=True)
    await lost.host.join(lost.joining(group[0], "manager"))
    assert lost.id in lost.voters()


async def test_what_a_demotion_left_of_a_log_is_removed_at_the_start(places: list[Place]) -> None:
    worker = places[1]
    await worker.host.join(worker.joining(places[0]))
    await worker.host.stop()
    (worker.settings.state_dir / "raft").mkdir()
    (worker.settings.state_dir / "raft" / "log").write_text("old entries")
    await worker.again().resume()
    assert worker.state.role == "worker"
    assert not (worker.settings.state_dir / "raft").exists()


async def test_a_manager_that_was_removed_meanwhile_says_so_and_knocks_no_more(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    first, gone = group[0], group[2]
    node_id = gone.id
    await gone.host.stop()
    await first.give_role(node_id, "worker")
    await until(lambda: first.control.store.node(node_id).role == "worker")
    await first.control.nodes.remove(node_id, True)
    await gone.again().resume()
    await until(lambda: gone.state.state == "error", lambda: gone.state)
    assert "removed from swarm" in gone.state.error
    await until(lambda: gone.listening() == [])
    with pytest.raises(Unavailable, match="not a swarm manager"):
        gone.host.manager()
    await gone.host.leave(force=True)
    assert gone.kept() == []
