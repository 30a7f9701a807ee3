# SPDX-License-Identifier: Apache-2.0
"""Messages between managers over real mutual TLS: in order, again after a break, and only of those who may."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
from collections.abc import AsyncGenerator, AsyncIterator

import grpc
import pytest

from queenright.edge.grpc import gate, options
from queenright.edge.grpc import peer as peer_room
from queenright.edge.grpc import peers as peers_room
from queenright.edge.grpc.peer import Peer, Ways, pause
from queenright.edge.grpc.peers import GrpcPeers
from queenright.edge.pki.authority import create_root
from queenright.wire.raft import AppendEntries, Entry, EntryEncoder, Envelope, RequestVote, SnapshotHead, TimeoutNow

from .kit import OTHER, Identity
from .members import PATIENCE, A, B, C, Member, numbered, pair, until


@pytest.fixture
async def two() -> AsyncIterator[tuple[Member, Member]]:
    async for made in pair():
        yield made


async def joined(a: Member, b: Member) -> None:
    await until(lambda: a.peers.connected(b.node_id))


async def test_messages_arrive_in_order_and_as_those_of_their_sender(two: tuple[Member, Member]) -> None:
    a, b = two
    a.send(b, *range(3000))
    await until(lambda: len(b.log.numbers()) == 3000, lambda: len(b.log.numbers()))
    assert b.log.numbers() == list(range(3000))
    assert {sender for sender, _ in b.log.received} == {A}
    assert len(b.log.received) < 3000  # those that waited travelled together


async def test_both_directions_stand_by_themselves(two: tuple[Member, Member]) -> None:
    a, b = two
    b.peers.reach({A: a.addr})
    a.send(b, 1)
    b.send(a, 2)
    await until(lambda: bool(a.log.received and b.log.received))
    assert (a.log.numbers(), b.log.numbers()) == ([2], [1])


async def test_envelopes_of_different_epochs_or_levels_are_not_joined(two: tuple[Member, Member]) -> None:
    a, b = two
    vote = RequestVote(1, 2, 3)
    a.peers.send(B, Envelope(0, 1, (vote,)))
    a.peers.send(B, Envelope(0, 2, (vote, vote)))
    await until(lambda: len(b.log.received) == 2)
    assert [(envelope.level, len(envelope.messages)) for _, envelope in b.log.received] == [(1, 1), (2, 2)]


async def test_a_batch_near_the_limit_passes(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    command = b"\0" + bytes(3 << 19)
    entries = tuple(Entry(command, idx, 1) for idx in range(1, 6))  # 7.5 MiB
    a.peers.send(B, Envelope(0, 1, (AppendEntries(1, 0, 0, 0, entries),)))
    a.send(b, 1)
    await until(lambda: b.log.numbers() == [0, 1])
    assert b.log.received[0][1].messages == (AppendEntries(1, 0, 0, 0, entries),)


async def test_an_envelope_that_is_too_long_goes_in_parts_and_a_message_that_is_not_at_all(
    two: tuple[Member, Member],
) -> None:
    a, b = two
    await joined(a, b)
    command = b"\0" + bytes(3 << 20)
    parts = [AppendEntries(1, number, 0, 0, (Entry(command, 1, 1),)) for number in range(3)]
    monster = AppendEntries(1, 9, 0, 0, tuple(Entry(command, idx, 1) for idx in range(1, 4)))
    a.peers.send(B, Envelope(0, 1, (*parts, monster, TimeoutNow(4))))
    await until(lambda: TimeoutNow(4) in b.log.messages())
    assert b.log.messages() == [*parts, TimeoutNow(4)]


async def test_a_manager_that_comes_back_is_reached_again(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    for number in range(3):
        await b.deaf()
        await until(lambda: not a.peers.connected(B))
        a.send(b, number)  # it waits, and is not lost
        await b.listen()
        await until(lambda: b.log.numbers()[-1:] == [number])  # noqa: B023
    assert b.log.numbers() == [0, 1, 2]


async def test_what_waits_for_one_that_is_away_is_bounded_and_the_newest_stays(two: tuple[Member, Member]) -> None:
    a, b = two
    await b.deaf()
    await until(lambda: not a.peers.connected(B))
    a.send(b, *range(100), fill=100_000)
    await b.listen()
    await until(lambda: b.log.numbers()[-1:] == [99])
    assert 5 < len(b.log.numbers()) < 20
    assert b.log.numbers() == list(range(100 - len(b.log.numbers()), 100))


async def test_one_who_speaks_is_tried_again_at_once(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    await joined(a, b)
    monkeypatch.setattr(peer_room, "pause", lambda away, dice: 3600.0)
    await b.deaf()
    await until(lambda: not a.peers.connected(B))
    await asyncio.sleep(0.05)
    await b.listen()
    b.peers.reach({A: a.addr})
    await joined(a, b)


@pytest.mark.parametrize(
    ("away", "least", "most"), [(0, 0.01, 0.02), (1, 0.025, 0.05), (10, 0.25, 0.5), (900, 0.5, 1.0)]
)
def test_the_pause_grows_with_the_time_away(away: float, least: float, most: float) -> None:
    assert (pause(away, 0.0), pause(away, 1.0)) == (pytest.approx(least), pytest.approx(most))


async def test_a_stranger_is_not_let_in(two: tuple[Member, Member]) -> None:
    _, b = two
    stranger = Member(create_root(datetime.datetime.now(datetime.UTC)), A)
    stranger.root = b.root
    await _stays_out(stranger, b)


async def test_a_worker_and_a_member_of_another_swarm_are_not_let_in(
    two: tuple[Member, Member], caplog: pytest.LogCaptureFixture
) -> None:
    _, b = two
    for identity, words in (
        (Identity(b.root, C, "worker"), "unauthorized peer role: worker"),
        (Identity(b.root, C, "manager", cluster_id=OTHER), "the certificate is of another swarm"),
    ):
        other = Member(b.root, C)
        other.identity = identity
        await _stays_out(other, b)
        assert words in caplog.text


async def _stays_out(other: Member, b: Member) -> None:
    asked = other.asked
    other.peers.reach({B: b.addr})
    other.send(b, 1)
    await until(lambda: other.asked > asked + 2)
    assert not other.peers.connected(B)
    assert b.log.received == []
    await other.stop()


async def test_another_than_the_one_that_is_meant_gets_nothing(two: tuple[Member, Member]) -> None:
    a, b = two
    a.peers.reach({C: b.addr})
    a.peers.send(C, numbered(1))
    asked = a.asked
    await until(lambda: a.asked > asked + 2)
    assert not a.peers.connected(C)
    assert b.log.received == []


async def test_a_removed_member_is_told_why_and_said_so_once(
    two: tuple[Member, Member], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = two
    await joined(a, b)
    b.log.refusals[A] = f"manager {A} was removed from the group"
    with caplog.at_level(logging.INFO):
        asked = a.asked
        for _ in range(5):
            a.send(b, 1)
            await until(lambda: a.asked > asked)  # noqa: B023
            asked = a.asked
    assert a.refused == [(B, b.log.refusals[A])]
    assert caplog.text.count(f"is not reached: manager {A} was removed") == 1
    assert caplog.text.count(f"refused messages of manager {A}") == 1
    assert b.log.received == []
    b.log.refusals.clear()
    await joined(a, b)
    a.send(b, 7)
    await until(lambda: b.log.numbers()[-1:] == [7])


async def test_a_member_that_is_refused_hears_of_which_epoch_the_other_one_is(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    assert a.epochs == []
    b.log.epoch = 3
    a.send(b, 1)
    await until(lambda: a.epochs[-1:] == [(B, 3)])
    assert b.log.received == []


async def test_one_that_is_refused_while_it_sends_much_is_told_why(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    for number in range(5):
        a.send(b, *range(50), fill=50_000)
        await until(lambda: len(b.log.received) > 0)
        b.log.refusals[A] = f"removed, {number}"
        for _ in range(100):
            a.send(b, 1, fill=50_000)
            await asyncio.sleep(0)
        await until(lambda: a.refused[-1:] == [(B, f"removed, {number}")], lambda: a.refused)  # noqa: B023
        b.log.refusals.clear()
        b.log.received.clear()
        await joined(a, b)
    assert len(a.refused) == 5


async def test_another_epoch_is_refused(two: tuple[Member, Member]) -> None:
    a, b = two
    b.log.epoch = 1
    a.send(b, 1)
    await until(lambda: a.refused == [(B, "epoch 0 is not epoch 1")])
    a.peers.send(B, numbered(2, epoch=1))
    await until(lambda: 2 in b.log.numbers())


@pytest.mark.parametrize("close", [True, False])
async def test_the_store_says_no_only_while_it_follows_closely(two: tuple[Member, Member], close: bool) -> None:
    """A member that lags may not know its new leader; one that has joined knows nobody."""
    a, b = two
    a.peers.reach({})
    b.know((B, "manager", "1"))
    b.log.has_quorum = close
    asked = a.asked
    a.peers.reach({B: b.addr})
    if close:
        await until(lambda: a.asked > asked + 1)
        assert not a.peers.connected(B)
        assert a.refused == []  # the port said no, not the group
        b.know((A, "manager", a.identity.issued.serial))
    await joined(a, b)


async def test_one_that_has_just_joined_takes_a_manager_s_certificate(two: tuple[Member, Member]) -> None:
    a, b = two
    b.log.has_quorum = True
    await joined(a, b)
    assert b.store.cluster is None


async def test_only_those_that_are_named_are_reached(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    asked = a.asked
    a.peers.reach({B: b.addr})
    assert a.peers.connected(B)
    a.peers.reach({})
    assert not a.peers.connected(B)
    a.send(b, 1)
    with pytest.raises(RuntimeError, match="no way leads to member"):
        await a.peers.send_snapshot(B, SnapshotHead(0, 1, 1, 1, 1), pieces(b""))
    await until(lambda: len(asyncio.all_tasks()) < 20)
    assert (b.log.received, a.asked) == ([], asked)


async def test_one_that_is_not_named_can_be_answered(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manager that has just joined knows nobody, yet the leader that calls must hear its answer."""
    a, b = two
    a.peers.reach({})
    a.peers = a.make_peers(a.addr)
    await a.deaf()
    await a.listen()
    b.send(a, 1)  # nobody knows where that is
    a.peers.reach({B: b.addr})
    await joined(a, b)
    assert not b.peers.connected(A)  # nothing to say yet
    b.send(a, 2)
    await until(lambda: a.log.numbers() == [2])
    b.peers.reach({C: "127.0.0.1:1"})
    assert b.peers.connected(A)
    b.peers.reach({A: a.addr})
    assert b.peers.connected(A)  # the same connection
    b.peers.reach({})
    assert not b.peers.connected(A)


async def test_one_that_is_not_named_is_forgotten_when_there_is_nothing_to_answer(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers_room, "GUEST_SECONDS", 0.3)
    a, b = two
    b.peers.heard(A, a.addr)
    b.send(a, 1)
    await until(lambda: a.log.numbers() == [1])
    await until(lambda: not b.peers.connected(A))
    b.send(a, 2)
    b.peers.heard(A, a.addr)
    b.send(a, 3)
    await until(lambda: a.log.numbers() == [1, 3])


async def test_one_that_speaks_from_another_address_is_answered_there(two: tuple[Member, Member]) -> None:
    a, b = two
    b.peers.reach({A: "127.0.0.1:1"})
    b.send(a, 1)
    b.peers.heard(A, a.addr)
    await joined(b, a)
    b.peers.reach({A: "127.0.0.1:1"})
    assert b.peers.connected(A)  # the log's word is old
    b.peers.heard(A, "127.0.0.1:2")
    assert b.peers.connected(A)  # what works is not touched
    b.peers.reach({A: "127.0.0.1:3"})
    assert not b.peers.connected(A)


@pytest.mark.parametrize("addr", ["unix:/tmp/x", "", "a b", "dns:///h:1", "x" * 300, "h:99999"])
async def test_what_is_no_address_is_not_connected_to(two: tuple[Member, Member], addr: str) -> None:
    a, b = two
    b.peers.heard(A, addr)
    b.send(a, 1)
    assert b.peers._known == {}


async def test_not_more_than_some_who_are_not_named_are_remembered(two: tuple[Member, Member]) -> None:
    for number in range(1000):
        two[0].peers.heard(f"m{number}", "127.0.0.1:1")
    assert len(two[0].peers._heard_at) == peers_room.MOST_GUESTS


async def test_a_member_that_moves_is_reached_at_its_new_address(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    await b.deaf()
    b.port = 0
    await b.listen()
    a.peers.reach({B: b.addr})
    a.send(b, 5)
    await until(lambda: b.log.numbers() == [5])


async def test_a_changed_certificate_is_taken_up_without_a_break(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    serials = [a.identity.issued.serial]
    numbers = iter(range(10**6))
    going = True

    async def talk() -> None:
        while going:
            a.send(b, next(numbers))
            await asyncio.sleep(0)

    talking = asyncio.create_task(talk())
    for _ in range(3):
        await until(lambda: len(b.log.numbers()) > 10)
        a.identity = Identity(a.root, A, "manager")
        serials.append(a.identity.issued.serial)
        asked = a.asked
        async with asyncio.timeout(PATIENCE):
            await a.peers.renew()
        assert a.asked == asked + 1
        assert a.peers.connected(B)
        last = next(numbers)
        a.send(b, last)
        await until(lambda: last in b.log.numbers())  # noqa: B023
    going = False
    await talking
    end = next(numbers)
    a.send(b, end)
    await until(lambda: b.log.numbers()[-1] == end)
    assert b.log.numbers() == list(range(end + 1))  # none lost, none overtaken
    assert len(set(serials)) == 4


async def test_a_renewal_that_is_not_taken_leaves_the_old_connection(
    two: tuple[Member, Member], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = two
    await joined(a, b)
    good = a.identity
    a.identity = Identity(a.root, A, "worker")
    async with asyncio.timeout(PATIENCE):
        await a.peers.renew()
    assert "does not take the new certificate" in caplog.text
    a.send(b, 1)
    await until(lambda: b.log.numbers() == [1])
    a.identity = good


async def test_a_renewal_with_nobody_connected_ends_at_once(two: tuple[Member, Member]) -> None:
    a, b = two
    await b.deaf()
    await until(lambda: not a.peers.connected(B))
    async with asyncio.timeout(PATIENCE):
        await a.peers.renew()


async def test_the_server_s_new_certificate_counts_for_the_next_connection(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    b.identity = Identity(b.root, C, "manager")  # another node now
    a.peers.reach({C: b.addr})
    await until(lambda: a.peers.connected(C))
    a.peers.reach({B: b.addr})
    asked = a.asked
    await until(lambda: a.asked > asked + 2)
    assert not a.peers.connected(B)


async def pieces(data: bytes) -> AsyncGenerator[bytes, None]:
    """In the sizes in which a log gives them."""
    for start in range(0, len(data), 1 << 18):
        yield data[start : start + (1 << 18)]


async def test_a_snapshot_comes_over_whole(two: tuple[Member, Member]) -> None:
    a, b = two
    data = bytes(range(256)) * (5 << 12)  # 5 MiB
    head = SnapshotHead(0, 4, 1000, 3, len(data))
    await a.peers.send_snapshot(B, head, pieces(data))
    assert [(sender, got, content == data) for sender, got, content in b.log.snapshots] == [(A, head, True)]


async def test_messages_pass_while_a_snapshot_waits(two: tuple[Member, Member]) -> None:
    a, b = two
    await joined(a, b)
    gate = asyncio.Event()
    taken = 0

    async def slowly(sender: str, head: SnapshotHead, chunks: AsyncIterator[bytes]) -> None:
        nonlocal taken
        async for chunk in chunks:
            taken += len(chunk)
            await gate.wait()

    b.log.receive_snapshot = slowly  # type: ignore[method-assign]
    sending = asyncio.create_task(a.peers.send_snapshot(B, SnapshotHead(0, 1, 1, 1, 20 << 20), pieces(bytes(20 << 20))))
    await until(lambda: taken > 0)
    a.send(b, 1)
    await until(lambda: b.log.numbers() == [1])
    assert taken < 20 << 20
    assert not sending.done()
    gate.set()
    await asyncio.wait_for(sending, PATIENCE)
    assert taken == 20 << 20


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("refused", "was removed"),
        ("epoch", "epoch 0 is not epoch 3"),
        ("error", "the file is damaged"),
        ("away", "did not take the snapshot"),
    ],
)
async def test_a_snapshot_that_is_not_taken_says_why(two: tuple[Member, Member], what: str, words: str) -> None:
    a, b = two
    if what == "refused":
        b.log.refusals[A] = "was removed"
    elif what == "epoch":
        b.log.epoch = 3
    elif what == "error":
        b.log.snapshot_error = OSError("the file is damaged")
    else:
        await b.deaf()
    with pytest.raises(RuntimeError, match=words):
        sending = a.peers.send_snapshot(B, SnapshotHead(0, 1, 1, 1, 3 << 20), pieces(bytes(3 << 20)))
        await asyncio.wait_for(sending, PATIENCE)
    assert b.log.snapshots == []


async def test_a_snapshot_that_cannot_be_read_to_its_end_is_not_taken(two: tuple[Member, Member]) -> None:
    a, b = two

    async def ends_early() -> AsyncGenerator[bytes, None]:
        yield bytes(50)
        raise OSError("the snapshot was replaced")

    with pytest.raises(OSError, match="the snapshot was replaced"):
        await a.peers.send_snapshot(B, SnapshotHead(0, 1, 1, 1, 100), ends_early())
    assert b.log.snapshots == []


@pytest.mark.parametrize(
    ("method", "parts", "code"),
    [
        ("Exchange", [b"\xff"], "INVALID_ARGUMENT"),
        ("Exchange", [b"\x0a\x00"], "INVALID_ARGUMENT"),
        ("Exchange", [bytes(9 << 20)], "RESOURCE_EXHAUSTED"),
        ("Exchange", [], "OK"),
        ("InstallSnapshot", [], "INVALID_ARGUMENT"),
        ("InstallSnapshot", [b"\x12\x01x"], "INVALID_ARGUMENT"),
        ("InstallSnapshot", [b"\x0a\x02\x28\x02", b"\x12\x01x"], "INVALID_ARGUMENT"),
        ("InstallSnapshot", [b"\x0a\x02\x28\x02", b"\x12\x03xyz"], "INVALID_ARGUMENT"),
        ("InstallSnapshot", [b"\x0a\x02\x28\x02", b"\x0a\x02\x28\x02"], "INVALID_ARGUMENT"),
        ("InstallSnapshot", [b"\x0a\x02\x28\x02", b"\x12\x02xy"], "OK"),
    ],
)
async def test_nonsense_of_a_member_is_refused(
    two: tuple[Member, Member], method: str, parts: list[bytes], code: str
) -> None:
    a, b = two
    key, chain, roots = a.identity.for_grpc()
    credentials = grpc.ssl_channel_credentials(roots, key, chain)
    name = (("grpc.ssl_target_name_override", B), ("grpc.max_send_message_length", -1))
    async with grpc.aio.secure_channel(b.addr, credentials, options=name) as channel:
        call = channel.stream_unary(f"/queenright.v1.Raft/{method}")(iter(parts), timeout=PATIENCE)
        assert (await call.code()).name == code
    assert b.log.received == []


async def test_a_snapshot_of_which_nothing_comes_is_not_waited_for(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    monkeypatch.setattr(gate, "FIRST_MESSAGE", 0.2)
    key, chain, roots = a.identity.for_grpc()
    credentials = grpc.ssl_channel_credentials(roots, key, chain)
    name = (("grpc.ssl_target_name_override", B),)
    async with grpc.aio.secure_channel(b.addr, credentials, options=name) as channel:
        call = channel.stream_unary("/queenright.v1.Raft/InstallSnapshot")(timeout=PATIENCE)
        assert await asyncio.wait_for(call.code(), PATIENCE) == grpc.StatusCode.DEADLINE_EXCEEDED
        assert "no message of InstallSnapshot came within 0.2 s" in (await call.details() or "")
    assert b.log.snapshots == []


async def test_a_stuck_connection_keeps_the_newest_and_bounds_the_rest() -> None:
    ways = Ways(
        lambda: (b"", b"", b""),
        EntryEncoder(),
        lambda: 0.5,
        lambda member_id, text: None,
        lambda member_id, epoch: None,
    )
    peer = Peer(B, "127.0.0.1:1", ways)
    peer._connection = object()  # type: ignore[assignment] # it takes nothing
    for number in range(100):
        peer.put(numbered(number, fill=1 << 20))
    kept = [message.commit_index for envelope, _ in peer._queue for message in envelope.messages]  # type: ignore[union-attr]
    assert kept == list(range(100 - len(kept), 100))
    assert 10 < len(kept) < 17
    assert peer._queued == sum(size for _, size in peer._queue)


async def test_a_quiet_connection_is_watched_and_lives(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    made = options.manager
    monkeypatch.setattr(
        options, "manager", lambda name, **_: tuple({**dict(made(name)), "grpc.keepalive_time_ms": 550}.items())
    )
    a.peers.reach({})
    asked = a.asked
    a.peers.reach({B: b.addr})
    await joined(a, b)
    await asyncio.sleep(2.5)  # more pings than a server bears that holds them for too many
    assert (a.peers.connected(B), a.asked) == (True, asked + 1)


class Wire:
    """Passes bytes on between a port of its own and another one, until it is cut: then it swallows them."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._pumps: list[asyncio.Task[None]] = []
        self.cut = False

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
        for source, sink in ((reader, onward_writer), (onward_reader, writer)):
            self._pumps.append(asyncio.create_task(self._pump(source, sink)))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if not self.cut:
                    sink.write(data)
                    await sink.drain()
        sink.close()

    async def stop(self) -> None:
        self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


async def test_a_peer_that_falls_silent_is_noticed_and_reached_when_it_can_be(
    two: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing closes the connection, nothing comes back: a host that lost its power, or a cut in the network."""
    a, b = two
    made = options.manager
    times = [name for name, _ in options._watched(0, 0)]
    monkeypatch.setattr(
        options,
        "manager",
        lambda name, **_: (*((k, min(int(v), 700)) if k in times else (k, v) for k, v in made(name)),),
    )
    wire = Wire(b.port)
    a.peers.reach({B: await wire.start()})
    await joined(a, b)
    wire.cut = True
    a.send(b, *range(10))
    await until(lambda: not a.peers.connected(B))
    assert b.log.numbers() == []
    wire.cut = False
    await joined(a, b)
    a.send(b, 77)
    await until(lambda: b.log.numbers()[-1:] == [77])
    await wire.stop()


async def test_a_peer_that_takes_nothing_holds_up_nobody(two: tuple[Member, Member]) -> None:
    a, b = two
    wire = Wire(b.port)
    addr = await wire.start()
    a.peers.reach({B: addr})
    await joined(a, b)
    b.identity = Identity(b.root, C, "manager")
    a.peers.reach({B: addr, C: b.addr})
    wire.cut = True
    for number in range(100):
        a.send(b, number, fill=1 << 20)  # far more than the connection holds
    await until(lambda: a.peers.connected(C))
    a.peers.send(C, numbered(5))
    await until(lambda: b.log.numbers() == [5])
    assert a.peers._known[B].peer._queued <= peer_room.QUEUE_BYTES
    async with asyncio.timeout(PATIENCE):
        await a.peers.close()
    await wire.stop()


async def test_closing_leaves_nothing_behind() -> None:
    root = create_root(datetime.datetime.now(datetime.UTC))
    peers = GrpcPeers(Identity(root, A, "manager").for_grpc, dice=lambda: 0.5)
    peers.reach({B: "127.0.0.1:1", C: "127.0.0.1:1"})
    await asyncio.sleep(0.1)
    before = {task.get_name() for task in asyncio.all_tasks()}
    assert {f"raft-peer-{B}", f"raft-peer-{C}"} <= before
    await peers.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("raft-")]
    peers.send(B, numbered(1))
