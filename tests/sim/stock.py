# SPDX-License-Identifier: Apache-2.0
"""PySyncObj as it comes: members on a virtual clock, messages that arrive when the test says so.

What the tests show with it are the library's defects; they stand beside the tests that show ours without them.
"""

from __future__ import annotations

import collections
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from .clock import Clock

TICK = 0.02
NEVER = 10**6


class Wire:
    """Messages under way, in order for each pair of members."""

    def __init__(self) -> None:
        self.under_way: dict[tuple[str, str], collections.deque[dict[str, Any]]] = collections.defaultdict(
            collections.deque
        )
        self.ends: dict[str, StockTransport] = {}
        self._cut: set[tuple[str, str]] = set()

    def link(self, first: str, second: str) -> None:
        """Connect two members that know each other."""
        self._cut -= {(first, second), (second, first)}
        self.ends[first].connected(second)
        self.ends[second].connected(first)

    def cut(self, first: str, second: str) -> None:
        """Disconnect two members; what is under way between them is lost."""
        self._cut |= {(first, second), (second, first)}
        self.ends[first].disconnected(second)
        self.ends[second].disconnected(first)
        self.under_way[first, second].clear()
        self.under_way[second, first].clear()

    def isolate(self, name: str) -> None:
        for other in list(self.ends):
            if other != name:
                self.cut(name, other)

    def send(self, sender: str, receiver: str, message: dict[str, Any]) -> bool:
        """Put a message on its way, unless the two are cut from each other."""
        if (sender, receiver) in self._cut:
            return False
        self.under_way[sender, receiver].append(message)
        return True

    def deliver(self, source: str | None = None, target: str | None = None, most: int = NEVER) -> int:
        """Let messages arrive, all or those of one pair; gives how many did."""
        arrived = 0
        for (sender, receiver), queue in list(self.under_way.items()):
            if source not in (None, sender) or target not in (None, receiver):
                continue
            while queue and arrived < most:
                self.hand_over(sender, receiver, queue.popleft())
                arrived += 1
        return arrived

    def hand_over(self, sender: str, receiver: str, message: dict[str, Any]) -> None:
        """Let this message arrive now."""
        end = self.ends.get(receiver)
        if end is not None and sender in end.nodes:
            end._onMessageReceived(end.nodes[sender], message)


class StockTransport(Transport):  # type: ignore[misc]
    """The library's way to the wire."""

    def __init__(self, wire: Wire, name: str, others: Iterable[Node]) -> None:
        super().__init__(None, None, None)
        self.wire, self.name = wire, name
        self.nodes: dict[str, Node] = {node.id: node for node in others}
        wire.ends[name] = self

    def addNode(self, node: Node) -> None:
        self.nodes[node.id] = node

    def dropNode(self, node: Node) -> None:
        self.nodes.pop(node.id, None)

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        return self.wire.send(self.name, node.id, message)

    def connected(self, name: str) -> None:
        if name in self.nodes:
            self._onNodeConnected(self.nodes[name])

    def disconnected(self, name: str) -> None:
        if name in self.nodes:
            self._onNodeDisconnected(self.nodes[name])

    def destroy(self) -> None:
        pass


class StockMember(SyncObj):  # type: ignore[misc]
    """One member with a dict as its state."""

    def __init__(self, wire: Wire, name: str, others: Iterable[str], **options: Any) -> None:
        nodes = [Node(other) for other in others]
        self.name, self.answers = name, collections.defaultdict(list)  # set before: not part of the library's dumps
        conf = SyncObjConf(autoTick=False, **options)
        super().__init__(Node(name), nodes, conf, nodeClass=Node, transport=StockTransport(wire, name, nodes))
        self.data: dict[Any, Any] = {}

    @replicated
    def put(self, key: Any, value: Any) -> None:
        self.data[key] = value

    @replicated
    def explode(self) -> None:
        raise ValueError("this command cannot be applied")

    def write(self, *keys: Any, value: Any = 1) -> None:
        """Put each key; ``acknowledged`` and ``answers`` tell what became of it."""
        for key in keys:
            self.put(key, value, callback=self._note(key))

    def _note(self, key: Any) -> Callable[[Any, int], None]:
        return lambda _result, reason: self.answers[key].append(reason)

    @property
    def acknowledged(self) -> set[Any]:
        return {key for key, reasons in self.answers.items() if FAIL_REASON.SUCCESS in reasons}

    def peek(self, name: str) -> Any:
        """A private attribute of the library."""
        return getattr(self, f"_SyncObj__{name}")

    def poke(self, name: str, value: Any) -> None:
        setattr(self, f"_SyncObj__{name}", value)

    @property
    def leads(self) -> bool:
        return bool(self._isLeader())

    @property
    def last_index(self) -> int:
        return int(self.peek("raftLog")[-1][1])

    def send_entries(self) -> None:
        """What the library does every period."""
        self._SyncObj__sendAppendEntries()

    def receive(self, sender: str, **message: Any) -> None:
        """A message arrives from a member or from somebody who connected."""
        node = self.peek("transport").nodes.get(sender, Node(sender))
        self._SyncObj__onMessageReceived(node, message)


class StockGroup:
    """Members that know and reach each other."""

    def __init__(self, clock: Clock, names: str = "ABC", **options: Any) -> None:
        self.clock, self.wire = clock, Wire()
        self.members = {
            name: StockMember(self.wire, name, [other for other in names if other != name], **options) for name in names
        }
        for first in names:
            for second in names:
                if first < second:
                    self.wire.link(first, second)

    def run(self, seconds: float, *members: StockMember) -> None:
        """Let time pass for these members, or for all."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.advance(TICK)
            for member in members or self.members.values():
                member.doTick(0)
            self.wire.deliver()

    def elect(self, seconds: float = 4.0) -> tuple[StockMember, list[StockMember]]:
        """Let time pass; gives the leader and the others."""
        self.run(seconds)
        leaders = [member for member in self.members.values() if member.leads]
        assert len(leaders) == 1
        return leaders[0], [member for member in self.members.values() if member is not leaders[0]]


def photograph(source: Path, target: Path) -> None:
    """What a process killed at this moment leaves behind: its writes are in the files, its plans are not."""
    shutil.copytree(source, target, dirs_exist_ok=True)


def alone(clock: Clock, directory: Path, **options: Any) -> StockMember:
    """A group of one on disk, with journal and dump, that compacts only when it is told."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = {
        "journalFile": str(directory / "journal"),
        "fullDumpFile": str(directory / "dump"),
        "useFork": False,
        "logCompactionMinEntries": NEVER,
        "logCompactionMinTime": NEVER,
        "dynamicMembershipChange": True,
        **options,
    }
    member = StockMember(Wire(), "A", [], **settings)
    for _ in range(150):
        clock.advance(TICK)
        member.doTick(0)
    return member


def tick(clock: Clock, member: StockMember, times: int = 3) -> None:
    for _ in range(times):
        clock.advance(0.001)
        member.doTick(0)
