"""The text of tables: what changes is said, and nothing else."""

from __future__ import annotations

import dataclasses

from queenright.edge.kernel import tables
from queenright.model.mesh import Backend, Balanced, Overlay, Published
from queenright.model.objects import Subnet

V4 = Subnet(subnet="10.0.0.0/24", gateway="10.0.0.1")
V6 = Subnet(subnet="fd00::/64", gateway="fd00::1")
OVERLAY = Overlay(
    network_id="n",
    name="n",
    vni=4096,
    mtu=1450,
    subnets=(V4,),
    dns=("10.0.0.2",),
    internal=False,
    ingress=True,
    addresses=("10.0.0.3/24",),
    vtep="192.0.2.1",
    vxlan_port=4789,
)


def backend(number: int, *, serving: bool = True, local: bool = False) -> Backend:
    return Backend(f"t{number}", (f"10.0.0.{number}", f"fd00::{number}"), serving, local)


def web(*numbers: int, **more: object) -> Balanced:
    return Balanced("web", ("10.0.0.4",), tuple(backend(number) for number in numbers), **more)  # type: ignore[arg-type]


def overlay(**changes: object) -> Overlay:
    return dataclasses.replace(OVERLAY, **changes)  # type: ignore[arg-type]


def change(old: Overlay, new: Overlay) -> list[str]:
    known: set[str] = set()
    tables.whole("t", tables.sandbox(old), known)
    return tables.step("t", tables.sandbox(old), tables.sandbox(new), known).splitlines()


def test_equal_pictures_need_no_word() -> None:
    assert change(overlay(balanced=(web(5, 6),)), overlay(balanced=(web(5, 6),))) == []


def test_a_replaced_backend_takes_its_predecessors_number() -> None:
    assert change(overlay(balanced=(web(5, 6),)), overlay(balanced=(web(5, 7),))) == [
        "delete element inet t vipto4 { 10.0.0.4 . 1 : 10.0.0.6 }",
        "add element inet t vipto4 { 10.0.0.4 . 1 : 10.0.0.7 }",
    ]


def test_one_more_backend_brings_a_chain_for_that_many_once() -> None:
    lines = change(overlay(balanced=(web(5, 6),)), overlay(balanced=(web(5, 6, 7),)))
    assert lines == [
        "add chain inet t n3_4",
        "add rule inet t n3_4 dnat ip to ip daddr . numgen random mod 3 map @vipto4",
        "delete element inet t vip4 { 10.0.0.4 : goto n2_4 }",
        "add element inet t vip4 { 10.0.0.4 : goto n3_4 }",
        "add element inet t vipto4 { 10.0.0.4 . 2 : 10.0.0.7 }",
    ]


def test_nobody_to_hand_over_to_means_not_in_the_map() -> None:
    silent = Balanced("web", ("10.0.0.4",), (backend(5, serving=False),))
    lines = change(overlay(balanced=(web(5),)), overlay(balanced=(silent,)))
    assert lines == [
        "delete element inet t vip4 { 10.0.0.4 : goto n1_4 }",
        "delete element inet t vipto4 { 10.0.0.4 . 0 : 10.0.0.5 }",
    ]


def test_an_address_that_another_service_takes_over_changes_hands_in_one_step() -> None:
    other = Balanced("other", ("10.0.0.4",), (backend(9),))
    lines = change(overlay(balanced=(web(5),)), overlay(balanced=(other,)))
    assert lines == [
        "delete element inet t vipto4 { 10.0.0.4 . 0 : 10.0.0.5 }",
        "add element inet t vipto4 { 10.0.0.4 . 0 : 10.0.0.9 }",
    ]


def test_sticky_is_another_chain_with_the_same_backends() -> None:
    lines = change(overlay(balanced=(web(5, 6),)), overlay(balanced=(web(5, 6, sticky=True),)))
    assert [line for line in lines if "vipto4 {" in line] == []
    assert any("jhash ip saddr mod 2" in line for line in lines)


def test_what_is_said_of_the_sandbox_itself_needs_the_whole_table() -> None:
    lines = change(overlay(), overlay(addresses=("10.0.0.9/24",)))
    assert "flush table inet t" in lines


def test_the_hooked_chains_of_a_table_are_never_deleted() -> None:
    """One that goes keeps its rules while those of its successor hold already."""
    text = tables.whole("t", tables.sandbox(overlay()), set())
    assert text.index("chain into") < text.index("flush table inet t")
    assert "delete table" not in text
    assert "delete chain" not in text


def test_backends_are_taken_from_the_family_of_the_address() -> None:
    both = overlay(
        subnets=(V4, V6),
        addresses=("10.0.0.3/24", "fd00::3/64"),
        published=(Published("udp", 53, 5353, "s", (backend(5),)),),
    )
    known: set[str] = set()
    text = tables.whole("t", tables.sandbox(both), known)
    assert known == {"udp1_4", "udp1_6"}
    assert "add element inet t udpto6 { 53 . 0 : fd00::5 . 5353 }" in text
    single = tables.whole("t", tables.sandbox(overlay(published=both.published)), known)
    assert "fd00" not in single
    assert known == {"udp1_4"}


def test_a_network_that_is_not_ingress_knows_no_ports() -> None:
    text = tables.whole("t", tables.sandbox(overlay(ingress=False)), set())
    assert "eth1" not in text
    assert "pub4" not in text.removeprefix(tables.emptied("t"))


def test_the_host_hands_a_local_first_port_to_local_tasks_that_serve() -> None:
    backends = (backend(5, local=True), backend(6), backend(7, local=True, serving=False))
    port = Published("tcp", 80, 8080, "web", backends, local_first=True)
    text = tables.host(overlay(), [port])
    assert "meta l4proto tcp dnat ip to 10.0.0.5:8080" in text
    assert "10.0.0.6" not in text
    assert "10.0.0.7" not in text
    assert "l_tcp_80" not in tables.host(overlay(), [dataclasses.replace(port, local_first=False)])
