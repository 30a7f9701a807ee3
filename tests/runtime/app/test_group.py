# SPDX-License-Identifier: Apache-2.0
"""Several managers on loopback: they join, change roles and addresses, and leave."""

from __future__ import annotations

import asyncio
import socket

import pytest

from queenright.app import host as host_room
from queenright.app.certificates import Credentials
from queenright.edge.pki.keystore import KeyStore
from queenright.manager.members import Members
from queenright.model.errors import Unavailable

from .group import leader, managers, names, same_voters, saved, works
from .kit import Place, until

pytestmark = pytest.mark.group


async def test_managers_join_and_have_a_voice_when_join_returns(places: list[Place]) -> None:
    first, second, third = await managers(places, 3)
    for place in (first, second, third):
        assert place.state.role == "manager"
    assert second.id in second.voters() and third.id in third.voters()
    everybody = {first.id, second.id, third.id}
    for place in (first, second, third):
        await until(lambda place=place: place.voters() == everybody, lambda place=place: place.state)
        await until(lambda place=place: place.state.ready, lambda place=place: place.state)
        assert place.state.leader == first.id
        assert {node_id for node_id, _ in place.state.managers} == everybody
        assert not place.state.stale


async def test_when_the_leader_ends_another_one_leads_and_it_comes_back_as_it_was(places: list[Place]) -> None:
    group = await managers(places, 3)
    first, second, third = group
    await same_voters(group)
    await works(group, "before")
    node_id = first.id
    await first.host.stop()
    await works([second, third], "meanwhile")
    await first.again().resume()
    assert first.state.role == "manager" and first.id == node_id
    await works(group, "after")
    assert names(first) == {"before", "meanwhile", "after"}
    for place in group:
        await until(lambda place=place: place.state.ready, lambda place=place: place.state)


async def test_who_is_promoted_becomes_a_manager_and_who_is_demoted_a_worker(
    places: list[Place],
) -> None:
    group = await managers(places, 3)
    worker = places[3]
    await worker.host.join(worker.joining(places[0]))
    await until(lambda: worker.state.ready, lambda: worker.state)
    assert not (worker.settings.state_dir / "raft").exists()
    await places[0].give_role(worker.id, "manager")
    await until(lambda: worker.state.role == "manager", lambda: worker.state)
    await same_voters(places)
    assert worker.listening() == [worker.port, worker.port + 1]
    await works(places, "four")
    assert saved(worker).role == "manager" and not saved(worker).fresh
    leading = leader(places)
    assert leading is not None
    await leading.give_role(worker.id, "worker")
    await until(lambda: worker.state.role == "worker", lambda: worker.state)
    await until(lambda: not (worker.settings.state_dir / "raft").exists())
    assert worker.listening() == []
    await same_voters(group)
    await until(lambda: worker.state.ready, lambda: worker.state)
    with pytest.raises(Unavailable, match="Worker nodes can't be used"):
        worker.host.manager()
    credentials = Credentials(KeyStore(worker.settings.state_dir / "certificates"))
    await until(lambda: Credentials(KeyStore(worker.settings.state_dir / "certificates")).identity.role == "worker")
    assert credentials.identity.node_id == worker.id
    await works(group, "three")


async def test_a_leader_that_is_demoted_hands_over_first(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    first, second, third = group
    await first.give_role(first.id, "worker")
    await until(lambda: first.state.role == "worker", lambda: first.state)
    await same_voters([second, third])
    await works([second, third], "two")
    await until(lambda: first.state.ready, lambda: first.state)


async def test_a_manager_leaves_with_force_and_the_others_let_it_go(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    first, second, third = group
    with pytest.raises(Unavailable, match="participating as a manager"):
        await first.host.leave(force=False)
    node_id = first.id
    await first.host.leave(force=True)
    assert first.state.state == "inactive" and first.kept() == []
    await same_voters([second, third])
    await works([second, third], "two")
    for place in (second, third):
        await until(lambda place=place: place.control.store.node(node_id).role == "worker")
    await first.host.join(first.joining(second, "manager"))
    await same_voters(group)


async def test_a_manager_is_joined_through_one_that_does_not_lead(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    fourth = places[3]
    await until(lambda: group[1].control.store.cluster is not None)
    await fourth.host.join(fourth.joining(group[1], "manager"))
    await same_voters(places)


async def test_a_manager_that_cannot_begin_leaves_nothing_here_and_no_seat_there(places: list[Place]) -> None:
    first, second = await managers(places, 2)
    third = places[2]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", third.port + 1))
        taken.listen()
        with pytest.raises(Unavailable, match=rf"cannot be made a member: .*port {third.port + 1}"):
            await third.host.join(third.joining(second, "manager"))
        assert third.kept() == [] and third.state.state == "inactive"
        left = {node.role for node in first.control.store.nodes if node.id not in (first.id, second.id)}
        assert left == {"worker"}
    await same_voters([first, second])
    await third.host.join(third.joining(first, "manager"))
    await same_voters(places[:3])


async def test_a_manager_that_is_not_reached_in_time_goes_on_trying(
    places: list[Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = places[:2]
    with monkeypatch.context() as slow:
        slow.setattr(host_room, "CATCH_UP_TIMEOUT", 0.3)
        slow.setattr(Members, "_take", lambda *_: asyncio.sleep(0.05))
        with pytest.raises(Unavailable, match=rf"Timeout was reached before node joined.*{second.port} of"):
            await second.host.join(second.joining(first, "manager"))
        assert (second.state.state, second.state.role) == ("active", "manager")
        assert second.state.stale and not second.voters()
        with pytest.raises(Unavailable, match="not there yet"):
            _ = second.control.context.cluster
        await second.host.stop()
    await second.again().resume()
    await same_voters([first, second])
    await works([first, second], "two")


async def test_a_manager_moves_to_another_address(places: list[Place]) -> None:
    group = await managers(places, 3)
    await same_voters(group)
    for place in (group[2], group[0]):
        await works(group, f"before-{place.port}")
        await place.host.stop()
        place.move()
        await place.again().resume()
        for other in group:
            await until(lambda other=other, place=place: (place.id, place.addr) in other.state.managers)
            await until(
                lambda other=other, place=place: (
                    place.addr in {one["addr"] for one in (other.state.raft or {})["members"]}
                ),
                lambda other=other: other.state,
            )
        await works(group, f"after-{place.port}")
    assert saved(group[0]).advertise_addr == group[0].addr


async def test_a_sole_manager_moves_and_others_can_join_it_there(places: list[Place]) -> None:
    first, second = places[:2]
    await first.host.stop()
    first.move()
    await first.again().resume()
    await until(lambda: (first.id, first.addr) in first.state.managers, lambda: first.state)
    await second.host.join(second.joining(first, "manager"))
    await same_voters([first, second])
