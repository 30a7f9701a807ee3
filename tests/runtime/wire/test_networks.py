# SPDX-License-Identifier: Apache-2.0
"""Rows of networks cross the wire and the agent's disk as they are."""

from __future__ import annotations

import pytest

from queenright.model.mesh_rows import Endpoint, Face, Link, NetworksSet, NetworksState
from queenright.model.objects import Subnet
from queenright.spec.service import Port
from queenright.wire import networks
from queenright.wire.gen import dispatcher_pb2 as pb

LINK = Link(
    network_id="n",
    name="mynet",
    vni=4097,
    subnets=(Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"), Subnet(subnet="fd00::/64", gateway="fd00::1")),
    internal=True,
    ingress=True,
    mtu=1450,
    addresses=("10.0.1.9/24", "fd00::9/64"),
    vtep="192.168.0.1",
    vxlan_port=4789,
    backend="ipvs",
)
ENDPOINT = Endpoint(
    network_id="n",
    holder="t1",
    addresses=("10.0.1.5", "fd00::5"),
    node_id="a",
    vtep="192.168.0.1",
    task_id="t1",
    service_id="s",
    name="web.1.t1",
    aliases=("first",),
    serving=True,
    drained=True,
    lost=True,
)
FACE = Face(
    network_id="n",
    service_id="s",
    name="web",
    aliases=("www",),
    vips=("10.0.1.3", "fd00::3"),
    dnsrr=True,
    ports=(Port(target_port=80, published_port=8080, protocol="udp", local_first=True),),
    drain_ns=5,
)
ROWS = (LINK, ENDPOINT, FACE)


def cross(told: NetworksSet, part_bytes: int = networks.PART_BYTES) -> tuple[int, NetworksSet]:
    parts = [
        pb.NetworksMessage.FromString(part.SerializeToString()) for part in networks.networks_messages(told, part_bytes)
    ]
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    joining = networks.Joining()
    *none, joined = [joining.take(part) for part in parts]
    assert none == [None] * (len(parts) - 1)
    assert joined is not None
    return len(parts), joined


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_the_message_of_a_row_has_the_fields_of_the_row(row: object) -> None:
    names = set(getattr(pb, type(row).__name__).DESCRIPTOR.fields_by_name)
    assert names == set(type(row).__dataclass_fields__)  # type: ignore[attr-defined]


def test_a_set_crosses_whole() -> None:
    told = NetworksSet(True, "", "1", ROWS, ("n/gone",))
    assert cross(told) == (1, told)


def test_a_difference_names_the_state_that_it_builds_on() -> None:
    told = NetworksSet(False, "1", "2", (), ("n", "n/t1"))
    assert cross(told) == (1, told)


def test_a_large_set_crosses_in_parts() -> None:
    endpoints = tuple(Endpoint(network_id="n", holder=f"t{number}", addresses=("10.0.1.5",)) for number in range(100))
    told = NetworksSet(True, "", "1", (LINK, *endpoints), ("x", "y"))
    parts, read = cross(told, 300)
    assert parts > 5
    assert read == told


def test_an_empty_set_is_one_message() -> None:
    assert cross(NetworksSet(True, "", "1")) == (1, NetworksSet(True, "", "1"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_a_row_comes_back_from_its_bytes(row: Link | Endpoint | Face) -> None:
    assert networks.decode_row(networks.encode_row(row)) == row


def test_bytes_without_a_row_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one row"):
        networks.decode_row(b"")
    with pytest.raises(ValueError, match="no NetworksMessage"):
        networks.decode_row(b"\xff\xff")


def test_what_a_node_says_of_its_networks_crosses() -> None:
    state = NetworksState("7", {"n": "no vxlan"}, {("tcp", 80): "", ("udp", 53): "in use"})
    assert networks.read_applied(networks.applied_request("s", state)) == state
