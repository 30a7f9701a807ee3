# SPDX-License-Identifier: Apache-2.0
"""Feature levels: what changes need, and what all managers have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from laws.builders import service, task

from queenright.edge.raft.engine import FEATURE_LEVEL
from queenright.model import features
from queenright.model.changes import Create, Delete
from queenright.model.objects import (
    CLASSES,
    Attachment,
    Certificate,
    Cluster,
    FormerRoot,
    GenericResource,
    Network,
    Node,
    RootRotation,
    Secret,
    Service,
    Stack,
    Task,
)
from queenright.model.stack import Revision
from queenright.spec import fields
from queenright.spec.cluster import CAConfig, ExternalCA, NodeSpec, SwarmSpec
from queenright.spec.service import ServiceSpec

PLAIN = {
    "image": "app:1",
    "replicas": 3,
    "limits": {"memory": "64M"},
    "reservations": {"cpus": 0.5},
    "mounts": [{"type": "bind", "source": "/srv", "target": "/srv", "bind": {"propagation": "rslave"}}],
    "update_config": {"parallelism": 2, "order": "start-first"},
    "endpoint_mode": "dnsrr",
}
LATER: list[dict[str, Any]] = [
    {"mode": "replicated-job"},
    {"mode": "global-job"},
    {"reservations": {"generic_resources": [{"kind": "gpu", "value": 1}]}},
    {"swap": "-1"},
    {"swap": 0},
    {"memory_swappiness": 10},
    {"secrets": [{"secret_id": "s1", "secret_name": "key"}]},
    {"configs": [{"config_id": "c1", "config_name": "conf"}]},
    {"mounts": [{"type": "bind", "source": "/srv", "target": "/srv", "bind": {"relabel": "private"}}]},
    {"mounts": [{"type": "tmpfs", "target": "/srv", "tmpfs": {"options": ["noexec"]}}]},
    {"update_config": {"gate": "monitor"}},
    {"rollback_config": {"timeout": "0s"}},
]


def test_every_kind_of_object_has_its_level_and_this_release_reads_them_all() -> None:
    assert set(features.NEEDS) == set(CLASSES)
    assert max(features.NEEDS.values()) <= features.LEVEL


def test_changes_need_what_the_newest_of_them_needs() -> None:
    assert features.needed([]) == 1
    assert features.needed([Create(Node(id="n")), Delete("task", "t")]) == 1
    assert features.needed([Create(Node(id="n")), Delete("unheard-of", "x")]) > features.LEVEL


def test_a_swarm_of_the_first_release_is_at_level_one_and_a_new_one_at_its_founder_s() -> None:
    assert features.level_of(Cluster(id="c")) == 1
    assert features.level_of(Cluster(id="c", feature_level=3)) == 3
    assert features.level_of(None) == features.LEVEL


def test_the_common_level_is_the_least_and_unknown_while_one_is() -> None:
    assert features.common({"a": 3, "b": 2, "x": 1}, ["a", "b"]) == 2
    assert features.common({"a": 3}, ["a", "b"]) is None
    assert features.common({"a": 3, "b": 0}, ["a", "b"]) is None
    assert features.common({}, []) is None


def made(options: dict[str, Any]) -> ServiceSpec:
    return fields.merge(ServiceSpec, None, options)


def test_a_service_that_the_first_release_knew_needs_its_level() -> None:
    one = Service(id="s", spec=made(PLAIN), previous_spec=made(PLAIN))
    assert features.needed([Create(one), Create(task(one, "t"))]) == 1


@pytest.mark.parametrize("options", LATER, ids=lambda options: next(iter(options)))
def test_an_option_that_came_later_needs_the_level_that_it_came_with(options: dict[str, Any]) -> None:
    later = made({**PLAIN, "replicas": None, **options})
    assert features.needed([Create(Service(id="s", spec=later))]) == 2
    assert features.needed([Create(Service(id="s", spec=made(PLAIN), previous_spec=later))]) == 2, "it may be put back"


def test_a_task_needs_what_its_specification_needs() -> None:
    later = made({**PLAIN, "secrets": [{"secret_id": "s1", "secret_name": "key"}]})
    web = service("web")
    assert features.needed([Create(Task(id="t", service_id="s", spec=later.task))]) == 2
    assert features.needed([Create(task(web, "t", job_iteration=1))]) == 2
    assert features.needed([Create(task(web, "t", assigned_generic=(GenericResource("gpu", 1),)))]) == 2
    assert features.needed([Create(task(web, "t", cause="node1 is down", refused="node2: no memory"))]) == 1, "words"


def test_secrets_and_the_tuning_of_the_dispatcher_came_with_level_two() -> None:
    assert features.needed([Create(Secret(id="s")), Delete("config", "c")]) == 2
    tuned = fields.merge(SwarmSpec, None, {"dispatcher_silence": "3s"})
    assert features.needed([Create(Cluster(id="c", spec=tuned))]) == 2
    plain = fields.merge(SwarmSpec, None, {"dispatcher_heartbeat_period": "3s"})
    assert features.needed([Create(Cluster(id="c", spec=plain))]) == 1


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ({"publish": [{"target_port": 80, "published_port": 8080, "mode": "host"}]}, 1),
        ({"publish": [{"target_port": 80}]}, 3),
        ({"publish": [{"target_port": 80, "mode": "host", "local_first": False}]}, 3),
        ({"networks": [{"name": "host"}]}, 1),
        ({"networks": [{"name": "mynet"}]}, 3),
        ({"drain_timeout": "9s"}, 3),
    ],
)
def test_the_mesh_came_with_level_three(options: dict[str, Any], level: int) -> None:
    mesh = made({**PLAIN, "endpoint_mode": "vip", **options})
    assert features.needed([Create(Service(id="s", spec=mesh))]) == level
    web = service("web")
    assert features.needed([Create(task(web, "t", attachments=(Attachment(network_id="n"),)))]) == 3
    assert features.needed([Create(Network(id="n"))]) == 3
    for one in (Node(id="n", spec=NodeSpec(mesh_backend="ipvs")), Cluster(id="c", spec=SwarmSpec(mesh_backend="ipvs"))):
        assert features.needed([Create(one)]) == 3


def test_the_life_of_trust_came_with_level_four() -> None:
    assert features.needed([Create(Certificate(id="1a", node_id="n"))]) == 4
    for trust in (
        {"intermediates": "PEM"},
        {"root_rotation": RootRotation()},
        {"former_roots": (FormerRoot(),)},
        {"unlock_key": "x"},
    ):
        assert features.needed([Create(Cluster(id="c", **trust))]) == 4  # type: ignore[arg-type]
    for ca in (CAConfig(key_algorithm="p384"), CAConfig(external_cas=(ExternalCA(url="https://ca/sign"),))):
        assert features.needed([Create(Cluster(id="c", spec=SwarmSpec(ca=ca)))]) == 4
    assert features.needed([Create(Cluster(id="c", spec=SwarmSpec(ca=CAConfig(node_cert_expiry=1))))]) == 1


def test_stacks_and_services_that_await_others_came_with_level_five() -> None:
    assert features.needed([Create(Stack(id="k", revision=Revision(number=1)))]) == 5
    web = Service(id="s", spec=made(PLAIN))
    assert features.needed([Create(dataclasses.replace(web, awaits=("db",)))]) == 5
    assert features.needed([Create(dataclasses.replace(web, changed_by="ada"))]) == 1, "words"


def test_members_show_each_other_the_level_of_their_release() -> None:
    assert FEATURE_LEVEL == features.LEVEL
