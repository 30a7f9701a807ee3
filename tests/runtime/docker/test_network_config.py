# SPDX-License-Identifier: Apache-2.0
"""What the engine is told of an overlay, and of a container that joins one or several."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from queenright.edge.docker.network_config import Joined, clash, create_arguments, is_as_wanted, plan
from queenright.model.mesh import Overlay, names
from queenright.model.objects import Attachment, Subnet

OVERLAY = Overlay(
    network_id="n1",
    name="mynet",
    vni=4097,
    mtu=1450,
    subnets=(Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"), Subnet(subnet="fd00:1::/64", gateway="fd00:1::1")),
    dns=("10.0.1.2", "fd00:1::2"),
    internal=False,
    ingress=False,
    addresses=("10.0.1.7/24",),
    vtep="192.0.2.1",
    vxlan_port=4789,
)
INGRESS = dataclasses.replace(OVERLAY, network_id="n0", name="ingress", dns=("10.0.0.2",), ingress=True)
BACK = dataclasses.replace(OVERLAY, network_id="n2", name="back", dns=("10.0.2.2",), internal=True)
JOINED = {"n0": Joined(INGRESS), "n1": Joined(OVERLAY), "n2": Joined(BACK, ipv6=False)}
ONE = Attachment(network_id="n1", addresses=("10.0.1.5/24", "fd00:1::5/64"), aliases=("web", "www"))
TWO = Attachment(network_id="n2", addresses=("10.0.2.5/24", "fd00:2::5/64"))
MESH = Attachment(network_id="n0", addresses=("10.0.0.5/24",))


def listed(**changes: Any) -> dict[str, Any]:
    """The network as the engine lists it."""
    made = create_arguments(OVERLAY, "c1", ipv6=True)
    found = {
        "Id": "0123456789abcdef",
        "Name": made["name"],
        "Driver": "bridge",
        "Internal": False,
        "EnableIPv6": True,
        "Labels": made["labels"],
        "IPAM": {**made["ipam"], "Options": None},
        "Options": made["options"],
    }
    return found | changes


def test_the_engine_hands_out_no_address_by_itself_and_makes_no_bridge_of_its_own() -> None:
    made = create_arguments(OVERLAY, "c1", ipv6=True)
    assert made["ipam"]["Config"] == [
        {"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1", "IPRange": "10.0.1.1/32"},
        {"Subnet": "fd00:1::/64", "Gateway": "fd00:1::1", "IPRange": "fd00:1::1/128"},
    ]
    assert made["options"]["com.docker.network.bridge.name"] == names("n1").bridge
    assert made["options"]["com.docker.network.driver.mtu"] == "1450"
    assert made["labels"] == {"queenright.network.id": "n1", "queenright.cluster.id": "c1"}
    assert (made["driver"], made["internal"], made["enable_ipv6"]) == ("bridge", False, True)


def test_a_node_without_ipv6_leaves_that_part_out() -> None:
    made = create_arguments(OVERLAY, "c1", ipv6=False)
    assert [pool["Subnet"] for pool in made["ipam"]["Config"]] == ["10.0.1.0/24"]
    assert made["enable_ipv6"] is False


def test_an_internal_network_is_so_for_the_engine() -> None:
    assert create_arguments(BACK, "c1", ipv6=True)["internal"] is True


def test_what_is_there_and_as_it_shall_be_is_known_again() -> None:
    wanted = create_arguments(OVERLAY, "c1", ipv6=True)
    assert is_as_wanted(listed(), wanted)
    assert is_as_wanted(listed(Options=wanted["options"] | {"com.docker.network.driver.mtu": "1400"}), wanted)


@pytest.mark.parametrize(
    "changes",
    [
        {"Name": "old"},
        {"Driver": "macvlan"},
        {"Internal": True},
        {"EnableIPv6": False},
        {"Options": {}},
        {"Options": None},
        {"IPAM": {"Config": [{"Subnet": "10.0.9.0/24", "Gateway": "10.0.9.1"}]}},
        {"IPAM": {"Config": None}},
    ],
)
def test_what_is_otherwise_is_seen(changes: dict[str, Any]) -> None:
    assert not is_as_wanted(listed(**changes), create_arguments(OVERLAY, "c1", ipv6=True))


CLASHES = [
    ({"Name": "mynet"}, "network mynet: this node has a network of its own of that name (0123456789ab)"),
    (
        {"Name": "lan", "IPAM": {"Config": [{"Subnet": "10.0.0.0/16"}]}},
        "network mynet (10.0.1.0/24) overlaps with network lan (10.0.0.0/16) of this node",
    ),
    (
        {"Name": "six", "IPAM": {"Config": [{"Subnet": "fd00:1::/48"}]}},
        "network mynet (fd00:1::/64) overlaps with network six (fd00:1::/48) of this node",
    ),
    ({"Name": "b", "IPAM": None}, "is on the same bridge"),
]


@pytest.mark.parametrize(("other", "text"), CLASHES)
def test_a_clash_says_what_is_in_the_way_and_what_to_do(other: dict[str, Any], text: str) -> None:
    said = clash(create_arguments(OVERLAY, "c1", ipv6=True), [listed(**other)])
    assert text in said
    assert "docker network rm 0123456789ab" in said


def test_other_networks_are_in_nobodys_way() -> None:
    other = listed(Name="lan", Options={}, IPAM={"Config": [{"Subnet": "10.9.0.0/16"}, {}, {"Subnet": "odd"}]})
    assert clash(create_arguments(OVERLAY, "c1", ipv6=True), [other]) == ""


def test_a_container_is_given_its_addresses_and_its_hardware_address_and_no_alias() -> None:
    made = plan((ONE,), JOINED)
    endpoint = {
        "IPAMConfig": {"IPv4Address": "10.0.1.5", "IPv6Address": "fd00:1::5"},
        "MacAddress": "02:42:0a:00:01:05",
    }
    assert made.endpoints == (("mynet", endpoint),)
    body = made.into({"Image": "app:1", "HostConfig": {"Init": False}}, all_at_once=True)
    assert body == {
        "Image": "app:1",
        "HostConfig": {"Init": False, "NetworkMode": "mynet", "Dns": ["10.0.1.2"]},
        "NetworkingConfig": {"EndpointsConfig": {"mynet": endpoint}},
    }


def test_an_older_engine_is_given_the_hardware_address_with_the_container() -> None:
    body = plan((ONE, TWO), JOINED).into({}, all_at_once=False)
    assert body["MacAddress"] == "02:42:0a:00:01:05"
    assert body["NetworkingConfig"] == {
        "EndpointsConfig": {"mynet": {"IPAMConfig": {"IPv4Address": "10.0.1.5", "IPv6Address": "fd00:1::5"}}}
    }


def test_several_networks_are_joined_in_order_and_an_address_is_left_out_where_the_node_has_no_ipv6() -> None:
    made = plan((ONE, TWO, MESH), JOINED)
    assert [name for name, _ in made.endpoints] == ["mynet", "back", "ingress"]
    assert dict(made.endpoints)["back"] == {
        "IPAMConfig": {"IPv4Address": "10.0.2.5"},
        "MacAddress": "02:42:0a:00:02:05",
    }
    assert set(made.into({}, all_at_once=True)["NetworkingConfig"]["EndpointsConfig"]) == {"mynet", "back", "ingress"}


def test_names_are_asked_in_the_first_network_that_has_names() -> None:
    assert plan((MESH, TWO, ONE), JOINED).dns == "10.0.2.2"
    assert plan((MESH,), JOINED).dns == "10.0.0.2"


@pytest.mark.parametrize("options", [["ndots:2"], ["ndots:0", "timeout:1"], ["timeout:1"], []])
def test_the_engines_resolver_is_never_told_of_ndots(options: list[str]) -> None:
    """Else it would forward no name of one label any more, whatever the number."""
    body = {"HostConfig": {"DnsOptions": options, "Dns": ["9.9.9.9"], "DnsSearch": ["corp.example"]}}
    host = plan((ONE,), JOINED).into(body, all_at_once=True)["HostConfig"]
    assert not [item for item in host.get("DnsOptions", ()) if "ndots" in item]
    assert host.get("DnsOptions", []) == [item for item in options if "ndots" not in item]
    assert (host["Dns"], host["DnsSearch"]) == (["10.0.1.2"], ["corp.example"])
    assert body["HostConfig"]["DnsOptions"] == options


def test_a_network_that_is_not_there_yet_is_named() -> None:
    with pytest.raises(KeyError, match="n9"):
        plan((ONE, Attachment(network_id="n9", addresses=("10.0.9.5/24",))), JOINED)
