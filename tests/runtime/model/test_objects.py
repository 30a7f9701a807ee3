# SPDX-License-Identifier: Apache-2.0
"""What the objects of the cluster say of themselves."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
from laws.builders import cluster, node, service, spec, task

from queenright.model.changes import Batch, Conflict, Create, Delete, Update
from queenright.model.objects import (
    CLASSES,
    Certificate,
    Cluster,
    Config,
    Network,
    Node,
    Registry,
    Secret,
    Service,
    Stack,
    Subnet,
    TaskStatus,
    Ticket,
)
from queenright.model.stack import Revision
from queenright.model.states import NodeState, TaskState
from queenright.spec.cluster import NodeSpec
from queenright.spec.service import EndpointSpec, Port

WEB = service("web")
EACH: list[Any] = [cluster(), node("h1"), WEB, task(WEB, "t1"), Ticket(id="k")]
EACH += [Secret(id="s"), Config(id="c"), Registry(id="r"), Network(id="n"), Certificate(id="1a")]
EACH += [Stack(id="shop", revision=Revision(number=1))]
each_kind = pytest.mark.parametrize("row", EACH, ids=lambda row: row.kind)

WANTED = {"NEW", "PENDING", "ASSIGNED", "ACCEPTED", "PREPARING", "READY", "STARTING", "RUNNING"}
"""Desired states of a task that shall run, now or soon."""


def test_every_kind_is_known_by_its_word() -> None:
    assert {kind: cls.__name__ for kind, cls in CLASSES.items()} == {
        "cluster": "Cluster",
        "node": "Node",
        "service": "Service",
        "task": "Task",
        "ticket": "Ticket",
        "secret": "Secret",
        "config": "Config",
        "registry": "Registry",
        "network": "Network",
        "certificate": "Certificate",
        "stack": "Stack",
    }
    assert {type(row) for row in EACH} == set(CLASSES.values())


@each_kind
def test_nothing_can_be_written_into_an_object(row: Any) -> None:
    for field in dataclasses.fields(row):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(row, field.name, getattr(row, field.name))
    with pytest.raises((AttributeError, TypeError)):
        row.something_else = 1


@each_kind
def test_an_object_is_new_until_the_log_stamped_it(row: Any) -> None:
    assert (row.version, row.created_at, row.updated_at) == (0, 0, 0)


@each_kind
def test_objects_of_equal_content_are_equal_and_a_changed_one_is_not(row: Any) -> None:
    assert copy.deepcopy(row) == row
    assert dataclasses.replace(row, version=7) != row
    assert dataclasses.replace(row, id="other") != row


@each_kind
def test_two_objects_never_share_a_map(row: Any) -> None:
    other = type(row)(**{field.name: getattr(row, field.name) for field in dataclasses.fields(row) if _needed(field)})
    twin = type(row)(**{field.name: getattr(row, field.name) for field in dataclasses.fields(row) if _needed(field)})
    for field in dataclasses.fields(row):
        held = getattr(other, field.name)
        if isinstance(held, dict):
            assert held is not getattr(twin, field.name), field.name


def _needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@pytest.mark.parametrize("state", list(TaskState), ids=lambda state: state.text)
def test_a_task_is_wanted_as_long_as_it_shall_run(state: TaskState) -> None:
    one = task(WEB, "t", desired_state=state)
    assert one.wanted == one.active == (state.name in WANTED | {"COMPLETE"}), (
        "one that shall complete has its place too"
    )


@pytest.mark.parametrize("state", list(TaskState), ids=lambda state: state.text)
def test_a_task_holds_resources_until_it_has_ended(state: TaskState) -> None:
    one = task(WEB, "t", state=state)
    assert one.holds_resources == (state.name in WANTED)
    assert one.holds_resources != one.state.terminal
    assert one.state is state


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"slot": 3, "node_id": "n1"}, "web.3.t1"),
        ({"slot": 3, "node_id": ""}, "web.3.t1"),
        ({"slot": 0, "node_id": "n1"}, "web.n1.t1"),
    ],
)
def test_a_task_is_named_by_its_slot_or_by_its_node(fields: dict[str, Any], name: str) -> None:
    assert dataclasses.replace(task(WEB, "t1"), **fields).name == name


@pytest.mark.parametrize(
    ("port", "taken"),
    [
        (Port(target_port=80, published_port=8080, mode="host"), (("tcp", 8080),)),
        (Port(target_port=53, published_port=53, mode="host", protocol="udp"), (("udp", 53),)),
        (Port(target_port=80, mode="host"), ()),
        (Port(target_port=80, published_port=0, mode="host"), ()),
        (Port(target_port=80, published_port=8080, mode="ingress"), ()),
        (Port(target_port=80, published_port=8080), ()),
    ],
)
def test_a_task_takes_the_ports_of_its_node_that_are_published_there(port: Port, taken: tuple[Any, ...]) -> None:
    one = dataclasses.replace(task(WEB, "t"), endpoint=EndpointSpec(ports=(port,)))
    assert one.host_ports == taken


def test_several_ports_are_taken_in_their_order() -> None:
    one = task(service("dns", ports=[53, 54]), "t")
    assert one.host_ports == (("tcp", 53), ("tcp", 54))


@pytest.mark.parametrize("state", list(NodeState))
@pytest.mark.parametrize("availability", ["active", "pause", "drain", None])
def test_a_node_takes_tasks_when_it_is_ready_and_active(state: NodeState, availability: str | None) -> None:
    one = dataclasses.replace(node("h", state=state), spec=NodeSpec(availability=availability))
    assert one.takes_tasks == (state == "ready" and availability in ("active", None))
    assert one.availability == (availability or "active"), "unset is active"


def test_a_node_joins_as_an_accepted_worker_of_whom_nothing_is_known() -> None:
    fresh = Node(id="n")
    assert (fresh.role, fresh.membership, fresh.status.state, fresh.hostname) == ("worker", "accepted", "unknown", "")
    assert not fresh.takes_tasks
    assert (fresh.manager_addr, fresh.serial, fresh.previous_serial) == ("", "", "")


def test_the_role_that_counts_is_not_the_wish() -> None:
    wished = dataclasses.replace(Node(id="n"), spec=NodeSpec(role="manager"))
    assert (wished.role, wished.spec.role) == ("worker", "manager")


def test_a_service_is_named_by_its_spec() -> None:
    assert Service(id="s", spec=spec("db")).name == "db"
    assert Service(id="s", spec=dataclasses.replace(spec("db"), name=None)).name == ""


SECRETS = {
    "cluster": ("root_key", "worker_token", "manager_token"),
    "service": ("registry_auth", "previous_registry_auth"),
}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in SECRETS.items() for field in fields])
def test_no_text_of_an_object_or_of_what_holds_it_shows_a_secret(kind: str, field: str) -> None:
    row = next(each for each in EACH if each.kind == kind)
    secret = dataclasses.replace(row, **{field: "hush-hush"})
    for shown in (secret, Create(secret), Update(secret), Batch(1, (Create(secret),)), [secret], {"row": secret}):
        assert "hush-hush" not in f"{shown!r}{shown}"


def test_a_cluster_says_which_one_it_is() -> None:
    assert repr(Cluster(id="abc", version=7)) == "Cluster(id='abc', version=7)"


def test_changes_say_what_they_are_about() -> None:
    gone = Delete("task", "t1")
    assert gone.version is None, "whatever is there"
    assert Delete("task", "t1", 3) != gone
    assert Create(WEB) != Update(WEB), "though both hold the same"
    assert Conflict("node", "n", "is gone") == Conflict("node", "n", "is gone")
    for change in (Create(WEB), Update(WEB), gone, Batch(1, ()), Conflict("node", "n", "x")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change.__setattr__(dataclasses.fields(change)[0].name, None)


def test_a_status_knows_three_clocks() -> None:
    fresh = TaskStatus()
    assert (fresh.state, fresh.at, fresh.applied_at, fresh.running_since) == (TaskState.NEW, 0, 0, 0)
    assert fresh.exit_code is None, "not ended is not ended with 0"
    assert TaskStatus(exit_code=0) != fresh


@pytest.mark.parametrize(
    ("subnet", "gateway", "dns"),
    [
        ("10.0.1.0/24", "10.0.1.1", "10.0.1.2"),
        ("10.0.1.0/24", "10.0.1.254", "10.0.1.1"),
        ("fd00:1::/64", "fd00:1::1", "fd00:1::2"),
    ],
)
def test_names_are_served_at_the_first_address_that_is_not_the_gateway(subnet: str, gateway: str, dns: str) -> None:
    assert Subnet(subnet=subnet, gateway=gateway).dns == dns
