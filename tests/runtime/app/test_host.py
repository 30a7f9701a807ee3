# SPDX-License-Identifier: Apache-2.0
"""The local member's life, with real parts on loopback and no engine: each step is whole or undone."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from queenright.app import host as host_room
from queenright.app import joining
from queenright.app import member as member_room
from queenright.app.state import StateFile
from queenright.edge.pki.keystore import KeyStore
from queenright.manager.ports import InitOptions, JoinOptions
from queenright.model.errors import FailedPrecondition, InvalidArgument, Refusal, Unavailable

from .kit import Place, until


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    place = Place()
    yield place
    await place.close()


@pytest.fixture
async def swarm() -> AsyncIterator[Place]:
    """A place that has founded a swarm."""
    place = Place()
    await place.host.init(place.init)
    yield place
    await place.close()


def fails(monkeypatch: pytest.MonkeyPatch, target: Any, name: str) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target, name, broken)


async def left_nothing(place: Place, threads: set[str]) -> None:
    state = place.host.local_state()
    assert (state.state, state.error, state.node_id, state.ready) == ("inactive", "", "", True)
    assert place.kept() == []
    assert place.listening() == []
    await until(lambda: {thread.name for thread in threading.enumerate()} <= threads)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (StateFile, "save"),
        (KeyStore, "save"),
        (KeyStore, "pending_key"),
        (member_room.Working, "start"),
        (member_room.Managing, "open"),
        (member_room.Managing, "serve"),
    ],
)
async def test_a_founding_that_fails_half_way_leaves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, target: Any, name: str
) -> None:
    threads = {thread.name for thread in threading.enumerate()}
    with monkeypatch.context() as broken:
        fails(broken, target, name)
        with pytest.raises(Unavailable, match=r"cannot be made a member: .*No space left on device"):
            await place.host.init(place.init)
    await left_nothing(place, threads)
    node_id = await place.host.init(place.init)
    assert place.host.local_state().node_id == node_id
    assert place.listening() == [place.port, place.port + 1]


@pytest.mark.parametrize(("target", "name"), [(StateFile, "save"), (KeyStore, "save"), (member_room.Working, "start")])
async def test_a_granted_join_that_fails_here_leaves_nothing(
    swarm: Place, place: Place, monkeypatch: pytest.MonkeyPatch, target: Any, name: str
) -> None:
    threads = {thread.name for thread in threading.enumerate()}
    with monkeypatch.context() as broken:
        fails(broken, target, name)
        with pytest.raises(Unavailable, match=r"cannot be made a member: .*No space left on device"):
            await place.host.join(place.joining(swarm))
    await left_nothing(place, threads)
    await place.host.join(place.joining(swarm))
    assert place.host.local_state().role == "worker"
    assert place.host.local_state().managers == ((swarm.host.local_state().node_id, swarm.addr),)


async def test_a_join_that_takes_too_long_is_undone(
    swarm: Place, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(*_: Any) -> None:
        await asyncio.Event().wait()

    threads = {thread.name for thread in threading.enumerate()}
    with monkeypatch.context() as broken:
        broken.setattr(host_room, "JOIN_TIMEOUT", 2.0)
        broken.setattr(joining, "resume", hangs)
        with pytest.raises(Unavailable, match="Timeout was reached before node joined"):
            await place.host.join(place.joining(swarm))
    await left_nothing(place, threads)


async def test_a_refused_join_keeps_its_key_for_the_next_try(swarm: Place, place: Place) -> None:
    digest = await place.host.pending_key_digest()
    wrong = place.joining(swarm).secret[:-3] + "zzz"
    with pytest.raises(Refusal, match="A valid join token is necessary"):
        await place.host.join(JoinOptions(remote_addrs=(swarm.addr,), secret=wrong, listen_addr=place.addr))
    assert place.host.local_state().state == "inactive"
    assert await place.host.pending_key_digest() == digest
    ticket = await swarm.host.manager().authority.issue_ticket(role="worker", key_digest=digest)
    await place.host.join(JoinOptions((swarm.addr,), ticket.text, place.addr))
    assert place.host.local_state().cluster_id == swarm.host.local_state().cluster_id
    with pytest.raises(Unavailable, match="already part of a swarm"):
        await place.host.pending_key_digest()


async def test_what_dockerd_says_is_heeded_before_anything_is_made(swarm: Place, place: Place) -> None:
    place.engine.state = "active"
    for call in (place.host.init(place.init), place.host.join(place.joining(swarm))):
        with pytest.raises(FailedPrecondition, match="is itself in swarm mode"):
            await call
    place.engine.state = None
    with pytest.raises(Unavailable, match="does not answer"):
        await place.host.init(place.init)
    assert place.kept() == []


async def test_addresses_that_are_none_are_refused_before_anything_is_made(place: Place) -> None:
    with pytest.raises(InvalidArgument):
        await place.host.init(InitOptions(listen_addr="a b"))
    with pytest.raises(Unavailable, match="This node is not a swarm manager"):
        await place.host.init(InitOptions(force_new_cluster=True))
    assert place.kept() == []


async def test_leaving_is_for_members(place: Place) -> None:
    with pytest.raises(Unavailable, match="not part of a swarm"):
        await place.host.leave(force=True)


async def test_a_membership_goes_on_after_a_restart(swarm: Place) -> None:
    before = swarm.host.local_state()
    await swarm.host.stop()
    await swarm.again().resume()
    after = swarm.host.local_state()
    assert (after.state, after.role, after.error) == ("active", "manager", after.error)
    assert (after.node_id, after.cluster_id, after.managers) == (before.node_id, before.cluster_id, before.managers)
    assert swarm.host.manager().context.cluster.id == before.cluster_id


async def test_what_others_could_read_is_not_used_and_can_be_given_up(swarm: Place) -> None:
    before = swarm.host.local_state()
    await swarm.host.stop()
    await swarm.again().resume("raft.key may be read by others")
    state = swarm.host.local_state()
    assert (state.state, state.error, state.ready) == ("error", "raft.key may be read by others", False)
    assert (state.node_id, state.cluster_id) == (before.node_id, before.cluster_id)
    with pytest.raises(Unavailable, match="already part of a swarm"):
        await swarm.host.init(swarm.init)
    with pytest.raises(Unavailable, match=r"raft\.key may be read by others; leaving with force"):
        await swarm.host.leave(force=False)
    await swarm.host.leave(force=True)
    assert (swarm.host.local_state().state, swarm.host.local_state().error) == ("inactive", "")


async def test_no_member_is_made_where_others_can_read(place: Place) -> None:
    await place.host.resume("notes may be read by others")
    with pytest.raises(Unavailable, match="cannot be made a member: notes may be read by others"):
        await place.host.init(place.init)
    assert place.kept() == []


async def test_while_its_port_is_taken_a_membership_waits_and_says_why(
    swarm: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_room, "AGAIN_FIRST", 0.05)
    before = swarm.host.local_state()
    await swarm.host.stop()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", swarm.port + 1))
        taken.listen()
        await swarm.again().resume()
        state = swarm.host.local_state()
        assert (state.state, state.ready, state.role) == ("error", False, "manager")
        assert (state.node_id, state.cluster_id, state.node_addr) == (before.node_id, before.cluster_id, "127.0.0.1")
        assert f"port {swarm.port + 1}" in state.error
        with pytest.raises(Unavailable, match="has trouble connecting"):
            swarm.host.manager()
        with pytest.raises(Unavailable, match="already part"):
            await swarm.host.init(swarm.init)
    await until(lambda: swarm.host.local_state().state == "active", swarm.host.local_state)
    assert swarm.host.local_state().node_id == before.node_id


async def test_dockerd_s_own_swarm_keeps_a_membership_waiting(swarm: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_room, "AGAIN_FIRST", 0.05)
    await swarm.host.stop()
    swarm.engine.state = "active"
    await swarm.again().resume()
    assert "is itself in swarm mode (active)" in swarm.host.local_state().error
    swarm.engine.state = None
    await until(lambda: swarm.host.local_state().state == "active", swarm.host.local_state)


async def test_an_unforeseen_error_stands_in_the_status(swarm: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    await swarm.host.stop()

    async def breaks(*_: Any) -> None:
        raise KeyError("a defect")

    with monkeypatch.context() as broken:
        broken.setattr(joining, "resume", breaks)
        await swarm.again().resume()
    assert swarm.host.local_state().state == "error"
    assert "a defect" in swarm.host.local_state().error
    await swarm.again().resume()
    assert swarm.host.local_state().state == "active"


async def test_a_worker_remembers_the_managers_and_a_full_disk_does_not_end_its_session(
    swarm: Place, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await place.host.join(place.joining(swarm))
    member = place.host._member
    assert member is not None
    from queenright.model.objects import Node, NodeStatus
    from queenright.wire.messages import SessionNews

    def news(*managers: tuple[str, str]) -> SessionNews:
        return SessionNews("s", Node(id="n", status=NodeStatus(addr="10.9.9.9")), managers, 5, "ROOT", 0)

    two = (("m1", "h1:2377"), ("m2", "h2:2377"))
    member._on_news(news(*two))
    assert place.host.local_state().managers == two
    assert place.host.local_state().node_addr == "10.9.9.9"
    saved = StateFile(place.settings.state_dir).load()
    assert saved is not None and (saved.managers, saved.advertise_addr) == (two, "")
    with monkeypatch.context() as broken:
        fails(broken, StateFile, "save")
        member._on_news(news(("m3", "h3:2377")))
    assert "cannot be written" in caplog.text
    member._on_news(news())
    assert place.host.local_state().managers == (("m3", "h3:2377"),)
