# SPDX-License-Identifier: Apache-2.0
"""What tests with several managers share."""

from __future__ import annotations

import asyncio

from queenright.app.state import MemberState, StateFile
from queenright.model.errors import Unavailable
from queenright.spec.fields import decode
from queenright.spec.service import ServiceSpec

from .kit import Place, until

MODE = {"Replicated": {"Replicas": 0}}


def leader(places: list[Place]) -> Place | None:
    """The one that may write."""
    return next((place for place in places if place.id and place.state.leader == place.id), None)


async def managers(places: list[Place], count: int) -> list[Place]:
    """So many managers, the founder included, all of them with a voice."""
    for place in places[1:count]:
        await place.host.join(place.joining(places[0], "manager"))
    return places[:count]


def service(name: str) -> ServiceSpec:
    return decode(ServiceSpec, {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "none"}}, "Mode": MODE})


def names(place: Place) -> set[str]:
    return {one.name for one in place.control.store.services}


async def works(places: list[Place], name: str) -> None:
    """Somebody leads and writes, and all of them see it."""
    await until(lambda: leader(places) is not None, lambda: [place.state for place in places])
    while True:
        leading = leader(places)
        try:
            assert leading is not None
            await leading.control.services.create(service(name))
            break
        except (Unavailable, AssertionError):
            await asyncio.sleep(0.05)
    for place in places:
        await until(lambda place=place: name in names(place), lambda place=place: place.state)


def members_at(place: Place) -> set[str]:
    """Where the members of the group are, as this manager knows."""
    return {member["addr"] for member in (place.state.raft or {})["members"]}


async def same_voters(places: list[Place]) -> None:
    """All of them, and nobody else, have a voice."""
    wanted = {place.id for place in places}
    for place in places:
        await until(lambda place=place: place.voters() == wanted, lambda place=place: place.state)


def saved(place: Place) -> MemberState:
    state = StateFile(place.settings.state_dir).load()
    assert state is not None
    return state
