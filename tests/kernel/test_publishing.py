"""Published ports of every node: from outside, from the node itself, from containers, over both families."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import socket

import pytest
from kernel import kit


@pytest.fixture(params=kit.backends())
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


async def _two_hosts(lab: kit.Lab, kind: str, make=kit.overlay, **more: object) -> tuple[kit.Container, kit.Container]:
    """Two hosts with a task each, of a service that publishes port 8080 for TCP and 7000 for UDP."""
    one, two = lab.hosts
    for host in lab.hosts:
        await kit.bring(host, make(host, ingress=True), kind=kind)
    v6 = make is kit.dual
    a = await lab.container(one, "n1", "a", "10.1.0.11/24", *(["fd01::11/64"] if v6 else []))
    b = await lab.container(two, "n1", "b", "10.1.0.12/24", *(["fd01::12/64"] if v6 else []))
    for host in lab.hosts:
        ports = (
            kit.published(host, a, b, **more),
            kit.published(host, a, b, port=7000, protocol="udp"),
        )
        await kit.bring(
            host, make(host, ingress=True, neighbours=kit.neighbours(lab, host), published=ports), kind=kind
        )
    return a, b


async def test_every_node_answers_to_clients_from_outside(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        await _two_hosts(lab, kind)
        for host in lab.hosts:
            assert await kit.asked(lab.client, host.address, 8080) == {"a", "b"}
            udp = {(await (await kit.Udp.at(lab.client, host.address, 7000)).ask())[0] for _ in range(20)}
            assert udp == {"a", "b"}


async def test_the_node_itself_and_its_containers_reach_a_port_by_any_of_its_addresses(
    folder: pathlib.Path, kind: str
) -> None:
    async with kit.lab(folder, 2) as lab:
        a, _ = await _two_hosts(lab, kind)
        one, two = lab.hosts
        for address in ("127.0.0.1", one.address, two.address, "10.1.0.1"):
            assert await kit.asked(one.place, address, 8080) == {"a", "b"}, address
        for address in (one.address, two.address, "10.1.0.1"):
            assert await kit.asked(a, address, 8080) == {"a", "b"}, address
        udp = await kit.Udp.at(one.place, "127.0.0.1", 7000)
        assert (await udp.ask())[0] in ("a", "b")


async def test_ipv6_clients_are_served_where_the_ingress_network_has_none(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        await _two_hosts(lab, kind)
        one, _ = lab.hosts
        assert await kit.asked(one.place, "::1", 8080) == {"a", "b"}
        assert await kit.asked(lab.client, one.address6, 8080) == {"a", "b"}
        udp = await kit.Udp.at(lab.client, one.address6, 7000)
        first = await udp.ask()
        assert first[0] in ("a", "b")
        assert await udp.ask() == first


async def test_ipv6_clients_are_handed_over_by_the_kernel_where_it_has(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        await _two_hosts(lab, kind, kit.dual)
        one, two = lab.hosts
        for host in lab.hosts:
            assert await kit.asked(lab.client, host.address6, 8080) == {"a", "b"}
        assert (await kit.ask(lab.client, two.address6, 8080))[1] in ("fd01::c9", "fd01::ca", "fd01::202", "fd01::201")
        assert await kit.asked(one.place, one.address6, 8080) == {"a", "b"}
        assert await kit.asked(one.place, "::1", 8080) == {"a", "b"}


async def test_local_first_hands_to_the_task_of_the_node_which_sees_the_client(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder, 2) as lab:
        a, b = await _two_hosts(lab, kind, local_first=True)
        one, two = lab.hosts
        answers = {await kit.ask(lab.client, one.address, 8080) for _ in range(20)}
        assert answers == {("a", "192.0.2.99")}
        assert {await kit.ask(lab.client, two.address, 8080) for _ in range(20)} == {("b", "192.0.2.99")}
        kept = await kit.connect(lab.client, one.address, 8080)
        port = dataclasses.replace(
            kit.published(one, a, b, local_first=True),
            backends=(kit.backend(a, one, serving=False), kit.backend(b, one)),
        )
        await kit.bring(
            one, kit.overlay(one, ingress=True, neighbours=kit.neighbours(lab, one), published=(port,)), kind=kind
        )
        assert await kit.asked(lab.client, one.address, 8080) == {"b"}
        assert await kept.says("still")
        port = kit.published(one, b, local_first=True)
        await kit.bring(
            one, kit.overlay(one, ingress=True, neighbours=kit.neighbours(lab, one), published=(port,)), kind=kind
        )
        with pytest.raises(ConnectionError):
            assert not await kept.says("gone")
            raise ConnectionResetError


async def test_a_port_that_another_program_has_is_an_error_and_stays_its(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        other = await host.place.socket(socket.AF_INET, socket.SOCK_STREAM)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 8080))
        other.listen()
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        ports = (kit.published(host, a), kit.published(host, a, port=8081))
        whole = kit.picture(kit.overlay(host, ingress=True, published=ports), kind=kind)
        applied = await host.mesh.apply(whole)
        assert not applied.errors
        said = applied.ports["tcp", 8080]
        assert "8080/tcp is already in use on this node by " in said
        assert f"(process {os.getpid()}): stop that program" in said
        assert applied.ports["tcp", 8081] == ""
        assert await kit.asked(lab.client, host.address, 8081) == {"a"}
        assert await kit.is_refused(lab.client, host.address, 8080)
        other.close()
        applied = await host.mesh.apply(whole)
        assert applied.ports["tcp", 8080] == ""
        assert await kit.asked(lab.client, host.address, 8080) == {"a"}


async def test_a_program_that_wants_a_published_port_is_told_that_it_is_taken(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        port = kit.published(host, a)
        await kit.bring(host, kit.overlay(host, ingress=True, published=(port,)), kind=kind)
        other = await host.place.socket(socket.AF_INET, socket.SOCK_STREAM)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("0.0.0.0", 8080))
            other.listen()
        other.close()


async def test_a_port_without_tasks_refuses_and_says_why(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        whole = kit.picture(kit.overlay(host, ingress=True, published=(kit.published(host),)), kind=kind)
        applied = await host.mesh.apply(whole)
        assert applied.ports == {("tcp", 8080): "no task of the service takes connections"}
        assert await kit.is_refused(lab.client, host.address, 8080)
        assert await kit.is_refused(host.place, "127.0.0.1", 8080)


async def test_a_port_that_is_no_longer_published_is_free_again(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        ports = (kit.published(host, a), kit.published(host, a, port=7000, protocol="udp"))
        await kit.bring(host, kit.overlay(host, ingress=True, published=ports), kind=kind)
        kept, udp = await kit.connect(lab.client, host.address, 8080), await kit.Udp.at(lab.client, host.address, 7000)
        assert (await udp.ask())[0] == "a"
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        assert await kit.is_refused(lab.client, host.address, 8080)
        with pytest.raises(ConnectionError):
            assert not await kept.says("anybody")
            raise ConnectionResetError
        other = await host.place.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("0.0.0.0", 7000))

        async def heard() -> bool:
            udp.sock.send(b"to the other")
            try:
                return other.recv(100) == b"to the other"
            except BlockingIOError:
                return False

        await kit.until(heard)
        other.close()


async def test_nobody_leaves_a_network_through_its_sandbox(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        await kit.bring(host, kit.overlay(host, ingress=True, published=(kit.published(host, a),)), kind=kind)
        await lab.client.sh("for s in all up0; do echo 0 >/proc/sys/net/ipv4/conf/$s/rp_filter; done")
        heard = await lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
        heard.bind(("0.0.0.0", 9000))
        said = await a.socket(socket.AF_INET, socket.SOCK_DGRAM)
        await a.sh("ip route replace 192.0.2.99 via 10.1.0.201")
        said.sendto(b"by the sandbox", ("192.0.2.99", 9000))
        await a.sh("ip route replace 192.0.2.99 via 10.1.0.1")
        said.sendto(b"by the host", ("192.0.2.99", 9000))
        first = b""

        async def came() -> bool:
            nonlocal first
            try:
                first = heard.recv(100)
            except BlockingIOError:
                return False
            return True

        await kit.until(came)
        assert first == b"by the host"


async def test_ports_of_sctp_are_led_by_the_tables(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        a = kit.Backend("a", ("10.1.0.11",), True, True)
        port = kit.Published("sctp", 5060, 5061, "web", (a,), True)
        await kit.bring(host, kit.overlay(host, ingress=True, published=(port,)), kind=kind)
        table = await host.place.sh("nft list table inet swmesh")
        assert "sctp . 5060" in table
        assert "10.1.0.11:5061" in table
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        assert "sctp . 5060" not in await host.place.sh("nft list table inet swmesh")
