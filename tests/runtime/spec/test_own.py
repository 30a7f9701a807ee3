# SPDX-License-Identifier: Apache-2.0
"""Keys of our own outlive clients that do not know them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from runtime.spec.test_laws import bodies

from queenright.spec import fields
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.data import ConfigSpec, RegistrySpec, SecretSpec
from queenright.spec.service import ServiceSpec

OWN = {
    "UpdateConfig": ("Gate", "Timeout"),
    "RollbackConfig": ("Gate", "Timeout"),
    "BindOptions": ("Relabel",),
    "Dispatcher": ("PingPeriod", "Silence", "ProbeGrace", "RestartGrace"),
}


def service(options: dict[str, Any]) -> ServiceSpec:
    return fields.merge(ServiceSpec, None, {"image": "app", **options})


def through_client(spec: Any) -> Any:
    """What comes back of a client that reads the spec, knows nothing of our keys, and sends it as it understood it."""

    def without(value: Any, above: str = "") -> Any:
        if isinstance(value, dict):
            return {key: without(item, key) for key, item in value.items() if key not in OWN.get(above, ())}
        return [without(item) for item in value] if isinstance(value, list) else value

    return fields.decode(type(spec), without(json.loads(json.dumps(fields.encode(spec)))))


def bind(**more: Any) -> dict[str, Any]:
    return {"type": "bind", "source": "/srv", "target": "/data", "bind": {"relabel": "shared"}, **more}


def test_a_client_that_does_not_know_our_keys_does_not_clear_them() -> None:
    before = service(
        {
            "update_config": {"gate": "monitor", "timeout": "0s"},
            "rollback_config": {"delay": "1s", "gate": "monitor"},
            "mounts": [bind(), {"type": "tmpfs", "target": "/t"}],
        }
    )
    assert fields.keep_own(before, through_client(before)) == before


def test_what_the_client_changed_is_changed() -> None:
    before = service({"update_config": {"gate": "monitor", "parallelism": 2}})
    after = fields.keep_own(before, service({"update_config": {"parallelism": 5}, "labels": {"a": "b"}}))
    assert fields.options_of(after)["update_config"] == {"gate": "monitor", "parallelism": 5}
    assert after.labels == {"a": "b"}


def test_a_client_that_knows_our_keys_can_change_them() -> None:
    before = service({"update_config": {"gate": "monitor", "timeout": "1m"}})
    after = fields.keep_own(before, service({"update_config": {"gate": "running"}}))
    assert fields.options_of(after)["update_config"] == {"gate": "running", "timeout": "1m"}


def test_a_mount_is_the_same_as_long_as_source_and_target_are() -> None:
    before = service({"mounts": [bind(), bind(target="/other", bind={"relabel": "private"})]})
    turned = service({"mounts": [bind(target="/other", bind=None), bind(bind=None, read_only=True)]})
    assert [mount.bind and mount.bind.relabel for mount in fields.keep_own(before, turned).task.container.mounts] == [
        "private",
        "shared",
    ]
    moved = service({"mounts": [bind(source="/elsewhere", bind=None), {"target": "/data", "source": "vol"}]})
    assert fields.keep_own(before, moved) == moved


def test_nothing_is_kept_where_nothing_was() -> None:
    plain = service({"labels": {"a": "b"}})
    assert fields.keep_own(service({}), plain) == plain
    assert fields.keep_own(service({"mounts": [bind()]}), plain) == plain, "the mount is gone"


def test_the_tuning_of_the_swarm_outlives_its_update_by_another_client() -> None:
    tuned = {"dispatcher_silence": "3s", "dispatcher_ping_period": "500ms", "dispatcher_heartbeat_period": "5s"}
    before = fields.merge(SwarmSpec, None, tuned)
    changed = fields.merge(SwarmSpec, through_client(before), {"task_history_retention_limit": 2})
    after = fields.keep_own(before, changed)
    assert fields.options_of(after) == {**tuned, "task_history_retention_limit": 2}


def test_ports_and_the_drain_keep_what_only_we_say_of_them() -> None:
    web = {"target_port": 80, "published_port": 8080, "local_first": True}
    before = service({"publish": [web, {"target_port": 53, "protocol": "udp"}], "drain_timeout": "1m"})
    more = {**web, "local_first": None}, {"target_port": 443, "published_port": 8443}
    after = fields.keep_own(before, service({"publish": list(more), "endpoint_mode": "vip"}))
    assert after.endpoint.drain == before.endpoint.drain
    assert [port.local_first for port in after.endpoint.ports] == [True, None]
    moved = service({"publish": [{"target_port": 80, "published_port": 9090}]})
    assert [port.local_first for port in fields.keep_own(before, moved).endpoint.ports] == [None], "another port"


def test_a_node_keeps_its_backend() -> None:
    before = fields.merge(NodeSpec, None, {"role": "worker", "mesh_backend": "ipvs"})
    assert fields.keep_own(before, NodeSpec(role="manager")).mesh_backend == "ipvs"


@given(bodies())
def test_no_service_loses_anything_on_its_way_through_a_client(body: dict[str, Any]) -> None:
    before = fields.decode(ServiceSpec, body)
    mounts = before.task.container.mounts
    ports = before.endpoint.ports
    known = {(port.target_port, port.published_port, port.protocol, port.mode) for port in ports}
    if len({(mount.type, mount.source, mount.target) for mount in mounts}) == len(mounts) and len(known) == len(ports):
        assert fields.keep_own(before, through_client(before)) == before
    assert fields.keep_own(before, before) == before


def test_data_is_never_part_of_what_is_said_of_a_secret() -> None:
    body = {"Name": "key", "Labels": {"a": "b"}, "Data": "c2VjcmV0", "Templating": {"Name": "golang"}}
    for record in (SecretSpec, ConfigSpec):
        spec = fields.decode(record, body)
        assert fields.encode(spec) == {"Name": "key", "Labels": {"a": "b"}, "Templating": {"Name": "golang"}}
        assert fields.options_of(spec) == {"labels": {"a": "b"}, "template_driver": "golang"}
        assert fields.encode(fields.decode(record, body, version=(1, 36))) == {"Name": "key", "Labels": {"a": "b"}}
    assert fields.option_names(RegistrySpec) == ("username",)
