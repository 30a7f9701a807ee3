"""Another backend takes over under traffic: nobody is refused, and what is connected stays so. Takes both backends."""

from __future__ import annotations

import asyncio
import pathlib
import socket
import struct

from kernel import kit

TURNS = ("ipvs", "nftables", "ipvs", "nftables")


async def test_nobody_notices_that_another_backend_balances(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, ingress=True))
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        b = await lab.container(host, "n1", "b", "10.1.0.12/24")
        whole = kit.overlay(
            host, ingress=True, balanced=(kit.service(host, a, b),), published=(kit.published(host, a, b),)
        )
        await kit.bring(host, whole)
        kept = [await kit.connect(a, "10.1.0.10", 80), await kit.connect(lab.client, host.address, 8080)]
        asked = 0
        for kind in TURNS:
            over = asyncio.Event()

            async def ask(over: asyncio.Event = over) -> int:
                count = 0
                while not over.is_set():
                    await kit.ask(a, "10.1.0.10", 80)
                    await kit.ask(lab.client, host.address, 8080)
                    count += 2
                return count

            asking = asyncio.create_task(ask())
            await asyncio.sleep(0.2)
            await kit.bring(host, whole, kind=kind)
            await asyncio.sleep(0.2)
            over.set()
            asked += await asking
            assert [await connection.says(kind) for connection in kept] == [True] * len(kept), kind
            kept.append(await kit.connect(a, "10.1.0.10", 80))
            kept.append(await kit.connect(lab.client, host.address, 8080))
        assert asked >= 2 * len(TURNS)
        assert await kit.asked(a, "10.1.0.10", 80) == {"a", "b"}
        for connection in kept:
            connection.close()


async def test_services_of_ipvs_go_once_no_connection_needs_them(folder: pathlib.Path) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host), kind="ipvs")
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        whole = kit.overlay(host, balanced=(kit.service(host, a),))
        await kit.bring(host, whole, kind="ipvs")
        kept = await kit.connect(a, "10.1.0.10", 80)
        await kit.bring(host, whole)
        inside = f"nsenter --net={host.folder}/{kit.names('n1').namespace} cat /proc/net/ip_vs"
        assert "FWM" in await host.place.sh(inside)
        reset = struct.pack("ii", 1, 0)  # else IPVS knows it for two minutes more
        kept.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        kept.close()

        async def gone() -> bool:
            await host.mesh.audit(kit.picture(whole))
            return "FWM" not in await host.place.sh(inside)

        await kit.until(gone)
        assert await kit.asked(a, "10.1.0.10", 80, 5) == {"a"}
