# SPDX-License-Identifier: Apache-2.0
"""Who gets which address when, and what is said where there is none."""

from __future__ import annotations

import dataclasses
import itertools

from laws import invariants, kit
from laws.builders import counter, network, node, spec
from laws.world import Behaviour, World

from queenright.decide import addresses, subnets
from queenright.decide.base import Dirty
from queenright.model.changes import Create, Delete, Update
from queenright.model.objects import Attachment
from queenright.model.states import TaskState
from queenright.store.store import Store

LOCAL = subnets.local_pool("cluster")
SMALL = "10.9.0.0/29"  # gateway, DNS and four addresses


def world(*networks: object, nodes: int = 2, laws: bool = True) -> World:
    made = World(*(node(f"h{number}") for number in range(1, nodes + 1)), laws=laws)
    made.do(*(Create(one) for one in networks))  # type: ignore[arg-type]
    return made


def of(row: object, network_id: str = "net") -> tuple[str, ...]:
    held = getattr(row, "vips", None) or getattr(row, "attachments", ())
    return next((one.addresses for one in held if one.network_id == network_id), ())


def used(made: World, network_id: str = "net") -> set[str]:
    rows = [*made.store.services, *made.store.nodes, *(task for task in made.store.tasks if not task.state.terminal)]
    return {text for row in rows for text in of(row, network_id)}


def err(made: World, name: str) -> list[str]:
    return [task.status.err for task in made.tasks(name) if task.wanted]


# -- who gets some


def test_a_service_without_networks_costs_nothing() -> None:
    made = world()
    made.create(spec("web", 2, ports=[80]))
    made.settle()
    assert len(made.running("web")) == 2
    assert not made.store.networks and not any(task.attachments for task in made.store.tasks)
    assert addresses.decide(made.store, Dirty(everything=True), made.now, counter()).changes == ()
    assert made.service("web").ports == () == made.service("web").vips


def test_a_service_its_tasks_and_their_nodes_get_an_address_each() -> None:
    made = world(network("net"))
    made.create(spec("web", 2, networks=["net"]))
    made.settle()
    assert of(made.service("web")) == ("10.9.0.3/24",)
    assert [of(task) for task in made.running("web")] == [("10.9.0.4/24",), ("10.9.0.5/24",)]
    assert [of(each) for each in made.store.nodes] == [("10.9.0.6/24",), ("10.9.0.7/24",)]


def test_a_node_without_tasks_of_the_network_gets_none() -> None:
    made = world(network("net"), nodes=3)
    made.create(spec("web", 1, networks=["net"]))
    made.settle()
    assert [bool(each.attachments) for each in made.store.nodes] == [True, False, False]


def test_a_network_of_two_families_gives_addresses_of_both() -> None:
    made = world(network("net", "10.9.0.0/24", "fd00:9::/64"))
    made.create(spec("web", 1, networks=["net"]))
    made.settle()
    assert of(made.service("web")) == ("10.9.0.3/24", "fd00:9::3/64")
    assert of(made.running("web")[0]) == ("10.9.0.4/24", "fd00:9::4/64")


def test_a_range_narrows_what_is_given() -> None:
    whole = network("net")
    subnet = dataclasses.replace(whole.subnets[0], ip_range="10.9.0.128/25")
    made = world(dataclasses.replace(whole, subnets=(subnet,)))
    made.create(spec("web", 1, networks=["net"]))
    made.settle()
    assert used(made) == {"10.9.0.128/24", "10.9.0.129/24", "10.9.0.130/24"}


def test_a_service_that_is_reached_by_names_alone_has_no_virtual_address() -> None:
    made = world(network("net"))
    made.create(spec("web", 1, networks=["net"], dnsrr=True))
    made.settle()
    assert made.service("web").vips == () and of(made.running("web")[0])


def test_the_virtual_address_goes_when_a_service_is_to_be_reached_by_names_alone() -> None:
    made = world(network("net"))
    made.create(spec("web", 1, networks=["net"]))
    made.settle()
    made.update(spec("web", 1, networks=["net"], dnsrr=True))
    made.advance(30)
    assert made.service("web").vips == ()
    assert len(used(made)) == 2


def test_a_task_of_two_networks_gets_addresses_in_both_and_its_aliases() -> None:
    made = world(network("net"), network("other", "10.8.0.0/24", vni=4097))
    networks = [{"Target": "net", "Aliases": ["www"]}, {"Target": "other"}]
    made.create(spec("web", 1, task={"Networks": networks}))
    made.settle()
    [task] = made.running("web")
    assert [(one.network_id, one.aliases) for one in task.attachments] == [("net", ("www",)), ("other", ())]
    assert [(one.network_id, one.aliases) for one in made.service("web").vips] == [("net", ("www",)), ("other", ())]


def test_a_global_service_gets_an_address_for_each_of_its_tasks() -> None:
    made = world(network("net"), nodes=3)
    made.create(spec("agent", None, networks=["net"]))
    made.settle()
    assert len({of(task) for task in made.running("agent")}) == 3


# -- ingress


def test_the_first_service_that_publishes_a_port_brings_the_ingress_network() -> None:
    made = world()
    made.create(spec("web", 1, publish=[(8080, 80)]))
    made.settle()
    ingress = made.store.ingress
    assert ingress is not None and (ingress.name, ingress.vni) == ("ingress", 4096)
    assert [one.subnet for one in ingress.subnets] == ["10.0.0.0/24", LOCAL.replace("/48", "/64")]
    assert [bool(of(each, ingress.id)) for each in made.store.nodes] == [True, True], "all nodes answer"
    assert of(made.service("web"), ingress.id) and of(made.running("web")[0], ingress.id)
    assert made.service("web").ports == made.service("web").spec.endpoint.ports


def test_an_ingress_network_that_is_there_is_used() -> None:
    made = world(network("front", "10.9.0.0/24", ingress=True))
    made.create(spec("web", 1, publish=[(8080, 80)]))
    made.settle()
    assert len(made.store.networks) == 1 and of(made.service("web"), "front") == ("10.9.0.3/24",)


def test_a_node_that_joins_gets_an_address_in_the_ingress_network() -> None:
    made = world()
    made.create(spec("web", 1, publish=[(8080, 80)]))
    made.settle()
    made.do(Create(node("h9")))
    made.beat("h9")
    made.settle()
    assert of(made.store.node("h9"), made.store.network("ingress").id)


def test_nodes_give_their_addresses_back_when_nothing_is_published_any_more() -> None:
    made = world()
    made.create(spec("web", 2, publish=[(8080, 80)]))
    made.settle()
    made.remove("web")
    made.advance(5)
    ingress = made.store.network("ingress")
    assert used(made, ingress.id) == set() and not any(each.attachments for each in made.store.nodes)
    assert list(made.store.uneven_networks()) == []


def test_nodes_keep_them_as_long_as_a_task_still_runs() -> None:
    made = world()
    made.behaviours["slow:1"] = Behaviour(stops=10)
    made.create(spec("web", 1, "slow:1", publish=[(8080, 80)]))
    made.settle()
    made.remove("web")
    made.advance(5)
    assert all(each.attachments for each in made.store.nodes)
    made.advance(10)
    assert not any(each.attachments for each in made.store.nodes)


def test_where_the_ingress_network_cannot_be_made_tasks_say_why() -> None:
    made = world()
    made.describe("h1", prefixes=("10.0.0.0/8",))
    made.create(spec("web", 1, publish=[(8080, 80)]))
    made.settle()
    [text] = err(made, "web")
    assert "network ingress cannot be made: no subnet of /24 is free in 10.0.0.0/8" in text
    assert "10.0.0.0/8 (node h1)" in text
    made.describe("h1", prefixes=())
    made.settle()
    assert len(made.running("web")) == 1


def test_a_network_that_only_has_the_name_ingress_is_left_alone() -> None:
    made = world(dataclasses.replace(network("net"), spec=dataclasses.replace(network("net").spec, name="ingress")))
    made.create(spec("web", 1, publish=[(8080, 80)]))
    made.settle()
    assert "another one has the name ingress" in err(made, "web")[0]
    assert len(made.store.networks) == 1


# -- changes


def test_an_update_keeps_the_virtual_address_and_the_tasks_get_new_ones() -> None:
    made = world(network("net"))
    made.create(spec("web", 1, networks=["net"]))
    made.settle()
    before = made.service("web").vips
    made.update(spec("web", 1, "app:2", networks=["net"]))
    made.advance(30)
    assert made.service("web").vips == before
    assert [of(task) for task in made.tasks("web")] == [("10.9.0.4/24",), ("10.9.0.6/24",)]


def test_a_service_that_moves_to_another_network_leaves_nothing_behind() -> None:
    made = world(network("net"), network("other", "10.8.0.0/24", vni=4097))
    made.create(spec("web", 2, networks=["net"]))
    made.settle()
    made.update(spec("web", 2, networks=["other"]))
    made.advance(60)
    assert used(made) == set() and len(used(made, "other")) == 5


def test_an_address_that_was_freed_is_given_again_last() -> None:
    made = world(network("net", SMALL), nodes=1)
    made.create(spec("web", 1, networks=["net"], task={"RestartPolicy": {"Delay": 0}}))
    made.settle()
    seen = [of(made.running("web")[0])]
    for _ in range(3):
        made.end(made.running("web")[0], 1)
        made.settle()
        seen.append(of(made.running("web")[0]))
    free_of_others = {"10.9.0.4/29", "10.9.0.6/29"}
    assert {text for each in seen for text in each} == free_of_others
    assert all(one != other for one, other in itertools.pairwise(seen)), "not the one that was just freed"


def test_a_node_keeps_its_address_while_its_only_task_is_restarted() -> None:
    made = world(network("net"), nodes=1)
    made.create(spec("web", 1, networks=["net"]))
    made.settle()
    before = made.store.node("h1").attachments
    made.end(made.running("web")[0], 1)
    made.settle()
    assert made.store.node("h1").attachments == before
    assert not [
        event
        for _, event in made.seen
        if event.object.id == "h1" and event.before and not event.after.attachments  # type: ignore[union-attr]
    ][2:]


def test_a_node_gives_its_address_back_when_the_last_task_has_left_it() -> None:
    made = world(network("net"))
    made.create(spec("web", 2, networks=["net"]))
    made.settle()
    made.set_node("h2", availability="drain")
    made.advance(30)
    assert [bool(each.attachments) for each in made.store.nodes] == [True, False]


def test_a_removed_network_takes_addresses_that_nobody_uses_from_its_nodes() -> None:
    made = world(network("net"), laws=False)
    held = made.store.node("h1")
    made.do(Update(dataclasses.replace(held, attachments=(Attachment(network_id="net", addresses=("10.9.0.9/24",)),))))
    made.do(Delete("network", "net"))
    made.settle()
    assert made.store.node("h1").attachments == ()
    assert list(made.store.uneven_networks()) == []


def test_no_leader_change_gives_an_address_twice() -> None:
    made = world(network("net"))
    made.create(spec("web", 3, networks=["net"]))
    made.settle()
    before = used(made)
    made.change_leader()
    made.settle()
    assert used(made) == before
    fresh = Store()
    fresh.restore(made.store.index, made.store.freeze()())
    made.store = fresh
    made.create(spec("db", 2, networks=["net"]))
    made.settle()
    assert before < used(made) and len(used(made)) == len(before) + 3
    invariants.check_aggregates(made.store)


# -- exhaustion


FULL = "network net (10.9.0.0/29) has no free address: 4 of 4 in use"


def test_exhaustion_is_told_by_the_network_and_by_the_tasks_that_wait() -> None:
    made = world(network("net", SMALL), nodes=1)
    made.create(spec("web", 4, networks=["net"]))
    made.settle()
    assert len(made.running("web")) == 2, "one address is the service's and one the node's"
    assert err(made, "web") == ["", "", FULL, FULL]
    assert made.store.network("net").error == FULL
    waiting = [task for task in made.tasks("web") if task.state == TaskState.NEW]
    assert len(waiting) == 2 and not any(task.attachments for task in waiting)


def test_who_waits_has_his_turn_when_something_is_freed() -> None:
    made = world(network("net", SMALL), nodes=1)
    made.create(spec("web", 2, networks=["net"]))
    made.settle()
    made.advance(1)
    made.create(spec("db", 1, networks=["net"], dnsrr=True))
    made.settle()
    assert err(made, "db") == [FULL]
    made.update(spec("web", 1, networks=["net"]))
    made.advance(5)
    assert err(made, "db") == [""] and len(made.running("db")) == 1
    assert made.store.network("net").error == ""


def test_the_error_goes_when_nobody_waits_any_more() -> None:
    made = world(network("net", SMALL), nodes=1)
    made.create(spec("web", 4, networks=["net"]))
    made.settle()
    made.update(spec("web", 2, networks=["net"]))
    made.advance(5)
    assert made.store.network("net").error == "" and len(made.running("web")) == 2


def test_a_service_without_room_gets_its_virtual_address_later() -> None:
    made = world(network("net", SMALL), nodes=1)
    made.create(spec("web", 2, networks=["net"]))
    made.settle()
    made.create(spec("db", 1, networks=["net"]))
    made.settle()
    assert made.service("db").vips == () and made.store.network("net").error == FULL
    made.remove("web")
    made.advance(5)
    assert of(made.service("db")) and len(made.running("db")) == 1 and made.store.network("net").error == ""


def test_tasks_leave_addresses_for_the_nodes_that_they_may_come_to() -> None:
    made = world(network("net", SMALL), nodes=3)
    made.create(spec("web", 5, networks=["net"]))
    made.settle()
    assert made.running("web") and all(of(made.store.node(task.node_id)) for task in made.running("web")), (
        "no task is on a node without an address"
    )
    assert len(used(made)) == 3, "one more task might come to a node that could not carry it"


def test_a_full_network_keeps_no_other_from_working() -> None:
    made = world(network("net", SMALL), network("other", "10.8.0.0/24", vni=4097), nodes=1)
    made.create(spec("web", 9, networks=["net"]))
    made.create(spec("both", 1, networks=["net", "other"]))
    made.create(spec("db", 2, networks=["other"]))
    made.settle()
    assert err(made, "both") == [FULL] and not of(made.tasks("both")[0], "other"), "all or none"
    assert len(made.running("db")) == 2 and made.store.network("other").error == ""


def test_an_idle_node_gives_way_where_addresses_are_scarce() -> None:
    made = world(network("net", SMALL), nodes=2)
    only = {"networks": ["net"], "dnsrr": True}
    made.create(spec("web", 1, **only, task={"Placement": {"Constraints": ["node.hostname == h1"]}}))
    made.settle()
    made.update(spec("web", 1, **only, task={"Placement": {"Constraints": ["node.hostname == h9"]}}))
    made.advance(30)
    assert [task.state for task in made.tasks("web") if task.wanted] == [TaskState.PENDING]
    assert of(made.store.node("h1")), "it keeps its address while a task waits for a node"
    made.create(spec("db", 3, networks=["net"], dnsrr=True))
    made.settle()
    assert len(made.running("db")) == 1
    invariants.check_aggregates(made.store)


# -- ports


def test_a_port_that_nobody_named_gets_a_number_and_keeps_it() -> None:
    made = world()
    made.create(spec("web", 1, publish=[(0, 80), (8080, 81)]))
    made.settle()
    made.create(spec("db", 1, publish=[(0, 5432)]))
    made.settle()
    assert [port.published_port for port in made.service("web").ports] == [30000, 8080]
    assert [port.published_port for port in made.service("db").ports] == [30001]
    made.remove("web")
    made.update(spec("db", 1, "app:2", publish=[(0, 5432), (0, 5433)]))
    made.advance(30)
    assert [port.published_port for port in made.service("db").ports] == [30001, 30000]


def test_the_same_number_may_be_given_for_another_protocol() -> None:
    made = world()
    made.create(spec("web", 1, EndpointSpec={"Ports": [{"TargetPort": 53, "Protocol": one} for one in ("tcp", "udp")]}))
    made.settle()
    assert [(port.protocol, port.published_port) for port in made.service("web").ports] == [
        ("tcp", 30000),
        ("udp", 30000),
    ]


def test_a_number_that_somebody_named_is_not_chosen() -> None:
    made = world()
    made.create(spec("web", 1, ports=[30000]))
    made.create(spec("db", 1, publish=[(30001, 5432)]))
    made.create(spec("app", 1, publish=[(0, 80)]))
    made.settle()
    assert [port.published_port for port in made.service("app").ports] == [30002]


def test_where_no_number_is_left_it_stays_open_until_one_is_freed() -> None:
    made = world(laws=False)
    every = [(number, 80) for number in range(30000, 32768)]
    made.create(spec("hog", 0, publish=every))
    made.create(spec("web", 1, publish=[(0, 80)]))
    made.settle()
    assert [port.published_port for port in made.service("web").ports] == [0]
    made.update(spec("hog", 0, publish=every[1:]))
    made.settle()
    assert [port.published_port for port in made.service("web").ports] == [30000]


# -- many


def test_very_many_tasks_get_their_addresses_in_portions() -> None:
    made = World(node("h1", cpus=64), laws=False)
    made.do(Create(network("net", "10.9.0.0/16")))
    made.create(spec("web", 2500, networks=["net"]))
    rounds = []
    real = addresses.decide
    dirty = Dirty(everything=True)
    made._decide_all()
    while True:
        answer = real(made.store, dirty, made.now, made.ids)
        rounds.append(len(answer.changes))
        made.do(*answer.changes)
        if answer.wake_at is None:
            break
        dirty = Dirty(due=True)
    assert max(rounds, default=0) <= addresses.MOST + 1
    assert not made.store.tasks.count("new", ("net",))
    assert len({of(task) for task in made.tasks("web")}) == 2500


class Counted(dict):  # type: ignore[type-arg]
    """Rows that count how often all of them are walked."""

    walks = 0

    def values(self):  # type: ignore[no-untyped-def]
        Counted.walks += 1
        return super().values()


def test_neither_tasks_nor_nodes_nor_services_are_walked_for_one_change() -> None:
    made = World(*(node(f"h{number}") for number in range(5)), laws=False)
    made.do(Create(network("net")))
    made.create(spec("web", 20, networks=["net"], publish=[(80, 80)]))
    made.create(spec("db", 20, networks=["net"]))
    made.settle()
    store = made.store
    store.tasks._rows = Counted(store.tasks._rows)
    store.services._rows = Counted(store.services._rows)
    asked: list[object] = []
    by = store.tasks.by
    store.tasks.by = lambda index, key: asked.append((index, key)) or by(index, key)  # type: ignore[func-returns-value, method-assign]
    Counted.walks = 0
    made.end(made.running("db")[0], 1)
    dirty = Dirty(tasks={task.id for task in made.tasks("db")[:3]}, services={"db"})
    asked.clear()
    assert addresses.decide(store, dirty, made.now, made.ids).changes == ()
    assert Counted.walks == 0 and asked == []


def test_a_question_obeys_the_laws_in_a_network_that_is_full() -> None:
    made = world(network("net", SMALL), nodes=3)
    made.create(spec("web", 3, networks=["net"], publish=[(0, 80)]))
    made.settle()
    kit.check("addresses", addresses.decide, made.store, Dirty(everything=True), made.now)
