# SPDX-License-Identifier: Apache-2.0
"""The docker command line, unmodified, follows jobs and updates on our API: it works the progress out by itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator

import pytest
from laws.builders import node
from laws.world import Behaviour
from laws.world import World as Cluster
from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.decide.base import Dirty
from queenright.edge.http import listener
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.server import Server
from queenright.edge.http.upstream import Upstream
from queenright.model.changes import Create

CLIENT = next(path for path in ("/usr/local/bin/docker", "/usr/bin/docker") if os.access(path, os.X_OK))
WITHIN = 120.0
TICK = 0.1


@pytest.fixture
async def socket() -> AsyncIterator[str]:
    """A manager's API on a socket, in front of two nodes whose containers only pretend."""
    world = World.make()
    cluster = Cluster(laws=False)
    cluster.store, cluster.wall = world.store, world.clock.wall()
    for name in ("h1", "h2"):
        cluster.do(Create(node(name)))
    for member in list(world.store.nodes):
        cluster.beat(member.id)
    cluster.behaviours["once:1"] = Behaviour(lives=0.4, code=0)
    cluster.behaviours["slow:1"] = Behaviour(starts=1000)
    api = Api.manager(world)
    for method in ("GET", "HEAD"):
        api.router.add(method, "/_ping", ping)
    folder = tempfile.mkdtemp(prefix="qr")
    path = f"{folder}/s"
    server = Server(api.router, Upstream(f"{folder}/none"))
    server.start(listener.bind(path))
    moving = asyncio.create_task(move(world, cluster))
    yield path
    moving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await moving
    await server.stop()
    shutil.rmtree(folder)


async def ping(request: Request) -> Response:
    return Response(200, b"OK", {"Api-Version": "1.44", "OSType": "linux", "Content-Type": "text/plain"})


async def move(world: World, cluster: Cluster) -> None:
    """Time goes on, and deciders look at everything."""
    while True:
        await asyncio.sleep(TICK)
        cluster._seats = {name: Dirty(everything=True) for name in cluster._seats}
        cluster.advance(TICK)
        world.clock.at = cluster.wall
        world.clock.mono_at += TICK


async def docker(socket: str, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(CLIENT, "-H", f"unix://{socket}", *words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), WITHIN)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    text = out.decode()
    assert process.returncode == 0, text
    return text


async def test_a_replicated_job_is_followed_until_it_is_complete(socket: str) -> None:
    job = ("--mode", "replicated-job", "--replicas", "5", "--max-concurrent", "2")
    followed = await docker(socket, "service", "create", "--no-resolve-image", "--name", "job", *job, "once:1")
    assert "job complete" in followed
    assert "0/2 (5/5 completed)" in await docker(socket, "service", "ls")
    names = await docker(socket, "service", "ps", "--format", "{{.Name}} {{.DesiredState}}", "job")
    assert [line for line in names.splitlines() if line.startswith("job.2 ")] == ["job.2 Complete"]
    again = await docker(socket, "service", "update", "--force", "--no-resolve-image", "job")
    assert "job complete" in again
    assert "0/2 (5/5 completed)" in await docker(socket, "service", "ls")


async def test_a_global_job_is_followed_until_it_is_complete(socket: str) -> None:
    followed = await docker(socket, "service", "create", "--no-resolve-image", "--mode", "global-job", "once:1")
    assert "job complete" in followed
    assert "0/0 (3/3 completed)" in await docker(socket, "service", "ls")


async def test_what_an_update_waits_for_stands_in_the_inspected_service(socket: str) -> None:
    await docker(socket, "service", "create", "--no-resolve-image", "--detach", "--name", "web", "good:1")
    async with asyncio.timeout(WITHIN):
        while "1/1" not in await docker(socket, "service", "ls"):
            pass  # each question takes a while
    await docker(socket, "service", "update", "--no-resolve-image", "--detach", "--image", "slow:1", "web")
    said = ""
    async with asyncio.timeout(WITHIN):
        while "(starting)" not in said:
            template = "{{with .UpdateStatus}}{{.Message}}{{end}}"
            said = await docker(socket, "service", "inspect", "--format", template, "web")
    assert said.startswith("update in progress: 0 of 1 tasks updated; waits for web.1 on node ")
