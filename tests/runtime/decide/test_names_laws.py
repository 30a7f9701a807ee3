# SPDX-License-Identifier: Apache-2.0
"""However the rows came and went, the table answers as one that was told of what is there now and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from queenright.decide.dataplane import Tables
from queenright.decide.names import NameTable
from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, Row
from queenright.model.objects import Subnet

NETWORKS = ("n1", "n2")
WORDS = ("web", "db", "www")
HOLDERS = ("t1", "t2", "t3", "node1")
ADDRESSES = {"n1": ("10.0.1.5", "10.0.1.6", "fd00:1::5"), "n2": ("10.0.2.5", "10.0.2.6", "fd00:2::5")}
REVERSE = {
    "n1": ("5.1.0.10.in-addr.arpa", "6.1.0.10.in-addr.arpa"),
    "n2": ("5.2.0.10.in-addr.arpa", "6.2.0.10.in-addr.arpa"),
}
NAMES = [
    *WORDS,
    *(f"tasks.{word}" for word in WORDS),
    *(f"{word}.{network}" for word in WORDS for network in NETWORKS),
    *(f"{holder}.task" for holder in HOLDERS),
]


def links(network: str) -> some.SearchStrategy[Row]:
    number = network[-1]
    subnets = (Subnet(subnet=f"10.0.{number}.0/24", gateway=f"10.0.{number}.1"),)
    return some.builds(
        lambda ingress: Link(network_id=network, name=network, subnets=subnets, ingress=ingress), some.booleans()
    )


def faces(network: str) -> some.SearchStrategy[Row]:
    return some.builds(
        Face,
        network_id=some.just(network),
        service_id=some.sampled_from(("s1", "s2")),
        name=some.sampled_from(WORDS),
        aliases=some.lists(some.sampled_from(WORDS), max_size=2).map(tuple),
        vips=some.lists(some.sampled_from(ADDRESSES[network]), max_size=1).map(tuple),
        dnsrr=some.booleans(),
    )


def endpoints(network: str) -> some.SearchStrategy[Row]:
    def make(
        holder: str, service: str, addresses: list[str], aliases: list[str], serving: bool, lost: bool
    ) -> Endpoint:
        return Endpoint(
            network_id=network,
            holder=holder,
            task_id="" if holder == "node1" else holder,
            service_id=service,
            addresses=tuple(addresses),
            name=f"{holder}.task",
            aliases=tuple(aliases),
            serving=serving,
            lost=lost,
        )

    return some.builds(
        make,
        some.sampled_from(HOLDERS),
        some.sampled_from(("s1", "s2")),
        some.lists(some.sampled_from(ADDRESSES[network]), max_size=1),
        some.lists(some.sampled_from(WORDS), max_size=1),
        some.booleans(),
        some.booleans(),
    )


ROWS = some.sampled_from(NETWORKS).flatmap(lambda key: some.one_of(links(key), faces(key), endpoints(key)))
KEYS = some.sampled_from([f"{n}{part}" for n in NETWORKS for part in ("", *(f"/{h}" for h in (*HOLDERS, "s1", "s2")))])
STEPS = some.lists(some.tuples(some.booleans(), some.lists(ROWS, max_size=5), some.lists(KEYS, max_size=2)), max_size=8)


def answers(table: NameTable) -> list[object]:
    """To everything, from everybody; but not who it is where two claim one address, which no manager tells."""
    found: list[object] = []
    for network in NETWORKS:
        for name in NAMES:
            for kind in ("A", "AAAA"):
                answer = table.answer(network, "10.0.9.9", name, kind)
                found.append((answer.verdict, sorted(answer.values), answer.ttl))
        found.extend(table.answer(network, "10.0.9.9", name, "PTR").verdict for name in REVERSE[network])
    return found


def one_holder_each(rows: list[Row]) -> bool:
    held = [
        address
        for row in rows
        for address in (row.addresses if isinstance(row, Endpoint) else row.vips if isinstance(row, Face) else ())
    ]
    return len(held) == len(set(held))


@given(STEPS)
def test_the_way_does_not_matter(steps: list[tuple[bool, list[Row], list[str]]]) -> None:
    tables, table = Tables("c1", "node1"), NameTable()
    table.whole = True
    for number, (complete, rows, removes) in enumerate(steps):
        told = NetworksSet(complete, str(number - 1), str(number), tuple(rows), () if complete else tuple(removes))
        table.take(*tables.take(told))
    fresh = NameTable()
    fresh.whole = True
    fresh.take(list(tables.rows), ())
    if one_holder_each(list(tables.rows)):
        assert answers(table) == answers(fresh)
    for network in NETWORKS:
        for name in NAMES:
            one, other = table.answer(network, "10.0.9.9", name, "A"), fresh.answer(network, "10.0.9.9", name, "A")
            assert (one.verdict, sorted(one.values)) == (other.verdict, sorted(other.values))
