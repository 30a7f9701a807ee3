# SPDX-License-Identifier: Apache-2.0
"""Use cases on services."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from runtime.manager.kit import World, service_spec

from queenright.manager import revisions
from queenright.model.changes import Create
from queenright.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfSequence,
    Unimplemented,
)
from queenright.model.objects import Service, UpdateStatus
from queenright.model.states import UpdateState
from queenright.spec.container import BindOptions
from queenright.spec.service import UpdateConfig


async def test_a_created_service_is_stored_with_its_first_revision() -> None:
    world = World.make()
    service = await world.service(Mode={"Replicated": {"Replicas": 3}})
    assert service.name == "web"
    assert service.spec_version == 1
    assert service.previous_spec is None
    assert service.spec.mode.replicas == 3


async def test_the_credentials_are_kept_and_never_shown() -> None:
    world = World.make()
    key = await world.control.services.create(service_spec(), "c2VjcmV0")
    assert world.get_service(key).registry_auth == "c2VjcmV0"
    assert "c2VjcmV0" not in repr(world.get_service(key))


async def test_a_name_is_taken_in_any_case_of_letters() -> None:
    world = World.make()
    await world.service("web")
    with pytest.raises(AlreadyExists) as caught:
        await world.control.services.create(service_spec("WEB"))
    assert str(caught.value) == "name conflicts with an existing object: service WEB already exists"


async def test_a_name_that_another_call_takes_meanwhile_is_a_conflict_and_not_a_lost_write() -> None:
    world = World.make()
    rival = Service(id="r" * 25, spec=service_spec("Web"))
    world.proposer.before.append(lambda: world.proposer.put(Create(rival)))
    with pytest.raises(AlreadyExists):
        await world.control.services.create(service_spec("web"))
    assert [service.id for service in world.store.services] == [rival.id]


async def test_a_service_without_a_name_gets_one() -> None:
    world = World.make()
    names = {(await world.service("")).name for _ in range(20)}
    assert len(names) == 20
    assert all("_" in name for name in names)


async def test_an_update_makes_a_new_revision_and_keeps_the_one_before() -> None:
    world = World.make()
    service = await world.service()
    await world.control.services.update(service.id, service.version, service_spec(container={"Image": "busybox:2"}))
    after = world.get_service("web")
    assert after.spec.task.container.image == "busybox:2"
    assert (after.spec_version, after.previous_spec_version) == (2, 1)
    assert after.previous_spec == service.spec
    assert after.version > service.version


async def test_an_update_with_an_old_version_is_out_of_sequence_and_writes_nothing() -> None:
    world = World.make()
    service = await world.service()
    with pytest.raises(OutOfSequence) as caught:
        await world.control.services.update("web", service.version + 1, service_spec())
    assert str(caught.value) == "update out of sequence"
    assert world.get_service("web") == service


async def test_of_two_updates_from_the_same_version_one_wins() -> None:
    world = World.make()
    service = await world.service()
    mine, other = (service_spec(container={"Image": f"busybox:{tag}"}) for tag in ("mine", "other"))
    world.proposer.before.append(lambda: world.put(dataclasses.replace(service, spec=other)))
    with pytest.raises(OutOfSequence):
        await world.control.services.update("web", service.version, mine)
    assert world.get_service("web").spec == other


async def test_an_update_that_says_the_same_keeps_the_revision_and_resumes_a_paused_one() -> None:
    world = World.make()
    service = await world.service()
    await world.control.services.update("web", service.version, service_spec(container={"Image": "busybox:2"}))
    paused = world.put(
        dataclasses.replace(world.get_service("web"), update_status=UpdateStatus(state=UpdateState.PAUSED))
    )
    await world.control.services.update("web", paused.version, paused.spec)
    after = world.get_service("web")
    assert after.update_status is None
    assert after.spec_version == paused.spec_version
    assert after.previous_spec == service.spec


async def test_a_rename_and_a_change_of_mode_are_refused() -> None:
    world = World.make()
    service = await world.service()
    with pytest.raises(Unimplemented, match=r"^renaming services is not supported$"):
        await world.control.services.update("web", service.version, service_spec("other"))
    with pytest.raises(Unimplemented, match=r"^service mode change is not allowed$"):
        await world.control.services.update("web", service.version, service_spec(Mode={"Global": {}}))


async def test_an_update_is_checked_like_a_creation() -> None:
    world = World.make()
    service = await world.service()
    with pytest.raises(InvalidArgument, match="ingress mode can't be used with dnsrr mode"):
        endpoint = {"Mode": "dnsrr", "Ports": [{"TargetPort": 80}]}
        await world.control.services.update("web", service.version, service_spec(EndpointSpec=endpoint))


async def test_a_rollback_swaps_the_two_specs_and_a_second_one_swaps_back() -> None:
    world = World.make()
    first = await world.service()
    await world.control.services.update(
        "web", first.version, service_spec(container={"Image": "busybox:2"}), registry_auth="bmV3"
    )
    second = world.get_service("web")
    await world.control.services.rollback("web", second.version)
    back = world.get_service("web")
    assert back.spec == first.spec
    assert back.previous_spec == second.spec
    assert back.update_status is not None
    assert back.update_status.state is UpdateState.ROLLBACK_STARTED
    assert back.update_status.message == "manually requested rollback"
    assert (back.registry_auth, back.previous_registry_auth) == ("", "bmV3")
    await world.control.services.rollback("web", back.version)
    assert world.get_service("web").spec == second.spec


async def test_no_two_revisions_ever_share_a_number() -> None:
    world = World.make()
    service = await world.service()
    numbers = [service.spec_version]
    for step in range(6):
        service = world.get_service("web")
        if step % 3 == 2:
            await world.control.services.rollback("web", service.version)
        else:
            spec = service_spec(container={"Image": f"busybox:{step}"})
            await world.control.services.update("web", service.version, spec)
        numbers.append(world.get_service("web").spec_version)
    assert len(set(numbers)) == len(numbers)


async def test_a_service_cannot_go_back_to_a_port_that_another_one_has_by_now() -> None:
    world = World.make()
    port = {"Ports": [{"TargetPort": 80, "PublishedPort": 80}]}
    web = await world.service(EndpointSpec=port)
    await world.control.services.update("web", web.version, service_spec())
    other = await world.service("other", EndpointSpec=port)
    present = world.get_service("web")
    with pytest.raises(InvalidArgument, match=rf"port '80' is already in use by service 'other' \({other.id}\)"):
        await world.control.services.rollback("web", present.version)
    assert world.get_service("web") == present


async def test_a_rollback_without_a_previous_spec_is_refused() -> None:
    world = World.make()
    service = await world.service()
    with pytest.raises(FailedPrecondition, match=f"service {service.id} does not have a previous spec"):
        await world.control.services.rollback("web", service.version)


async def test_credentials_come_from_the_header_the_spec_or_the_previous_spec() -> None:
    world = World.make()
    await world.control.services.create(service_spec(), "b25l")
    service = world.get_service("web")
    update = world.control.services.update
    await update("web", service.version, service_spec(Labels={"a": "1"}), registry_auth="dHdv")
    service = world.get_service("web")
    assert service.registry_auth == "dHdv"
    await update("web", service.version, service_spec(Labels={"a": "2"}))
    service = world.get_service("web")
    assert (service.registry_auth, service.previous_registry_auth) == ("dHdv", "dHdv")
    service = world.put(dataclasses.replace(service, previous_registry_auth="b25l"))
    await update("web", service.version, service_spec(Labels={"a": "3"}), registry_auth_from="previous-spec")
    assert world.get_service("web").registry_auth == "b25l"


async def test_unknown_sources_of_credentials_are_refused() -> None:
    world = World.make()
    service = await world.service()
    with pytest.raises(InvalidArgument, match="unsupported registryAuthFrom value"):
        revisions.auth_from(service, "elsewhere")
    with pytest.raises(InvalidArgument, match="service does not have a previous spec"):
        revisions.auth_from(service, "previous-spec")


async def test_a_removed_service_is_gone_and_a_second_removal_does_not_find_it() -> None:
    world = World.make()
    await world.service()
    await world.control.services.remove("web")
    assert len(world.store.services) == 0
    with pytest.raises(NotFound, match=r"^service web not found$"):
        await world.control.services.remove("web")


async def test_a_service_is_found_by_id_name_or_unique_prefix() -> None:
    world = World.make()
    service = await world.service()
    for ref in (service.id, "web", "WEB", service.id[:8]):
        await world.control.services.update(ref, world.get_service("web").version, service.spec)
    with pytest.raises(NotFound):
        await world.control.services.update("nosuch", service.version, service.spec)


async def test_an_update_by_a_client_that_does_not_know_our_own_keys_keeps_them() -> None:
    world = World.make()
    mount = {"Type": "bind", "Source": "/s", "Target": "/t"}
    service = await world.service(
        UpdateConfig={"Gate": "monitor", "Timeout": 0, "Parallelism": 2},
        container={"Mounts": [{**mount, "BindOptions": {"Relabel": "shared"}}]},
    )
    sent = service_spec(UpdateConfig={"Parallelism": 3}, container={"Mounts": [mount], "Image": "busybox:2"})
    await world.control.services.update(service.id, service.version, sent)
    spec = world.get_service("web").spec
    assert spec.update_config == UpdateConfig(parallelism=3, gate="monitor", timeout=0)
    assert spec.task.container.mounts[0].bind == BindOptions(relabel="shared")


@pytest.mark.parametrize(
    "again",
    [
        {},
        {"container": {"TTY": False, "StopGracePeriod": 10_000_000_000}},
        {"EndpointSpec": {"Mode": "vip"}, "UpdateConfig": {"Parallelism": 1, "Order": "stop-first"}},
        {"task": {"RestartPolicy": {"Condition": "any"}}},
    ],
)
async def test_an_update_that_says_the_same_in_other_words_is_no_new_revision(again: dict[str, Any]) -> None:
    world = World.make()
    first = await world.service(container={"Image": "busybox:0"})
    await world.control.services.update(first.id, first.version, service_spec())
    before = world.get_service("web")
    await world.control.services.update(before.id, before.version, service_spec(**again))
    after = world.get_service("web")
    assert after.spec == service_spec(**again), "it reads as it was written"
    assert (after.spec_version, after.previous_spec) == (before.spec_version, first.spec)
