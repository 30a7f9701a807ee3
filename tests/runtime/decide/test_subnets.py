# SPDX-License-Identifier: Apache-2.0
"""Subnets are taken as asked for or found in the pools, and never shared."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.decide import subnets
from queenright.model.objects import Network, Subnet
from queenright.spec.network import Pool

TEN = ("10.0.0.0/8",)


def chosen(*taken: tuple[str, str], pools: tuple[str, ...] = TEN, size: int = 24, pool: Pool | None = None) -> Subnet:
    found = subnets.choose(pools, size, taken, (pool,) if pool is not None else ())
    assert not isinstance(found, str), found
    return found[0]


def refused(*taken: tuple[str, str], pools: tuple[str, ...] = TEN, size: int = 24, pool: Pool | None = None) -> str:
    found = subnets.choose(pools, size, taken, (pool,) if pool is not None else ())
    assert isinstance(found, str), found
    return found


def test_the_first_network_gets_the_first_subnet_of_the_pool() -> None:
    assert chosen() == Subnet(subnet="10.0.0.0/24", gateway="10.0.0.1")
    assert chosen().dns == "10.0.0.2"


def test_the_first_gap_is_taken() -> None:
    taken = (("network a", "10.0.0.0/24"), ("network c", "10.0.2.0/24"))
    assert chosen(*taken).subnet == "10.0.1.0/24"
    assert chosen(*taken, ("network b", "10.0.1.0/24")).subnet == "10.0.3.0/24"


def test_what_nodes_route_by_themselves_is_passed_over() -> None:
    assert chosen(("node h1", "10.0.0.0/16"), ("node h2", "10.1.0.128/25")).subnet == "10.1.1.0/24"


def test_a_route_to_everywhere_is_no_claim() -> None:
    assert chosen(("node h1", "0.0.0.0/0")).subnet == "10.0.0.0/24"
    assert chosen(("node h1", "0.0.0.0/0"), pool=Pool(subnet="10.7.0.0/24")).subnet == "10.7.0.0/24"


def test_the_next_pool_follows_when_one_is_full() -> None:
    pools = ("10.9.0.0/23", "10.11.0.0/16")
    taken = (("network a", "10.9.0.0/24"), ("network b", "10.9.1.0/24"))
    assert chosen(*taken, pools=pools).subnet == "10.11.0.0/24"


def test_pools_that_are_full_are_named_with_what_stands_in_the_way() -> None:
    text = refused(("network a", "10.9.0.0/24"), ("node h1", "10.9.0.0/16"), pools=("10.9.0.0/24",))
    assert "no subnet of /24 is free in 10.9.0.0/24" in text
    assert "10.9.0.0/16 (node h1), 10.9.0.0/24 (network a)" in text


def test_a_pool_smaller_than_the_size_is_one_subnet() -> None:
    assert chosen(pools=("10.9.0.0/25",)).subnet == "10.9.0.0/25"
    assert "is free" in refused(("network a", "10.9.0.0/25"), pools=("10.9.0.0/25",))


def test_ipv6_comes_out_of_the_swarms_own_pool() -> None:
    pool = subnets.local_pool("cluster")
    assert pool == subnets.local_pool("cluster") != subnets.local_pool("other")
    found = chosen(pools=(pool,), size=64)
    assert ipaddress.ip_network(found.subnet).subnet_of(ipaddress.ip_network("fd00::/8"))  # type: ignore[arg-type]
    again = chosen(("network a", found.subnet), pools=(pool,), size=64)
    assert again.subnet != found.subnet and again.gateway.endswith("::1")


def test_a_subnet_that_is_asked_for_is_taken_with_its_gateway_and_range() -> None:
    pool = Pool(subnet="10.5.0.0/24", gateway="10.5.0.254", ip_range="10.5.0.128/25")
    assert chosen(pool=pool) == Subnet(subnet="10.5.0.0/24", gateway="10.5.0.254", ip_range="10.5.0.128/25")
    assert chosen(pool=pool).dns == "10.5.0.1"


def test_an_overlap_is_refused_with_both_prefixes_and_the_owner() -> None:
    text = refused(("network web", "10.5.0.0/24"), pool=Pool(subnet="10.5.0.128/25"))
    assert "Pool overlaps with other one on this address space" in text
    assert "10.5.0.128/25 overlaps with 10.5.0.0/24 of network web" in text
    assert "10.5.0.0/16 of node h3" in refused(("node h3", "10.5.0.0/16"), pool=Pool(subnet="10.5.0.0/24"))


@pytest.mark.parametrize(
    ("pool", "text"),
    [
        (Pool(subnet="nonsense"), "invalid subnet 'nonsense'"),
        (Pool(subnet="10.5.0.7/24"), "it should be 10.5.0.0/24"),
        (Pool(subnet="10.5.0.0/30"), "29 bits is the longest"),
        (Pool(subnet="fd00::/126"), "125 bits is the longest"),
        (Pool(subnet="127.0.0.0/24"), "127.0.0.0/8 is the loopback"),
        (Pool(subnet="169.254.77.0/24"), "the local link"),
        (Pool(subnet="224.0.0.0/24"), "multicast"),
        (Pool(subnet="fe80::/64"), "the local link"),
        (Pool(subnet="10.5.0.0/24", gateway="10.6.0.1"), "it is not in 10.5.0.0/24"),
        (Pool(subnet="10.5.0.0/24", gateway="fd00::1"), "it is not in 10.5.0.0/24"),
        (Pool(subnet="10.5.0.0/24", gateway="10.5.0.255"), "belong to nobody"),
        (Pool(subnet="10.5.0.0/24", gateway="x"), "invalid gateway 'x'"),
        (Pool(subnet="10.5.0.0/24", ip_range="10.6.0.0/25"), "it is not within 10.5.0.0/24"),
        (Pool(subnet="10.5.0.0/24", ip_range="x"), "invalid range 'x'"),
        (Pool(subnet="10.5.0.0/24", ip_range="10.5.0.0/31"), "no address in it can be handed out"),
        (Pool(gateway="10.5.0.1"), "invalid subnet ''"),
    ],
)
def test_what_cannot_be_is_refused(pool: Pool, text: str) -> None:
    assert text in refused(pool=pool)


def test_a_second_subnet_of_a_family_is_refused() -> None:
    found = subnets.choose(TEN, 24, (), (Pool(subnet="10.5.0.0/24"), Pool(subnet="10.6.0.0/24")))
    assert isinstance(found, str) and "at most" in found


def test_numbers_begin_at_4096_and_the_lowest_free_one_is_taken() -> None:
    assert subnets.vni(()) == 4096
    networks = [Network(id=f"n{number}", vni=number) for number in (4096, 4098)]
    assert subnets.vni(networks) == 4097


@given(
    st.lists(st.tuples(st.integers(0, 15), st.sampled_from([24, 25, 26, 27, 28])), max_size=12),
    st.sampled_from([24, 26, 28]),
)
def test_what_is_found_is_the_lowest_that_is_free(taken: list[tuple[int, int]], size: int) -> None:
    pool = ipaddress.ip_network("10.20.0.0/23")
    held = [ipaddress.ip_network((int(pool.network_address) + 32 * at, length), strict=False) for at, length in taken]
    free = [one for one in pool.subnets(new_prefix=size) if not any(one.overlaps(other) for other in held)]
    found = subnets.choose((str(pool),), size, [("network x", str(one)) for one in held])
    if free:
        assert not isinstance(found, str) and found[0].subnet == str(free[0])
    else:
        assert isinstance(found, str)
