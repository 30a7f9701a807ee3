# SPDX-License-Identifier: GPL-3.0-or-later
"""One member of a raft group in a process of its own: the daemon's log, control port and peers, and a map as its state.

Beside the control port (mutual TLS, as ever) a plain port on loopback takes ``KV/Put`` as etcd does, and answers the
benchmark's questions. Puts that come in while others are being committed share the next entry.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import pathlib
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import grpc.aio

from benchmarks._lib import kv
from queenright.app.certificates import PeerReader
from queenright.edge.grpc.authorize import Authorizer
from queenright.edge.grpc.peers import GrpcPeers
from queenright.edge.grpc.server import ControlServer
from queenright.edge.pki.data_keys import KeyFile
from queenright.edge.pki.sealing import RecordSealer
from queenright.edge.raft import RaftError, RaftLog
from queenright.lib import memory
from queenright.manager.dispatch import Dispatcher
from queenright.store.store import Store

_HEAD = struct.Struct("<HI")
MOST_AT_ONCE = 2
"""Entries of the front under way. Puts that come in meanwhile wait, and go together."""
MOST_BYTES = 1 << 20


def encode(key: bytes, value: bytes) -> bytes:
    """One change; a command is one or more of them."""
    return _HEAD.pack(len(key), len(value)) + key + value


class Map:
    """The state machine: keys and values."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}

    def apply(self, index: int, command: bytes) -> int:
        place = 0
        while place < len(command):
            key_size, value_size = _HEAD.unpack_from(command, place)
            place += _HEAD.size
            self.values[command[place : place + key_size]] = command[place + key_size : place + key_size + value_size]
            place += key_size + value_size
        return index

    def freeze(self) -> Callable[[], Iterator[bytes]]:
        values = dict(self.values)
        return lambda: (encode(key, value) for key, value in values.items())

    def prepare(self, index: int, records: Iterator[bytes]) -> Callable[[], None]:
        fresh = Map()
        for record in records:
            fresh.apply(index, record)

        def swap() -> None:
            self.values = fresh.values

        return swap

    def restore(self, index: int, records: Iterator[bytes]) -> None:
        self.prepare(index, records)()


class Clock:
    def wall(self) -> int:
        return time.time_ns()

    def mono(self) -> float:
        return time.monotonic()


class Nobody:
    """The dispatcher's way to write; no agent ever comes."""

    is_leader = False

    async def propose(self, changes: object) -> int:
        raise RuntimeError("nobody writes here")

    async def barrier(self) -> int:
        return 0


class Peers(GrpcPeers):
    """Knows where the others are before the log says so: a joiner could not answer the leader else."""

    def __init__(self, others: dict[str, str], *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._others = others

    def reach(self, members: Mapping[str, str]) -> None:
        super().reach({**self._others, **members})


class Batcher:
    """Puts several changes into one entry when they come in faster than entries are committed."""

    def __init__(self, log: RaftLog) -> None:
        self._log = log
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def put(self, change: bytes) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, future))
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._go)
        await future

    def _go(self) -> None:
        while self._waiting and len(self._under_way) < MOST_AT_ONCE:
            count = size = 0
            while count < len(self._waiting) and size < MOST_BYTES:
                size += len(self._waiting[count][0])
                count += 1
            taken, self._waiting = self._waiting[:count], self._waiting[count:]
            task = asyncio.create_task(self._propose(taken))
            self._under_way.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._go()

    async def _propose(self, taken: list[tuple[bytes, asyncio.Future[None]]]) -> None:
        error: Exception | None = None
        try:
            await self._log.propose(b"".join(change for change, _ in taken))
        except RaftError as raised:
            error = raised
        for _, future in taken:
            if future.done():
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)


class Member:
    """The log and its two ports."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        folder = pathlib.Path(options.folder)
        self.certificates = tuple((folder / name).read_bytes() for name in ("key.pem", "chain.pem", "root.pem"))
        self.machine = Map()
        others = dict(manager.split("=") for manager in options.manager)
        self.peers = Peers(others, lambda: self.certificates, dice=random.random)
        self.log = RaftLog(
            folder / "raft",
            options.id,
            self.machine,
            sealer=RecordSealer(KeyFile(folder / "raft.key"), options.id, os.urandom),
            network=self.peers,
            founding=options.founding,
            addr=f"127.0.0.1:{options.port}",
            snapshot_every=options.snapshot_every,
            on_fatal=self._fatal,
        )
        store = Store()
        self._control = ControlServer(
            Dispatcher(store, Nobody(), Clock(), lambda: "id"),
            Authorizer(store, options.cluster, Clock(), PeerReader()),
            lambda: self.certificates,
            raft=self.log.reception,
            heard=self.peers.heard,
        )
        self._batcher = Batcher(self.log)

    async def run(self) -> None:
        await self._control.start("127.0.0.1", self._options.port)
        self.peers.reach({})
        await self.log.start()
        front = grpc.aio.server(options=(("grpc.so_reuseport", 0), *kv.OPTIONS))
        put = grpc.unary_unary_rpc_method_handler(
            self._put, request_deserializer=kv.PutRequest.FromString, response_serializer=lambda _: b""
        )
        txn = grpc.unary_unary_rpc_method_handler(
            self._txn, request_deserializer=kv.TxnRequest.FromString, response_serializer=lambda _: b""
        )
        ask = grpc.unary_unary_rpc_method_handler(self._ask)
        front.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler("etcdserverpb.KV", {"Put": put, "Txn": txn}),
                grpc.method_handlers_generic_handler("bench.Member", {"Ask": ask}),
            )
        )
        front.add_insecure_port(f"127.0.0.1:{self._options.front}")
        await front.start()
        gc.collect()
        gc.freeze()
        print("ready", flush=True)
        await front.wait_for_termination()

    def _fatal(self, error: BaseException) -> None:
        print(f"the log failed: {error}", file=sys.stderr, flush=True)
        os._exit(1)

    async def _put(self, request: Any, context: Any) -> None:
        await self._batch(encode(request.key, request.value), context)

    async def _txn(self, request: Any, context: Any) -> None:
        puts = (each.request_put for each in request.success)
        await self._batch(b"".join(encode(put.key, put.value) for put in puts), context)

    async def _batch(self, changes: bytes, context: Any) -> None:
        try:
            await self._batcher.put(changes)
        except RaftError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))

    async def _ask(self, raw: bytes, context: Any) -> bytes:
        question = json.loads(raw)
        answer = getattr(self, f"_on_{question.pop('what')}")
        try:
            return json.dumps(await answer(**question)).encode()
        except RaftError as error:
            return json.dumps({"error": type(error).__name__, "text": str(error)}).encode()

    # -- questions

    async def _on_status(self) -> dict[str, Any]:
        log = self.log
        return {
            "leader": log.is_leader,
            "term": log.term,
            "applied": log.applied_index,
            "last": log.last_index,
            "voters": sorted(member.id for member in log.members() if member.voter),
            "keys": len(self.machine.values),
        }

    async def _on_add(self, id: str, addr: str) -> dict[str, Any]:
        await self.log.add_member(id, addr)
        return {}

    async def _on_put(self, key: str, value: str) -> dict[str, Any]:
        return {"index": await self.log.propose(encode(key.encode(), value.encode()))}

    async def _on_get(self, key: str) -> dict[str, Any]:
        """A fresh read: behind the barrier."""
        await self.log.barrier()
        return {"value": self.machine.values.get(key.encode(), b"").decode()}

    async def _on_keys(self) -> dict[str, Any]:
        return {"keys": [key.decode() for key in self.machine.values]}

    async def _on_digest(self) -> dict[str, Any]:
        """What tells one state from another."""
        total = 0
        for item in self.machine.values.items():
            total ^= hash_of(item)
        return {"keys": len(self.machine.values), "digest": total}

    async def _on_load(self, flight: int, seconds: float) -> dict[str, float]:
        """Propose from within this process, each put an entry of its own."""
        return await kv.load(lambda keys, value: self.log.propose(encode(keys[0], value)), flight, seconds)


def hash_of(item: tuple[bytes, bytes]) -> int:
    """The same in every process."""
    return zlib.crc32(item[1], zlib.crc32(item[0]))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    for name in ("folder", "id", "cluster"):
        parser.add_argument(name)
    for name in ("port", "front", "--snapshot-every"):
        parser.add_argument(name, type=int)
    parser.add_argument("--founding", action="store_true")
    parser.add_argument("--manager", action="append", default=[], help="ID=HOST:PORT of another member")
    options = parser.parse_args(argv)
    options.snapshot_every = options.snapshot_every or 10_000
    sys.setswitchinterval(0.001)  # as the daemon does
    memory.tune()
    asyncio.run(Member(options).run())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
