# SPDX-License-Identifier: Apache-2.0
"""Plan and apply: what is not mentioned stays as it is, and check mode says what the real run does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from runtime.manager.kit import World, service_spec

from queenright.manager.plans import Wish
from queenright.model.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfSequence,
    Unavailable,
    Unimplemented,
)
from queenright.model.objects import UpdateStatus
from queenright.model.states import NodeState, UpdateState
from queenright.spec.fields import SpecError

FULL: dict[str, Any] = {
    "image": "busybox:1",
    "command": ["sleep"],
    "args": ["60"],
    "env": {"A": 1, "B": True},
    "labels": {"tier": "front"},
    "container_labels": {"c": "d"},
    "replicas": 2,
    "stop_grace_period": "30s",
    "limits": {"cpus": 0.5, "memory": "64M"},
    "update_config": {"parallelism": 2, "order": "start-first"},
    "publish": [{"target_port": 80, "published_port": 8080, "mode": "host"}],
}


async def apply(
    world: World, kind: str, name: str, options: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    dry_run = more.pop("dry_run", False)
    return await world.control.applier.apply(Wish(kind, name, options=options or {}, **more), dry_run=dry_run)


async def both(
    world: World, kind: str, name: str, options: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Check mode, then the real run: they must say the same, and check mode must write nothing."""
    index = world.store.index
    planned = await apply(world, kind, name, options, dry_run=True, **more)
    assert world.store.index == index
    done = await apply(world, kind, name, options, **more)
    for key in ("changed", "before", "after", "diff", "actions", "warnings"):
        assert planned[key] == done[key], key
    assert (world.store.index != index) == done["changed"]
    again = await apply(world, kind, name, options, **more)
    assert again["changed"] is False
    assert again["diff"] == {}
    assert again["actions"] == []
    return done


async def test_a_service_is_created_and_then_nothing_changes() -> None:
    world = World.make()
    done = await both(world, "service", "web", FULL)
    service = world.get_service("web")
    assert done["changed"] is True
    assert done["before"] is None
    assert done["after"]["Name"] == "web"
    assert done["actions"] == ["create service web"]
    assert (done["id"], done["version"]) == (service.id, service.version)
    assert service.spec.task.container.env == ("A=1", "B=true")


async def test_a_planned_creation_has_no_id_yet() -> None:
    world = World.make()
    planned = await apply(world, "service", "web", FULL, dry_run=True)
    assert (planned["id"], planned["version"]) == ("", 0)
    assert planned["changed"] is True


async def test_one_option_changes_one_thing_and_the_diff_says_just_that() -> None:
    world = World.make()
    await apply(world, "service", "web", FULL)
    before = world.get_service("web").spec
    done = await both(world, "service", "web", {"replicas": 3})
    assert done["diff"] == {"Mode.Replicated.Replicas": {"before": 2, "after": 3}}
    after = world.get_service("web").spec
    assert dataclasses.replace(after, mode=before.mode) == before
    assert done["actions"] == ["update service web"]


async def test_null_clears_one_option_and_leaves_the_others() -> None:
    world = World.make()
    await apply(world, "service", "web", FULL)
    done = await both(world, "service", "web", {"limits": None, "stop_grace_period": None})
    assert set(done["diff"]) == {
        "TaskTemplate.ContainerSpec.StopGracePeriod",
        "TaskTemplate.Resources.Limits.MemoryBytes",
        "TaskTemplate.Resources.Limits.NanoCPUs",
    }
    assert world.get_service("web").spec.task.container.command == ("sleep",)


async def test_no_options_at_all_leave_a_service_as_it_is() -> None:
    world = World.make()
    await apply(world, "service", "web", FULL)
    before = world.get_service("web")
    done = await apply(world, "service", "web", {})
    assert done["changed"] is False
    assert done["before"] == done["after"]
    assert world.get_service("web") == before


async def test_what_means_the_same_is_no_change() -> None:
    world = World.make()
    await apply(world, "service", "web", {"image": "busybox:1"})
    for options in ({"replicas": 1}, {"labels": {}}, {"env": []}, {"mode": "replicated"}, {"healthcheck": None}):
        assert (await apply(world, "service", "web", options))["changed"] is False, options


async def test_suboptions_are_merged_like_options() -> None:
    world = World.make()
    await apply(world, "service", "web", FULL)
    await both(world, "service", "web", {"limits": {"memory": "128M"}})
    limits = world.get_service("web").spec.task.resources.limits
    assert limits is not None
    assert (limits.cpus, limits.memory) == (500_000_000, 128 << 20)


async def test_a_service_is_removed_and_absence_is_no_change() -> None:
    world = World.make()
    await apply(world, "service", "web", FULL)
    done = await both(world, "service", "web", state="absent")
    assert done["actions"] == ["remove service web"]
    assert done["after"] is None
    assert done["before"]["Name"] == "web"
    assert len(world.store.services) == 0


async def test_a_service_is_found_by_full_name_or_id_and_never_by_a_prefix() -> None:
    world = World.make()
    service = await world.service("web")
    assert (await apply(world, "service", service.id, {"replicas": 1}))["changed"] is False
    assert (await apply(world, "service", "WEB", {"replicas": 1}))["changed"] is False
    assert (await apply(world, "service", service.id[:8], state="absent"))["changed"] is False
    assert len(world.store.services) == 1


async def test_refusals_are_the_same_in_check_mode() -> None:
    world = World.make()
    await world.service("web")
    for dry_run in (True, False):
        with pytest.raises(InvalidArgument, match="ingress mode can't be used with dnsrr mode"):
            options = {"image": "a", "publish": [{"target_port": 80}], "endpoint_mode": "dnsrr"}
            await apply(world, "service", "new", options, dry_run=dry_run)
        with pytest.raises(Unimplemented, match="service mode change is not allowed"):
            await apply(world, "service", "web", {"mode": "global"}, dry_run=dry_run)
        with pytest.raises(InvalidArgument, match="image reference must be provided"):
            await apply(world, "service", "new", {}, dry_run=dry_run)
        with pytest.raises(SpecError, match="there is no such option"):
            await apply(world, "service", "web", {"imaeg": "a"}, dry_run=dry_run)
        with pytest.raises(SpecError, match="update_config"):
            await apply(world, "service", "web", {"update_config": {"order": "sideways"}}, dry_run=dry_run)


async def test_a_write_in_between_is_planned_around() -> None:
    world = World.make()
    service = await world.service("web")
    other = service_spec(Labels={"by": "other"})
    world.proposer.before.append(lambda: world.put(dataclasses.replace(world.get_service("web"), spec=other)))
    done = await apply(world, "service", "web", {"replicas": 4})
    after = world.get_service("web")
    assert after.spec.labels == {"by": "other"}
    assert after.spec.mode.replicas == 4
    assert done["diff"] == {"Mode.Replicated.Replicas": {"before": 1, "after": 4}}
    assert service.id == after.id


async def test_a_creation_in_between_becomes_an_update() -> None:
    world = World.make()
    world.proposer.before.append(lambda: world.put(world.control.services.new(service_spec("web"))))
    done = await apply(world, "service", "web", {"image": "busybox:1", "replicas": 4})
    assert done["actions"] == ["update service web"]
    assert len(world.store.services) == 1


async def test_somebody_who_always_writes_first_wins_in_the_end() -> None:
    world = World.make()
    await world.service("web")

    def bump() -> None:
        service = world.get_service("web")
        world.put(
            dataclasses.replace(service, spec=dataclasses.replace(service.spec, labels={"n": str(service.version)}))
        )
        world.proposer.before.append(bump)

    world.proposer.before.append(bump)
    with pytest.raises(OutOfSequence):
        await apply(world, "service", "web", {"replicas": 4})


async def test_credentials_are_kept_and_not_shown() -> None:
    world = World.make()
    done = await apply(world, "service", "web", {"image": "busybox:1"}, context={"registry_auth": "c2VjcmV0"})
    assert world.get_service("web").registry_auth == "c2VjcmV0"
    assert "c2VjcmV0" not in str(done)
    done = await apply(world, "service", "web", {}, context={"registry_auth": "bmV3"})
    assert done["changed"] is True
    assert "bmV3" not in str(done)
    assert world.get_service("web").registry_auth == "bmV3"
    done = await apply(world, "service", "web", {"replicas": 2})
    assert world.get_service("web").registry_auth == "bmV3"


async def test_credentials_are_forgotten_when_null_is_said() -> None:
    world = World.make()
    await apply(world, "service", "web", {"image": "busybox:1"}, context={"registry_auth": "c2VjcmV0"})
    revision = world.get_service("web").spec_version
    gone: dict[str, Any] = {"context": {"registry_auth": None}}
    planned = await apply(world, "service", "web", {}, dry_run=True, **gone)
    done = await apply(world, "service", "web", {}, **gone)
    assert planned["actions"] == done["actions"] == ["remove the registry credentials of service web"]
    assert done["diff"] == {"RegistryAuth": {"before": "(not shown)", "after": None}}
    assert world.get_service("web").registry_auth == ""
    assert world.get_service("web").spec_version == revision
    assert (await apply(world, "service", "web", {}, **gone))["changed"] is False
    await apply(world, "service", "web", {}, context={"registry_auth": "c2VjcmV0"})
    assert (await apply(world, "service", "web", {"replicas": 3}, **gone))["actions"] == ["update service web"]
    assert world.get_service("web").registry_auth == ""


async def test_a_failed_update_that_was_taken_back_to_what_is_declared_is_past() -> None:
    world = World.make()
    service = await world.service("web")
    world.put(dataclasses.replace(service, update_status=UpdateStatus(state=UpdateState.ROLLBACK_COMPLETED)))
    planned = await apply(world, "service", "web", {"replicas": 1}, dry_run=True)
    assert planned["changed"] is False
    assert world.get_service("web").update_status is not None
    done = await apply(world, "service", "web", {"replicas": 1})
    assert done["changed"] is False
    assert world.get_service("web").update_status is None
    assert world.get_service("web").spec_version == service.spec_version


# -- nodes


async def test_labels_of_a_node_are_merged_key_by_key() -> None:
    world = World.make()
    world.worker("one", labels={"keep": "1", "change": "1", "drop": "1"})
    done = await both(world, "node", "one", {"labels": {"change": 2, "drop": None, "new": True, "never": None}})
    assert world.store.node("one").spec.labels == {"keep": "1", "change": "2", "new": "true"}
    assert done["diff"] == {
        "Labels.change": {"before": "1", "after": "2"},
        "Labels.drop": {"before": "1", "after": None},
        "Labels.new": {"before": None, "after": "true"},
    }


async def test_null_clears_all_labels_and_the_availability() -> None:
    world = World.make()
    node = world.worker("one", labels={"a": "1"})
    world.put(dataclasses.replace(node, spec=dataclasses.replace(node.spec, availability="drain")))
    await apply(world, "node", "one", {"labels": None, "availability": None})
    assert world.store.node("one").spec.labels == {}
    assert world.store.node("one").availability == "active"


async def test_a_node_is_drained_by_name_or_id() -> None:
    world = World.make()
    node = world.worker("one")
    done = await both(world, "node", "one", {"availability": "drain"})
    assert done["diff"] == {"Availability": {"before": "active", "after": "drain"}}
    assert done["actions"] == ["update node one"]
    assert (await apply(world, "node", node.id, {"availability": "drain", "role": "worker"}))["changed"] is False


async def test_node_wishes_that_cannot_be_are_refused() -> None:
    world = World.make()
    world.worker("one")
    with pytest.raises(FailedPrecondition, match="demote the last manager"):
        await apply(world, "node", "queen", {"role": "worker"}, dry_run=True)
    with pytest.raises(InvalidArgument, match="role"):
        await apply(world, "node", "one", {"role": None})
    with pytest.raises(NotFound):
        await apply(world, "node", "nosuch", {"availability": "drain"})
    with pytest.raises(SpecError, match="labels"):
        await apply(world, "node", "one", {"labels": ["a"]})
    with pytest.raises(InvalidArgument, match="a label must have a key"):
        await apply(world, "node", "one", {"labels": {"": "x"}})


async def test_a_node_is_promoted_by_a_wish_and_demoted_again() -> None:
    world = World.make()
    world.worker("one")
    done = await both(world, "node", "one", {"role": "manager"})
    assert done["diff"] == {"Role": {"before": "worker", "after": "manager"}}
    node = world.store.node("one")
    assert (node.spec.role, node.role) == ("manager", "worker")
    await both(world, "node", "one", {"role": "worker"})
    assert world.store.node("one").spec.role == "worker"


async def test_a_wish_that_changes_nothing_is_answered_only_by_a_confirmed_leader() -> None:
    world = World.make()
    world.worker("one")

    async def barrier() -> int:
        raise Unavailable("this manager is not the leader of the swarm")

    world.proposer.barrier = barrier  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="not the leader"):
        await apply(world, "node", "one", {"role": "worker"})


async def test_two_nodes_of_one_name_must_be_told_apart() -> None:
    world = World.make()
    world.worker("one")
    world.worker("one")
    with pytest.raises(InvalidArgument, match="ambiguous"):
        await apply(world, "node", "one", {"availability": "drain"})


async def test_a_node_is_removed_when_down_or_by_force() -> None:
    world = World.make()
    world.worker("one")
    with pytest.raises(FailedPrecondition, match="is not down"):
        await apply(world, "node", "one", state="absent", dry_run=True)
    done = await both(world, "node", "one", state="absent", context={"force": True})
    assert done["actions"] == ["remove node one"]
    world.worker("two", NodeState.DOWN)
    await both(world, "node", "two", state="absent")
    assert (await apply(world, "node", "nosuch", state="absent"))["changed"] is False


# -- the swarm


async def test_one_option_of_the_swarm_changes_one_thing() -> None:
    world = World.make()
    done = await both(world, "swarm", "", {"task_history_retention_limit": 2})
    assert done["diff"] == {"Orchestration.TaskHistoryRetentionLimit": {"before": 5, "after": 2}}
    assert world.context.cluster.spec.raft.election_tick == 10
    done = await both(world, "swarm", "", {"node_cert_expiry": "48h", "labels": {"a": 1}})
    assert set(done["diff"]) == {"CAConfig.NodeCertExpiry", "Labels.a"}
    assert world.context.cluster.spec.orchestration.task_history_limit == 2


async def test_a_zero_that_means_the_default_is_said_once() -> None:
    world = World.make()
    zeros = {"dispatcher_heartbeat_period": "0s", "node_cert_expiry": "0s"}
    assert (await both(world, "swarm", "", zeros))["changed"] is False
    await apply(world, "swarm", "", {"dispatcher_heartbeat_period": "9s"})
    done = await both(world, "swarm", "", zeros)
    assert done["diff"] == {"Dispatcher.HeartbeatPeriod": {"before": 9 * 10**9, "after": 5 * 10**9}}
    assert (await both(world, "swarm", "", zeros))["changed"] is False


async def test_null_gives_the_swarm_s_default_back() -> None:
    world = World.make()
    await apply(world, "swarm", "", {"task_history_retention_limit": 2, "dispatcher_heartbeat_period": "9s"})
    await both(world, "swarm", "", {"task_history_retention_limit": None, "dispatcher_heartbeat_period": None})
    spec = world.context.cluster.spec
    assert spec.orchestration.task_history_limit == 5
    assert spec.dispatcher.heartbeat_period == 5 * 10**9


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"subnet_size": 26}, "subnet_size: it is 24, asked 26"),
        ({"data_path_port": 7000}, "data_path_port: it is 4789, asked 7000"),
        ({"default_addr_pool": ["10.9.0.0/16"]}, "default_addr_pool: it is 10.0.0.0/8, asked 10.9.0.0/16"),
        ({"default_addr_pool": "10.9.0.0/16"}, "default_addr_pool"),
        ({"advertise_addr": "192.0.2.99"}, "advertise_addr: it is 192.0.2.1:2377, asked 192.0.2.99"),
        ({"advertise_addr": "192.0.2.1:2400"}, "advertise_addr: it is 192.0.2.1:2377, asked 192.0.2.1:2400"),
        ({"advertise_addr": 5}, "advertise_addr"),
    ],
)
async def test_what_was_decided_at_the_founding_cannot_change(asked: dict[str, Any], words: str) -> None:
    world = World.make()
    here = {"here": {"advertise_addr": "192.0.2.1:2377"}}
    for wish in ({"options": asked, "context": here}, {"context": {**asked, **here}}):
        with pytest.raises(InvalidArgument) as caught:
            await world.control.applier.apply(Wish("swarm", **wish), dry_run=True)
        assert "cannot be changed on a live swarm" in str(caught.value)
        assert words in str(caught.value)


async def test_the_same_decisions_said_again_are_no_change() -> None:
    world = World.make()
    options = {
        "subnet_size": 24,
        "data_path_port": 4789,
        "default_addr_pool": ["10.0.0.0/8"],
        "advertise_addr": "192.0.2.1",
        "listen_addr": None,
    }
    context = {"here": {"advertise_addr": "192.0.2.1:2377"}, "data_path_port": None}
    assert (await apply(world, "swarm", "", options, context=context))["changed"] is False
    for name in ("192.0.2.1:2377", "eth0", "host.example"):
        done = await apply(world, "swarm", "", {"advertise_addr": name}, context=context)
        assert done["changed"] is False


async def test_swarm_wishes_that_cannot_be_are_refused() -> None:
    world = World.make()
    with pytest.raises(InvalidArgument, match="minimum certificate expiry"):
        await apply(world, "swarm", "", {"node_cert_expiry": "29m"}, dry_run=True)
    with pytest.raises(InvalidArgument, match="is not removed"):
        await apply(world, "swarm", "", state="absent")
    with pytest.raises(SpecError, match="there is no such option"):
        await apply(world, "swarm", "", {"replicas": 1})


async def test_unknown_kinds_and_states_are_refused() -> None:
    world = World.make()
    with pytest.raises(InvalidArgument, match="kind 'volume' is none of"):
        await apply(world, "volume", "x")
    with pytest.raises(InvalidArgument, match="state 'query'"):
        await apply(world, "service", "web", state="query")
    with pytest.raises(InvalidArgument, match="a service needs a name"):
        await apply(world, "service", "")
    with pytest.raises(InvalidArgument, match="registry_auth"):
        await apply(world, "service", "web", {"image": "a"}, context={"registry_auth": 5})
