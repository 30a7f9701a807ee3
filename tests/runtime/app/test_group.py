# SPDX-License-Identifier: Apache-2.0
"""Several managers on loopback: they join, change roles, lose one another, leave and begin anew."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from queenright.app import host as host_room
from queenright.app.certificates import Credentials
from queenright.app.managing import Managing
from queenright.app.state import MemberState, StateFile
from queenright.edge.pki.keystore import KeyStore
from queenright.manager.members import Members
from queenright.manager.ports import InitOptions
from queenright.model.errors import Unavailable
from queenright.spec.fields import decode
from queenright.spec.service import ServiceSpec

from .kit import Dockerd, Place, until

MODE = {"Replicated": {"Replicas": 0}}


@pytest.fixture
def dockerd() -> Iterator[Dockerd]:
    engine = Dockerd()
    yield engine
    engine.close()


@pytest.fixture
async def places(dockerd: Dockerd) -> AsyncIterator[list[Place]]:
    """Four hosts; the first one has founded a swarm."""
    made = [Place(dockerd.path) for _ in range(4)]
    await made[0].host.init(made[0].init)
    yield made
    await asyncio.gather(*(place.close() for place in made))


def leader(places: list[Place]) -> Place | None:
    """The one that may write."""
    return next((place for place in places if place.id and place.state.leader == place.id), None)


async def managers(places: list[Place], count: int) -> list[Place]:
    """So many managers, the founder included, all of them with a voice."""
    for place in places[1:count]:
        await place.host.join(place.joining(places[0], "manager"))
    return places[:count]


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


def service(name: str) -> ServiceSpec:
    return decode(ServiceSpec, {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "none"}}, "Mode": MODE})


def names(place: Place) -> set[str]:
    return {one.name for one in place.control.store.services}


async def works(places: list[Place], name: str) -> None:
    """Somebody leads and writes, and all of them see it."""
    await until(lambda: leader(places) is not None, lambda: [place.state for place in places])
    while True:
        leading = leader(places)
        try:
            assert leading is not None
            await leading.control.services.create(service(name))
            break
        except (Unavailable, AssertionError):
            await asyncio.sleep(0.05)
    for place in places:
        await until(lambda place=place: name in names(place), lambda place=place: place.state)


def members_at(place: Place) -> set[str]:
    """Where the members of the group are, as this manager knows."""
    return {member["addr"] for member in (place.state.raft or {})["members"]}


async def same_voters(places: list[Place]) -> None:
    """All of them, and nobody else, have a voice."""
    wanted = {place.id for place in places}
    for place in places:
        await until(lambda place=place: place.voters() == wanted, lambda place=place: place.state)


def saved(place: Place) -> MemberState:
    state = StateFile(place.settings.state_dir).load()
    assert state is not None
    return state


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
        for through in (first, second):
            with pytest.raises(Unavailable, match=rf"cannot be made a member: .*port {third.port + 1}"):
                await third.host.join(third.joining(through, "manager"))
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
