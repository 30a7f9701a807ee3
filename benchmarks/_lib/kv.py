# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that puts keys, the same for etcd and for our front, and the questions that our members answer beside that.

etcd's interface, as far as it is needed here (``etcdserverpb.KV``: Put, and Txn of puts), is declared at run time.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PUT = "/etcdserverpb.KV/Put"
ASK = "/bench.Member/Ask"
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 256 << 20))
SIZE = 1024
"""Bytes of a value."""
KEYS = 1000
"""Keys that are written, again and again: what is measured is the log, not how much a snapshot has to hold."""


TXN = "/etcdserverpb.KV/Txn"
_BYTES, _MESSAGE, _ONE, _MANY = 12, 11, 1, 3


def _declare() -> dict[str, type[Any]]:
    file = descriptor_pb2.FileDescriptorProto(name="bench_kv.proto", package="etcdserverpb", syntax="proto3")
    fields = {
        "PutRequest": [("key", 1, _BYTES, _ONE, ""), ("value", 2, _BYTES, _ONE, "")],
        "RequestOp": [("request_put", 2, _MESSAGE, _ONE, ".etcdserverpb.PutRequest")],
        "TxnRequest": [("success", 2, _MESSAGE, _MANY, ".etcdserverpb.RequestOp")],
        "Empty": [],
    }
    for message, rows in fields.items():
        declared = file.message_type.add(name=message)
        for name, number, kind, label, of in rows:
            declared.field.add(name=name, number=number, type=kind, label=label, type_name=of or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"etcdserverpb.{name}")) for name in fields
    }


_KINDS = _declare()
PutRequest, TxnRequest, Empty = _KINDS["PutRequest"], _KINDS["TxnRequest"], _KINDS["Empty"]


Put = Callable[[list[bytes], bytes], Awaitable[object]]
"""Puts one value under each of the keys."""


async def load(put: Put, flight: int, seconds: float, together: int = 1) -> dict[str, float]:
    """Keep ``flight`` puts under way, ``together`` of them in each call. Gives puts a second, and milliseconds that a
    call took."""
    taken: list[float] = []
    value = bytes(SIZE)
    workers = flight // together
    own = max(together, KEYS // workers)
    end = time.monotonic() + seconds

    async def work(number: int) -> None:
        count = 0
        while (began := time.monotonic()) < end:
            await put([b"%08d%08d" % (number, (count + place) % own) for place in range(together)], value)
            taken.append(time.monotonic() - began)
            count += together

    began = time.monotonic()
    await asyncio.gather(*(work(number) for number in range(workers)))
    elapsed = time.monotonic() - began
    taken.sort()
    return {
        "puts": together * len(taken),
        "per_second": together * len(taken) / elapsed,
        "p50_ms": 1000 * statistics.median(taken),
        "p99_ms": 1000 * taken[int(0.99 * len(taken))],
    }


def load_over_grpc(address: str, flight: int, seconds: float, together: int = 1) -> dict[str, float]:
    """The same load by calls to a server, from this process: ``Put``, or ``Txn`` of several."""

    async def run() -> dict[str, float]:
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            one = channel.unary_unary(PUT, PutRequest.SerializeToString, Empty.FromString)
            several = channel.unary_unary(TXN, TxnRequest.SerializeToString, Empty.FromString)

            def put(keys: list[bytes], value: bytes) -> Awaitable[object]:
                if together == 1:
                    return one(PutRequest(key=keys[0], value=value))
                request = TxnRequest()
                for key in keys:
                    added = request.success.add().request_put
                    added.key, added.value = key, value
                return several(request)

            return await load(put, flight, seconds, together)

    return asyncio.run(run())


class Asker:
    """Asks one of our members, from any thread: JSON in, JSON out. Raises grpc.RpcError."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(
            address,
            options=(*OPTIONS, ("grpc.initial_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 100)),
        )
        self._call = self._channel.unary_unary(ASK)

    def ask(self, what: str, timeout: float = 10.0, **arguments: Any) -> Any:
        """The answer; ``error`` in it is the name of what went wrong."""
        return json.loads(self._call(json.dumps({"what": what, **arguments}).encode(), timeout=timeout))

    def begin(self, what: str, timeout: float = 60.0, **arguments: Any) -> Any:
        """The same without waiting: a future of the encoded answer."""
        return self._call.future(json.dumps({"what": what, **arguments}).encode(), timeout=timeout)

    def close(self) -> None:
        self._channel.close()
