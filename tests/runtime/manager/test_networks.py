# SPDX-License-Identifier: Apache-2.0
"""Networks come with their addresses, are held by who uses them, and services name them as people do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from runtime.manager.kit import World, service_spec

from queenright.manager.plans import Wish
from queenright.manager.prune import Only
from queenright.model.changes import Create, Delete
from queenright.model.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from queenright.model.objects import Attachment, Network, Service
from queenright.spec.fields import decode
from queenright.spec.network import NetworkSpec

WEB = {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}


def net(name: str = "mynet", **more: Any) -> NetworkSpec:
    return decode(NetworkSpec, {"Name": name, **more})


def pools(*subnets: Any) -> dict[str, Any]:
    return {"Config": [one if isinstance(one, dict) else {"Subnet": one} for one in subnets]}


async def network(world: World, name: str = "mynet", **more: Any) -> Network:
    return world.store.network(await world.control.networks.create(net(name, **more)))


async def attached(world: World, name: str, *targets: str, **more: Any) -> Service:
    return await world.service(name, task={"Networks": [{"Target": target} for target in targets]}, **more)


async def apply(world: World, name: str, options: dict[str, Any] | None = None, state: str = "present") -> Any:
    """What the manager answers; check mode, which writes nothing, must have said the same."""
    wish, index = Wish("network", name, state, options or {}), world.store.index
    planned = await world.control.applier.apply(wish, dry_run=True)
    assert world.store.index == index
    done = await world.control.applier.apply(wish, dry_run=False)
    for key in ("changed", "before", "after", "diff", "actions", "warnings"):
        assert planned[key] == done[key], key
    return done


async def test_networks_get_subnets_one_after_the_other_and_numbers() -> None:
    world = World.make()
    one, two = await network(world, "one"), await network(world, "two")
    assert [subnet.subnet for subnet in (*one.subnets, *two.subnets)] == ["10.0.0.0/24", "10.0.1.0/24"]
    assert [subnet.gateway for subnet in (*one.subnets, *two.subnets)] == ["10.0.0.1", "10.0.1.1"]
    assert (one.vni, two.vni) == (4096, 4097)
    await world.control.networks.remove("one")
    three = await network(world, "three")
    assert (three.vni, three.subnets[0].subnet) == (4096, "10.0.0.0/24"), "what was given back is free"


async def test_a_network_with_ipv6_gets_a_local_subnet_of_the_swarm_s_own_as_well() -> None:
    world = World.make()
    one, two = await network(world, "one", EnableIPv6=True), await network(world, "two", EnableIPv6=True)
    first, second = one.subnets[1].subnet, two.subnets[1].subnet
    assert first.startswith("fd")
    assert first.endswith("/64")
    assert first != second
    assert first[:12] == second[:12], "the swarm's own pool"
    assert one.subnets[0].subnet == "10.0.0.0/24", "IPv4 is first"


async def test_what_is_asked_for_is_taken() -> None:
    world = World.make()
    asked = pools({"Subnet": "10.5.0.0/16", "Gateway": "10.5.255.254", "IPRange": "10.5.1.0/24"}, "fd00:5::/64")
    one = await network(world, EnableIPv6=True, IPAM=asked)
    assert [(each.subnet, each.gateway, each.ip_range) for each in one.subnets] == [
        ("10.5.0.0/16", "10.5.255.254", "10.5.1.0/24"),
        ("fd00:5::/64", "fd00:5::1", ""),
    ]


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"Name": ""}, InvalidArgument, "name must be provided"),
        ({"Name": "-x"}, InvalidArgument, "valid as a DNS name component"),
        ({"Name": "host"}, PermissionDenied, "operation is not permitted on predefined host network"),
        ({"Name": "ingress"}, InvalidArgument, "that of the ingress network"),
        ({"Ingress": True, "Attachable": True}, InvalidArgument, "ingress network cannot be attachable"),
        ({"Ingress": True, "Internal": True}, InvalidArgument, "ingress network cannot be internal"),
        ({"Options": {"encrypted": ""}}, InvalidArgument, "encrypted overlay networks are not supported"),
        ({"Options": {"com.docker.network.driver.mtu": "9"}}, InvalidArgument, "'9' is no number within 576-65535"),
        ({"EnableIPv6": True, "Options": {"com.docker.network.driver.mtu": "1000"}}, InvalidArgument, "1280-65535"),
        ({"IPAM": pools({})}, InvalidArgument, "must name its subnet"),
        ({"IPAM": pools("10.0.0.0/33")}, InvalidArgument, "invalid subnet 10.0.0.0/33"),
        ({"IPAM": pools("10.5.0.1/24")}, InvalidArgument, "it should be 10.5.0.0/24"),
        ({"IPAM": pools("10.5.0.0/24", "10.6.0.0/24")}, InvalidArgument, "one subnet of IPv4 at most"),
        ({"IPAM": pools("fd00::/64")}, InvalidArgument, "which is not enabled"),
        ({"IPAM": pools("127.0.0.0/24")}, InvalidArgument, "invalid subnet"),
        ({"IPAM": pools({"Subnet": "10.5.0.0/24", "Gateway": "10.6.0.1"})}, InvalidArgument, "invalid gateway"),
        ({"IPAM": pools({"Subnet": "10.5.0.0/24", "IPRange": "10.6.0.0/28"})}, InvalidArgument, "invalid range"),
        ({"Labels": {"": "x"}}, InvalidArgument, "a label must have a key"),
    ],
)
async def test_a_network_that_cannot_be_is_refused(more: dict[str, Any], error: type[Exception], words: str) -> None:
    world = World.make()
    with pytest.raises(error, match=words):
        await world.control.networks.create(decode(NetworkSpec, {"Name": "mynet", **more}))
    assert len(world.store.networks) == 0


async def test_an_overlap_is_refused_with_both_names() -> None:
    world = World.make()
    node = world.worker("h1")
    world.put(dataclasses.replace(node, description=dataclasses.replace(node.description, prefixes=("10.0.0.0/23",))))
    assert (await network(world, "first")).subnets[0].subnet == "10.0.2.0/24", "past what a node routes itself"
    with pytest.raises(InvalidArgument, match=r"10\.0\.2\.128/25 overlaps with 10\.0\.2\.0/24 of network first"):
        await network(world, "second", IPAM=pools("10.0.2.128/25"))
    with pytest.raises(InvalidArgument, match=r"10\.0\.1\.0/24 overlaps with 10\.0\.0\.0/23 of node h1"):
        await network(world, "second", IPAM=pools("10.0.1.0/24"))


async def test_a_name_is_taken_in_any_letter_case_and_there_is_one_ingress() -> None:
    world = World.make()
    await network(world, "mynet")
    with pytest.raises(AlreadyExists, match="network with name MYNET already exists"):
        await network(world, "MYNET")
    ingress = await network(world, "edge", Ingress=True)
    with pytest.raises(AlreadyExists, match=f"ingress network \\({ingress.id}\\) is already present"):
        await network(world, "other", Ingress=True)


async def test_two_that_are_made_at_once_do_not_share_a_subnet() -> None:
    world = World.make()
    rival = world.control.networks.new(net("rival"))
    world.proposer.before.append(lambda: world.proposer.put(Create(rival)))
    one = await network(world, "mynet")
    assert world.store.network("rival").subnets[0].subnet == "10.0.0.0/24"
    assert (one.subnets[0].subnet, one.vni) == ("10.0.1.0/24", 4097)


# -- services


async def test_a_service_names_networks_by_name_or_id_and_is_stored_with_ids() -> None:
    world = World.make()
    one, two = await network(world, "one"), await network(world, "two")
    web = await attached(world, "web", "ONE", two.id[:10])
    assert [each.target for each in web.spec.task.networks] == [one.id, two.id]
    assert [each.id for each in world.store.services.by("network", two.id)] == [web.id]


@pytest.mark.parametrize(
    ("targets", "error", "words"),
    [
        (["nope"], NotFound, "network nope not found"),
        (["ingress"], InvalidArgument, 'cannot be explicitly attached to the ingress network "ingress"'),
        (["edge"], InvalidArgument, 'cannot be explicitly attached to the ingress network "edge"'),
        (["host", "bridge"], InvalidArgument, "a service in the network host is in no other"),
        (["mynet", "bridge"], InvalidArgument, "a service in the network bridge is in no other"),
        (["mynet", "MYNET"], InvalidArgument, "attached to network mynet twice"),
        ([""], InvalidArgument, "a network attachment must name its network"),
    ],
)
async def test_networks_that_a_service_cannot_name(targets: list[str], error: type[Exception], words: str) -> None:
    world = World.make()
    await network(world, "mynet")
    await network(world, "edge", Ingress=True)
    with pytest.raises(error, match=words):
        await attached(world, "web", *targets)
    web = await world.service("app")
    with pytest.raises(error, match=words):
        spec = service_spec("app", task={"Networks": [{"Target": target} for target in targets]})
        await world.control.services.update("app", web.version, spec)


async def test_a_service_on_its_nodes_own_network_publishes_nothing_on_all_nodes() -> None:
    world = World.make()
    with pytest.raises(InvalidArgument, match="listens on its nodes' own ports"):
        await attached(world, "web", "host", EndpointSpec=WEB)


async def test_the_first_port_that_is_published_everywhere_brings_the_ingress_network() -> None:
    world = World.make()
    await world.service("plain")
    assert world.store.ingress is None, "nobody pays who uses nothing"
    await world.service("web", EndpointSpec=WEB)
    ingress = world.store.ingress
    assert ingress is not None
    assert (ingress.name, ingress.vni, len(ingress.subnets)) == ("ingress", 4096, 2)
    assert len(world.proposer.batches[-1]) == 2, "in one write"
    await world.service("other", EndpointSpec={"Ports": [{"TargetPort": 1}]})
    assert world.store.ingress == ingress


async def test_an_update_brings_the_ingress_network_too_and_one_of_the_user_is_taken() -> None:
    world = World.make()
    web = await world.service("web")
    await world.control.services.update("web", web.version, service_spec("web", EndpointSpec=WEB))
    assert world.store.ingress is not None
    other = World.make()
    own = await network(other, "edge", Ingress=True, IPAM=pools("10.99.0.0/16"))
    await other.service("web", EndpointSpec=WEB)
    assert other.store.ingress == own


async def test_a_network_in_use_cannot_be_removed() -> None:
    world = World.make()
    one = await network(world)
    web = await attached(world, "web", "mynet")
    with pytest.raises(FailedPrecondition, match=f"network {one.id} is in use by service {web.id}"):
        await world.control.networks.remove("mynet")
    task = world.task(web, attachments=(Attachment(network_id=one.id, addresses=("10.0.0.3/24",)),))
    await world.control.services.update("web", web.version, service_spec("web"))
    with pytest.raises(FailedPrecondition, match=f"network {one.id} is in use by task {task.id}"):
        await world.control.networks.remove("mynet")
    await world.control.services.remove("web")
    await world.control.networks.remove("mynet")
    with pytest.raises(NotFound, match="network mynet not found"):
        await world.control.networks.remove("mynet")


async def test_the_ingress_network_goes_when_nobody_publishes() -> None:
    world = World.make()
    web = await world.service("web", EndpointSpec=WEB)
    with pytest.raises(FailedPrecondition, match=f"cannot be removed because service {web.id} depends on it"):
        await world.control.networks.remove("ingress")
    await world.control.services.remove("web")
    await world.control.networks.remove("ingress")
    assert world.store.ingress is None


async def test_a_user_who_comes_while_a_network_is_removed_is_named() -> None:
    world = World.make()
    await network(world)
    made = world.control.services.new(
        service_spec("web", task={"Networks": [{"Target": world.store.network("mynet").id}]})
    )
    world.proposer.before.append(lambda: world.proposer.put(Create(made)))
    with pytest.raises(FailedPrecondition, match=f"in use by service {made.id}"):
        await world.control.networks.remove("mynet")


async def test_a_network_that_went_in_this_moment_is_named() -> None:
    world = World.make()
    one = await network(world)
    web = await world.service("web")
    world.proposer.before.append(lambda: world.proposer.put(Delete("network", one.id)))
    with pytest.raises(NotFound, match=f"network {one.id} not found"):
        spec = service_spec("web", task={"Networks": [{"Target": "mynet"}]})
        await world.control.services.update("web", web.version, spec)


async def test_a_service_cannot_go_back_to_a_network_that_is_gone() -> None:
    world = World.make()
    one = await network(world)
    web = await attached(world, "web", "mynet")
    await world.control.services.update("web", web.version, service_spec("web"))
    await world.control.networks.remove("mynet")
    with pytest.raises(NotFound, match=f"network {one.id} not found"):
        await world.control.services.rollback("web", world.get_service("web").version)


async def test_a_prune_takes_what_nobody_needs_and_never_the_ingress_network() -> None:
    world = World.make()
    for name in ("used", "before", "idle"):
        await network(world, name, Labels={"of": name})
    await network(world, "edge", Ingress=True)
    web = await attached(world, "web", "before")
    spec = service_spec("web", task={"Networks": [{"Target": "used"}]})
    await world.control.services.update("web", web.version, spec)
    assert [one.name for one in await world.control.networks.prune(Only(), dry_run=True)] == ["idle"]
    assert [one.name for one in await world.control.networks.prune(Only(labels={"of": "x"}), dry_run=False)] == []
    assert [one.name for one in await world.control.networks.prune(Only(), dry_run=False)] == ["idle"]
    assert {one.name for one in world.store.networks} == {"used", "before", "edge"}


# -- playbooks


async def test_a_network_is_declared_once() -> None:
    world = World.make()
    options = {"labels": {"tier": "back"}, "internal": True, "enable_ipv6": True}
    done = await apply(world, "mynet", options)
    assert done["actions"] == ["create network mynet"]
    assert done["after"]["IPAM"]["Config"][0] == {"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}
    assert (await apply(world, "mynet", options))["changed"] is False
    assert (await apply(world, "MYNET", {"attachable": False}))["changed"] is False, "unset is off"
    said = {"ipam_config": [{"subnet": "10.0.0.0/24", "gateway": "10.0.0.1"}]}
    assert (await apply(world, "mynet", said))["changed"] is False, "that is what it has"


async def test_labels_change_in_place() -> None:
    world = World.make()
    one = await network(world, Labels={"a": "1"})
    await attached(world, "web", "mynet")
    done = await apply(world, "mynet", {"labels": {"a": "2"}})
    assert done["actions"] == ["update the labels of network mynet"]
    assert done["diff"] == {"Labels.a": {"before": "1", "after": "2"}}
    assert world.store.network("mynet").id == one.id == done["id"]


async def test_another_network_takes_the_place_of_an_unused_one_only() -> None:
    world = World.make()
    one = await network(world)
    done = await apply(world, "mynet", {"ipam_config": [{"subnet": "10.0.0.0/16"}]})
    assert done["actions"] == ["replace network mynet, which nobody uses"]
    two = world.store.network("mynet")
    assert two.id != one.id
    assert (two.subnets[0].subnet, two.vni) == ("10.0.0.0/16", one.vni)
    web = await attached(world, "web", "mynet")
    words = f"network mynet: internal can be changed only while nobody uses it: .*in use by service {web.id}"
    with pytest.raises(FailedPrecondition, match=words):
        await apply(world, "mynet", {"internal": True})


async def test_a_declared_network_goes_and_is_gone() -> None:
    world = World.make()
    await network(world)
    assert (await apply(world, "mynet", state="absent"))["actions"] == ["remove network mynet"]
    assert (await apply(world, "mynet", state="absent"))["changed"] is False
    with pytest.raises(InvalidArgument, match="a network needs a name"):
        await apply(world, "")


async def test_a_playbook_names_networks_and_check_mode_bears_one_that_is_to_come() -> None:
    world = World.make()
    wish = Wish("service", "web", options={"image": "app", "networks": [{"name": "mynet", "aliases": ["www"]}]})
    planned = await world.control.applier.apply(wish, dry_run=True)
    assert planned["warnings"] == ["network mynet does not exist yet: create it first"]
    with pytest.raises(NotFound, match="network mynet not found"):
        await world.control.applier.apply(wish, dry_run=False)
    one = await network(world)
    assert (await world.control.applier.apply(wish, dry_run=False))["changed"]
    assert world.get_service("web").spec.task.networks[0].target == one.id
    assert not (await world.control.applier.apply(wish, dry_run=False))["changed"]


async def test_a_playbook_that_publishes_brings_the_ingress_network() -> None:
    world = World.make()
    wish = Wish("service", "web", options={"image": "app"})
    await world.control.applier.apply(wish, dry_run=False)
    more = dataclasses.replace(wish, options={"publish": [{"target_port": 80, "published_port": 8080}]})
    planned = await world.control.applier.apply(more, dry_run=True)
    assert planned["actions"] == ["update service web"]
    assert world.store.ingress is None
    await world.control.applier.apply(more, dry_run=False)
    assert world.store.ingress is not None


async def test_a_node_s_backend_survives_who_does_not_know_of_it() -> None:
    world = World.make()
    node = world.worker("h1", mesh_backend="ipvs")
    spec = dataclasses.replace(node.spec, mesh_backend=None, availability="drain")
    await world.control.nodes.update("h1", node.version, spec)
    assert world.store.node("h1").spec.mesh_backend == "ipvs"
