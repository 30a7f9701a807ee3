# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that fail while a service is updated and while a node is drained: three hosts, each with engine and daemon.

A client outside of the hosts connects to their published port, one host after the other, 200 times a second, whatever
becomes of those before: sends a byte, wants one back. The servers do what a good server does: they say when they are
healthy, and when they are told to stop they answer whoever has come by then.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from benchmarks._lib.engine_api import Api, filters, until
from benchmarks._lib.hosts import Host, Image
from benchmarks._lib.mesh_node import SERVER
from benchmarks._lib.sandbox import BenchError
from benchmarks._lib.sides import Queenright

RATE = 200  # connections a second
PATIENCE = 10.0  # seconds after which a request that is not answered has failed
TASKS = 10
PUBLISHED = 8088
BY = 2  # tasks that an update replaces at a time
HEALTH = 3_000_000_000  # nanoseconds between two checks: each is a process
LEAST = 200  # requests below which nothing was tested


@dataclasses.dataclass
class Asked:
    """Requests made, and of those that failed why."""

    total: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)


class Outcome(NamedTuple):
    """What came of the requests during an update and during a drain."""

    update: Asked
    drain: Asked


async def measure(scratch: pathlib.Path, program: pathlib.Path, say: Callable[[str], None]) -> Outcome:
    """Make three hosts, a swarm over them and a service, and ask while it changes. Ends all of it."""
    hosts = [Host(scratch / "requests", index) for index in (11, 12, 13)]
    (scratch / "requests").mkdir()
    try:
        return await asyncio.to_thread(_form, hosts, program, say) and await _ask(hosts, say)
    finally:
        for host in hosts:
            host.kill()


def _form(hosts: list[Host], program: pathlib.Path, say: Callable[[str], None]) -> bool:
    for host in hosts:
        host.power_on()
    image = Image(hosts[0])
    for host in hosts[1:]:
        image.load(host)
    side = Queenright(hosts)
    side.form()
    say(f"  a swarm of {len(hosts)} hosts with {TASKS} tasks behind port {PUBLISHED}")
    side.api.call("POST", "/services/create", _service(image.id, program))
    _all_run(side.api)
    return True


async def _ask(hosts: list[Host], say: Callable[[str], None]) -> Outcome:
    addresses = [host.address for host in hosts]
    api = Api(str(hosts[0].folder / "engine.sock"))
    for address in addresses:
        await _answers(address)
    async with asking(addresses) as update:
        await asyncio.to_thread(_update, api)
    _tell("update", update, say)
    async with asking(addresses) as drain:
        await asyncio.to_thread(_drain, api, hosts[-1])
    _tell("drain", drain, say)
    api.close()
    return Outcome(update, drain)


def _tell(what: str, asked: Asked, say: Callable[[str], None]) -> None:
    say(f"  {what}: {asked.total} requests, {len(asked.failed)} failed")
    for reason in asked.failed[:10]:
        say(f"    {reason}")
    if asked.total < LEAST:
        raise BenchError(f"only {asked.total} requests were made during the {what}")


@contextlib.asynccontextmanager
async def asking(addresses: list[str]) -> AsyncIterator[Asked]:
    """Requests at the rate until the end of the block, those that are under way then included."""
    asked = Asked()
    under_way: set[asyncio.Task[None]] = set()

    async def go_on() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, address in zip(itertools.count(), itertools.cycle(addresses), strict=False):
            await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
            asked.total += 1
            task = asyncio.create_task(_once(address, asked, loop.time() - began))
            under_way.add(task)
            task.add_done_callback(under_way.discard)

    asks = asyncio.create_task(go_on())
    try:
        yield asked
        await asyncio.sleep(1.0)
    finally:
        asks.cancel()
        await asyncio.gather(*under_way)


async def _once(address: str, asked: Asked, moment: float) -> None:
    try:
        await _request(address)
    except (OSError, EOFError) as error:
        asked.failed.append(f"after {moment:.2f} s at {address}: {type(error).__name__} {error}")


async def _request(address: str) -> None:
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(address, PUBLISHED)
        try:
            writer.write(b"x")
            await reader.readexactly(1)
        finally:
            writer.close()


async def _answers(address: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(OSError, EOFError):
                return await _request(address)
            await asyncio.sleep(0.1)


def _service(image: str, program: pathlib.Path) -> dict[str, Any]:
    mount = {"Type": "bind", "Source": str(program), "Target": "/connect", "ReadOnly": True}
    check = ["CMD", "/connect", "client", "127.0.0.1", SERVER[-1], "1"]
    container = {
        "Image": image,
        "Command": list(SERVER),
        "Mounts": [mount],
        "HealthCheck": {"Test": check, "Interval": HEALTH, "Timeout": 10 * HEALTH, "Retries": 3},
    }
    port = {"Protocol": "tcp", "TargetPort": int(SERVER[-1]), "PublishedPort": PUBLISHED, "PublishMode": "ingress"}
    return {
        "Name": "web",
        "TaskTemplate": {"ContainerSpec": container},
        "Mode": {"Replicated": {"Replicas": TASKS}},
        "UpdateConfig": {"Parallelism": BY},
        "EndpointSpec": {"Ports": [port]},
    }


def _running(api: Api) -> list[dict[str, Any]]:
    tasks = api.call("GET", "/tasks", filters=filters(service="web", desired_state="running"))
    return [task for task in tasks if task["Status"]["State"] == "running"]


def _all_run(api: Api) -> None:
    until(lambda: len(_running(api)) == TASKS, f"{TASKS} tasks to run", 300, 0.25)


def _update(api: Api) -> None:
    """A rolling update of all tasks, to its end."""
    current = api.call("GET", "/services/web")
    current["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] = ["VERSION=2"]
    api.call("POST", f"/services/{current['ID']}/update", current["Spec"], version=current["Version"]["Index"])
    until(
        lambda: (api.call("GET", "/services/web").get("UpdateStatus") or {}).get("State") == "completed",
        "the update to be complete",
        600,
        0.25,
    )


def _drain(api: Api, host: Host) -> None:
    """Drain a host, until all its tasks run elsewhere and nothing is left on it."""
    nodes = api.call("GET", "/nodes")
    node = next(node for node in nodes if node["Description"]["Hostname"] == host.name)
    if not any(task["NodeID"] == node["ID"] for task in _running(api)):
        raise BenchError(f"no task on {host.name}: there is nothing to drain")
    spec = node["Spec"] | {"Availability": "drain"}
    api.call("POST", f"/nodes/{node['ID']}/update", spec, version=node["Version"]["Index"])
    until(
        lambda: len([task for task in _running(api) if task["NodeID"] != node["ID"]]) == TASKS,
        "the tasks to run elsewhere",
        300,
        0.25,
    )
    until(lambda: not host.engine.call("GET", "/containers/json"), f"{host.name} to be empty", 300, 0.25)
