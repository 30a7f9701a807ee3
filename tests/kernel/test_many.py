"""Many of everything: the kernel has all of it, and a change costs what changed."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest
from kernel import kit

from queenright.edge.kernel.netlink import NetlinkSocket
from queenright.edge.kernel.nft import Library
from queenright.model.mesh import mac_of, names


def _address(number: int) -> str:
    return f"10.1.{number // 250}.{number % 250 + 1}"


def _wide(host: kit.Host, **changes: object) -> kit.Overlay:
    subnet = dataclasses.replace(kit.overlay(host).subnets[0], subnet="10.1.0.0/16")
    return kit.overlay(host, subnets=(subnet,), addresses=("10.1.255.1/16",), **changes)


async def test_a_thousand_endpoints_are_known_and_one_more_is_three_messages(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    batch = NetlinkSocket.batch

    def counted(self: NetlinkSocket, messages: object) -> object:
        nonlocal sent
        messages = list(messages)  # type: ignore[call-overload]
        sent += len(messages)
        return batch(self, messages)

    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        known = tuple(
            kit.Neighbour(mac_of(_address(n)), (_address(n),), f"192.0.2.{n % 80 + 10}") for n in range(10, 1011)
        )
        await kit.bring(host, _wide(host, neighbours=known[:-1]))
        tunnel = names("n1").vxlan
        listed = await host.place.sh(f"bridge fdb show dev {tunnel} | grep dst")
        assert len(set(listed.splitlines())) == 1000  # between two parts of a dump the kernel may list a row twice
        static = f"bridge fdb show dev {tunnel} | grep static | grep -v vlan"  # listed twice by kernels that know VLANs
        assert len((await host.place.sh(static)).splitlines()) == 1000
        assert len((await host.place.sh(f"ip neigh show dev {tunnel} nud permanent")).splitlines()) == 1000
        monkeypatch.setattr(NetlinkSocket, "batch", counted)
        await kit.bring(host, _wide(host, neighbours=known))
        assert sent == 3
        await kit.bring(host, _wide(host, neighbours=known[1:]))
        assert sent == 6
        moved = dataclasses.replace(known[5], vtep="192.0.2.200")
        await kit.bring(host, _wide(host, neighbours=(*known[1:5], moved, *known[6:])))
        assert sent == 7
        assert "192.0.2.200" in await host.place.sh(f"bridge fdb show dev {tunnel}")


async def test_one_of_a_thousand_services_changes_in_a_few_words(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    run = Library.run

    def heard(self: Library, text: str) -> str:
        said.append(text)
        return run(self, text)

    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, _wide(host))
        a = await lab.container(host, "n1", "a", "10.1.200.1/16")
        client = await lab.container(host, "n1", "c", "10.1.200.2/16", port=81)
        gone = kit.Backend("gone", ("10.1.200.9",), True, False)
        services = [
            kit.Balanced(f"s{n}", (_address(n),), (kit.backend(a, host), *([gone] if n == 500 else [])))
            for n in range(10, 1010)
        ]
        await kit.bring(host, _wide(host, balanced=tuple(services)))
        for number in (0, 700, 999):
            assert (await kit.ask(client, services[number].vips[0], 80))[0] == "a"
        monkeypatch.setattr(Library, "run", heard)
        services[490] = dataclasses.replace(services[490], backends=services[490].backends[:1])
        await kit.bring(host, _wide(host, balanced=tuple(services)))
        assert len(said) == 1
        assert len(said[0]) < 500
        assert await kit.asked(client, services[490].vips[0], 80) == {"a"}


async def test_a_service_of_a_thousand_tasks_reaches_the_last_one(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, _wide(host))
        a = await lab.container(host, "n1", "a", "10.1.200.1/16")
        client = await lab.container(host, "n1", "c", "10.1.200.2/16", port=81)
        absent = [kit.Backend(f"t{n}", (_address(n),), False, False) for n in range(10, 1010)]
        many = kit.Balanced("web", ("10.1.250.1",), (*absent, kit.backend(a, host)))
        await kit.bring(host, _wide(host, balanced=(many,)))
        assert await kit.asked(client, "10.1.250.1", 80, 10) == {"a"}
        same = tuple(kit.Backend(f"t{n}", ("10.1.200.1",), True, True) for n in range(1000))
        await kit.bring(host, _wide(host, balanced=(dataclasses.replace(many, backends=same),)))
        assert await kit.asked(client, "10.1.250.1", 80, 10) == {"a"}
