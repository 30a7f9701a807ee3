# SPDX-License-Identifier: Apache-2.0
"""Names are taken once and references hold, whoever writes first."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from laws.builders import node, service, task

from queenright.model.changes import Batch, Change, Conflict, Create, Delete, Update
from queenright.model.errors import NotFound
from queenright.model.objects import Attachment, Config, Network, Registry, Secret, Service, Stack, Subnet
from queenright.model.stack import Leftover, Revision, StackData, StackState, StackStatus
from queenright.spec.data import ConfigSpec, RegistrySpec, SecretSpec
from queenright.spec.network import NetworkSpec
from queenright.spec.service import EndpointSpec, Port
from queenright.store.store import Store

KINDS: dict[str, Any] = {
    "secret": lambda key, name: Secret(id=key, spec=SecretSpec(name=name, labels={"of": name.lower()}), data=b"d"),
    "config": lambda key, name: Config(id=key, spec=ConfigSpec(name=name, labels={"of": name.lower()}), data=b"d"),
}
PUBLISHED = EndpointSpec(ports=(Port(target_port=80, published_port=8080),))
each_kind = pytest.mark.parametrize("kind", KINDS)


def store_with(*rows: Any) -> Store:
    store = Store()
    assert apply(store, *map(Create, rows)) is None
    return store


def apply(store: Store, *changes: Change) -> Conflict | None:
    return store.apply(store.index + 1, Batch(1, changes))


def user(name: str, kind: str, *ids: str) -> Service:
    """A service that refers to things of that kind."""
    key = kind.capitalize()
    references = [{f"{key}ID": each, f"{key}Name": each.upper(), "File": {"Name": each}} for each in ids]
    return service(name, task={"ContainerSpec": {"Image": "app", f"{key}s": references}})


@each_kind
def test_a_name_is_taken_in_any_letter_case_but_only_among_its_kind(kind: str) -> None:
    store = store_with(*(make("a", "Key") for make in KINDS.values()), service("key"))
    assert apply(store, Create(KINDS[kind]("b", "kEY"))) == Conflict(kind, "b", "name in use")
    assert apply(store, Create(KINDS[kind]("b", "other"))) is None
    held = store.get(kind, "b")
    assert held is not None
    renamed = dataclasses.replace(held, spec=dataclasses.replace(held.spec, name="KEY"))  # type: ignore[union-attr, call-overload]
    assert apply(store, Update(renamed)) == Conflict(kind, "b", "name in use")


@each_kind
def test_a_name_given_up_in_a_batch_can_be_taken_in_it(kind: str) -> None:
    store = store_with(KINDS[kind]("a", "key"))
    assert apply(store, Delete(kind, "a"), Create(KINDS[kind]("b", "KEY"))) is None
    assert apply(store, Create(KINDS[kind]("c", "new")), Create(KINDS[kind]("d", "NEW"))) is not None


def test_a_registry_has_one_entry() -> None:
    store = store_with(Registry(id="a", spec=RegistrySpec(server="r.example.com:5000")))
    again = Registry(id="b", spec=RegistrySpec(server="R.example.com:5000"))
    assert apply(store, Create(again)) == Conflict("registry", "b", "name in use")
    assert store.registry("r.example.com:5000").id == "a"


@each_kind
def test_what_a_service_refers_to_cannot_be_removed(kind: str) -> None:
    store = store_with(KINDS[kind]("k1", "Key"), user("web", kind, "k1"))
    assert apply(store, Delete(kind, "k1")) == Conflict(
        kind, "k1", f"{kind} 'Key' is in use by the following service: web"
    )
    assert apply(store, Create(user("app", kind, "k1"))) is None
    assert apply(store, Delete(kind, "k1")) == Conflict(
        kind, "k1", f"{kind} 'Key' is in use by the following services: app, web"
    )
    assert kind == "secret" or "k1" in store.configs
    assert kind == "config" or "k1" in store.secrets


@each_kind
def test_it_can_be_removed_with_its_last_user_or_after_the_user_let_it_go(kind: str) -> None:
    store = store_with(KINDS[kind]("k1", "one"), KINDS[kind]("k2", "two"), user("web", kind, "k1"))
    web = store.service("web")
    moved = dataclasses.replace(web, spec=user("web", kind, "k2").spec, previous_spec=web.spec)
    assert apply(store, Delete(kind, "k1"), Update(moved)) is not None, "in this order it is still in use"
    assert apply(store, Update(moved), Delete(kind, "k1")) is None
    assert apply(store, Delete("service", "web"), Delete(kind, "k2")) is None


@each_kind
def test_a_user_made_in_the_same_batch_counts(kind: str) -> None:
    store = store_with(KINDS[kind]("k1", "one"))
    assert apply(store, Create(user("web", kind, "k1")), Delete(kind, "k1")) is not None
    assert apply(store, Create(KINDS[kind]("k2", "two")), Create(user("web", kind, "k2"))) is None


@each_kind
def test_a_service_cannot_refer_to_what_is_gone(kind: str) -> None:
    store = store_with(KINDS[kind]("k1", "one"))
    assert apply(store, Create(user("web", kind, "k1", "k9"))) == Conflict("service", "web", f"{kind} k9 not found")
    assert apply(store, Delete(kind, "k1"), Create(user("web", kind, "k1"))) is not None
    assert apply(store, Create(user("web", kind, "k1"))) is None
    more = dataclasses.replace(store.service("web"), spec=user("web", kind, "k1", "k1x").spec)
    assert apply(store, Update(more)) == Conflict("service", "web", f"{kind} k1x not found")


@each_kind
def test_services_and_tasks_are_found_by_what_they_refer_to(kind: str) -> None:
    web = user("web", kind, "k1", "k2", "k1")
    store = store_with(KINDS[kind]("k1", "one"), KINDS[kind]("k2", "two"), web, task(web, "t1"))
    for key in ("k1", "k2"):
        assert [each.id for each in store.services.by(kind, key)] == ["web"]
        assert [each.id for each in store.tasks.by(kind, key)] == ["t1"]
    assert apply(store, Delete("task", "t1")) is None
    assert store.tasks.by(kind, "k1") == ()


@each_kind
def test_things_are_found_by_id_name_prefix_and_label(kind: str) -> None:
    store = store_with(KINDS[kind]("k1", "One"), KINDS[kind]("k2", "two"))
    find = getattr(store, kind)
    assert find("k1") is find("one") is store.get(kind, "k1")
    assert [each.id for each in getattr(store, f"{kind}s").by("label", ("of", "two"))] == ["k2"]
    with pytest.raises(NotFound, match=f"{kind} nowhere not found"):
        find("nowhere")


def network(key: str, subnet: str = "", **fields: Any) -> Network:
    """A network named as its id in upper case."""
    spec = NetworkSpec(name=key.upper(), ingress=fields.pop("ingress", None))
    subnets = (Subnet(subnet=subnet, gateway=""),) if subnet else ()
    return Network(id=key, spec=spec, subnets=subnets, **fields)


def attached(name: str, *ids: str) -> Service:
    return service(name, task={"ContainerSpec": {"Image": "app"}, "Networks": [{"Target": each} for each in ids]})


def test_two_networks_share_neither_name_nor_number_nor_address() -> None:
    store = store_with(network("n1", "10.0.1.0/24", vni=4096))
    assert apply(store, Create(network("n2", "10.0.1.128/25", vni=4097))) == Conflict(
        "network", "n2", "its subnet overlaps with network N1"
    )
    assert apply(store, Create(network("n2", "10.0.2.0/24", vni=4096))) == Conflict(
        "network", "n2", "its number is that of network N1"
    )
    again = dataclasses.replace(network("n2", "10.0.2.0/24", vni=4097), spec=NetworkSpec(name="n1"))
    assert apply(store, Create(again)) == Conflict("network", "n2", "name in use")
    assert apply(store, Create(network("n2", "fd00::/64", vni=4097))) is None, "another family"
    both = (Create(network("n3", "10.0.3.0/24", vni=4098)), Create(network("n4", "10.0.0.0/16", vni=4099)))
    assert apply(store, *both) == Conflict("network", "n4", "its subnet overlaps with network N1")
    assert apply(store, Delete("network", "n1"), Create(network("n5", "10.0.1.0/24", vni=4096))) is None


def test_a_network_that_says_what_it_lacks_is_not_in_its_own_way() -> None:
    store = store_with(network("n1", "10.0.1.0/24", vni=4096))
    assert apply(store, Update(dataclasses.replace(store.network("n1"), error="no free address"))) is None


def test_there_is_one_ingress_network() -> None:
    store = store_with(network("n1", "10.0.1.0/24", vni=1, ingress=True))
    assert store.ingress == store.network("N1")
    refused = apply(store, Create(network("n2", "10.0.2.0/24", vni=2, ingress=True)))
    assert refused == Conflict("network", "n2", "there is an ingress network already")


def test_a_network_stays_while_a_service_or_a_task_of_one_needs_it() -> None:
    web = attached("web", "n1", "host")
    store = store_with(network("n1"), web, task(web, "t1"))
    refused = Conflict("network", "n1", "network n1 is in use by service web")
    assert apply(store, Delete("network", "n1")) == refused
    moved = dataclasses.replace(store.service("web"), spec=attached("web", "bridge").spec)
    held = Attachment(network_id="n1", addresses=("10.0.1.3/24",))
    assert apply(store, Update(dataclasses.replace(moved, vips=(held,)))) is None
    assert [one.id for one in store.services.by("network", "n1")] == ["web"], "it still has an address there"
    assert apply(store, Delete("network", "n1")) == Conflict("network", "n1", "network n1 is in use by task t1")
    assert apply(store, Delete("service", "web"), Delete("network", "n1")) is None, "its tasks go with the service"


def test_a_service_in_a_network_that_is_not_there_is_refused() -> None:
    store = store_with()
    assert apply(store, Create(attached("web", "n9"))) == Conflict("service", "web", "network n9 not found")
    assert apply(store, Create(attached("web", "host"))) is None
    assert apply(store, Create(network("n1")), Create(attached("app", "n1"))) is None


def test_the_ingress_network_stays_while_a_service_publishes_on_all_nodes() -> None:
    web = dataclasses.replace(service("web"), spec=dataclasses.replace(service("web").spec, endpoint=PUBLISHED))
    store = store_with(network("n1", ingress=True), web)
    text = "ingress network cannot be removed because service web depends on it"
    assert apply(store, Delete("network", "n1")) == Conflict("network", "n1", text)
    assert apply(store, Delete("service", "web"), Create(dataclasses.replace(web, id="w2")), Delete("network", "n1"))
    assert apply(store, Delete("service", "web"), Delete("network", "n1")) is None


def test_addresses_lead_to_who_has_them() -> None:
    held = (Attachment(network_id="n1", addresses=("10.0.1.3/24",)),)
    web = service("web")
    store = store_with(network("n1"), web, task(web, "t1", attachments=held), node("h1"))
    assert apply(store, Update(dataclasses.replace(store.node("h1"), attachments=held))) is None
    assert [one.id for one in store.tasks.by("network", "n1")] == ["t1"]
    assert [one.id for one in store.nodes.by("network", "n1")] == [store.node("h1").id]


def publishing(name: str, *ports: Port) -> Service:
    made = service(name)
    return dataclasses.replace(made, spec=dataclasses.replace(made.spec, endpoint=EndpointSpec(ports=ports)))


def test_a_port_on_all_nodes_is_that_of_one_service() -> None:
    everywhere, here = Port(target_port=80, published_port=80), Port(target_port=80, published_port=80, mode="host")
    store = store_with(publishing("web", everywhere))
    refused = Conflict("service", "app", "port 80/tcp is that of service web")
    assert apply(store, Create(publishing("app", everywhere))) == refused
    assert apply(store, Create(publishing("app", here))) == refused
    assert apply(store, Create(publishing("app", dataclasses.replace(everywhere, protocol="udp")))) is None
    assert apply(store, Delete("service", "web"), Create(publishing("db", everywhere))) is None
    assert apply(store, Create(publishing("x", here)), Create(publishing("y", here))) == Conflict(
        "service", "x", "port 80/tcp is that of service db"
    )


def test_two_services_may_publish_a_port_on_their_own_nodes() -> None:
    here = Port(target_port=80, published_port=80, mode="host")
    store = store_with(publishing("web", here), publishing("app", here))
    everywhere = dataclasses.replace(store.service("app"), spec=publishing("app", Port(80, 80)).spec)
    assert apply(store, Update(everywhere)) == Conflict("service", "app", "port 80/tcp is that of service web")


def test_a_port_that_was_chosen_is_taken_as_well() -> None:
    chosen = dataclasses.replace(publishing("web", Port(80)), ports=(Port(80, 30000),))
    store = store_with(chosen)
    refused = Conflict("service", "app", "port 30000/tcp is that of service web")
    assert apply(store, Create(publishing("app", Port(80, 30000)))) == refused
    assert apply(store, Update(dataclasses.replace(store.service("web"), registry_auth="x"))) is None


def test_two_stacks_cannot_have_one_name() -> None:
    shop, other = (
        Stack(id=key, name=name, revision=Revision(number=1)) for key, name in (("a", "shop"), ("b", "Shop"))
    )
    store = store_with(shop, service("shop"))
    assert apply(store, Create(other)) == Conflict("stack", "b", "name in use")
    assert apply(store, Delete("stack", "a"), Create(other)) is None
    assert store.stack("SHOP".lower()).id == store.stack("b").id == "b"


def test_a_stack_is_found_by_what_its_kept_revisions_use_and_by_what_it_still_has_to_do() -> None:
    def using(key: str, number: int) -> Revision:
        return Revision(number=number, data=(StackData(key="k", kind="secret", name="k", id=key),))

    active = StackStatus(state=StackState.ROLLBACK_STARTED)
    left = (Leftover(kind="network", id="n"),)
    shop = Stack(id="a", name="shop", revision=using("s2", 2), history=(using("s1", 1),), status=active, leftovers=left)
    store = store_with(shop, Stack(id="b", name="quiet", revision=Revision(number=1)))
    assert (
        [one.id for one in store.stacks.by("secret", "s1")]
        == ["a"]
        == [one.id for one in store.stacks.by("secret", "s2")]
    )
    assert not store.stacks.count("config", "s1")
    assert (
        [one.id for one in store.stacks.by("active", True)]
        == ["a"]
        == [one.id for one in store.stacks.by("leftover", True)]
    )
