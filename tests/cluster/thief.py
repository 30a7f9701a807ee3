# SPDX-License-Identifier: Apache-2.0
"""Runs on a host with the runtime's Python: makes calls with saved certificates, and says when and how they end.

``thief.py FOLDER MANAGER_ID ADDRESS CALL...``: FOLDER holds the certificates of a member; each CALL is ``raft``,
``logs:SERVICE_ID``, ``session``, or ``forward`` (which is short, and made again and again). A JSON line is printed when
a call is under way, and one when it has ended: ``call``, ``at`` (seconds since the epoch) and ``code`` (of gRPC), with
the text. When all have ended, each is made once more.
"""

from __future__ import annotations

import asyncio
import json
import pathlib
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc

from queenright.edge.grpc.connection import open_channel
from queenright.edge.grpc.options import ADMITTED
from queenright.model.logs import LogOptions, LogReadRequest
from queenright.wire import logs, messages
from queenright.wire.gen import (
    control_pb2_grpc,
    dispatcher_pb2,
    dispatcher_pb2_grpc,
    logs_pb2_grpc,
    raft_pb2_grpc,
)
from queenright.wire.messages import ForwardCall

NEVER = 300.0
WISH = ForwardCall(
    "POST",
    "/queenright/v1/apply",
    "dry_run=1",
    headers={"content-type": "application/json"},
    body=b'{"kind": "service", "name": "loot", "state": "absent"}',
)
"""A write as managers hand it on, which changes nothing."""


def tell(call: str, **more: Any) -> None:
    print(json.dumps({"call": call, "at": time.time(), **more}), flush=True)


class Thief:
    def __init__(self, folder: pathlib.Path, manager: str, addr: str) -> None:
        names = ("swarm-node.key", "swarm-node.crt", "swarm-root-ca.crt")
        self._files = tuple((folder / name).read_bytes() for name in names)
        self._manager, self._addr = manager, addr

    async def hold(self, call: str) -> None:
        """Make a call, and say when it begins and ends."""
        channel = open_channel(self._manager, self._addr, lambda: self._files)
        try:
            await self._make(channel, call)
            tell(call, code="OK", text="")
        except grpc.aio.AioRpcError as error:
            tell(call, code=error.code().name, text=error.details())
        finally:
            await channel.close(None)

    async def _make(self, channel: grpc.aio.Channel, call: str) -> None:
        kind, _, what = call.partition(":")
        if kind == "raft":
            stream = raft_pb2_grpc.RaftStub(channel).Exchange()
            if any(key == ADMITTED for key, _ in await stream.initial_metadata() or ()):
                tell(call, code="")
            await stream
        elif kind == "logs":
            options = LogOptions(follow=True, stdout=True, stderr=True)
            wanted = LogReadRequest(service_ids=(what,), options=options)
            async for _ in logs_pb2_grpc.LogsStub(channel).Read(logs.read_request_message(wanted)):
                tell(call, code="")
        elif kind == "forward":
            stub = control_pb2_grpc.ControlStub(channel)
            while (await stub.Forward(messages.forward_request(WISH))).status == 200:
                tell(call, code="")
                await asyncio.sleep(0.1)
            raise AssertionError("the wish itself was refused")
        else:
            async for _ in dispatcher_pb2_grpc.DispatcherStub(channel).Session(_session()):
                tell(call, code="")


async def _session() -> AsyncIterator[Any]:
    """What an agent says once; then it is silent, and does not hang up."""
    request = dispatcher_pb2.SessionRequest()
    request.description.hostname = "thief"
    yield request
    await asyncio.sleep(NEVER)


async def main(folder: str, manager: str, addr: str, *calls: str) -> None:
    thief = Thief(pathlib.Path(folder), manager, addr)
    await asyncio.gather(*map(thief.hold, calls))
    for call in calls:
        await thief.hold(call)


asyncio.run(main(*sys.argv[1:]))
