# SPDX-License-Identifier: Apache-2.0
"""Objects cross the wire whole, and the messages follow the classes."""

from __future__ import annotations

import dataclasses
import typing

import pytest

from queenright.model import objects
from queenright.model.changes import Batch, Create, Delete, Update
from queenright.model.objects import (
    Attachment,
    Cluster,
    Config,
    GenericResource,
    Network,
    Node,
    NodeDescription,
    NodeStatus,
    Registry,
    Secret,
    Service,
    Subnet,
    Task,
    TaskStatus,
    Ticket,
    UpdateStatus,
)
from queenright.model.stack import (
    Dependency,
    Leftover,
    Revision,
    Stack,
    StackData,
    StackNetwork,
    StackService,
    StackState,
    StackStatus,
)
from queenright.model.states import NodeState, TaskState, UpdateState
from queenright.spec import fields
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.data import ConfigSpec, RegistrySpec, SecretSpec, Templating
from queenright.spec.network import IPAM, NetworkSpec, Pool
from queenright.spec.service import Port, ServiceSpec
from queenright.wire import codec, messages, records
from queenright.wire.gen import objects_pb2 as pb

SPEC = fields.merge(
    ServiceSpec,
    None,
    {
        "image": "app:1",
        "replicas": 0,
        "labels": {"a": "b"},
        "env": {"X": "1"},
        "limits": {"cpus": 0.5, "memory": "64M", "pids": 0},
        "mounts": [{"type": "tmpfs", "target": "/t", "tmpfs": {"size": "1M"}}],
        "publish": [
            {"target_port": 80, "published_port": 8080, "mode": "host"},
            {"target_port": 81, "local_first": True},
        ],
        "drain_timeout": "9s",
        "networks": [{"name": "n1", "aliases": ["www"]}],
        "update_config": {"parallelism": 0, "max_failure_ratio": 0.25},
        "healthcheck": {"test": ["CMD", "true"], "interval": "1s"},
        "reservations": {"generic_resources": [{"kind": "gpu", "value": 2}]},
        "swap": "-1",
        "secrets": [{"secret_id": "s1", "secret_name": "key", "filename": "k", "mode": "0400"}],
        "configs": [{"config_id": "c1", "config_name": "conf"}],
        "placement": {"constraints": ["node.role == worker"], "preferences": [{"spread": "node.labels.rack"}]},
    },
)
ADDRESSES = (Attachment(network_id="n1", addresses=("10.0.1.5/24", "fd00::5/64"), aliases=("www",)),)
TASK = Task(
    id="t1",
    service_id="s1",
    service_name="web",
    slot=3,
    node_id="n1",
    spec=SPEC.task,
    endpoint=SPEC.endpoint,
    desired_state=TaskState.READY,
    status=TaskStatus(state=TaskState.FAILED, at=5, exit_code=0, ports=(Port(target_port=80, published_port=81),)),
    not_before=7,
    replaces="t0",
    attempt=2,
    job_iteration=3,
    assigned_generic=(GenericResource("gpu", 2), GenericResource("fpga", name="f1")),
    cause="node1 is down",
    refused="node2: no memory",
    attachments=ADDRESSES,
)
SERVICE = Service(
    id="s1",
    spec=SPEC,
    previous_spec=ServiceSpec(name="web"),
    update_status=UpdateStatus(state=UpdateState.PAUSED, started_at=1, message="m"),
    ports=(Port(target_port=81, published_port=30000),),
    vips=ADDRESSES,
    awaits=("shop_db", "shop_migrate"),
    changed_by="stack shop, revision 2",
)
NODE = Node(
    id="n1",
    spec=NodeSpec(role="worker", availability="drain", labels={"zone": "a"}, mesh_backend="ipvs"),
    description=NodeDescription(
        hostname="h", plugins=("Network/bridge",), engine_labels={"x": "y"}, prefixes=("192.168.1.0/24",), mtu=1500
    ),
    status=NodeStatus(state=NodeState.READY, addr="10.0.0.1"),
    attachments=ADDRESSES,
)
CLUSTER = Cluster(id="c1", spec=fields.merge(SwarmSpec, None, {"node_cert_expiry": "48h"}), root_key="k")
TICKET = Ticket(id="k1", secret_digest="d", labels={"a": "b"}, expires_at=9)
SECRET = Secret(id="s1", spec=SecretSpec(name="key", labels={"a": "b"}), data=b"\x00\xff geheim")
CONFIG = Config(id="c1", spec=ConfigSpec(name="conf", templating=Templating(name="golang")), data=b"{{ .Task.Slot }}")
REGISTRY = Registry(id="r1", spec=RegistrySpec(server="r.example.com", username="me"), auth=b'{"password":"geheim"}')
NETWORK = Network(
    id="n1",
    spec=NetworkSpec(
        name="mynet", ipv6=True, ipam=IPAM(configs=(Pool(subnet="10.0.1.0/24", ip_range="10.0.1.128/25"),))
    ),
    vni=4097,
    subnets=(Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"), Subnet(subnet="fd00::/64", gateway="fd00::1")),
    error="network mynet (10.0.1.0/24) has no free address: 253 of 253 in use",
)
REVISION = Revision(
    number=2,
    at=5,
    actor="user 0 at node h",
    user="ada",
    playbook="site.yml",
    git_revision="abc",
    message="new prices",
    source="compose",
    services=(
        StackService(
            key="web",
            spec=SPEC,
            after=(Dependency(key="db"), Dependency(key="migrate", condition="completed")),
            said=("Mode.Replicated.Replicas",),
        ),
        StackService(key="db", spec=ServiceSpec(name="shop_db")),
    ),
    networks=(
        StackNetwork(key="back", name="shop_back", spec=NETWORK.spec),
        StackNetwork(key="edge", name="edge", external=True),
    ),
    data=(
        StackData(key="key", kind="secret", name="shop_key", id="s1", labels={"a": "b"}, template_driver="golang"),
        StackData(key="conf", kind="config", name="conf", external=True, id="c1"),
    ),
)
STACK = Stack(
    id="k1",
    name="shop",
    labels={"team": "a"},
    revision=REVISION,
    history=(dataclasses.replace(REVISION, number=1, services=()),),
    keep=0,
    on_failure="pause",
    timeout=900_000_000_000,
    status=StackStatus(
        state=StackState.ROLLBACK_PAUSED, started_at=1, completed_at=2, message="no such image", failed="shop_web"
    ),
    leftovers=(Leftover(kind="secret", id="s0"),),
    removing=True,
)
EACH = [TASK, SERVICE, NODE, CLUSTER, TICKET, SECRET, CONFIG, REGISTRY, NETWORK, STACK]


@pytest.mark.parametrize("value", EACH, ids=lambda value: value.kind)
def test_an_object_comes_back_as_it_went(value: objects.Object) -> None:
    assert codec.decode_object(codec.encode_object(value)) == value


def test_a_batch_keeps_the_order_and_the_expected_versions() -> None:
    batch = Batch(
        42, (Create(SERVICE), Update(dataclasses.replace(NODE, version=9)), Delete("task", "x"), Delete("task", "y", 3))
    )
    assert codec.decode_batch(codec.encode_batch(batch)) == batch


def test_encoding_the_same_batch_twice_gives_the_same_bytes() -> None:
    batch = Batch(1, (Create(NODE), Create(TASK)))
    assert codec.encode_batch(batch) == codec.encode_batch(batch)


def test_unset_and_zero_are_not_the_same() -> None:
    zero = dataclasses.replace(TASK, status=TaskStatus(exit_code=0))
    unset = dataclasses.replace(TASK, status=TaskStatus(exit_code=None))
    assert codec.decode_task(codec.encode_task(zero)).status.exit_code == 0
    assert codec.decode_task(codec.encode_task(unset)).status.exit_code is None


@pytest.mark.parametrize("data", [b"\xff", b"garbage", b"\x0a\xff"])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(codec.CodecError):
        codec.decode_batch(data)


def test_an_object_that_is_no_task_is_no_task() -> None:
    with pytest.raises(codec.CodecError, match="expected a task, found a node"):
        codec.decode_task(codec.encode_object(NODE))


def _records(cls: type, seen: set[type]) -> set[type]:
    if cls in seen:
        return seen
    seen.add(cls)
    for field in records._plan(cls):
        if field.is_record and field.cls is not None:
            _records(field.cls, seen)
    return seen


def test_every_class_has_a_message_with_the_same_fields() -> None:
    found: set[type] = set()
    for cls in objects.CLASSES.values():
        _records(cls, found)
    for cls in found:
        descriptor = pb.DESCRIPTOR.message_types_by_name[cls.__name__]
        assert set(codec.fields_of(cls)) == set(descriptor.fields_by_name), cls.__name__


def test_every_optional_field_can_be_told_from_its_default() -> None:
    found: set[type] = set()
    for cls in objects.CLASSES.values():
        _records(cls, found)
    for cls in found:
        descriptor = pb.DESCRIPTOR.message_types_by_name[cls.__name__]
        for field in records._plan(cls):
            if field.shape == "optional":
                assert descriptor.fields_by_name[field.name].has_presence, f"{cls.__name__}.{field.name}"


def test_a_message_of_a_newer_sender_is_read_without_what_is_new() -> None:
    newer = codec.encode_object(NODE) + b"\xfa\x3e\x03abc"  # field 1007, unknown today
    assert codec.decode_object(newer) == NODE


def test_assignments_are_split_below_the_limit_and_joined_again() -> None:
    tasks = tuple(dataclasses.replace(TASK, id=f"t{n}", service_labels={"fill": "x" * 400}) for n in range(40))
    whole = messages.AssignmentSet(True, "", "5", tasks, tuple(f"gone{n}" for n in range(300)))
    parts = list(messages.assignment_messages(whole, part_bytes=4096))
    assert len(parts) > 4
    assert all(part.ByteSize() <= 4096 + 64 for part in parts)
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert messages.read_assignments(parts) == whole


def test_what_tasks_need_travels_with_them_and_before_them() -> None:
    whole = messages.AssignmentSet(
        complete=False,
        applies_to="4",
        results_in="5",
        updates=(TASK,),
        secrets=tuple(dataclasses.replace(SECRET, id=f"s{n}", data=b"x" * 500) for n in range(6)),
        configs=(CONFIG,),
        secret_removes=("s9",),
        config_removes=("c8", "c9"),
        credentials={"t1": b'{"password":"geheim"}'},
    )
    for size in (1 << 20, 700):
        parts = list(messages.assignment_messages(whole, part_bytes=size))
        assert messages.read_assignments(parts) == whole
        assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert len(parts) > 6
    assert [bool(part.updates) for part in parts].index(True) > max(n for n, part in enumerate(parts) if part.secrets)
    assert "geheim" not in repr(whole) and "geheim" not in repr(REGISTRY)


def test_a_task_larger_than_a_part_travels_alone() -> None:
    big = dataclasses.replace(TASK, service_labels={"fill": "x" * 5000})
    parts = list(
        messages.assignment_messages(messages.AssignmentSet(False, "1", "2", (TASK, big, TASK)), part_bytes=1000)
    )
    assert [len(part.updates) for part in parts] == [1, 1, 1]


def test_an_empty_set_is_one_message() -> None:
    parts = list(messages.assignment_messages(messages.AssignmentSet(True, "", "1")))
    assert len(parts) == 1
    assert not parts[0].more


def test_session_news_and_statuses_come_back_as_they_went() -> None:
    news = messages.SessionNews("s", NODE, (("m", "1.2.3.4:2377"),), 5_000_000_000, "PEM", 12)
    assert messages.read_session_message(messages.session_message(news)) == news
    pinging = dataclasses.replace(news, ping=7)
    assert messages.read_session_message(messages.session_message(pinging)) == pinging
    ping = messages.Ping(1_000_000_000)
    assert messages.read_session_message(messages.session_message(ping)) == ping
    updates = [("t1", TASK.status)]
    assert messages.read_status_request(messages.status_request("s", updates)) == updates
    request = messages.session_request(NODE.description, "a")
    assert messages.read_session_request(request) == (NODE.description, "a", True)
    assert not request.pong and messages.PONG.pong


def test_type_hints_of_all_records_are_understood() -> None:
    for cls in objects.CLASSES.values():
        hints = typing.get_type_hints(cls)
        assert set(codec.fields_of(cls)) <= set(hints)


def test_redirects_and_news_are_told_apart() -> None:
    news = messages.SessionNews("s", NODE, (), 5, "PEM", 12)
    assert messages.read_redirect(messages.session_message(news)) is None
    assert messages.read_redirect(messages.redirect_message("m", "h:2377")) == ("m", "h:2377")


def test_forwarded_requests_and_answers_come_back_as_they_went() -> None:
    call = messages.ForwardCall(
        "POST", "/services/x/update", "version=3", "1.41", {"X-Registry-Auth": "s"}, b"{}", "r1"
    )
    assert messages.read_forward_request(messages.forward_request(call)) == call
    answer = messages.ForwardAnswer(201, {"Content-Type": "application/json"}, b"{}", 99)
    assert messages.read_forward_response(messages.forward_response(answer)) == answer


def test_what_may_hold_secrets_is_not_shown() -> None:
    call = messages.ForwardCall("POST", "/p", headers={"X-Registry-Auth": "geheim"}, body=b"geheim")
    assert "geheim" not in repr(call)
    assert "geheim" not in repr(messages.ForwardAnswer(200, {"a": "geheim"}, b"geheim"))
