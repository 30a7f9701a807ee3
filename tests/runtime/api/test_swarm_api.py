# SPDX-License-Identifier: Apache-2.0
"""``/swarm``, the words of hosts that are no managers, and the swarm's part of ``/info``."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from runtime.api.kit import Api, Host
from runtime.api.managers import Managers
from runtime.manager.kit import World

from queenright.manager import texts
from queenright.manager.ports import InitOptions, JoinOptions, LocalState

DEFAULT_SPEC = json.loads(
    '{"Name":"default","Labels":{},"Orchestration":{"TaskHistoryRetentionLimit":5},"Raft":{"SnapshotInterval":10000,'
    '"KeepOldSnapshots":0,"LogEntriesForSlowFollowers":500,"ElectionTick":10,"HeartbeatTick":1},"Dispatcher":'
    '{"HeartbeatPeriod":5000000000},"CAConfig":{"NodeCertExpiry":7776000000000000},"TaskDefaults":{},'
    '"EncryptionConfig":{"AutoLockManagers":false}}'
)
TOKEN = "SWMTKN-1-" + "0" * 49 + "1-" + "0" * 25

NOT_IN_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this "
    "command on a manager node or promote the current node to a manager."
)
PREPARING = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."

MANAGER_CALLS = [
    ("GET", "/swarm", None),
    ("POST", "/swarm/update?version=1", {}),
    ("GET", "/swarm/unlockkey", None),
    ("GET", "/nodes", None),
    ("GET", "/nodes/x", None),
    ("DELETE", "/nodes/x", None),
    ("POST", "/nodes/x/update?version=1", {}),
    ("GET", "/services", None),
    ("POST", "/services/create", {}),
    ("GET", "/services/x", None),
    ("DELETE", "/services/x", None),
    ("POST", "/services/x/update?version=1", {}),
    ("GET", "/services/x/logs?stdout=1", None),
    ("GET", "/tasks", None),
    ("GET", "/tasks/x", None),
    ("GET", "/secrets", None),
    ("POST", "/secrets/create", {}),
    ("GET", "/configs", None),
    ("POST", "/queenright/v1/apply", {}),
    ("GET", "/queenright/v1/ca", None),
    ("POST", "/queenright/v1/ca", {}),
    ("POST", "/queenright/v1/ca/revoke", {}),
    ("POST", "/queenright/v1/tickets", {}),
    ("GET", "/queenright/v1/wait?kind=node&id=x", None),
]


@pytest.mark.parametrize(("method", "target", "body"), MANAGER_CALLS)
async def test_hosts_that_are_no_managers_say_so_in_docker_s_words(method: str, target: str, body: object) -> None:
    assert await Api.outside().error(method, target, body) == (503, NOT_IN_SWARM)
    assert await Api.worker().error(method, target, body) == (503, WORKER)
    starting = Api(Host(LocalState(state="pending", role="manager")))
    assert await starting.error(method, target, body) == (503, PREPARING)
    broken = Api(Host(LocalState(state="error", role="manager", error="the disk is full")))
    assert await broken.error(method, target, body) == (503, PREPARING + " (the disk is full)")


async def test_init_hands_on_what_the_client_said_and_answers_the_node_id_as_a_string() -> None:
    api = Api.outside()
    body = {
        "ListenAddr": "0.0.0.0:2377",
        "AdvertiseAddr": "eth0",
        "DataPathAddr": "192.0.2.7",
        "DataPathPort": 5000,
        "DefaultAddrPool": ["10.9.0.0/16"],
        "SubnetSize": 26,
        "ForceNewCluster": False,
        "AutoLockManagers": False,
        "Availability": "Drain",
        "Spec": {"Labels": {"a": "b"}},
    }
    assert await api.call("POST", "/swarm/init", body) == (200, "n" * 25)
    assert api.host.calls == [
        InitOptions(
            listen_addr="0.0.0.0:2377",
            advertise_addr="eth0",
            data_path_addr="192.0.2.7",
            data_path_port=5000,
            default_addr_pool=("10.9.0.0/16",),
            subnet_size=26,
            availability="drain",
            spec={"Labels": {"a": "b"}},
        )
    ]


async def test_init_drops_what_old_clients_cannot_mean() -> None:
    api = Api.outside()
    body = {"DataPathPort": 5000, "DefaultAddrPool": ["10.9.0.0/16"], "SubnetSize": 26}
    await api.call("POST", "/swarm/init", body, version=(1, 38))
    await api.call("POST", "/swarm/init", body, version=(1, 39))
    old, newer = api.host.calls
    assert (old.data_path_port, old.default_addr_pool, old.subnet_size) == (0, (), 0)
    assert (newer.data_path_port, newer.default_addr_pool, newer.subnet_size) == (0, ("10.9.0.0/16",), 26)


async def test_a_new_cluster_is_forced_on_a_member_by_the_host_itself() -> None:
    managers = Managers()
    asked: list[InitOptions] = []

    async def init(options: InitOptions) -> str:
        asked.append(options)
        return managers.second.node_id

    managers.second.host.init = init  # type: ignore[method-assign]
    managers.cut_off(managers.second)
    body = {"ForceNewCluster": True, "AdvertiseAddr": "192.0.2.2", "Spec": {}}
    assert await managers.second.api.call("POST", "/swarm/init", body) == (200, managers.second.node_id)
    assert asked == [InitOptions(force_new_cluster=True, advertise_addr="192.0.2.2")]
    assert managers.second.way.calls == []


async def test_init_on_a_member_is_refused() -> None:
    status, message = await Api.worker().error("POST", "/swarm/init", {})
    assert status == 503
    assert message.startswith('This node is already part of a swarm. Use "docker swarm leave"')


@pytest.mark.parametrize(
    "body",
    [
        {"ListenAddr": 5},
        {"DefaultAddrPool": "10.0.0.0/8"},
        {"DefaultAddrPool": [5]},
        {"SubnetSize": "24"},
        {"SubnetSize": True},
        {"SubnetSize": -1},
        {"DataPathPort": 1 << 40},
        {"Spec": []},
        {"ForceNewCluster": "yes"},
    ],
)
async def test_init_refuses_wrong_types(body: dict[str, object]) -> None:
    api = Api.outside()
    status, message = await api.error("POST", "/swarm/init", body)
    assert status == 400
    assert next(iter(body)) in message
    assert api.host.calls == []


async def test_join_hands_on_addresses_and_secret() -> None:
    api = Api.outside()
    body = {"RemoteAddrs": ["192.0.2.1:2377"], "JoinToken": TOKEN, "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": ""}
    assert await api.raw("POST", "/swarm/join", body) == (200, b"")
    assert api.host.calls == [JoinOptions(remote_addrs=("192.0.2.1:2377",), secret=TOKEN, listen_addr="0.0.0.0:2377")]
    ticket = "QRTICKET-1-" + TOKEN.removeprefix("SWMTKN-1-")
    assert (await api.raw("POST", "/swarm/join", {**body, "JoinToken": ticket}))[0] == 200


async def test_join_refuses_what_cannot_work_and_repeats_no_secret() -> None:
    api = Api.outside()
    assert await api.error("POST", "/swarm/join", {"JoinToken": TOKEN}) == (
        400,
        "at least 1 RemoteAddr is required to join",
    )
    for secret in ("", "SWMTKN-1-secret", "garbage-of-the-user", TOKEN + "x", TOKEN[:-1] + "A"):
        status, message = await api.error("POST", "/swarm/join", {"RemoteAddrs": ["h"], "JoinToken": secret})
        assert status == 400
        assert not secret or secret not in message
    assert (await Api.worker().error("POST", "/swarm/join", {"RemoteAddrs": ["h"], "JoinToken": TOKEN}))[0] == 503
    assert api.host.calls == []


async def test_leave_asks_a_manager_for_force_and_takes_every_spelling_of_it() -> None:
    for target in ("/swarm/leave", "/queenright/v1/leave"):
        assert await Api.outside().error("POST", target) == (503, "This node is not part of a swarm")
        assert await Api.worker().raw("POST", target) == (200, b"")
        api = Api.manager(World.make())
        for force in ("", "?force=False", "?force=0", "?force=false"):
            status, message = await api.error("POST", target + force)
            assert status == 503
            assert "You are attempting to leave the swarm on a node that is participating as a manager" in message
        for force in ("1", "True", "true"):
            assert await api.raw("POST", f"{target}?force={force}") == (200, b"")
        assert api.host.calls == [True] * 3


async def test_the_swarm_looks_as_docker_shows_it() -> None:
    world = World.make()
    cluster = world.context.cluster
    assert await Api.manager(world).get("/swarm") == {
        "ID": cluster.id,
        "Version": {"Index": 1},
        "CreatedAt": "2023-11-14T22:13:20.000000000Z",
        "UpdatedAt": "2023-11-14T22:13:20.000000000Z",
        "Spec": DEFAULT_SPEC,
        "TLSInfo": {
            "TrustRoot": "-----ROOT-----\n",
            "CertIssuerSubject": "c3ViamVjdA==",
            "CertIssuerPublicKey": "a2V5",
        },
        "RootRotationInProgress": False,
        "DefaultAddrPool": ["10.0.0.0/8"],
        "SubnetSize": 24,
        "DataPathPort": 4789,
        "JoinTokens": {"Worker": cluster.worker_token, "Manager": cluster.manager_token},
    }


async def test_info_has_the_swarm_without_its_secrets() -> None:
    world = World.make()
    world.worker("one")
    info = await Api.manager(world).routes.swarm_info()
    assert info["NodeID"] == world.manager_id
    assert info["NodeAddr"] == "192.0.2.1"
    assert info["LocalNodeState"] == "active"
    assert info["ControlAvailable"] is True
    assert info["RemoteManagers"] == [{"NodeID": world.manager_id, "Addr": "192.0.2.1:2377"}]
    assert (info["Nodes"], info["Managers"]) == (2, 1)
    assert info["Cluster"]["Spec"] == DEFAULT_SPEC
    text = json.dumps(info)
    assert "JoinTokens" not in text
    assert "SWMTKN" not in text
    assert "-----KEY-----" not in text


async def test_info_of_workers_and_of_hosts_in_no_swarm() -> None:
    worker = await Api.worker().routes.swarm_info()
    assert (worker["LocalNodeState"], worker["ControlAvailable"]) == ("active", False)
    assert "Cluster" not in worker
    assert await Api.outside().routes.swarm_info() == {
        "NodeID": "",
        "NodeAddr": "",
        "LocalNodeState": "inactive",
        "ControlAvailable": False,
        "Error": "",
        "RemoteManagers": None,
    }


def test_the_ping_header_tells_the_state() -> None:
    assert Api.outside().routes.swarm_state() == "inactive"
    assert Api.worker().routes.swarm_state() == "active/worker"
    assert Api.manager(World.make()).routes.swarm_state() == "active/manager"
    assert Api(Host(LocalState(state="pending"))).routes.swarm_state() == "pending"


async def test_an_update_takes_the_spec_as_a_whole() -> None:
    world = World.make()
    api = Api.manager(world)
    spec = {**DEFAULT_SPEC, "Orchestration": {"TaskHistoryRetentionLimit": 2}, "Labels": {"a": "b"}}
    target = f"/swarm/update?version={world.context.cluster.version}"
    flags = "&rotateWorkerToken=false&rotateManagerToken=false&rotateManagerUnlockKey=false"
    before = world.context.cluster
    assert await api.raw("POST", target + flags, spec) == (200, b"")
    assert (await api.get("/swarm"))["Spec"] == spec
    assert world.context.cluster.worker_token == before.worker_token
    target = f"/swarm/update?version={world.context.cluster.version}"
    assert await api.raw("POST", target, {"Name": "default"}) == (200, b"")
    bare = (await api.get("/swarm"))["Spec"]
    assert bare["Orchestration"] == bare["Raft"] == bare["Dispatcher"] == bare["CAConfig"] == {}
    assert bare["Labels"] == {}


async def test_each_token_is_rotated_alone() -> None:
    world = World.make()
    api = Api.manager(world)
    first = world.context.cluster
    await api.call("POST", f"/swarm/update?version={first.version}&rotateWorkerToken=true", DEFAULT_SPEC)
    second = world.context.cluster
    assert second.worker_token != first.worker_token
    assert second.manager_token == first.manager_token
    await api.call("POST", f"/swarm/update?version={second.version}&rotateManagerToken=1", DEFAULT_SPEC)
    third = world.context.cluster
    assert third.manager_token != second.manager_token
    assert third.worker_token == second.worker_token
    for token in (second.worker_token, third.manager_token):
        assert len(token) == 85
        assert token.split("-")[2] == first.worker_token.split("-")[2]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"Name": "other"}, 400, "modification of cluster name is not allowed"),
        ({"CAConfig": {"NodeCertExpiry": 1_799_000_000_000}}, 400, "minimum certificate expiry time is: 30m0s"),
        ({"CAConfig": {"NodeCertExpiry": -1}}, 400, "minimum certificate expiry time is: 30m0s"),
        ({"Dispatcher": {"HeartbeatPeriod": -1}}, 400, "heartbeat time period cannot be a negative duration"),
        ({"Dispatcher": {"HeartbeatPeriod": 999_999_999}}, 400, "minimum heartbeat time period is: 1s"),
        ({"Dispatcher": {"Silence": -1}}, 400, "silence cannot be a negative duration"),
        ({"Dispatcher": {"Silence": 999_999_999}}, 400, "minimum silence is: 1s"),
        ({"Dispatcher": {"PingPeriod": 1}}, 400, "minimum ping period is: 100ms"),
        ({"Dispatcher": {"PingPeriod": 5_000_000_000}}, 400, "must be shorter than the silence"),
        ({"Raft": {"ElectionTick": 1, "HeartbeatTick": 1}}, 400, "ElectionTick must be greater than HeartbeatTick"),
        ({"Raft": {"SnapshotInterval": -1}}, 400, "cannot be negative"),
        ({"Labels": {"a": 5}}, 400, "Labels"),
        ({"TaskDefaults": {"LogDriver": {"Name": "x"}}}, 400, "defaults of tasks are not supported"),
        ({"TaskDefaults": "x"}, 400, "defaults of tasks are not supported"),
        ({"Orchestration": {"TaskHistoryRetentionLimit": 1 << 70}}, 400, "out of range"),
    ],
)
async def test_a_swarm_spec_that_cannot_be_is_refused(change: dict[str, object], status: int, words: str) -> None:
    world = World.make()
    before = world.context.cluster
    target = f"/swarm/update?version={before.version}"
    found, message = await Api.manager(world).error("POST", target, {**DEFAULT_SPEC, **change})
    assert found == status
    assert words in message
    assert world.context.cluster == before


async def test_zero_times_mean_the_default_and_not_zero() -> None:
    world = World.make()
    api = Api.manager(world)
    spec = {**DEFAULT_SPEC, "Dispatcher": {"HeartbeatPeriod": 0}, "CAConfig": {"NodeCertExpiry": 0}}
    await api.call("POST", f"/swarm/update?version={world.context.cluster.version}", spec)
    stored = world.context.cluster.spec
    assert stored.dispatcher.heartbeat_period is None
    assert stored.ca.node_cert_expiry is None


async def test_an_update_by_a_client_of_the_engine_keeps_the_tuning_that_it_does_not_know() -> None:
    world = World.make()
    api = Api.manager(world)
    tuned = {**DEFAULT_SPEC, "Dispatcher": {"HeartbeatPeriod": 5_000_000_000, "Silence": 3_000_000_000}}
    await api.call("POST", f"/swarm/update?version={world.context.cluster.version}", tuned)
    limit = {**DEFAULT_SPEC, "Orchestration": {"TaskHistoryRetentionLimit": 1}}
    await api.call("POST", f"/swarm/update?version={world.context.cluster.version}", limit)
    stored = world.context.cluster.spec
    assert (stored.dispatcher.silence, stored.orchestration.task_history_limit) == (3_000_000_000, 1)


async def test_an_update_with_an_old_or_no_version_is_refused() -> None:
    world = World.make()
    api = Api.manager(world)
    assert await api.error("POST", "/swarm/update?version=77", DEFAULT_SPEC) == (
        500,
        "rpc error: code = Unknown desc = update out of sequence",
    )
    assert (await api.error("POST", "/swarm/update", DEFAULT_SPEC))[0] == 400
    status, message = await api.error(
        "POST", f"/swarm/update?version={world.context.cluster.version}&rotateManagerUnlockKey=true", DEFAULT_SPEC
    )
    assert status == 400
    assert "autolock is not turned on" in message


async def test_an_unlock_key_is_made_shown_and_dropped_with_autolock() -> None:
    world = World.make()
    api = Api.manager(world)
    assert await api.get("/swarm/unlockkey") == {"UnlockKey": ""}
    seen = []
    locked = {**DEFAULT_SPEC, "EncryptionConfig": {"AutoLockManagers": True}}
    for rotate in ("false", "false", "true", "true"):
        version = world.context.cluster.version
        await api.call("POST", f"/swarm/update?version={version}&rotateManagerUnlockKey={rotate}", locked)
        key = (await api.get("/swarm/unlockkey"))["UnlockKey"]
        assert re.fullmatch(r"SWMKEY-1-[A-Za-z0-9+/]{43}", key)
        seen.append(key)
    assert seen[0] == seen[1], "it stays until somebody rotates it"
    assert len(set(seen)) == 3
    assert key not in json.dumps(await api.get("/swarm"))
    assert (await api.get("/swarm"))["Spec"]["EncryptionConfig"] == {"AutoLockManagers": True}
    await api.call("POST", f"/swarm/update?version={world.context.cluster.version}", DEFAULT_SPEC)
    assert await api.get("/swarm/unlockkey") == {"UnlockKey": ""}


async def test_unlocking_is_the_host_s_affair_and_a_locked_host_says_so_to_all_calls() -> None:
    body = {"UnlockKey": "SWMKEY-1-x"}
    assert await Api.manager(World.make()).error("POST", "/swarm/unlock", body) == (409, "swarm is not locked")
    assert (await Api.outside().error("POST", "/swarm/unlock", {}))[0] == 503
    locked = Api(Host(LocalState(state="locked", role="manager", node_id="n", error=texts.LOCKED)))
    for method, path, body in (("GET", "/swarm", None), ("GET", "/nodes", None), ("POST", "/services/create", {})):
        assert await locked.error(method, path, body) == (503, texts.LOCKED)
    assert (await locked.raw("POST", "/swarm/unlock", {"UnlockKey": "SWMKEY-1-x"}))[0] == 200
    assert locked.host.calls == ["SWMKEY-1-x"]
    assert locked.routes.swarm_state() == "locked"
    info = await locked.routes.swarm_info()
    assert (info["LocalNodeState"], info["ControlAvailable"], info["Error"]) == ("locked", False, texts.LOCKED)


async def test_a_new_swarm_has_no_secrets_and_configs() -> None:
    api = Api.manager(World.make())
    for kind in ("secrets", "configs"):
        assert await api.get(f"/{kind}") == []
        assert await api.error("GET", f"/{kind}/x") == (404, f"{kind[:-1]} x not found")
        assert (await api.error("DELETE", f"/{kind}/x"))[0] == 404
    assert await api.get('/secrets?filters={"names":["x"]}') == []
    assert (await api.error("GET", '/configs?filters={"names":["x"]}'))[0] == 400


async def test_a_swarm_whose_state_is_not_there_yet_is_unavailable() -> None:
    world = World.make()
    state = LocalState(state="active", role="manager")
    empty = dataclasses.replace(world.context, store=type(world.store)())
    world.control.context = empty
    status, message = await Api(Host(state, world)).error("GET", "/swarm")
    assert status == 503
    assert "the manager is starting" in message


async def test_the_unlock_key_is_for_root_only() -> None:
    router = Api.manager(World.make()).router
    for method, path in (("POST", "/swarm/unlock"), ("GET", "/swarm/unlockkey")):
        found = router.find(method, path)
        assert found is not None
        assert found[0].root
