# SPDX-License-Identifier: Apache-2.0
"""Whatever a client sends, it gets an answer: never a failure that nobody foresaw, and never half a write."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from runtime.api.kit import Api
from runtime.manager.kit import World, key_digest, service_json

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from(["", "web", "a b", "node.id==x", "10.0.0.0/8", "\0", "1h", "worker", "drain"]),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=6,
)
SPEC_KEYS = (
    "Name Labels TaskTemplate ContainerSpec Image Env Mounts Target Source Type Healthcheck Test Interval "
    "Resources Limits Reservations NanoCPUs MemoryBytes RestartPolicy Condition Delay Placement "
    "Constraints Preferences Spread MaxReplicas Networks Mode Replicated Replicas Global UpdateConfig "
    "RollbackConfig MaxFailureRatio EndpointSpec Ports TargetPort PublishMode Privileges Ulimits Role "
    "Availability Orchestration TaskHistoryRetentionLimit Raft Dispatcher HeartbeatPeriod CAConfig "
    "NodeCertExpiry EncryptionConfig AutoLockManagers DNSConfig"
).split()
OPTION_KEYS = (
    "image env labels replicas mode limits reservations mounts publish healthcheck networks update_config "
    "rollback_config restart_policy constraints preferences command args role availability "
    "node_cert_expiry default_addr_pool subnet_size advertise_addr stop_grace_period cpus memory target "
    "target_port name interval test spread order privileges ulimits sysctls"
).split()


def bodies(keys: list[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        VALUES,
        lambda inner: st.one_of(st.dictionaries(st.sampled_from(keys), inner, max_size=4), st.lists(inner, max_size=2)),
        max_leaves=8,
    )


def over(base: dict[str, Any], change: Any) -> dict[str, Any]:
    """``base`` with parts replaced, so that the checks behind the first one are reached too."""
    if not isinstance(change, dict):
        return base
    out = dict(base)
    for key, value in change.items():
        held = base.get(key)
        out[key] = over(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return out


def ask(method: str, target: str, body: Any) -> tuple[int, World]:
    """The status of one call to a manager with a service; any answer of the right form will do."""

    async def call() -> tuple[int, World]:
        world = World.make()
        api = Api.manager(world)
        await world.service("old")
        world.worker("one")
        data = json.dumps(body).encode()
        status, text = await api.raw(method, target, data, headers={"content-type": "application/json"})
        if status >= 400:
            assert isinstance(json.loads(text)["message"], str)
        return status, world

    return asyncio.run(call())


BASE = service_json(
    container={"Env": ["A=1"], "Healthcheck": {"Interval": 1}, "DNSConfig": {}},
    task={"Resources": {"Limits": {}}, "Placement": {"Constraints": []}, "RestartPolicy": {}},
    Mode={"Replicated": {"Replicas": 1}},
    EndpointSpec={"Ports": []},
    UpdateConfig={},
)


@given(bodies(SPEC_KEYS), st.booleans())
def test_services_create_answers_anything(change: Any, whole: bool) -> None:
    status, world = ask("POST", "/services/create", change if whole else over(BASE, change))
    assert status in (201, 400, 409)
    assert len(world.store.services) == (2 if status == 201 else 1)


@given(st.dictionaries(st.sampled_from(["Image", "Env", "Mounts", "Healthcheck", "Labels", "Ulimits"]), VALUES))
def test_containers_of_any_shape_are_answered(container: Any) -> None:
    assert ask("POST", "/services/create", service_json(container=container))[0] in (201, 400)


@given(st.dictionaries(st.sampled_from(["Replicated", "Global", "ReplicatedJob"]), VALUES))
def test_modes_of_any_shape_are_answered(mode: Any) -> None:
    assert ask("POST", "/services/create", service_json(Mode=mode))[0] in (201, 400)


@given(bodies(SPEC_KEYS), st.integers(0, 9))
def test_services_update_answers_anything(change: Any, version: int) -> None:
    status, _ = ask("POST", f"/services/old/update?version={version}", over({**BASE, "Name": "old"}, change))
    assert status in (200, 400, 409, 501) or (status == 500 and version != 3)


@given(bodies(SPEC_KEYS))
def test_nodes_update_answers_anything(change: Any) -> None:
    body = over({"Role": "worker", "Availability": "active", "Labels": {}}, change)
    assert ask("POST", "/nodes/one/update?version=5", body)[0] in (200, 400)


@given(bodies(SPEC_KEYS))
def test_swarm_update_answers_anything(change: Any) -> None:
    body = over({"Name": "default", "Orchestration": {}, "Raft": {}, "Dispatcher": {}, "CAConfig": {}}, change)
    assert ask("POST", "/swarm/update?version=1", body)[0] in (200, 400, 501)


@given(st.sampled_from(["service", "node", "swarm"]), bodies(OPTION_KEYS), st.booleans())
def test_apply_answers_anything(kind: str, options: Any, dry_run: bool) -> None:
    name = {"service": "old", "node": "one", "swarm": ""}[kind]
    body = {"kind": kind, "name": name, "options": options}
    status, world = ask("POST", f"/queenright/v1/apply?dry_run={int(dry_run)}", body)
    assert status in (200, 400, 501)
    if dry_run:
        assert world.store.index == 5


@given(bodies(["kind", "name", "state", "options", "context"]))
def test_apply_answers_any_body(body: Any) -> None:
    assert ask("POST", "/queenright/v1/apply", body)[0] in (200, 400, 404)


@given(bodies(["role", "key_digest", "availability", "labels"]))
def test_tickets_answer_any_body(body: Any) -> None:
    base = {"role": "worker", "key_digest": key_digest("one")}
    status, world = ask("POST", "/queenright/v1/tickets", over(base, body))
    assert status in (201, 400)
    assert len(world.store.tickets) == (status == 201)


@given(st.sampled_from(["/nodes", "/services", "/tasks", "/secrets", "/configs"]), VALUES)
def test_filters_of_any_shape_are_answered(path: str, filters: Any) -> None:
    status, _ = ask("GET", f"{path}?filters={quote(json.dumps(filters))}", None)
    assert status in (200, 400)


@given(
    st.dictionaries(
        st.sampled_from(["id", "name", "label", "service", "node", "role", "mode", "desired-state", "_up-to-date"]),
        st.one_of(st.lists(st.text(max_size=4)), st.dictionaries(st.text(max_size=4), st.booleans())),
    ),
    st.sampled_from(["/nodes", "/services", "/tasks"]),
)
def test_filter_values_of_any_text_are_answered(filters: Any, path: str) -> None:
    status, _ = ask("GET", f"{path}?filters={quote(json.dumps(filters))}", None)
    assert status in (200, 400, 404)


@given(st.text(min_size=1, max_size=12).filter(lambda text: "/" not in text))
def test_references_of_any_text_are_answered(ref: str) -> None:
    for method, target in (
        ("GET", "/services/{}"), ("DELETE", "/services/{}"), ("GET", "/nodes/{}"), ("GET", "/tasks/{}"),
        ("GET", "/queenright/v1/why/{}"),
    ):  # fmt: skip
        assert ask(method, target.format(quote(ref)), None)[0] in (200, 400, 404)


@given(
    st.sampled_from(
        [
            {"limits": {"cpus": 1e999}},
            {"limits": {"cpus": "inf"}},
            {"limits": {"memory": "9" * 400 + "G"}},
            {"stop_grace_period": 1e999},
            {"stop_grace_period": "9" * 400 + "s"},
            {"update_config": {"max_failure_ratio": 10**400}},
            {"update_config": {"max_failure_ratio": 1e999}},
            {"replicas": 10**400},
            {"env": {"A": "\ud800"}},
            {"image": "\ud800"},
        ]
    )
)
def test_numbers_beyond_all_bounds_are_refused(options: dict[str, Any]) -> None:
    assert ask("POST", "/queenright/v1/apply", {"kind": "service", "name": "old", "options": options})[0] == 400


def test_content_that_is_no_json_object_is_refused() -> None:
    async def call(body: bytes, content_type: str) -> int:
        headers = {"content-type": content_type}
        return (await Api.manager(World.make()).raw("POST", "/services/create", body, headers=headers))[0]

    for body, content_type in (
        (b"{", "application/json"),
        (b"{} {}", "application/json"),
        (b"[]", "application/json"),
        (b'"x"', "application/json"),
        (b"{}", "text/plain"),
        (b"\xff", "application/json"),
        (b'{"a":' * 100_000, "application/json"),
    ):
        assert asyncio.run(call(body, content_type)) == 400
