# SPDX-License-Identifier: Apache-2.0
"""What is said of the networks' state, port by port and node by node."""

from __future__ import annotations

import dataclasses

import pytest

from queenright.manager.mesh_view import MeshView
from queenright.model.errors import NotFound
from queenright.model.mesh_rows import NetworksState
from queenright.model.objects import NodeDescription
from queenright.model.states import NodeState
from queenright.spec.service import Port
from tests.runtime.manager.test_networking import Scene, net, node, service

PORTS = (Port(target_port=80), Port(target_port=81, published_port=81, mode="host"))
STATES = {
    "a": NetworksState("1", {}, {("tcp", 30000): ""}),
    "b": NetworksState("1", {"i": "no vxlan", "": "the firewall drops all"}, {("tcp", 30000): "port 30000 is in use"}),
}


def view() -> MeshView:
    published = dataclasses.replace(
        service(ports=PORTS), ports=(Port(target_port=80, published_port=30000), PORTS[1]), vips=()
    )
    named = [
        node("a", "i", description=NodeDescription(hostname="h1")),
        node("b", "i", description=NodeDescription(hostname="h2")),
        node("c", "i", description=NodeDescription(hostname="h3")),
        node("d", state=NodeState.DOWN, description=NodeDescription(hostname="h4")),
    ]
    scene = Scene(net("i", ingress=True), net(), *named, published)
    return MeshView(scene.store, lambda: [(key, state, key == "a") for key, state in STATES.items()])


def test_each_node_says_which_networks_it_has_and_what_is_wrong_with_them() -> None:
    nodes = view().describe()["nodes"]
    assert [(one["hostname"], one["applied"]) for one in nodes] == [("h1", True), ("h2", False), ("h3", False)]
    assert [one["networks"][0]["error"] for one in nodes] == ["", "no vxlan", ""]
    assert nodes[0]["networks"][0]["name"] == "net-i"
    assert [one["error"] for one in nodes] == ["", "the firewall drops all", ""]


@pytest.mark.parametrize("ref", ["", "web"])
def test_each_published_port_says_where_it_answers_and_why_not_elsewhere(ref: str) -> None:
    [port] = view().describe(ref)["ports"]
    assert (port["service"], port["protocol"], port["port"], port["target_port"]) == ("web", "tcp", 30000, 80)
    assert not port["ready"]
    assert {one["hostname"]: one["error"] for one in port["nodes"]} == {
        "h1": "",
        "h2": "port 30000 is in use",
        "h3": "the node has not said yet that the port answers there",
        "h4": "the node is down",
    }


def test_a_service_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        view().describe("nothing")
