"""What another hand does to ours is mended; what is not ours is left alone; and nothing stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import socket
from collections.abc import AsyncIterator

import pytest
from kernel import kit

from queenright.edge.kernel import namespaces
from queenright.model.mesh import MeshPicture, names

NAMES = names("n1")


@pytest.fixture(params=kit.backends())
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@contextlib.asynccontextmanager
async def working(folder: pathlib.Path, kind: str) -> AsyncIterator[tuple[kit.Lab, MeshPicture]]:
    """Two hosts, each with a task of a service that is published and has a virtual address; the first one's picture."""
    async with kit.lab(folder, 2) as lab:
        for host in lab.hosts:
            await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        one, two = lab.hosts
        a = await lab.container(one, "n1", "a", "10.1.0.11/24")
        b = await lab.container(two, "n1", "b", "10.1.0.12/24")
        pictures = []
        for host in lab.hosts:
            whole = kit.overlay(
                host,
                ingress=True,
                neighbours=kit.neighbours(lab, host),
                balanced=(kit.service(host, a, b),),
                published=(kit.published(host, a, b),),
            )
            pictures.append(kit.picture(whole, kind=kind))
            await kit.bring(host, whole, kind=kind)
        await answers(lab)
        yield lab, pictures[0]


async def answers(lab: kit.Lab) -> None:
    """Everything works, on the first host."""
    one = lab.hosts[0]
    assert await kit.asked(lab.client, one.address, 8080) == {"a", "b"}
    assert await kit.asked(one.place, "127.0.0.1", 8080) == {"a", "b"}
    assert await kit.asked(one.containers[0], "10.1.0.10", 80) == {"a", "b"}


HANDS = {
    "the tunnel is deleted": f"ip link del {NAMES.vxlan}",
    "the tunnel is down": f"ip link set {NAMES.vxlan} down",
    "the tunnel left the bridge": f"ip link set {NAMES.vxlan} nomaster",
    "the bridge is down": f"ip link set {NAMES.bridge} down",
    "the bridge has another address": f"ip link set {NAMES.bridge} address 02:00:00:00:00:07",
    "the bridge lost the gateway": f"ip addr flush dev {NAMES.bridge}",
    "neighbours are flushed": f"ip neigh flush dev {NAMES.vxlan} nud permanent",
    "forwarding entries are gone": f"for m in $(bridge fdb show dev {NAMES.vxlan} | cut -d' ' -f1 | sort -u); do "
    f"for t in self master; do bridge fdb del $m dev {NAMES.vxlan} $t || true; done; done",
    "the sandbox's pair is deleted": f"ip link del {NAMES.veth}",
    "the sandbox left the bridge": f"ip link set {NAMES.veth} nomaster",
    "the host's pair is deleted": "ip link del swgw0",
    "the host's pair is down": "ip link set swgw0 down",
    "the ruleset is flushed": "nft flush ruleset",
    "our table is emptied": "nft flush table inet swmesh",
    "a rule of ours is gone": "nft flush chain inet swmesh local_out",
    "forwarding is off": "echo 0 >/proc/sys/net/ipv4/ip_forward",
}
INSIDE = {
    "the sandbox's ruleset is flushed": "nft flush ruleset",
    "the sandbox lost its addresses": "ip addr flush dev eth0",
    "the sandbox's link is down": "ip link set eth0 down",
    "the sandbox forwards no more": "echo 0 >/proc/sys/net/ipv4/ip_forward",
    "the sandbox has no way back": "ip route del default",
}


@pytest.mark.parametrize("hand", HANDS)
async def test_an_audit_mends_what_another_hand_did(folder: pathlib.Path, kind: str, hand: str) -> None:
    async with working(folder, kind) as (lab, whole):
        one = lab.hosts[0]
        await one.place.sh(HANDS[hand])
        applied = await one.mesh.audit(whole)
        assert (applied.errors, applied.ports) == ({}, {("tcp", 8080): ""})
        await answers(lab)


@pytest.mark.parametrize("hand", INSIDE)
async def test_an_audit_mends_what_another_hand_did_in_a_sandbox(folder: pathlib.Path, kind: str, hand: str) -> None:
    async with working(folder, kind) as (lab, whole):
        one = lab.hosts[0]
        await one.place.sh(f"nsenter --net={one.folder}/{NAMES.namespace} /bin/sh -c '{INSIDE[hand]}'")
        applied = await one.mesh.audit(whole)
        assert applied.errors == {}
        await answers(lab)


async def test_a_sandbox_whose_name_was_taken_is_made_anew(folder: pathlib.Path, kind: str) -> None:
    async with working(folder, kind) as (lab, whole):
        one = lab.hosts[0]
        namespaces.remove(NAMES.namespace, one.folder)
        applied = await one.mesh.audit(whole)
        assert (applied.errors, applied.renewed) == ({}, ("n1",))
        assert (await one.mesh.audit(whole)).renewed == ()
        assert (one.folder / NAMES.namespace).exists()
        await answers(lab)


async def test_the_bridge_is_made_again_with_its_containers_left_to_the_engine(folder: pathlib.Path, kind: str) -> None:
    async with working(folder, kind) as (lab, whole):
        one = lab.hosts[0]
        await one.place.sh(f"ip link del {NAMES.bridge}")
        assert (await one.mesh.audit(whole)).errors == {}
        shown = await one.place.sh(f"ip addr show {NAMES.bridge}")
        assert "10.1.0.1/24" in shown
        assert "02:42:0a:01:00:01" in shown
        await one.place.sh(
            f"for link in $(ip -o link | grep -o ' v[0-9]*' ); do ip link set $link master {NAMES.bridge}; done"
        )
        await answers(lab)


async def test_a_change_by_another_hand_is_noticed_and_our_own_are_not(folder: pathlib.Path, kind: str) -> None:
    async with working(folder, kind) as (lab, whole):
        one = lab.hosts[0]
        await one.mesh.audit(whole)
        for hand in (
            f"ip link set {NAMES.vxlan} down",
            "nft flush ruleset",
            f"ip addr flush dev {NAMES.bridge}",
            "ip link del swgw0",
        ):
            noticed = asyncio.ensure_future(one.mesh.changed())
            await asyncio.sleep(0.05)
            assert not noticed.done(), hand
            await one.place.sh(hand)
            await asyncio.wait_for(noticed, kit.PATIENCE)
            await one.mesh.audit(whole)
        await answers(lab)


async def test_an_agent_that_is_killed_finds_everything_again(folder: pathlib.Path, kind: str) -> None:
    async with working(folder, kind) as (lab, whole):
        one = lab.hosts[0]
        kept = await kit.connect(lab.client, one.address, 8080)
        before = await one.place.sh("ip -o link | cut -d: -f1,2 | sort")
        one.restart()
        await answers(lab)  # the data path needs no agent
        applied = await one.mesh.apply(whole)
        assert (applied.errors, applied.ports) == ({}, {("tcp", 8080): ""})
        assert await one.place.sh("ip -o link | cut -d: -f1,2 | sort") == before
        assert await kept.says("through it all")
        await answers(lab)


async def test_flows_that_became_orphans_while_no_agent_ran_are_cut(folder: pathlib.Path, kind: str) -> None:
    async with working(folder, kind) as (lab, _):
        one = lab.hosts[0]
        a = one.containers[0]
        while True:
            kept = await kit.connect(a, "10.1.0.10", 80)
            if kept.name == "b":
                break
            kept.close()
        one.restart()
        alone = kit.overlay(one, ingress=True, balanced=(kit.service(one, a),), published=(kit.published(one, a),))
        await kit.bring(one, alone, kind=kind)
        with pytest.raises(ConnectionError):
            assert not await kept.says("anybody there")
            raise ConnectionResetError
        assert await kit.asked(a, "10.1.0.10", 80) == {"a"}


async def test_what_is_no_longer_wanted_goes_also_when_the_agent_was_killed_meanwhile(
    folder: pathlib.Path, kind: str
) -> None:
    async with working(folder, kind) as (lab, _):
        one = lab.hosts[0]
        one.restart()
        assert (await one.mesh.apply(kit.picture(kind=kind))).errors == {}
        links = await one.place.sh("ip -o link")
        for name in (NAMES.bridge, NAMES.vxlan, NAMES.veth, "swgw0"):
            assert name not in links
        assert not (one.folder / NAMES.namespace).exists()
        assert "swmesh" not in await one.place.sh("nft list ruleset")


async def test_strangers_with_our_names_are_named_and_left_alone(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh(f"ip link add {NAMES.bridge} type bridge; ip link set {NAMES.bridge} up alias mine")
        applied = await host.mesh.apply(kit.picture(kit.overlay(host), kind=kind))
        assert f"ip link delete {NAMES.bridge}" in applied.errors["n1"]
        assert "'mine'" in applied.errors["n1"]
        await host.place.sh(f"ip link del {NAMES.bridge}")
        await kit.bring(host, kit.overlay(host), kind=kind)


async def test_a_strangers_tunnel_of_the_same_number_is_named_and_left_alone(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh("ip link add theirs type vxlan id 4097 local 192.0.2.1 dstport 4789 nolearning")
        applied = await host.mesh.apply(kit.picture(kit.overlay(host), kind=kind))
        assert "VXLAN interface theirs" in applied.errors["n1"]
        assert "theirs" in await host.place.sh("ip link show theirs")
        await host.place.sh("ip link del theirs")
        await kit.bring(host, kit.overlay(host), kind=kind)


async def test_one_network_in_trouble_does_not_hold_up_another(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh(f"ip link add {NAMES.bridge} type bridge; ip link set {NAMES.bridge} up")
        other = kit.overlay(host, "n2", vni=4098)
        applied = await host.mesh.apply(kit.picture(kit.overlay(host), other, kind=kind))
        assert list(applied.errors) == ["n1"]
        assert names("n2").bridge in await host.place.sh("ip link")


async def test_leaving_leaves_the_machine_as_it_was(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh("iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER")
        look = (
            "ip -o link | cut -d' ' -f2-; ip addr; ip route; nft list ruleset; iptables-save | grep -v '^[#:]'; "
            f"cat /proc/net/ip_vs 2> /dev/null | tail -n +4; ls {host.folder}"  # as ipvsadm -Ln, without its heading
        )
        before = await host.place.sh(look)
        await kit.bring(host, kit.overlay(host, ingress=True), kit.overlay(host, "n2", vni=4098), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        await kit.bring(
            host, kit.overlay(host, ingress=True, published=(kit.published(host, a, local_first=True),)), kind=kind
        )
        assert await kit.asked(lab.client, host.address, 8080, 3) == {"a"}
        await host.place.sh("for link in $(ip -o link | grep -o ' v[0-9]*' ); do ip link del $link; done")
        await host.mesh.clear(kit.CLUSTER)
        after = await host.place.sh(look)
        assert _without_counters(after) == _without_counters(before)


def _without_counters(text: str) -> list[str]:
    """Lines without what changes by itself: lifetimes, counters, numbers of links, addresses that are being tried."""
    kept = []
    for line in text.splitlines():
        words = [word for word in line.split() if not word.isdigit() and word != "tentative"]
        kept.append(" ".join(words))
    return kept


async def test_forwarding_that_is_refused_by_default_is_opened_where_docker_looks(
    folder: pathlib.Path, kind: str
) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh("iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER")
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        whole = kit.picture(kit.overlay(host, ingress=True, published=(kit.published(host, a),)), kind=kind)
        assert (await host.mesh.apply(whole)).errors == {}
        assert await kit.asked(lab.client, host.address, 8080) == {"a"}
        assert "swgw0" in await host.place.sh("iptables -S DOCKER-USER")
        # Docker's chain may be there, filled, and not be jumped to.
        await host.place.sh("iptables -D FORWARD -j DOCKER-USER")
        assert (await host.mesh.audit(whole)).errors == {}
        assert "swgw0" in await host.place.sh("iptables -S FORWARD")
        assert await kit.asked(lab.client, host.address, 8080) == {"a"}
        await host.place.sh("iptables -I FORWARD -j DOCKER-USER")
        assert (await host.mesh.audit(whole)).errors == {}
        assert "swgw0" not in await host.place.sh("iptables -S FORWARD")
        await host.place.sh("iptables -F")
        assert (await host.mesh.audit(whole)).errors == {}
        assert await kit.asked(lab.client, host.address, 8080) == {"a"}


async def test_a_node_without_ipv6_gets_the_rest_of_a_network_that_has_it(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh("for s in all default; do echo 1 >/proc/sys/net/ipv6/conf/$s/disable_ipv6; done")
        await kit.bring(host, kit.dual(host, ingress=True), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        a.addresses = ("10.1.0.11", "fd01::11")
        web = kit.service(host, a, vips=("10.1.0.10", "fd01::10"))
        await kit.bring(
            host, kit.dual(host, ingress=True, balanced=(web,), published=(kit.published(host, a),)), kind=kind
        )
        assert await kit.ask(a, "10.1.0.10", 80) == ("a", "10.1.0.201")
        assert await kit.asked(lab.client, host.address, 8080, 5) == {"a"}


async def test_names_are_asked_at_the_address_that_is_the_same_on_every_node(folder: pathlib.Path, kind: str) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.dual(host), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24", "fd01::11/64")
        opened = await host.mesh.dns_sockets("n1")
        try:
            assert len(opened) == 4
            for sock in opened:
                if sock.type == socket.SOCK_DGRAM:
                    asking = await kit.Udp.at(a, sock.getsockname()[0], 53)
                    asking.sock.send(b"who")
                    loop = asyncio.get_running_loop()
                    data, peer = await asyncio.wait_for(loop.sock_recvfrom(sock, 100), kit.PATIENCE)
                    assert (data, peer[0] in a.addresses) == (b"who", True)
                    asking.close()
        finally:
            for sock in opened:
                sock.close()
        with pytest.raises(OSError, match="not on this node"):
            await host.mesh.dns_sockets("n2")
