"""What kills, reboots and engines leave behind is ours all the same: it is taken over, or taken away."""

from __future__ import annotations

import os
import pathlib
import threading

import pytest
from kernel import kit
from kernel.test_cuts import Power, _left

from queenright.edge.kernel import sandbox
from queenright.edge.kernel.errors import KernelError
from queenright.model.mesh import names

NAMES = names("n1")


async def test_a_bridge_that_the_engine_made_at_boot_is_taken_over(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh(
            f"ip link add {NAMES.bridge} type bridge; ip addr add 10.1.0.1/24 dev {NAMES.bridge};"
            f"ip link set {NAMES.bridge} up"
        )
        await kit.bring(host, kit.overlay(host, ingress=True))
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        await kit.bring(host, kit.overlay(host, ingress=True, published=(kit.published(host, a),)))
        shown = await host.place.sh(f"ip link show {NAMES.bridge}")
        assert "02:42:0a:01:00:01" in shown
        assert f"alias swarm:{kit.CLUSTER}:n1" in shown
        assert await kit.asked(lab.client, host.address, 8080, 3) == {"a"}


async def test_a_strangers_bridge_with_another_address_is_left_alone(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh(
            f"ip link add {NAMES.bridge} type bridge; ip addr add 10.9.0.1/24 dev {NAMES.bridge};"
            f"ip link set {NAMES.bridge} up"
        )
        before = await host.place.sh(f"ip link show {NAMES.bridge}")
        applied = await host.mesh.apply(kit.picture(kit.overlay(host)))
        assert f"ip link delete {NAMES.bridge}" in applied.errors["n1"]
        assert await host.place.sh(f"ip link show {NAMES.bridge}") == before


async def test_what_is_half_made_and_no_longer_wanted_goes(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = Power(monkeypatch)
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        a = kit.Backend("a", ("10.1.0.11",), True, True)
        port = kit.Published("tcp", 8080, 80, "web", (a,))
        whole = kit.picture(kit.overlay(host, ingress=True, published=(port,)))
        cuts, survived = 0, False
        while not survived:
            power.left = cuts
            survived = not (await host.mesh.apply(whole)).errors
            power.left = -1
            host.restart()
            await host.mesh.clear(kit.CLUSTER)
            assert await _left(host) == [], cuts
            cuts += 1


async def test_a_half_made_tunnel_of_an_earlier_network_frees_its_number(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        earlier = names("gone").vxlan
        await host.place.sh(f"ip link add {earlier} type vxlan id 4097 local 192.0.2.1 dstport 4789 nolearning")
        await kit.bring(host, kit.overlay(host))
        assert earlier not in await host.place.sh("ip link")


async def test_links_that_look_like_ours_and_are_not_stay(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        up, marked, other = names("x").bridge, names("y").bridge, names("z").vxlan
        await host.place.sh(
            f"ip link add {up} type bridge; ip link set {up} up; ip link add {marked} type bridge;"
            f"ip link set {marked} alias mine; ip link add {other} type veth peer name theirs"
        )
        await kit.bring(host, kit.overlay(host))
        await host.mesh.clear(kit.CLUSTER)
        shown = await host.place.sh("ip link")
        assert all(name in shown for name in (up, marked, other))


async def test_a_table_without_any_link_of_ours_goes_with_the_membership(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, ingress=True))
        host.restart()
        await host.place.sh(f"ip link del swgw0; ip link del {NAMES.bridge}; ip link del {NAMES.vxlan}")
        await host.mesh.clear(kit.CLUSTER)
        assert await _left(host) == []


SWITCHES = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/up0/accept_ra",
    "net/ipv6/conf/default/accept_ra",
)


async def test_switches_of_the_host_are_put_back_also_by_the_agents_successor(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        look = " ".join(f"/proc/sys/{name}" for name in SWITCHES)
        await host.place.sh("echo 0 >/proc/sys/net/ipv4/ip_forward")
        before = await host.place.sh(f"cat {look}")
        await kit.bring(host, kit.dual(host, ingress=True))
        during = await host.place.sh(f"cat {look}")
        assert during.split() == ["1", "1", "2", "2"]
        host.restart()
        await kit.bring(host, kit.dual(host, ingress=True))
        host.restart()
        await host.mesh.clear(kit.CLUSTER)
        assert await host.place.sh(f"cat {look}") == before


async def test_a_switch_that_another_hand_set_meanwhile_stays(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await host.place.sh("echo 1 >/proc/sys/net/ipv4/ip_forward")
        await kit.bring(host, kit.dual(host, ingress=True))
        await host.place.sh("echo 0 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv6/conf/up0/accept_ra")
        await host.mesh.audit(kit.picture(kit.dual(host, ingress=True)))
        await host.mesh.clear(kit.CLUSTER)
        # It was on before us: what somebody did to it meanwhile has been mended, not learnt.
        assert await host.place.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
        assert await host.place.sh("cat /proc/sys/net/ipv6/conf/up0/accept_ra") == "0\n"


async def _settled(host: kit.Host, descriptors: int, threads: int) -> None:
    """Threads end by themselves, and what they held with them."""

    async def fewer() -> bool:
        return len(os.listdir("/proc/self/fd")) <= descriptors and threading.active_count() <= threads

    await kit.until(fewer)


async def test_networks_that_come_and_go_leave_no_thread_and_no_descriptor(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, "n2", vni=4098))
        descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
        a = kit.Backend("a", ("10.1.0.11",), True, True)
        port = kit.Published("tcp", 8080, 80, "web", (a,), True)
        for _ in range(5):
            await kit.bring(host, kit.overlay(host, ingress=True, published=(port,)), kit.overlay(host, "n2", vni=4098))
            await kit.bring(host, kit.overlay(host, "n2", vni=4098))
        await _settled(host, descriptors, threads)


async def test_a_sandbox_that_cannot_be_entered_again_and_again_leaves_nothing_open(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise KernelError("no nftables here")

    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        monkeypatch.setattr(sandbox, "open_nft", refused)
        whole = kit.picture(kit.overlay(host))
        assert (await host.mesh.apply(whole)).errors == {"n1": "no nftables here"}
        descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
        for _ in range(5):
            assert (await host.mesh.apply(whole)).errors == {"n1": "no nftables here"}
        await _settled(host, descriptors, threads)
        monkeypatch.undo()
        assert (await host.mesh.apply(whole)).errors == {}
