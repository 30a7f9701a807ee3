# SPDX-License-Identifier: Apache-2.0
"""The backend ``ipvs``: the kernel's own balancer hands connections on; nftables tells it which, and sets their source.

Each virtual address and each published port has a firewall mark, and each mark is a virtual service. A mark is given
only while the service has a serving backend: without one the client meets a closed port and is refused at once, while
connections that are there go on, because IPVS knows them without their mark.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import pathlib
import re
import socket
from collections.abc import Iterable, Iterator, Mapping

from pyroute2.netlink.generic import ipvs as protocol

from queenright.edge.kernel import tables
from queenright.edge.kernel.balancer import INSIDE, LINK4, LINK6, OUTSIDE, family_of, of_family, own_address, serving
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.ipvs_link import GONE, SCHEDULERS, Link, Real, Service, Step, Table, Virtual
from queenright.edge.kernel.nft import Nft
from queenright.edge.kernel.nftables import fill
from queenright.model.mesh import SANDBOX_TABLE, Backend, Overlay

SYSCTLS = pathlib.Path("/proc/sys/net/ipv4/vs")
CONNECTIONS = pathlib.Path("/proc/thread-self/net/ip_vs_conn")
NUMBERS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}
FIRST_VIP6 = 0x80000000
"""Marks of IPv6's virtual addresses begin here; those of published ports are far below."""
TCP_TIMEOUT = 432_000
"""Seconds that a silent TCP connection is kept: five days, as the connection tracker has it. IPVS's own 15 minutes cut
idle connections.
"""
TCP_FIN_TIMEOUT, UDP_TIMEOUT = 120, 300
_NAMES = "meta l4proto { tcp, udp } th dport 53"


@dataclasses.dataclass(frozen=True, slots=True)
class Marks:
    """Which packets get which mark: by virtual address, and by protocol and published port at the outer link."""

    addresses: Mapping[str, int]
    ports: Mapping[tuple[str, int, int], int]
    """By protocol, port and family."""


def mark_of(vip: str) -> int:
    """The mark of a virtual address, the same at any time: an IPv4 address itself, the end of an IPv6 address."""
    address = ipaddress.ip_address(vip)
    return int(address) if address.version == 4 else (int(address) & 0x7FFFFFFF) | FIRST_VIP6


def mark_of_port(name: str, port: int) -> int:
    """The mark of a published port: less than any IPv4 address of a network."""
    return NUMBERS[name] << 16 | port


def wanted(overlay: Overlay) -> tuple[Table, Marks]:
    """What IPVS shall hold, and which packets it shall see. Raises KernelError where two services share a mark."""
    table: Table = {}
    addresses: dict[str, int] = {}
    ports: dict[tuple[str, int, int], int] = {}
    for balanced in overlay.balanced:
        for vip in balanced.vips:
            family = family_of(vip)
            virtual = Virtual(family, mark_of(vip))
            if virtual in table:
                raise KernelError(f"the virtual address {vip} of network {overlay.name} has the mark of another one")
            table[virtual] = _service(balanced.backends, family, 0, balanced.sticky)
            if serving(balanced.backends, family):
                addresses[vip] = virtual.mark
    for published in overlay.published:
        for family in (4, 6):
            virtual = Virtual(family, mark_of_port(published.protocol, published.port))
            table[virtual] = _service(published.backends, family, published.target, False)
            if serving(published.backends, family):
                ports[published.protocol, published.port, family] = virtual.mark
    return {virtual: service for virtual, service in table.items() if service.reals}, Marks(addresses, ports)


def _service(backends: Iterable[Backend], family: int, port: int, sticky: bool) -> Service:
    reals: dict[Real, int] = {}
    for backend in backends:
        address = of_family(backend.addresses, family)
        if address:
            real = Real(address, port)
            reals[real] = max(reals.get(real, 0), int(backend.serving))
    return Service(SCHEDULERS[sticky], dict(sorted(reals.items())))


def additions(before: Table, after: Table) -> Iterator[Step]:
    """What is to be there and is not, or not so: nothing in it takes a connection away from a serving backend.

    New backends come before the weights of old ones fall.
    """
    for virtual, service in after.items():
        old = before.get(virtual)
        if old is None:
            yield Step(protocol.IPVS_CMD_NEW_SERVICE, virtual, service.scheduler)
        elif old.scheduler != service.scheduler:
            yield Step(protocol.IPVS_CMD_SET_SERVICE, virtual, service.scheduler)
        reals = old.reals if old else {}
        for real, weight in service.reals.items():
            if real not in reals:
                yield Step(protocol.IPVS_CMD_NEW_DEST, virtual, real=real, weight=weight)
        for real, weight in sorted(service.reals.items(), key=lambda item: -item[1]):
            if reals.get(real, weight) != weight:
                yield Step(protocol.IPVS_CMD_SET_DEST, virtual, real=real, weight=weight)


def removals(before: Table, after: Table) -> Iterator[Step]:
    """What is there and is not to be."""
    for virtual, service in before.items():
        if virtual not in after:
            yield Step(protocol.IPVS_CMD_DEL_SERVICE, virtual, tolerated=GONE)
            continue
        for real in service.reals:
            if real not in after[virtual].reals:
                yield Step(protocol.IPVS_CMD_DEL_DEST, virtual, real=real, tolerated=GONE)


def rules(overlay: Overlay, marks: Marks) -> str:
    """The sandbox's whole table, filled anew in one transaction."""
    lines = [f"{tables.emptied(SANDBOX_TABLE)}table inet {SANDBOX_TABLE} {{"]
    for family in (4, 6):
        vips = [f"{vip} : {mark:#x}" for vip, mark in marks.addresses.items() if family_of(vip) == family]
        ports = [f"{name} . {port} : {mark:#x}" for (name, port, of), mark in marks.ports.items() if of == family]
        for (name, kind), elements in zip(tables.mark_maps(family), (vips, ports), strict=True):
            lines += _map(name, kind, elements)
    protocols = "meta l4proto { tcp, udp, sctp }"
    lines += [
        "chain marks {",
        # A connection keeps its mark: one to a backend that takes no new ones has none in the maps any more.
        "ct direction original ct mark != 0 meta mark set ct mark accept",
        f'iifname "{INSIDE}" {protocols} meta mark set ip daddr map @vipmark4',
        f'iifname "{INSIDE}" {protocols} meta mark set ip6 daddr map @vipmark6',
        f'iifname "{OUTSIDE}" ip daddr {LINK4} meta mark set meta l4proto . th dport map @pubmark4',
        f'iifname "{OUTSIDE}" ip6 daddr {LINK6} meta mark set meta l4proto . th dport map @pubmark6',
        "meta mark != 0 ct mark set meta mark",
        "}",
        "chain post {",
    ]
    for family, word in ((4, "ip"), (6, "ip6")):
        address = own_address(overlay, family)
        if address:
            lines.append(f'oifname "{INSIDE}" meta nfproto ipv{family} meta mark != 0 snat {word} to {address}')
    names = [f"{'ip6' if ':' in dns else 'ip'} daddr {dns} {_NAMES} accept" for dns in overlay.dns]
    lines += [
        "}",
        "chain through {",
        "ct state established,related accept",  # answers; what IPVS hands over is sent, not forwarded
        "}",
        # What IPVS does not take ends here: it is refused before the kernel remembers it, so that nobody sticks to it.
        "chain into {",
        'iifname "lo" accept',
        "meta mark != 0 accept",
        "meta l4proto { icmp, ipv6-icmp } accept",
        "ct state invalid drop",
        *names,
        "ct state established,related accept",
        "meta l4proto tcp reject with tcp reset",
        "reject",
        "}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _map(name: str, kind: str, elements: list[str]) -> list[str]:
    held = [f"elements = {{ {', '.join(sorted(elements))} }}"] if elements else []
    return [f"map {name} {{", f"{kind};", *held, "}"]


class Ipvs:
    """The backend of one sandbox (:class:`~queenright.edge.kernel.balancer.Balancer`)."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._link = Link()
        self._table: Table | None = None
        self._rules = ""
        self._seen = ""

    def apply(self, overlay: Overlay) -> None:
        """New services and backends, then the marks that lead to them, then what is gone."""
        table, marks = wanted(overlay)
        before, self._table = self._table, None  # what fails on the way leaves nothing to be relied on
        if before is None:
            self._settle()
            before = self._link.read()
        self._link.do(additions(before, table))
        self._mark(rules(overlay, marks))
        self._link.do(removals(before, table))
        self._table = table

    def audit(self, overlay: Overlay) -> bool:
        if self._table is None:
            self.apply(overlay)
            return False
        touched = self._link.read() != self._table or self._shown() != self._seen
        if touched:
            self._table, self._rules = None, ""
        self.apply(overlay)
        return touched

    def retire(self) -> bool:
        """Its connections end with its services. Without marks these get no new ones."""
        self._table, self._rules, self._seen = None, "", ""
        if _has_connections():
            return False
        self._link.do(removals(self._link.read(), {}))
        return True

    def close(self) -> None:
        self._link.close()

    def _mark(self, text: str) -> None:
        if text == self._rules:
            return
        self._rules = ""
        fill(self._nft, text)
        self._rules, self._seen = text, self._shown()

    def _shown(self) -> str:
        """The table as nftables tells it, in an order of its own; "" if it is not there."""
        try:
            shown = self._nft.run(f"list table inet {SANDBOX_TABLE}\n")
        except KernelError:
            return ""
        return " ".join(sorted(re.split(r"[\s,]+", shown)))

    def _settle(self) -> None:
        settings = {
            "conntrack": "1",  # the source is set by nftables, which needs the connection tracker's part
            "expire_nodest_conn": "1",  # connections of a backend that is gone end with their next packet
            "expire_quiescent_template": "1",
            # A client that takes a port again is a new connection; older kernels make it wait a second then.
            "conn_reuse_mode": "1" if _kernel() >= (5, 9) else "0",
        }
        for name, value in settings.items():
            _set(SYSCTLS / name, value)
        if (SYSCTLS / "run_estimation").exists():
            _set(SYSCTLS / "run_estimation", "0")  # nobody reads rates
        self._link.set_timeouts(TCP_TIMEOUT, TCP_FIN_TIMEOUT, UDP_TIMEOUT)


def _has_connections() -> bool:
    """Whether IPVS knows any in the calling thread's namespace."""
    try:
        with CONNECTIONS.open() as listed:
            next(listed, None)  # the names of the columns
            return next(listed, None) is not None
    except OSError:
        return False


def _kernel() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


def _set(path: pathlib.Path, value: str) -> None:
    try:
        if path.read_text().strip() != value:
            path.write_text(value)
    except OSError as error:
        raise KernelError(
            f"{path} cannot be set to {value} ({error.strerror}): IPVS needs it (CONFIG_IP_VS_NFCT); "
            "balance with nftables instead"
        ) from error
