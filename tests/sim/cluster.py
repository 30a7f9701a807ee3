# SPDX-License-Identifier: Apache-2.0
"""A simulated group: members, network, clients and judge on one virtual clock. Everything follows from the seed."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pysyncobj import FAIL_REASON

from queenright.edge.raft.core import Committed
from queenright.edge.raft.errors import RaftError
from queenright.edge.raft.force import force_new_cluster
from queenright.edge.raft.members import Config, Member
from queenright.wire.raft import Envelope, Message, SnapshotHead, decode_envelope, encode_envelope
from sim.clock import Clock
from sim.disk import PowerCutError
from sim.history import History
from sim.judge import Judge
from sim.machine import command
from sim.member import SimMember, SimProposal, founders
from sim.network import FAIR, Network

TICK = 0.05
SOON = 0.001
"""Virtual seconds between two steps of a member to whom nothing comes in."""
SOON = 0.0005
GIVE_UP = 2.0
"""Virtual seconds after which a leader takes a snapshot for lost on its way."""


class _Picture(NamedTuple):
    """A snapshot on its way to another member."""

    head: SnapshotHead
    content: bytes


class _Taken(NamedTuple):
    """The answer: up to which entry a snapshot was taken."""

    index: int


class Cluster:
    """``names`` are there from the beginning; others join. The clock must be the one by which the library lives."""

    def __init__(self, directory: Path, clock: Clock, seed: int, names: str = "abc") -> None:
        self.clock = clock
        self.dice = random.Random(seed)
        self.network = Network(random.Random(seed + 1))
        self.judge = Judge()
        self.history = History()
        self.members: dict[str, SimMember] = {}
        self.outcomes: dict[bytes, str] = {}
        self._directory = directory
        self._value = 0
        self._reads: dict[int, tuple[str, str, float]] = {}
        self._waiting: list[tuple[SimMember, int, int]] = []
        self._sending: dict[tuple[str, str], float] = {}
        self._due: dict[str, float] = {}
        for name in names:
            self.add(name, founders(names))

    def add(self, name: str, config: Config | None = None) -> SimMember:
        """Power on a member that knows these others; by default nobody, as one that is to be taken in."""
        seed = self.dice.randrange(2**32)
        member = SimMember(name, self._directory / name, self.clock, seed, config or Config())
        self.members[name] = member
        member.disk.on_cut = lambda: self.note(f"{name}: the power goes in the middle of a write")
        self.start(name)
        return member

    # -- what is done to it

    def start(self, name: str) -> None:
        """Power on a member that is off."""
        member = self.members[name]
        if member.up or member.retired:
            return
        before = member.wal if hasattr(member, "wal") else None
        member.start()
        self.note(f"{name} comes up with entries {member.wal.first_index} to {member.wal.last_index}")
        self.judge.started(member, before)
        self._due[name] = self.clock.now

    def kill(self, name: str) -> None:
        """The power of a member goes."""
        member = self.members[name]
        if not member.up:
            return
        self.note(f"{name} dies")
        member.die()
        self._reads = {ticket: read for ticket, read in self._reads.items() if read[0] != name}
        self._waiting = [waiting for waiting in self._waiting if waiting[0] is not member]
        self._sending = {pair: until for pair, until in self._sending.items() if pair[0] != name}

    def force(self, name: str) -> None:
        """Make a member that is off the only one of its group, as an administrator does."""
        self.note(f"{name} is forced to be a group of its own")
        member = self.members[name]
        force_new_cluster(member.disk.directory, name, f"{name}:2377", member.disk, sealer=member.sealer)

    def wipe(self, name: str) -> SimMember:
        """A removed member forgets everything, and waits to be taken in again under its old name."""
        self.kill(name)
        self.note(f"{name} is wiped")
        shutil.rmtree(self.members.pop(name).disk.directory)
        self.judge.forget(name)
        return self.add(name)

    def retire(self, name: str) -> None:
        """A member is never seen again."""
        self.kill(name)
        self.members[name].retired = True

    def pause(self, name: str, seconds: float) -> None:
        """A member hangs; what is sent to it waits."""
        self.note(f"{name} hangs for {seconds:.2f} s")
        self.members[name].paused_until = self.clock.now + seconds

    def write(self, name: str, key: str, term: int | None = None) -> bytes:
        """A client asks a member to write a value of its own to a register; gives the command. ``outcomes`` tells what
        became of it: "acknowledged", "refused" (for sure) or "unknown", as the client is told, and "" before that."""
        self._value += 1
        value, body = self._value, command(key, self._value)
        self.outcomes[body] = ""
        member = self.members[name]
        if not member.up:
            return body

        def ended(reason: int | None) -> None:
            if reason is None:
                self.history.confirm(value, self.clock.now)
                self.outcomes[body] = "acknowledged"
            elif reason == FAIL_REASON.UNKNOWN_OUTCOME:
                self.outcomes[body] = "unknown"
            else:
                self.judge.refuses(body)
                self.history.refuse(value)
                self.outcomes[body] = "refused"

        self.history.write(key, value, self.clock.now)
        member.replica.intake.put([SimProposal(body, term, ended)])
        self._wake(name)
        return body

    def read(self, name: str, key: str) -> int:
        """A client asks a member for a register, fresh; gives a ticket."""
        ticket = self.dice.randrange(2**62)
        member = self.members[name]
        if member.up:
            self._reads[ticket] = (name, key, self.clock.now)
            member.replica.read(ticket)
            self._wake(name)
        return ticket

    def change(self, change: Callable[[Config], Config]) -> bool:
        """Ask the leader for another list of members; whether it took it."""
        leader = self.leader()
        if leader is None:
            return False
        try:
            leader.replica.change(change)
        except RaftError as error:
            self.note(f"{leader.name} refuses a change of members: {error}")
            return False
        return True

    def join(self, name: str) -> bool:
        """Take in a member that is on."""
        return self.change(lambda config: config.with_member(Member(name, f"{name}:2377", voter=False)))

    def remove(self, name: str) -> bool:
        return self.change(lambda config: config.without(name))

    def transfer(self) -> bool:
        """Ask the leader to hand over."""
        leader = self.leader()
        if leader is None:
            return False
        try:
            leader.replica.transfer()
        except RaftError as error:
            self.note(f"{leader.name} does not hand over: {error}")
            return False
        return True

    def leader(self) -> SimMember | None:
        """The leader of the newest term, if it runs."""
        leaders = [member for member in self.members.values() if member.up and member.status.is_leader]
        return max(leaders, key=lambda member: member.status.term, default=None)

    # -- time

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.clock.now + seconds
        while True:
            moment = min([self.network.next_arrival() or math.inf, *self._moments()], default=math.inf)
            if moment > end:
                self.clock.now = end
                return
            self.clock.now = max(self.clock.now, moment)
            for parcel in self.network.arrived(self.clock.now):
                self._arrive(parcel.source, parcel.target, parcel.content)
            for name, due in list(self._due.items()):
                if due <= self.clock.now and self._runs(name):
                    self._turn(name)

    def until(self, condition: Callable[[], Any], seconds: float = 30.0, what: str = "") -> Any:
        """Let time pass until ``condition`` holds, and give what it gave; fail when it does not in time."""
        end = self.clock.now + seconds
        while not (found := condition()):
            assert self.clock.now < end, f"it never came to pass: {what or condition}"
            self.run(TICK)
        return found

    def settle(self, seconds: float = 60.0) -> SimMember:
        """Everything is well again: the group must find a leader, take a write, and agree on all there is. Gives the
        leader."""
        self.network.heal()
        self.network.weather = FAIR
        for name, member in self.members.items():
            member.paused_until = 0.0
            member.disk.full, member.disk.cut_after = False, 0
            self.start(name)
        self.note("all is well again")
        last: list[bytes] = []

        def write() -> bool:
            leader = self.leader()
            if leader is not None and (not last or last[0] not in self.judge.acknowledged):
                last[:] = [self.write(leader.name, "last")]
                self.run(0.5)
            return bool(last) and last[0] in self.judge.acknowledged

        self.until(write, seconds, "a write on a healed group")
        self.until(lambda: 0 < len(self._caught_up()) == len(self.voters()), seconds, "everybody catches up")
        leader = self.leader()
        assert leader is not None
        self.judge.all_agree(self._caught_up())
        assert (text := self.history.contradiction()) is None, text
        return leader

    def voters(self) -> list[SimMember]:
        leader = self.leader()
        return [] if leader is None else [self.members[name] for name in sorted(leader.wal.config.voters())]

    def _caught_up(self) -> list[SimMember]:
        leader = self.leader()
        if leader is None:
            return []
        index = leader.machine.index
        return [member for member in self.voters() if member.machine.index == index == leader.wal.last_index]

    def note(self, text: str) -> None:
        self.judge.trace.append(f"{self.clock.now - 1000:8.3f} {text}")

    def attempt(self, name: str, action: Callable[[], None]) -> None:
        """Do something to a member, in the middle of which its power may go."""
        try:
            action()
        except PowerCutError:
            self.kill(name)
        except OSError as error:
            self.note(f"{name} ends: {error}")  # as the daemon does, to be started again
            self.kill(name)

    def close(self) -> None:
        """Give all files back."""
        for member in self.members.values():
            if member.up:
                member.wal.close()

    # -- within

    def _wake(self, name: str) -> None:
        """A member makes its next step soon."""
        self._due[name] = min(self._due[name], self.clock.now + 0.001)

    def _runs(self, name: str) -> bool:
        member = self.members[name]
        return member.up and member.paused_until <= self.clock.now

    def _moments(self) -> list[float]:
        """When members make their next steps."""
        return [max(due, self.members[name].paused_until) for name, due in self._due.items() if self.members[name].up]

    def _arrive(self, source: str, target: str, content: object) -> None:
        member = self.members.get(target)
        if member is None or not member.up:
            return
        if isinstance(content, bytes):
            envelope = decode_envelope(content)
            if self._let_in(source, member, envelope.epoch):
                for message in envelope.messages:
                    member.replica.receive(source, message)
        elif isinstance(content, _Taken):
            if self._sending.pop((target, source), None) is not None:
                member.replica.snapshot_ended(source, content.index)
        elif isinstance(content, _Picture) and self._runs(target) and self._let_in(source, member, content.head.epoch):
            self.attempt(target, lambda: self._install(source, target, content))
        self._due[target] = self.clock.now

    def _let_in(self, source: str, member: SimMember, epoch: int) -> bool:
        """Whether the member's gate opens for this sender."""
        refusal = member.gate.refusal(source, epoch)
        if refusal is not None:
            self.note(f"{member.name} refuses {source}: {refusal}")
        return refusal is None

    def _turn(self, name: str) -> None:
        self._due[name] = self.clock.now + TICK
        self.attempt(name, lambda: self._step(self.members[name]))
        if self._runs(name):  # it is woken when it wants to be, as its thread would be
            self._due[name] = self.clock.now + min(TICK, max(SOON, self.members[name].replica.sleeps()))

    def _step(self, member: SimMember) -> None:
        replica, judge = member.replica, self.judge
        self._send(member, replica.step())
        for entry in replica.take_committed():
            judge.handed_over(member, entry, self.members)
            self._apply(member, entry)
        self._send(member, replica.flush())
        member.looked()
        judge.stepped(member)
        self._answer_reads(member)
        self._send_snapshots(member)
        member.begin_snapshot()
        if member.frozen is not None and member.frozen.due <= self.clock.now:
            member.end_snapshot()
        if replica.unfinished():
            self._due[member.name] = self.clock.now + SOON

    def _send(self, member: SimMember, outgoing: list[tuple[str, Message]]) -> None:
        for target, message in sorted(outgoing, key=lambda sent: sent[0]):  # sets have another order in each process
            self.judge.sent(member, target, message)
            content = encode_envelope(Envelope(member.wal.config.epoch, 1, (message,)))
            self.network.send(self.clock.now, member.name, target, bytes(content))

    def _apply(self, member: SimMember, entry: Committed) -> None:
        member.apply(entry)
        for callback in entry.callbacks:
            if isinstance(callback, SimProposal):
                self.judge.acknowledges(callback.body, entry.index)
                callback.ended(None)

    def _answer_reads(self, member: SimMember) -> None:
        for result in member.replica.take_reads():
            if result.index is None:
                self._reads.pop(result.ticket, None)
            elif result.ticket in self._reads:
                self._waiting.append((member, result.ticket, result.index))
        for waiting in list(self._waiting):
            reader, ticket, index = waiting
            if reader is member and member.machine.index >= index:
                self._waiting.remove(waiting)
                _, key, began = self._reads.pop(ticket)
                self.history.read(key, member.machine.read(key), began, self.clock.now)

    # -- snapshots on their way

    def _send_snapshots(self, member: SimMember) -> None:
        for target in sorted(member.replica.take_snapshots_wanted()):
            assert member.snapshot is not None
            self.note(f"{member.name} sends {target} a snapshot of {member.snapshot.index}")
            self._sending[member.name, target] = self.clock.now + GIVE_UP
            snapshot, epoch = member.snapshot, member.wal.config.epoch
            head = SnapshotHead(epoch, member.replica.status().term, snapshot.index, snapshot.term, snapshot.clear_size)
            picture = _Picture(head, b"".join(snapshot.clear()))
            self.network.send(self.clock.now, member.name, target, picture)
        for (source, target), until in list(self._sending.items()):
            if source == member.name and until <= self.clock.now:
                del self._sending[source, target]
                member.replica.snapshot_ended(target, None)

    def _install(self, source: str, target: str, picture: _Picture) -> None:
        member = self.members[target]
        if picture.head.index > member.machine.index:
            self.note(f"{target} installs the snapshot of {picture.head.index}")
            member.install(picture.head, picture.content)
        self.network.send(self.clock.now, target, source, _Taken(picture.head.index))
