# SPDX-License-Identifier: Apache-2.0
"""The list of connections is asked for only where there may be one to end: it costs a walk through all of them."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
from typing import Any

import pytest
from kernel import kit

from queenright.edge.kernel import conntrack, netlink
from queenright.edge.kernel.conntrack import Flow, Sent
from queenright.edge.kernel.netlink import NetlinkSocket

UDP = conntrack.PROTOCOLS["udp"]
_LIST = (1 << 8) | 1


@pytest.fixture
def dumps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many connections the kernel sent, each time that they were asked for."""
    seen: list[int] = []
    dump = NetlinkSocket.dump

    def counting(self: NetlinkSocket, kind: int, body: bytes) -> Any:
        found = dump(self, kind, body)
        if kind == _LIST:
            seen.append(len(found))
        return found

    monkeypatch.setattr(NetlinkSocket, "dump", counting)
    return seen


@pytest.mark.parametrize("kind", kit.backends())
async def test_a_change_that_ends_no_connection_lists_none(folder: pathlib.Path, kind: str, dumps: list[int]) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host, ingress=True), kind=kind)
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        b = await lab.container(host, "n1", "b", "10.1.0.12/24")
        idle = kit.Balanced("idle", ("10.1.0.20",), ())

        async def now(*containers: kit.Container, services: tuple[kit.Balanced, ...] = (), **more: Any) -> list[int]:
            """Bring that; what was listed for it."""
            dumps.clear()
            balanced = (kit.service(host, *containers), *services)
            ports = (kit.published(host, *containers, **more),)
            await kit.bring(host, kit.overlay(host, ingress=True, balanced=balanced, published=ports), kind=kind)
            return list(dumps)

        await now(a)
        kept = await kit.connect(lab.client, host.address, 8080)
        assert await now(a, services=(idle,)) == []
        assert await now(a, b, services=(idle,)) == [], "somebody came"
        assert await now(a, b) == [], "nobody was handed to a service without backends"
        assert await kept.says("still here")
        assert len(await now(a)) == 1, "somebody left, and there is a connection"
        assert await kept.says("still here")


async def test_a_sandbox_without_connections_lists_none_even_when_all_is_compared(
    folder: pathlib.Path, dumps: list[int]
) -> None:
    async with kit.lab(folder) as lab:
        host = lab.hosts[0]
        await kit.bring(host, kit.overlay(host))
        a = await lab.container(host, "n1", "a", "10.1.0.11/24")
        whole = kit.overlay(host, balanced=(kit.service(host, a),))
        await kit.bring(host, whole)
        await host.mesh.audit(kit.picture(whole))
        await kit.bring(host, kit.overlay(host))
        assert dumps == []


async def _flows(place: kit.Place, addresses: tuple[tuple[str, int], ...]) -> list[socket.socket]:
    """Connections of UDP, which nobody answers, that the namespace remembers."""
    made = []
    for address, port in addresses:
        sock = await place.socket(kit.family(address), socket.SOCK_DGRAM)
        sock.connect((address, port))
        sock.send(b"x")
        made.append(sock)
    return made


async def test_the_kernel_sends_those_alone_that_were_sent_there(folder: pathlib.Path, dumps: list[int]) -> None:
    async with kit.lab(folder) as lab:
        place = lab.hosts[0].place
        await place.sh(
            "nft 'table inet watch { chain c { type filter hook output priority 0; ct state new counter; }; }'"
        )
        wanted = (("192.0.2.99", 53), ("2001:db8::99", 53))
        made = await _flows(place, (*wanted, *(("192.0.2.99", port) for port in range(1000, 1050))))

        def cut(sent: Sent | None, port: int) -> int:
            with NetlinkSocket(netlink.NETFILTER) as sock:
                return conntrack.cut(sock, lambda flow: flow.protocol == UDP and flow.port == port, sent=sent)

        assert await place.run(lambda: cut(None, 99)) == 0
        assert await place.run(lambda: cut(Sent(UDP), 99)) == 0
        assert await place.run(lambda: cut(Sent(conntrack.PROTOCOLS["tcp"]), 53)) == 0
        assert await place.run(lambda: cut(Sent(UDP, 53), 53)) == 2
        assert await place.run(lambda: cut(Sent(UDP, 53), 53)) == 0
        everything, *by_family = dumps
        assert everything >= 52
        assert by_family[0] >= 51
        assert by_family[1] >= 1
        assert by_family[2:] == [0, 0, 1, 1, 0, 0], "of TCP, to that port, to that port once more"
        for sock in made:
            sock.close()


def test_a_kernel_that_cannot_be_told_sends_all() -> None:
    class Older:
        asked: list[int] = []

        def ask(self, kind: int, body: bytes) -> bytes:
            return bytes(4)

        def dump(self, kind: int, body: bytes) -> list[tuple[int, bytes]]:
            self.asked.append(body[0])
            if body[0]:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
            return []

        def batch(self, messages: list[object]) -> list[object]:
            return messages

    assert conntrack.cut(Older(), lambda flow: True, sent=Sent(UDP, 53)) == 0  # type: ignore[arg-type]
    assert Older.asked == [socket.AF_INET, 0]


def test_a_kernel_that_counts_no_connections_is_named() -> None:
    class Without:
        def ask(self, kind: int, body: bytes) -> bytes:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    def never(flow: Flow) -> bool:
        raise AssertionError(flow)

    with pytest.raises(conntrack.KernelError, match="modprobe nf_conntrack_netlink"):
        conntrack.cut(Without(), never)  # type: ignore[arg-type]
