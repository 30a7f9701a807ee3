"""A wire that loses packets, which takes a kernel with netem: everything is slower then, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
import re
from collections.abc import AsyncIterator

import pytest
from kernel import kit

LOSS = "5%"  # of all packets, in each direction
AT_ONCE = 20  # connections: one whose first packet is lost waits a second
LINES = 400


@pytest.fixture(params=kit.backends())
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@contextlib.asynccontextmanager
async def lossy(folder: pathlib.Path, kind: str) -> AsyncIterator[tuple[kit.Lab, kit.Container, kit.Container]]:
    """Two hosts with a task each, of a service with a virtual address and a published port, over a wire that loses."""
    async with kit.lab(folder, 2) as lab:
        for host in lab.hosts:
            await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        one, two = lab.hosts
        a = await lab.container(one, "n1", "a", "10.1.0.11/24")
        b = await lab.container(two, "n1", "b", "10.1.0.12/24")
        for host in lab.hosts:
            await bring(lab, host, kind, a, b)
            await host.place.sh(f"tc qdisc add dev up0 root netem loss {LOSS}")
        yield lab, a, b
        for host in lab.hosts:
            told = await host.place.sh("tc -s qdisc show dev up0")
            [lost] = re.findall(r"dropped (\d+)", told)
            assert int(lost) > 0, f"the wire lost nothing: {told}"


async def bring(lab: kit.Lab, host: kit.Host, kind: str, *tasks: kit.Container) -> None:
    whole = kit.overlay(
        host,
        ingress=True,
        neighbours=kit.neighbours(lab, host),
        balanced=(kit.service(host, *tasks),),
        published=(kit.published(host, *tasks), kit.published(host, *tasks, port=7000, protocol="udp")),
    )
    await kit.bring(host, whole, kind=kind)


async def everyone(place: kit.Place, address: str, port: int) -> set[str]:
    """Who answered so many at once; each of them is answered, or this raises."""
    return {name for name, _ in await asyncio.gather(*(kit.ask(place, address, port) for _ in range(AT_ONCE)))}


async def test_all_requests_answer_through_a_virtual_address_and_at_every_node(folder: pathlib.Path, kind: str) -> None:
    async with lossy(folder, kind) as (lab, a, b):
        for task in (a, b):
            assert await everyone(task, "10.1.0.10", 80) == {"a", "b"}
        for host in lab.hosts:
            assert await everyone(lab.client, host.address, 8080) == {"a", "b"}
            udp = await kit.Udp.at(lab.client, host.address, 7000)
            assert (await udp.ask())[0] in ("a", "b")
            udp.close()


async def test_a_connection_carries_everything_in_order_and_ends(folder: pathlib.Path, kind: str) -> None:
    async with lossy(folder, kind) as (lab, a, b):
        one = lab.hosts[0]
        await bring(lab, one, kind, b)  # whatever comes to the first host crosses the tunnel
        for place, address, port in ((a, "10.1.0.10", 80), (lab.client, one.address, 8080)):
            connection = await kit.connect(place, address, port)
            assert connection.name == "b"
            said = [f"{number} {'x' * 500}\n".encode() for number in range(LINES)]
            connection.writer.writelines(said)
            connection.writer.write_eof()
            async with asyncio.timeout(kit.PATIENCE):
                heard = await connection.reader.read(-1)  # up to the end that the other side makes
            assert heard == b"".join(said)
            connection.writer.close()
            async with asyncio.timeout(kit.PATIENCE):
                await connection.writer.wait_closed()


async def test_no_request_fails_while_a_task_leaves_and_kept_connections_go_on(folder: pathlib.Path, kind: str) -> None:
    async with lossy(folder, kind) as (lab, a, b):
        one = lab.hosts[0]
        kept = await kit.connect(lab.client, one.address, 8080)
        while kept.name != "b":
            kept.close()
            kept = await kit.connect(lab.client, one.address, 8080)
        asking = asyncio.gather(*(everyone(lab.client, one.address, 8080) for _ in range(2)))
        leaving = kit.backend(b, one, serving=False)
        backends = (kit.backend(a, one), leaving)
        whole = kit.overlay(
            one,
            ingress=True,
            neighbours=kit.neighbours(lab, one),
            balanced=(dataclasses.replace(kit.service(one, a, b), backends=backends),),
            published=(dataclasses.replace(kit.published(one, a, b), backends=backends),),
        )
        await kit.bring(one, whole, kind=kind)
        assert set().union(*await asking) <= {"a", "b"}
        assert await everyone(lab.client, one.address, 8080) == {"a"}
        assert await kept.says("still here")
        kept.close()
