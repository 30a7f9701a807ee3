# SPDX-License-Identifier: Apache-2.0
"""Watches a simulated group from outside and knows everything: after every step, what must always hold, holds.

* a term has one leader at most, and it has every entry that was ever committed
* two logs that have an entry in common have all earlier ones in common
* a committed entry stays, everywhere; state machines apply the same commands in the same order, none of them twice
* what was acknowledged was durable on a majority, and is never gone; what was refused for sure is never applied
* a member says nothing (a vote, an acknowledgement, a term) that it forgets when its power goes
* neighbouring lists of members differ by one voter at most
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from queenright.edge.raft.core import Committed
from queenright.edge.raft.log_format import MEMBERS_ENTRY, REGULAR
from queenright.edge.raft.members import Config, parse_config
from queenright.edge.raft.wal import Wal
from queenright.wire.raft import AppendAnswer, AppendEntries, Message, RequestVote, TimeoutNow, VoteAnswer

if TYPE_CHECKING:
    from sim.member import SimMember


class Judge:
    """One for a whole group, however often its members die."""

    def __init__(self) -> None:
        self.committed: dict[int, tuple[int, bytes]] = {}
        self.acknowledged: dict[bytes, int] = {}
        self.refused: set[bytes] = set()
        self.leaders: dict[int, str] = {}
        self.trace: deque[str] = deque(maxlen=300)
        self._entries: dict[tuple[int, int], tuple[bytes, int]] = {}
        self._places: dict[bytes, int] = {}
        self._verified: dict[str, tuple[int, int]] = {}
        self._votes: dict[tuple[str, int], str] = {}
        self._terms: dict[str, int] = {}

    # -- what members do

    def stepped(self, member: SimMember) -> None:
        """A member made a step."""
        status, wal = member.status, member.wal
        assert wal.durable_index <= wal.last_index
        assert status.commit_index <= wal.last_index, f"{member.name} commits {status.commit_index} beyond its log"
        self._check_log(member.name, wal)
        if status.is_leader:
            if status.term not in self.leaders and status.term > max(self.leaders, default=0):
                self._check_complete(member.name, wal)
            known = self.leaders.setdefault(status.term, member.name)
            assert known == member.name, f"{known} and {member.name} both lead in term {status.term}"

    def sent(self, member: SimMember, target: str, message: Message) -> None:
        """A member lets out a message."""
        name = member.name
        if isinstance(message, VoteAnswer) and message.granted and not message.pre:
            self._voted(name, message.term, target)
        elif isinstance(message, RequestVote) and not message.pre:
            self._voted(name, message.term, name)
        if isinstance(message, AppendAnswer) and message.success and message.next_index > 0:
            durable = member.wal.durable_index
            assert message.next_index - 1 <= durable, f"{name} acknowledges {message.next_index - 1}, has {durable}"
        if isinstance(message, AppendEntries | AppendAnswer | TimeoutNow) or not message.pre:
            self._terms[name] = max(self._terms.get(name, 0), message.term)

    def handed_over(self, member: SimMember, entry: Committed, members: dict[str, SimMember]) -> None:
        """A member takes an entry for committed and applies it."""
        if entry.index not in self.committed:
            _check_majority(entry, members)
        known = self.committed.setdefault(entry.index, (entry.term, entry.command))
        assert known == (entry.term, entry.command), (
            f"{member.name} applies {entry.command!r} of term {entry.term} at {entry.index}, "
            f"where {known[1]!r} of term {known[0]} was committed"
        )
        if entry.command[0] == REGULAR:
            body = entry.command[1:]
            assert body not in self.refused, f"{body!r} was refused for sure and is applied"
            assert self._places.setdefault(body, entry.index) == entry.index, f"{body!r} is applied twice"

    def acknowledges(self, body: bytes, index: int) -> None:
        """A client is told that its command is safe."""
        assert self.committed[index][1] == bytes([REGULAR]) + body, f"{body!r} is acknowledged and not committed"
        self.acknowledged[body] = index

    def refuses(self, body: bytes) -> None:
        """A client is told that its command will never be applied."""
        assert body not in self._places, f"{body!r} is refused for sure and was applied"
        self.refused.add(body)

    def started(self, member: SimMember, before: Wal | None) -> None:
        """A member came up again; ``before`` is the log it had when its power went."""
        name, wal = member.name, member.wal
        told = self._terms.get(name, 0)
        assert wal.getCurrentTerm() >= told, f"{name} comes up in term {wal.getCurrentTerm()} after term {told}"
        vote = self._votes.get((name, wal.getCurrentTerm()))
        assert vote in (None, wal.getVotedForNodeId()), f"{name} forgot its vote for {vote}"
        if before is not None and before.durable_index >= wal.first_index:
            term = before.term_of(before.durable_index) if before.durable_index >= before.first_index else None
            assert term is None or wal.contains(before.durable_index, term), (
                f"{name} lost entries up to {before.durable_index}, which it had flushed"
            )
        status = member.status
        for index in range(wal.first_index + 1, status.commit_index + 1):
            assert index in self.committed, f"{name} comes up with entry {index} committed, which never was"
        self._verified.pop(name, None)
        self._check_log(name, wal)

    def forget(self, name: str) -> None:
        """A member was wiped after it was removed: another one has its name from now on."""
        self._terms.pop(name, None)
        self._verified.pop(name, None)
        self._votes = {key: vote for key, vote in self._votes.items() if key[0] != name}

    # -- at the end

    def all_agree(self, members: list[SimMember]) -> None:
        """Everybody has caught up: all that was acknowledged is there, everywhere, once."""
        for member in members:
            held = [body for _, body in member.machine.history]
            assert len(held) == len(set(held)), f"{member.name} applied a command twice"
            gone = self.acknowledged.keys() - set(held)
            assert not gone, f"{member.name} lacks {len(gone)} acknowledged commands: {sorted(gone)[:5]}"
            assert not self.refused & set(held)
            for index, body in member.machine.history:
                assert self.committed[index][1] == bytes([REGULAR]) + body
        first = members[0].machine
        for member in members[1:]:
            assert member.machine.history == first.history
            assert member.machine.registers == first.registers

    # -- within

    def _voted(self, name: str, term: int, candidate: str) -> None:
        known = self._votes.setdefault((name, term), candidate)
        assert known == candidate, f"{name} votes for {candidate} in term {term}, after {known}"

    def _check_log(self, name: str, wal: Wal) -> None:
        """Every entry that is new in this log is the one that all others have at its place and of its term."""
        index, term = self._verified.get(name, (0, 0))
        if not wal.contains(index, term):
            index = wal.first_index
        for number in range(index + 1, wal.last_index + 1):
            entry, before = wal.entry(number), wal.term_of(number - 1)
            known = self._entries.setdefault((number, entry.term), (entry.command, before))
            assert known == (entry.command, before), f"{name} has another entry {number} of term {entry.term}: {entry}"
            if entry.command[0] == MEMBERS_ENTRY:
                _check_neighbours(_config_before(wal, number), parse_config(entry.command[1:]))
        self._verified[name] = (wal.last_index, wal.term_of(wal.last_index))

    def _check_complete(self, name: str, wal: Wal) -> None:
        last = max(self.committed, default=1)
        assert wal.last_index >= last, f"{name} leads without entry {last}, which was committed"
        for index in range(wal.first_index, last + 1):
            if index in self.committed:
                assert wal.term_of(index) == self.committed[index][0], f"{name} leads with another entry {index}"


def _check_majority(entry: Committed, members: dict[str, SimMember]) -> None:
    """Somebody takes an entry for committed: it is durable on a majority of the members of some moment since."""
    tried = []
    for member in members.values():
        for config in _configs_since(member.wal, entry.index):
            holders = [name for name in config.voters() if _holds(members[name].wal, entry.index, entry.term)]
            if 2 * len(holders) > len(config.voters()):
                return
            tried.append((sorted(config.voters()), holders))
    raise AssertionError(f"entry {entry.index} of term {entry.term} is committed, but durable only on: {tried}")


def _holds(wal: Wal | None, index: int, term: int) -> bool:
    if wal is None:
        return False
    return wal.first_index > index or (wal.durable_index >= index and wal.contains(index, term))


def _configs_since(wal: Wal, index: int) -> list[Config]:
    """The list of members as of an entry, and all later ones."""
    if not wal.first_index <= index < wal.last_index:
        return [wal.base if index < wal.first_index else wal.config]
    later = [wal.entry(number).command for number in range(index + 1, wal.last_index + 1)]
    return [_config_before(wal, index + 1), *(parse_config(one[1:]) for one in later if one[0] == MEMBERS_ENTRY)]


def _config_before(wal: Wal, index: int) -> Config:
    for number in range(index - 1, wal.first_index, -1):
        command = wal.entry(number).command
        if command[0] == MEMBERS_ENTRY:
            return parse_config(command[1:])
    return wal.base


def _check_neighbours(before: Config, after: Config) -> None:
    if before.members and before.epoch == after.epoch:
        changed = before.voters() ^ after.voters()
        assert len(changed) <= 1, f"voters {sorted(changed)} change at once"
