# SPDX-License-Identifier: Apache-2.0
"""Rows -> the picture of what a kernel shall do."""

from __future__ import annotations

import dataclasses
import random

import pytest

from queenright.decide.dataplane import Tables
from queenright.model.mesh import Backend, Balanced, Neighbour, Published
from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, Row
from queenright.model.objects import Subnet
from queenright.spec.service import Port


def link(network: str = "n", **more: object) -> Link:
    values = {"network_id": network, "name": network, "vni": 4097, "mtu": 1450, "vtep": "1.1.1.1", "vxlan_port": 4789}
    values |= {"subnets": (Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"),), "addresses": ("10.0.1.9/24",)}
    return Link(**(values | {"backend": "ipvs"} | more))  # type: ignore[arg-type]


def endpoint(holder: str, number: int, node: str = "there", network: str = "n", **more: object) -> Endpoint:
    values = {"network_id": network, "holder": holder, "node_id": node, "task_id": holder, "service_id": "web"}
    values |= {"addresses": (f"10.0.1.{number}",), "vtep": "1.1.1.1" if node == "here" else "2.2.2.2", "serving": True}
    return Endpoint(**(values | more))  # type: ignore[arg-type]


def face(service: str = "web", network: str = "n", **more: object) -> Face:
    return Face(**({"network_id": network, "service_id": service, "name": service, "vips": ("10.0.1.3",)} | more))  # type: ignore[arg-type]


def tables(*rows: Row) -> Tables:
    made = Tables("c", "here")
    made.take(NetworksSet(True, "", "1", rows))
    return made


def test_who_has_no_network_has_an_empty_picture() -> None:
    picture = tables().picture()
    assert (picture.cluster_id, picture.overlays) == ("c", ())


def test_a_network_is_made_as_its_link_says() -> None:
    picture = tables(link()).picture()
    [overlay] = picture.overlays
    assert (picture.backend, overlay.vni, overlay.mtu, overlay.vxlan_port) == ("ipvs", 4097, 1450, 4789)
    assert (overlay.dns, overlay.addresses, overlay.vtep) == (("10.0.1.2",), ("10.0.1.9/24",), "1.1.1.1")


def test_endpoints_and_sandboxes_of_other_nodes_are_neighbours() -> None:
    sandbox = endpoint("there", 8, task_id="", service_id="")
    rows = (link(), endpoint("t1", 5), endpoint("t2", 6, "here"), sandbox, endpoint("t3", 7, vtep=""))
    [overlay] = tables(*rows).picture().overlays
    assert set(overlay.neighbours) == {
        Neighbour("02:42:0a:00:01:05", ("10.0.1.5",), "2.2.2.2"),
        Neighbour("02:42:0a:00:01:08", ("10.0.1.8",), "2.2.2.2"),
    }


def test_a_virtual_address_is_balanced_among_the_tasks_of_its_service() -> None:
    rows = (
        link(),
        face(),
        endpoint("t2", 6, "here", serving=False),
        endpoint("t1", 5),
        endpoint("x", 7, service_id="y"),
    )
    [overlay] = tables(*rows).picture().overlays
    backends = (Backend("t1", ("10.0.1.5",), True, False), Backend("t2", ("10.0.1.6",), False, True))
    assert overlay.balanced == (Balanced("web", ("10.0.1.3",), backends),)


def test_tasks_of_a_node_that_is_down_are_cut_but_can_be_reached() -> None:
    [overlay] = tables(link(), face(), endpoint("t1", 5, serving=False, lost=True)).picture().overlays
    assert overlay.balanced == (Balanced("web", ("10.0.1.3",), ()),)
    assert len(overlay.neighbours) == 1


def test_a_service_that_is_named_by_its_tasks_is_not_balanced() -> None:
    [overlay] = tables(link(), face(dnsrr=True), endpoint("t1", 5)).picture().overlays
    assert overlay.balanced == ()


def test_published_ports_are_those_of_the_ingress_network_in_order() -> None:
    ports = (Port(target_port=80, published_port=8080, local_first=True), Port(target_port=53, published_port=53))
    udp = dataclasses.replace(ports[1], protocol="udp")
    [overlay] = tables(link(ingress=True), face(ports=(*ports, udp)), endpoint("t1", 5)).picture().overlays
    backends = (Backend("t1", ("10.0.1.5",), True, False),)
    assert overlay.published == (
        Published("tcp", 53, 53, "web", backends),
        Published("tcp", 8080, 80, "web", backends, True),
        Published("udp", 53, 53, "web", backends),
    )
    assert overlay.balanced == ()


def test_what_a_change_does_not_touch_is_the_same_object() -> None:
    held = tables(link(), face(), endpoint("t1", 5), face("db", vips=("10.0.1.4",)), link("m"))
    before = held.picture()
    held.take(NetworksSet(False, "1", "2", (endpoint("t1", 5, serving=False),)))
    after = held.picture()
    assert after.overlays[0] is before.overlays[0]  # "m"
    assert after.overlays[1].balanced[0] is before.overlays[1].balanced[0]  # "db"
    assert after.overlays[1].neighbours is before.overlays[1].neighbours
    assert after.overlays[1].balanced[1] != before.overlays[1].balanced[1]


def test_a_network_goes_with_its_link() -> None:
    held = tables(link(), face(), endpoint("t1", 5), link("m"), endpoint("t1", 5, network="m"))
    put, gone = held.take(NetworksSet(False, "1", "2", (), ("n",)))
    assert (put, sorted(gone)) == ([], ["n", "n/t1", "n/web"])
    assert [overlay.network_id for overlay in held.picture().overlays] == ["m"]


def test_a_complete_set_says_what_is_new_and_what_is_gone() -> None:
    held = tables(link(), face(), endpoint("t1", 5))
    put, gone = held.take(NetworksSet(True, "", "2", (link(), face(), endpoint("t2", 6))))
    assert (put, gone) == ([endpoint("t2", 6)], ["n/t1"])


def test_rows_come_in_any_order_and_rows_without_a_network_are_left_out() -> None:
    rows = (endpoint("t1", 5), face(), link(), endpoint("t9", 9, network="strange"))
    assert tables(*rows).picture() == tables(*reversed(rows)).picture()


def test_a_task_is_drained_once_it_is_in_all_of_its_networks() -> None:
    held = tables(link(), link("m"), endpoint("t1", 5, drained=True), endpoint("t1", 5, network="m"))
    assert held.drained("t1", ["n"])
    assert not held.drained("t1", ["n", "m"])
    assert not held.drained("t1", ["unknown"])
    assert held.drained("t1", [])


@pytest.mark.parametrize("seed", range(30))
def test_differences_lead_to_the_picture_that_the_rows_alone_give(seed: int) -> None:
    dice = random.Random(seed)
    held = tables()
    rows: dict[str, Row] = {}
    for step in range(60):
        network = dice.choice("nm")
        number = dice.randrange(2, 8)
        if dice.random() < 0.3 and rows:
            key = dice.choice(sorted(rows))
            doomed = [known for known in rows if known == key or known.startswith(f"{key}/")]
            for known in doomed:
                del rows[known]
            told = NetworksSet(False, "", str(step), (), (key,))
        else:
            kind = dice.randrange(3)
            flags = {"serving": dice.random() < 0.5, "lost": dice.random() < 0.2, "service_id": dice.choice(["a", "b"])}
            row: Row = link(network, mtu=dice.choice([1400, 1450]), ingress=dice.random() < 0.5)
            if kind == 1:
                row = endpoint(f"t{number}", number, dice.choice(["here", "there"]), network, **flags)
            elif kind == 2:
                ports = (Port(target_port=80, published_port=number),) if dice.random() < 0.5 else ()
                row = face(dice.choice(["a", "b"]), network, ports=ports, dnsrr=dice.random() < 0.3)
            if kind and network not in rows:
                continue
            rows[row.key] = row
            told = NetworksSet(False, "", str(step), (row,))
        held.take(told)
        assert held.picture() == tables(*rows.values()).picture(), f"step {step}"
        assert {row.key: row for row in held.rows} == rows


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_a_picture_that_was_prepared_in_steps_is_the_same(at_once: int) -> None:
    rows: list[Row] = [link(), link("m")]
    for number in range(10):
        rows.append(face(f"s{number}", "nm"[number % 2], vips=(f"10.0.1.{100 + number}",)))
        rows.append(endpoint(f"t{number}", number + 10, network="nm"[number % 2], service_id=f"s{number}"))
    at_one_go, in_steps = tables(*rows), tables(*rows)
    assert len(list(in_steps.prepare(at_once))) == {1: 10, 3: 4, 100: 2}[at_once]
    assert list(in_steps.prepare(at_once)) == []
    assert in_steps.picture() == at_one_go.picture()
