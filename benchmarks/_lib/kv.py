# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that puts keys, the same for etcd and for our front, and the questions that our members answer beside that.

etcd's interface, as far as it is needed here (``etcdserverpb.KV/Put``), is declared at run time.
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


def _declare() -> tuple[type[Any], type[Any]]:
    file = descriptor_pb2.FileDescriptorProto(name="bench_kv.proto", package="etcdserverpb", syntax="proto3")
    request = file.message_type.add(name="PutRequest")
    for number, name in enumerate(("key", "value"), 1):
        request.field.add(name=name, number=number, label=1, type=12)
    file.message_type.add(name="PutResponse")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    kinds = [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"etcdserverpb.{name}"))
        for name in ("PutRequest", "PutResponse")
    ]
    return kinds[0], kinds[1]


PutRequest, PutResponse = _declare()


async def load(put: Callable[[bytes, bytes], Awaitable[object]], workers: int, seconds: float) -> dict[str, float]:
    """Put from so many workers, each one key after another. Gives puts a second and milliseconds that one took."""
    taken: list[float] = []
    value = bytes(SIZE)
    end = time.monotonic() + seconds

    async def work(number: int) -> None:
        count = 0
        while (began := time.monotonic()) < end:
            await put(b"%08d%08d" % (number, count % 1000), value)
            taken.append(time.monotonic() - began)
            count += 1

    began = time.monotonic()
    await asyncio.gather(*(work(number) for number in range(workers)))
    elapsed = time.monotonic() - began
    taken.sort()
    return {
        "per_second": len(taken) / elapsed,
        "p50_ms": 1000 * statistics.median(taken),
        "p99_ms": 1000 * taken[int(0.99 * len(taken))],
    }


def load_over_grpc(address: str, workers: int, seconds: float) -> dict[str, float]:
    """The same load by calls of ``KV/Put`` to a server, from this process."""

    async def run() -> dict[str, float]:
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            call = channel.unary_unary(
                PUT, request_serializer=PutRequest.SerializeToString, response_deserializer=PutResponse.FromString
            )
            return await load(lambda key, value: call(PutRequest(key=key, value=value)), workers, seconds)

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
