# SPDX-License-Identifier: Apache-2.0
"""One row, many readers: Engine JSON, playbook options, documentation and differences."""

from __future__ import annotations

from typing import Any

import pytest

from queenright.spec import codecs, fields
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.container import ContainerSpec
from queenright.spec.fields import SpecError
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec

ENGINE = {
    "Name": "web",
    "Labels": {"a": "b"},
    "TaskTemplate": {
        "ContainerSpec": {"Image": "x", "Env": ["A=b"], "StopGracePeriod": 5_000_000_000, "Mounts": [{"Target": "/t"}]},
        "Resources": {"Limits": {"NanoCPUs": 500_000_000}},
        "RestartPolicy": {"Condition": "on-failure", "MaxAttempts": 2},
    },
    "Mode": {"Replicated": {"Replicas": 3}},
    "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}]},
}


def web() -> ServiceSpec:
    return fields.decode(ServiceSpec, ENGINE)


def test_engine_json_comes_back_with_nothing_lost() -> None:
    again = fields.encode(web())
    assert fields.decode(ServiceSpec, again) == web()
    assert again["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=b"]
    assert again["Mode"] == {"Replicated": {"Replicas": 3}}


def test_docker_s_empty_objects_are_shown_where_nothing_was_set() -> None:
    shown = fields.encode(fields.decode(ServiceSpec, {"Name": "x", "TaskTemplate": {"ContainerSpec": {"Image": "i"}}}))
    assert shown["TaskTemplate"] == {
        "ContainerSpec": {"Image": "i", "Init": False, "DNSConfig": {}, "Isolation": "default"},
        "Resources": {"Limits": {}, "Reservations": {}},
        "Placement": {},
        "ForceUpdate": 0,
        "Runtime": "container",
    }


def test_keys_match_without_regard_to_case_and_unknown_ones_are_passed_over() -> None:
    spec = fields.decode(ContainerSpec, {"image": "i", "HealthCheck": {"test": ["NONE"]}, "Nonsense": 1})
    assert spec.image == "i"
    assert spec.healthcheck is not None
    assert spec.healthcheck.test == ("NONE",)


@pytest.mark.parametrize("empty", [None, {}, {"Labels": None}, {"Labels": {}}, {"TaskTemplate": {"Placement": {}}}])
def test_null_empty_and_absent_are_one(empty: Any) -> None:
    assert fields.decode(ServiceSpec, empty) == ServiceSpec()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"Name": 5}, "Name: expected a string, got int"),
        ({"TaskTemplate": []}, "TaskTemplate: expected an object, got list"),
        ({"TaskTemplate": {"Resources": {"Limits": {"NanoCPUs": "1"}}}}, "TaskTemplate.Resources.Limits.NanoCPUs"),
        (
            {"EndpointSpec": {"Ports": [{"Protocol": "icmp"}]}},
            r"EndpointSpec.Ports\[0\].Protocol: 'icmp' is none of tcp",
        ),
        ({"Mode": {"Replicated": {}, "Global": {}}}, "must specify only one service mode"),
        ({"Mode": {"ReplicatedJob": {"MaxConcurrent": -1}}}, "not negative"),
        ({"TaskTemplate": {"ContainerSpec": {"Secrets": [5]}}}, "expected an object"),
        ({"Mode": {"Replicated": {"Replicas": -1}}}, "not negative"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_its_place(body: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        fields.decode(ServiceSpec, body)


def test_fields_newer_than_the_client_s_api_are_dropped() -> None:
    body = {"TaskTemplate": {"ContainerSpec": {"Image": "i", "CapabilityAdd": ["NET_RAW"]}}}
    assert fields.decode(ServiceSpec, body, version=(1, 40)).task.container.cap_add == ()
    assert fields.decode(ServiceSpec, body, version=(1, 41)).task.container.cap_add == ("NET_RAW",)


def test_a_client_that_sends_back_what_it_was_shown_changes_nothing() -> None:
    spec = fields.merge(ServiceSpec, None, {"image": "i"})
    assert fields.decode(ServiceSpec, fields.encode(spec)) == spec
    assert (spec.mode.kind, spec.mode.replicas) == ("replicated", 1)


def test_what_a_playbook_does_not_mention_stays_as_it_is() -> None:
    merged = fields.merge(ServiceSpec, web(), {"replicas": 5})
    assert fields.difference(fields.encode(web()), fields.encode(merged)) == {
        "Mode.Replicated.Replicas": {"before": 3, "after": 5}
    }


def test_null_clears_and_a_suboption_alone_changes() -> None:
    merged = fields.merge(
        ServiceSpec, web(), {"env": None, "restart_policy": {"max_attempts": 9}, "limits": {"cpus": None}}
    )
    assert merged.task.container.env == ()
    assert merged.task.restart_policy is not None
    assert (merged.task.restart_policy.condition, merged.task.restart_policy.max_attempts) == ("on-failure", 9)
    assert merged.task.resources.limits is None


def test_a_list_is_replaced_as_a_whole() -> None:
    merged = fields.merge(ServiceSpec, web(), {"publish": [{"target_port": 81, "mode": "host"}]})
    assert [port.target_port for port in merged.endpoint.ports] == [81]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"replicaz": 1}, "replicaz: there is no such option"),
        ({"publish": [{"published_port": 1}]}, r"publish\[0\].target_port: is required"),
        ({"mode": "global", "replicas": 2}, "a global service runs one task on each node"),
        ({"replicas": -1}, "must not be negative"),
        ({"limits": {"memory": "much"}}, "limits.memory: 'much' is no size"),
        ({"stop_grace_period": "soon"}, "stop_grace_period: 'soon' is no duration"),
        ({"env": {"A": [1]}}, "env: expected a plain value"),
        (
            {"update_config": {"order": "sideways"}},
            "update_config.order: 'sideways' is none of stop-first, start-first",
        ),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        fields.merge(ServiceSpec, web(), options)


def test_a_service_can_be_said_in_options_that_make_it_again() -> None:
    options = fields.options_of(web())
    assert fields.merge(ServiceSpec, ServiceSpec(name="web"), options) == web()


@pytest.mark.parametrize("record", [ServiceSpec, SwarmSpec, NodeSpec, NetworkSpec])
def test_arguments_and_documentation_name_the_same_options(record: type) -> None:
    arguments, documented = fields.argument_spec(record), fields.documentation(record)
    assert set(arguments) == set(documented) == set(fields.option_names(record))
    for name, item in documented.items():
        assert item["description"][0].endswith("."), name
        assert arguments[name]["type"] == item["type"]
        assert arguments[name].get("choices") == item.get("choices")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("10s", 10**10),
        ("1m30s", 90 * 10**9),
        ("90d", 90 * 86400 * 10**9),
        ("500ms", 5 * 10**8),
        ("5", 5 * 10**9),
        (2, 2 * 10**9),
    ],
)
def test_durations_are_read(text: Any, nanoseconds: int) -> None:
    assert codecs.duration(text) == nanoseconds
    assert codecs.duration(codecs.duration_text(nanoseconds)) == nanoseconds


@pytest.mark.parametrize(
    ("text", "count"), [("64M", 64 << 20), ("1.5G", 3 << 29), ("512KiB", 512 << 10), ("7", 7), (7, 7)]
)
def test_sizes_are_read(text: Any, count: int) -> None:
    assert codecs.size(text) == count
    assert codecs.size(codecs.size_text(count)) == count
