"""Virtual addresses and published ports, asked by real clients in namespaces, over one wire."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib

import pytest
from kernel import kit

from queenright.edge.kernel import site
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.nftables import Nftables


@pytest.fixture(params=kit.backends())
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_a_virtual_address_is_spread_over_local_and_remote_tasks(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        one, two = lab.hosts
        await kit.bring(one, kit.overlay(one), kind=kind)
        await kit.bring(two, kit.overlay(two), kind=kind)
        a = await lab.container(one, "n1", "a", "10.1.0.11/24")
        b = await lab.container(two, "n1", "b", "10.1.0.12/24")
        client = await lab.container(one, "n1", "c", "10.1.0.13/24", port=81)
        for host in lab.hosts:
            whole = kit.overlay(host, neighbours=kit.neighbours(lab, host), balanced=(kit.service(host, a, b),))
            await kit.bring(host, whole, kind=kind)
        assert await kit.ask(client, "10.1.0.12", 80) == ("b", "10.1.0.13")
        assert await kit.asked(client, "10.1.0.10", 80) == {"a", "b"}
        assert await kit.asked(b, "10.1.0.10", 80) == {"a", "b"}
        name, peer = await kit.ask(client, "10.1.0.10", 80)
        assert peer == "10.1.0.201"
        assert name in ("a", "b")


async def test_a_task_reaches_itself_through_its_own_virtual_address(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, a),)), kind=kind)
        assert await kit.ask(a, "10.1.0.10", 80) == ("a", "10.1.0.201")


async def test_a_service_without_tasks_refuses_at_once_and_answers_when_it_has_one(
    folder: pathlib.Path, kind: str
) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host),)), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        client = await lab.container(host, "n1", "c", "10.1.0.13/24", port=81)
        assert await kit.is_refused(client, "10.1.0.10", 80)
        udp = await kit.Udp.at(client, "10.1.0.10", 80)
        udp.sock.send(b"x")
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, a),)), kind=kind)
        assert (await kit.ask(client, "10.1.0.10", 80))[0] == "a"
        assert (await udp.ask())[0] == "a"
        udp.close()


async def test_what_stops_serving_keeps_its_connections_and_gets_no_new_ones(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        b = await lab.container(host, "n1", "b", "10.1.0.12/24")
        client = await lab.container(host, "n1", "c", "10.1.0.13/24", port=81)
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, a),)), kind=kind)
        kept = await kit.connect(client, "10.1.0.10", 80)
        leaving = dataclasses.replace(
            kit.service(host, a, b), backends=(kit.backend(a, host, serving=False), kit.backend(b, host))
        )
        await kit.bring(host, kit.overlay(host, balanced=(leaving,)), kind=kind)
        assert await kit.asked(client, "10.1.0.10", 80) == {"b"}
        assert await kept.says("still here")
        kept.close()


async def test_flows_to_a_task_that_is_gone_are_cut_and_others_are_not(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        b = await lab.container(host, "n1", "b", "10.1.0.12/24")
        client = await lab.container(host, "n1", "c", "10.1.0.13/24", port=81)
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, a),)), kind=kind)
        cut, udp = await kit.connect(client, "10.1.0.10", 80), await kit.Udp.at(client, "10.1.0.10", 80)
        assert (await udp.ask())[0] == "a"
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, a, b),)), kind=kind)
        while True:
            other = await kit.connect(client, "10.1.0.10", 80)
            if other.name == "b":
                break
            other.close()
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, b),)), kind=kind)
        assert (await udp.ask())[0] == "b"
        with pytest.raises(ConnectionError):
            assert not await cut.says("anybody there")
            raise ConnectionResetError
        assert await other.says("me too")
        other.close()
        cut.close()
        udp.close()


async def test_no_connection_is_lost_while_tasks_come_and_go(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        tasks = [await lab.container(host, "n1", f"t{n}", f"10.1.0.{20 + n}/24") for n in range(4)]
        client = await lab.container(host, "n1", "c", "10.1.0.13/24", port=81)
        answered = 0
        for turn in range(40):
            some = [task for n, task in enumerate(tasks) if (turn >> n) & 1] or tasks[:1]
            await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, *some),)), kind=kind)
            answered += len([await kit.ask(client, "10.1.0.10", 80) for _ in range(10)])
        assert answered == 400


async def test_a_sticky_service_sends_a_client_to_the_same_task(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        tasks = [await lab.container(host, "n1", f"t{n}", f"10.1.0.{20 + n}/24") for n in range(3)]
        clients = [await lab.container(host, "n1", f"c{n}", f"10.1.0.{40 + n}/24", port=81) for n in range(4)]
        await kit.bring(host, kit.overlay(host, balanced=(kit.service(host, *tasks, sticky=True),)), kind=kind)
        for client in clients:
            assert len(await kit.asked(client, "10.1.0.10", 80, 10)) == 1


async def test_a_network_with_ipv6_balances_both(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        one, two = lab.hosts
        for host in lab.hosts:
            await kit.bring(host, kit.dual(host), kind=kind)
        a = await lab.container(one, "n1", "a", "10.1.0.11/24", "fd01::11/64")
        b = await lab.container(two, "n1", "b", "10.1.0.12/24", "fd01::12/64")
        for host in lab.hosts:
            web = kit.service(host, a, b, vips=("10.1.0.10", "fd01::10"))
            await kit.bring(host, kit.dual(host, neighbours=kit.neighbours(lab, host), balanced=(web,)), kind=kind)
        assert await kit.ask(a, "fd01::12", 80) == ("b", "fd01::11")
        assert await kit.asked(a, "fd01::10", 80) == {"a", "b"}
        assert await kit.asked(b, "10.1.0.10", 80) == {"a", "b"}


async def test_tunnels_may_go_over_ipv6(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        one, two = lab.hosts
        for host in lab.hosts:
            await kit.bring(host, kit.overlay(host, vtep=host.address6, mtu=1430), kind=kind)
        a = await lab.container(one, "n1", "a", "10.1.0.11/24")
        b = await lab.container(two, "n1", "b", "10.1.0.12/24")
        for host, other in ((one, two), (two, one)):
            known = tuple(dataclasses.replace(near, vtep=other.address6) for near in kit.neighbours(lab, host))
            whole = kit.overlay(
                host, vtep=host.address6, mtu=1430, neighbours=known, balanced=(kit.service(host, a, b),)
            )
            await kit.bring(host, whole, kind=kind)
        assert await kit.asked(a, "10.1.0.10", 80) == {"a", "b"}


async def test_a_sandbox_that_gets_another_address_is_found_by_the_other_nodes(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        one, two = lab.hosts
        for host in lab.hosts:
            await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(one, "n1", "a", "10.1.0.11/24")
        b = await lab.container(two, "n1", "b", "10.1.0.12/24")
        moved = {"addresses": ("10.1.0.77/24",), "balanced": (kit.service(one, b),)}
        await kit.bring(one, kit.overlay(one, neighbours=kit.neighbours(lab, one), **moved), kind=kind)
        sandbox = kit.Neighbour("02:42:0a:01:00:4d", ("10.1.0.77",), one.address)
        await kit.bring(two, kit.overlay(two, neighbours=(sandbox,)), kind=kind)
        assert await kit.ask(a, "10.1.0.10", 80) == ("b", "10.1.0.77")


async def test_a_backend_that_the_kernel_cannot_do_is_an_error_and_the_present_one_goes_on(
    folder: pathlib.Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(nft: object) -> object:
        raise KernelError("the kernel has no such thing")

    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        whole = kit.picture(kit.overlay(host, balanced=(kit.service(host, a),)), kind=kind)
        assert (await host.mesh.apply(whole)).errors == {}
        monkeypatch.setattr(site, "_backend", lambda name: refused)
        assert (await host.mesh.apply(whole)).errors == {"n1": "the kernel has no such thing"}
        assert await kit.asked(a, "10.1.0.10", 80, 5) == {"a"}
        monkeypatch.undo()
        assert (await host.mesh.apply(whole)).errors == {}
        assert await kit.asked(a, "10.1.0.10", 80, 5) == {"a"}


async def test_another_backend_takes_over_without_a_moment_in_between(
    folder: pathlib.Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(Nftables):
        """Another kind, as far as a sandbox knows."""

    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        whole = kit.overlay(host, balanced=(kit.service(host, a),))
        await kit.bring(host, whole, kind=kind)
        kept = await kit.connect(a, "10.1.0.10", 80)
        over = asyncio.Event()

        async def ask() -> int:
            count = 0
            while not over.is_set():
                count += bool(await kit.ask(a, "10.1.0.10", 80))
            return count

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for turn in range(20):
            monkeypatch.setattr(site, "_backend", (lambda name: Other) if turn % 2 == 0 else (lambda name: Nftables))
            assert (await host.mesh.apply(kit.picture(whole, kind=kind))).errors == {}
            await asyncio.sleep(0.01)
        over.set()
        assert sum(await asyncio.gather(*asking)) > 20
        assert await kept.says("all the same")
        kept.close()
