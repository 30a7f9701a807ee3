# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change costs in a large network: from what a manager tells to what the kernel does."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator

from benchmarks._lib.figures import Figures
from benchmarks._lib.hosts import Host, run
from benchmarks._lib.mesh_node import CLUSTER, Node, neighbour, overlay
from benchmarks._lib.sandbox import BenchError
from queenright.decide.dataplane import Tables
from queenright.decide.names import NameTable
from queenright.model.mesh import names
from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, Row
from queenright.model.objects import Subnet

SERVICES, BACKENDS, ENDPOINTS = 1000, 10, 1000
CHANGES = 15
FIGURES = ("update_1_of_1000_ms", "decide_1_of_1000_ms", "endpoints_1000_s", "load_1000_s")


async def endpoints(node: Node, figures: Figures, side: str, rounds: int, kind: str) -> None:
    """How long it takes until a network knows very many more tasks of other hosts."""
    base = overlay(node.host, 1)
    known = tuple(
        neighbour(f"10.1.{1 + number // 250}.{1 + number % 250}", f"192.168.87.{100 + number % 50}")
        for number in range(ENDPOINTS)
    )
    for _ in range(rounds):
        await node.bring(base, kind=kind)
        took = await node.bring(dataclasses.replace(base, neighbours=known), kind=kind)
        known_there = run(*node.inside, "bridge", "fdb", "show", "dev", names("n1").vxlan).count(" dst ")
        if known_there < ENDPOINTS:
            raise BenchError(f"the kernel knows {known_there} of {ENDPOINTS} endpoints")
        figures.add("endpoints_1000_s", side, took)
    await node.bring()


async def updates(node: Node, figures: Figures, side: str, kind: str) -> None:
    """How long it takes to give one service other backends, among very many services: from what a manager tells to
    what the kernel does, names included.
    """
    tables, known = Tables(CLUSTER, "here"), NameTable()
    _tell(tables, known, 0, tuple(_rows(node.host, kind)))
    took = await node.bring(*tables.picture().overlays, kind=kind)
    figures.add("load_1000_s", side, took)
    for number in range(1, CHANGES + 1):
        changed = _endpoint(number * 61 % SERVICES, number % BACKENDS, serving=False)
        began = time.perf_counter()
        _tell(tables, known, number, (changed,))
        picture = tables.picture()
        decided = time.perf_counter() - began
        took = await node.bring(*picture.overlays, kind=kind)
        figures.add("update_1_of_1000_ms", side, (decided + took) * 1000)
        figures.add("decide_1_of_1000_ms", side, decided * 1000)
    await node.bring()


def _tell(tables: Tables, known: NameTable, number: int, rows: tuple[Row, ...]) -> None:
    known.take(*tables.take(NetworksSet(not number, str(number - 1), str(number), rows)))


def _rows(host: Host, kind: str) -> Iterator[Row]:
    """Very many services in one network, with all their tasks on other hosts."""
    yield Link(
        network_id="n1",
        name="mynet",
        vni=4097,
        subnets=(Subnet(subnet="10.0.0.0/8", gateway="10.0.0.1"),),
        mtu=1450,
        addresses=("10.0.0.201/8",),
        vtep=host.address,
        vxlan_port=4789,
        backend=kind,
    )
    for service in range(SERVICES):
        high, low = divmod(service, 250)
        vip = f"10.1.{high}.{1 + low}"
        yield Face(network_id="n1", service_id=f"s{service}", name=f"web{service}", vips=(vip,))
        for index in range(BACKENDS):
            yield _endpoint(service, index)


def _endpoint(service: int, index: int, *, serving: bool = True) -> Endpoint:
    high, low = divmod(service, 250)
    return Endpoint(
        network_id="n1",
        holder=f"t{service}-{index}",
        addresses=(f"10.{10 + index}.{high}.{1 + low}",),
        node_id=f"node{index}",
        vtep=f"192.168.87.{100 + index}",
        task_id=f"t{service}-{index}",
        service_id=f"s{service}",
        name=f"web{service}.{index}.t{service}-{index}",
        serving=serving,
    )
