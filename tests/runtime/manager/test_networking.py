# SPDX-License-Identifier: Apache-2.0
"""What nodes are told of their networks, and when a task that stops is let go."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools

import pytest

from queenright.decide.dataplane import Tables
from queenright.manager.networking import Networking, Share
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.errors import Unavailable
from queenright.model.mesh_rows import Endpoint, NetworksSet, NetworksState
from queenright.model.objects import (
    Attachment,
    Cluster,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Service,
    Subnet,
    Task,
    TaskStatus,
)
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import NodeSpec
from queenright.spec.network import NetworkSpec
from queenright.spec.service import EndpointSpec, NetworkAttachment, Port, ServiceSpec, TaskSpec
from queenright.store.store import Store


def net(network_id: str = "n", **spec: object) -> Network:
    prefix = "10.0.1" if network_id == "n" else f"10.9.{ord(network_id[0])}"
    subnets = (Subnet(subnet=f"{prefix}.0/24", gateway=f"{prefix}.1"),)
    spec_ = NetworkSpec(**({"name": f"net-{network_id}"} | spec))  # type: ignore[arg-type]
    return Network(id=network_id, spec=spec_, vni=4096 + ord(network_id[0]), subnets=subnets)


def node(node_id: str, *networks: str, state: NodeState = NodeState.READY, **more: object) -> Node:
    number = ord(node_id[0])
    attachments = tuple(Attachment(network_id=key, addresses=(f"10.0.1.{number}/24",)) for key in networks)
    status = NodeStatus(state=state, addr=f"192.168.0.{number}")
    return Node(**({"id": node_id, "status": status, "attachments": attachments} | more))  # type: ignore[arg-type]


def task(task_id: str, node_id: str, number: int, *networks: str, **more: object) -> Task:
    attachments = tuple(Attachment(network_id=key, addresses=(f"10.0.1.{number}/24",)) for key in networks)
    values = {"id": task_id, "service_id": "web", "service_name": "web", "slot": 1, "node_id": node_id}
    values |= {"spec": TaskSpec(), "attachments": attachments, "status": TaskStatus(state=TaskState.RUNNING)}
    return Task(**(values | more))  # type: ignore[arg-type]


def service(**endpoint: object) -> Service:
    task_spec = TaskSpec(networks=(NetworkAttachment(target="n", aliases=("www",)),))
    spec = ServiceSpec(name="web", task=task_spec, endpoint=EndpointSpec(**endpoint))  # type: ignore[arg-type]
    return Service(id="web", spec=spec, vips=(Attachment(network_id="n", addresses=("10.0.1.3/24",)),))


class Listener:
    """A node: what it holds is what it was told."""

    def __init__(self, scene: Scene, node_id: str) -> None:
        self.scene = scene
        self.share: Share = scene.networking.open(node_id)
        self.tables = Tables("c", node_id)
        self.tables.take(scene.networking.complete(self.share, f"{node_id}-first"))

    def hear(self) -> NetworksSet | None:
        """Take what there is to hear, or None."""
        told = self.scene.networking.difference(self.share, self.tables.token, f"token{next(self.scene.counter)}")
        if told is not None:
            self.tables.take(told)
        return told

    def applies(self, **errors: str) -> None:
        self.hear()
        self.scene.networking.applied(self.share.node_id, NetworksState(self.tables.token, errors))

    def endpoint(self, holder: str, network: str = "n") -> Endpoint | None:
        return self.tables.networks[network].endpoints.get(holder)

    def row(self, holder: str) -> Endpoint:
        found = self.endpoint(holder)
        assert found is not None
        return found


class Scene:
    def __init__(self, *changes: object) -> None:
        self.store = Store()
        self.networking = Networking(self.store)
        self.counter = itertools.count()
        self._events = self.store.watch()
        self.create(Cluster(id="c"), *changes)

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(1, changes)) is None
        for commit in self._events.drain():
            for event in commit.events:
                self.networking.note(event)

    def create(self, *objects: object) -> None:
        self.write(*(Create(one) for one in objects))  # type: ignore[arg-type]

    def change(self, kind: str, key: str, **changes: object) -> None:
        held = self.store.get(kind, key)
        assert held is not None
        self.write(Update(dataclasses.replace(held, **changes)))  # type: ignore[arg-type]

    def reach(self, task_id: str, state: TaskState, err: str = "") -> None:
        self.change("task", task_id, status=TaskStatus(state=state, err=err))


def stopping(*listeners: str) -> tuple[Scene, dict[str, Listener]]:
    """A task ``t`` on node ``a`` that has just been told to stop, and who listens."""
    scene = Scene(net(), node("a", "n"), node("b", "n"), service(), task("t", "a", 5, "n"))
    heard = {name: Listener(scene, name) for name in listeners}
    for listener in heard.values():
        listener.applies()
    scene.change("task", "t", desired_state=TaskState.SHUTDOWN)
    return scene, heard


def test_a_node_without_networks_hears_nothing() -> None:
    scene = Scene(net(), node("a"), node("b", "n"), service(), task("t", "b", 5, "n"))
    listener = Listener(scene, "a")
    assert not listener.tables.networks
    scene.reach("t", TaskState.FAILED)
    assert listener.hear() is None


def test_a_node_is_told_all_of_the_networks_that_it_has_an_address_in() -> None:
    scene = Scene(net(), net("m"), node("a", "n"), node("b", "n", "m"), service(drain=7), task("t", "b", 5, "n"))
    listener = Listener(scene, "a")
    assert set(listener.tables.networks) == {"n"}
    network = listener.tables.networks["n"]
    assert network.link.addresses == ("10.0.1.97/24",)
    assert (network.link.vtep, network.link.mtu, network.link.vxlan_port) == ("192.168.0.97", 1450, 4789)
    assert listener.row("t").serving
    assert listener.row("t").vtep == "192.168.0.98"
    assert listener.row("t").addresses == ("10.0.1.5",)
    assert listener.row("b").task_id == ""
    face = network.faces["web"]
    assert (face.name, face.aliases, face.vips, face.drain_ns) == ("web", ("www",), ("10.0.1.3",), 7)


def test_a_network_that_a_node_gets_later_comes_with_all_of_its_rows_and_goes_again() -> None:
    scene = Scene(net(), node("a"), node("b", "n"), service(), task("t", "b", 5, "n"))
    listener = Listener(scene, "a")
    scene.change("node", "a", attachments=node("a", "n").attachments)
    listener.hear()
    assert set(listener.tables.networks["n"].endpoints) == {"t", "a", "b"}
    scene.change("node", "a", attachments=())
    told = listener.hear()
    assert told is not None
    assert told.removes == ("n",)
    scene.reach("t", TaskState.FAILED)
    assert listener.hear() is None


def test_a_difference_holds_what_changed_and_nothing_else() -> None:
    scene = Scene(net(), node("a", "n"), service(), task("t", "a", 5, "n"), task("u", "a", 6, "n"))
    listener = Listener(scene, "a")
    scene.reach("u", TaskState.FAILED)
    told = listener.hear()
    assert told is not None
    assert (told.rows, told.removes) == ((), ("n/u",))
    scene.change("task", "t", status=TaskStatus(state=TaskState.RUNNING, message="nothing that others need"))
    assert listener.hear() is None


@pytest.mark.parametrize(
    ("state", "serving"),
    [(TaskState.STARTING, False), (TaskState.RUNNING, True), (TaskState.PREPARING, False)],
)
def test_a_task_serves_while_it_runs(state: TaskState, serving: bool) -> None:
    scene = Scene(net(), node("a", "n"), service(), task("t", "a", 5, "n", status=TaskStatus(state=state)))
    assert Listener(scene, "a").row("t").serving is serving


def test_an_unhealthy_task_serves_no_more() -> None:
    scene = Scene(net(), node("a", "n"), service(), task("t", "a", 5, "n"))
    listener = Listener(scene, "a")
    scene.reach("t", TaskState.RUNNING, "dockerexec: unhealthy container")
    listener.hear()
    assert not listener.row("t").serving


def test_tasks_of_a_node_that_is_down_are_lost_and_come_back_with_it() -> None:
    scene = Scene(net(), node("a", "n"), node("b", "n"), service(), task("t", "b", 5, "n"))
    listener = Listener(scene, "a")
    scene.change("node", "b", status=NodeStatus(state=NodeState.DOWN, addr="192.168.0.98"))
    listener.hear()
    assert (listener.row("t").serving, listener.row("t").lost, listener.row("b").lost) == (False, True, True)
    scene.change("node", "b", status=NodeStatus(state=NodeState.READY, addr="192.168.0.98"))
    listener.hear()
    assert listener.row("t").serving


def test_a_node_of_which_nothing_is_known_yet_keeps_its_connections() -> None:
    scene = Scene(net(), node("a", "n"), node("b", "n", state=NodeState.UNKNOWN), service(), task("t", "b", 5, "n"))
    assert Listener(scene, "a").row("t").serving


def test_a_node_that_moves_takes_its_tunnels_with_it() -> None:
    scene = Scene(net(), node("a", "n"), node("b", "n"), service(), task("t", "b", 5, "n"))
    listener = Listener(scene, "a")
    scene.change("node", "b", status=NodeStatus(state=NodeState.READY, addr="192.168.9.9"))
    listener.hear()
    assert {row.vtep for row in (listener.row("t"), listener.row("b"))} == {"192.168.9.9"}
    scene.change("node", "b", description=NodeDescription(data_addr="10.9.9.9"))
    listener.hear()
    assert listener.row("t").vtep == "10.9.9.9"


def test_packets_fit_through_the_narrowest_way_and_the_network_may_say_otherwise() -> None:
    narrow = NodeDescription(mtu=1400)
    scene = Scene(net(), net("m", options={"com.docker.network.driver.mtu": "1300"}), node("a", "n", "m"))
    listener = Listener(scene, "a")
    scene.create(node("b", description=narrow))
    listener.hear()
    assert listener.tables.networks["n"].link.mtu == 1350
    assert listener.tables.networks["m"].link.mtu == 1300
    scene.write(Delete("node", "b"))
    listener.hear()
    assert listener.tables.networks["n"].link.mtu == 1450


def test_a_node_s_own_backend_goes_before_the_swarm_s() -> None:
    scene = Scene(net(), node("a", "n"))
    listener = Listener(scene, "a")
    assert listener.tables.networks["n"].link.backend == "nftables"
    scene.change("node", "a", spec=NodeSpec(mesh_backend="ipvs"))
    listener.hear()
    assert listener.tables.networks["n"].link.backend == "ipvs"


def test_the_ingress_network_has_the_services_that_publish_with_the_chosen_ports() -> None:
    ports = (Port(target_port=80, mode="ingress"), Port(target_port=81, published_port=81, mode="host"))
    published = dataclasses.replace(service(ports=ports), ports=(Port(target_port=80, published_port=30000), ports[1]))
    scene = Scene(net("i", ingress=True), net(), node("a", "i"), published)
    listener = Listener(scene, "a")
    assert listener.tables.networks["i"].faces["web"].ports == (Port(target_port=80, published_port=30000),)
    scene.change("service", "web", spec=service().spec, ports=())
    listener.hear()
    assert not listener.tables.networks["i"].faces


def test_a_task_is_drained_when_every_node_of_the_network_has_taken_it_out() -> None:
    _, heard = stopping("a", "b")
    for listener in heard.values():
        listener.hear()
        assert (listener.row("t").serving, listener.row("t").drained) == (False, False)
    heard["a"].applies()
    heard["a"].hear()
    assert not heard["a"].row("t").drained
    heard["b"].applies()
    heard["a"].hear()
    assert heard["a"].row("t").drained
    assert heard["b"].hear() is None  # it is of no interest to others


def test_a_state_from_before_does_not_drain() -> None:
    _, heard = stopping("a", "b")
    heard["a"].applies()
    old = heard["b"].tables.token
    heard["b"].hear()
    heard["b"].scene.networking.applied("b", NetworksState(old))
    heard["a"].hear()
    assert not heard["a"].row("t").drained


def test_a_node_that_could_not_apply_it_has_not_let_go() -> None:
    _, heard = stopping("a", "b")
    heard["a"].applies()
    heard["b"].applies(n="no nftables")
    heard["a"].hear()
    assert not heard["a"].row("t").drained
    heard["b"].applies()
    heard["a"].hear()
    assert heard["a"].row("t").drained


def test_a_node_that_goes_down_is_not_waited_for() -> None:
    scene, heard = stopping("a")
    heard["a"].applies()
    heard["a"].hear()
    assert not heard["a"].row("t").drained  # "b" is there, and says nothing
    scene.change("node", "b", status=NodeStatus(state=NodeState.DOWN))
    heard["a"].hear()
    assert heard["a"].row("t").drained


def test_a_node_that_leaves_the_network_or_the_swarm_is_not_waited_for() -> None:
    scene, heard = stopping("a")
    heard["a"].applies()
    scene.change("node", "b", attachments=())
    heard["a"].hear()
    assert heard["a"].row("t").drained
    scene, heard = stopping("a")
    heard["a"].applies()
    scene.write(Delete("node", "b"))
    heard["a"].hear()
    assert heard["a"].row("t").drained


def test_a_task_that_never_served_waits_for_nobody() -> None:
    status = TaskStatus(state=TaskState.PREPARING)
    scene = Scene(net(), node("a", "n"), node("b", "n"), service(), task("t", "a", 5, "n", status=status))
    heard = [Listener(scene, name) for name in "ab"]
    for listener in heard:
        listener.applies()
    scene.change("task", "t", desired_state=TaskState.REMOVE)
    heard[0].hear()
    assert heard[0].row("t").drained


def test_a_new_leader_begins_anew_and_drains_too() -> None:
    scene, heard = stopping("a", "b")
    scene.networking.begin()
    heard = {name: Listener(scene, name) for name in "ab"}
    assert not heard["a"].row("t").drained
    for listener in heard.values():
        listener.applies()
    heard["a"].hear()
    assert heard["a"].row("t").drained


def test_an_ended_task_is_no_endpoint_any_more() -> None:
    scene, heard = stopping("a", "b")
    scene.reach("t", TaskState.SHUTDOWN)
    heard["b"].hear()
    assert heard["b"].endpoint("t") is None


def test_what_nodes_said_can_be_asked_for() -> None:
    scene = Scene(net(), node("a", "n"))
    listener = Listener(scene, "a")
    assert list(scene.networking.states()) == [("a", NetworksState(), False)]
    state = NetworksState(listener.tables.token, {"n": "no vxlan"}, {("tcp", 80): ""})
    scene.networking.applied("a", state)
    assert list(scene.networking.states()) == [("a", state, True)]


def test_a_network_that_was_removed_is_forgotten() -> None:
    scene = Scene(net(), node("a", "n"))
    listener = Listener(scene, "a")
    scene.change("node", "a", attachments=())
    scene.write(Delete("network", "n"))
    told = listener.hear()
    assert told is not None
    assert told.removes == ("n",)
    assert not scene.networking._views
    scene.networking.close("a", "gone")


async def test_the_stream_goes_on_until_the_session_ends() -> None:
    scene = Scene(net(), node("a", "n"), service(), task("t", "a", 5, "n"))
    stream = scene.networking.told(scene.networking.open("a"), lambda: f"id{next(scene.counter)}")
    first = await anext(stream)
    assert first.complete
    scene.reach("t", TaskState.FAILED)
    second = await asyncio.wait_for(anext(stream), 30)
    assert (second.complete, second.applies_to, second.removes) == (False, first.results_in, ("n/t",))
    scene.networking.close("a", "gone")
    with pytest.raises(Unavailable, match="gone"):
        await asyncio.wait_for(anext(stream), 30)


async def test_the_rows_of_a_large_network_are_made_once_and_without_holding_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("queenright.manager.networking.AT_ONCE", 1)
    scene = Scene(net(), node("a", "n"), node("b", "n"), service(), *(task(f"t{n}", "b", 5, "n") for n in range(50)))
    made: list[str] = []
    make = scene.networking._task
    monkeypatch.setattr(scene.networking, "_task", lambda *args: (made.append(args[2]), make(*args)))

    async def first(node_id: str) -> NetworksSet:
        return await anext(scene.networking.told(scene.networking.open(node_id), lambda: node_id))

    asking = [asyncio.create_task(first(node_id)) for node_id in "ab"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < len(made) < 50  # others get their turn
    scene.reach("t0", TaskState.FAILED)
    scene.reach("t49", TaskState.FAILED)
    told = await asyncio.wait_for(asyncio.gather(*asking), 30)
    assert {row.key for row in told[0].rows} == {row.key for row in told[1].rows}
    tasks = {row.task_id for row in told[0].rows if isinstance(row, Endpoint) and row.task_id}
    assert tasks == {f"t{number}" for number in range(1, 49)}
    assert len(made) <= 52


async def test_a_session_that_ends_while_its_first_rows_are_made_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queenright.manager.networking.AT_ONCE", 1)
    scene = Scene(net(), node("a", "n"), service(), *(task(f"t{n}", "a", 5, "n") for n in range(50)))
    share = scene.networking.open("a")
    asking = asyncio.ensure_future(anext(scene.networking.told(share, lambda: "id")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not asking.done()
    scene.networking.close("a", "gone")
    with pytest.raises(Unavailable, match="session ended: gone"):
        await asyncio.wait_for(asking, 30)
    scene.reach("t0", TaskState.FAILED)
    assert not share.touched
    assert not any(view.shares for view in scene.networking._views.values())
