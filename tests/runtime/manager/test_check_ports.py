# SPDX-License-Identifier: Apache-2.0
"""Ports that other services have published."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from laws.builders import service, spec
from runtime.manager.kit import World, service_spec

from queenright.manager.check_ports import check_ports
from queenright.model.changes import Batch, Create
from queenright.model.errors import FailedPrecondition, InvalidArgument
from queenright.spec.service import Port
from queenright.store.store import Store


def port(published: int | None, mode: str | None = None, **more: Any) -> dict[str, Any]:
    return {"TargetPort": 80, "PublishedPort": published, "PublishMode": mode, **more}


def endpoint(*ports: dict[str, Any]) -> dict[str, Any]:
    return {"EndpointSpec": {"Ports": list(ports)}}


def store_with(*ports: dict[str, Any]) -> Store:
    store = Store()
    assert store.apply(1, Batch(1, (Create(service("web", **endpoint(*ports))),))) is None
    return store


@pytest.mark.parametrize(
    ("held", "wanted", "word"),
    [
        (port(80), port(80), "an ingress port"),
        (port(80, "ingress"), port(80, "host"), "an ingress port"),
        (port(80, "host"), port(80, "ingress"), "a host-published port"),
        (port(80, "host"), port(80), "a host-published port"),
    ],
)
def test_a_port_of_the_ingress_is_had_by_one_service(held: dict[str, Any], wanted: dict[str, Any], word: str) -> None:
    store = store_with(port(443, "host"), held)
    with pytest.raises(InvalidArgument) as refused:
        check_ports(store, spec("app", **endpoint(wanted)))
    assert f"port '80' is already in use by service 'web' (web) as {word}" in str(refused.value)
    check_ports(store, spec("web", **endpoint(wanted)), "web")


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (port(80, "host"), port(80, "host")),
        (port(80), port(81)),
        (port(80), port(80, Protocol="udp")),
        (port(None), port(None)),
    ],
)
def test_ports_that_do_not_meet_are_nobodys_concern(held: dict[str, Any], wanted: dict[str, Any]) -> None:
    check_ports(store_with(held), spec("app", **endpoint(wanted)))


async def test_creations_and_updates_are_checked_against_the_other_services() -> None:
    world = World.make()
    await world.service("web", **endpoint(port(80, "host")))
    app = await world.service("app", **endpoint(port(80, "host")))
    for attempt in (
        world.control.services.create(service_spec("third", **endpoint(port(80)))),
        world.control.services.update(app.id, app.version, service_spec("app", **endpoint(port(80)))),
    ):
        with pytest.raises(InvalidArgument, match="already in use by service 'web'"):
            await attempt


def test_a_port_that_was_chosen_is_anothers_as_well() -> None:
    chosen = dataclasses.replace(service("web", **endpoint(port(None))), ports=(Port(80, 30000),))
    store = Store()
    assert store.apply(1, Batch(1, (Create(chosen),))) is None
    with pytest.raises(InvalidArgument, match="port '30000' is already in use by service 'web'"):
        check_ports(store, spec("app", **endpoint(port(30000))))
    check_ports(store, spec("web", **endpoint(port(30000))), "web")


def test_where_no_port_is_left_to_choose_that_is_said_at_once() -> None:
    store = store_with(*(port(number) for number in range(30000, 32768)))
    with pytest.raises(FailedPrecondition, match="no port is left for target port 80: all of 30000-32767/tcp"):
        check_ports(store, spec("app", **endpoint(port(None))))
    check_ports(store, spec("app", **endpoint(port(None, Protocol="udp"))))
    check_ports(store, spec("app", **endpoint(port(None, "host"))))
