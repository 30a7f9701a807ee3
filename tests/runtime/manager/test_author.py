# SPDX-License-Identifier: Apache-2.0
"""Who wrote a service, in words."""

from __future__ import annotations

import pytest
from runtime.manager.kit import World, service_spec

from queenright.manager.audit import Actor, acting
from queenright.manager.author import author

CLIENT = "Docker-Client/28.0 (linux)"


@pytest.mark.parametrize(
    ("who", "words"),
    [
        (Actor("socket", uid=1000, gid=1, pid=2, agent=CLIENT), f"{CLIENT}, user 1000 at node queen"),
        (Actor("socket", uid=0, gid=0, pid=2), "a client, user 0 at node queen"),
        (Actor("socket", uid=-1), "a client at node queen"),
        (
            Actor("member", uid=7, node="gone", agent="x\n\x1b[31my" + "z" * 100),
            f"x[31my{'z' * 58}, user 7 at node gone",
        ),
        (Actor("manager"), ""),
    ],
)
def test_a_client_its_user_and_its_node(who: Actor, words: str) -> None:
    world = World.make()
    with acting(who):
        assert author(world.context) == words
    assert "agent" not in who.described()


async def test_each_write_of_a_specification_notes_its_author_and_nothing_else_does() -> None:
    world = World.make()
    with acting(Actor("socket", uid=1, agent="one")):
        service = await world.service("web")
    assert service.changed_by == "one, user 1 at node queen"
    with acting(Actor("socket", uid=2, agent="two")):
        await world.control.services.update(service.id, service.version, service.spec)
    service = world.get_service("web")
    assert service.changed_by == "one, user 1 at node queen", "it said the same"
    with acting(Actor("socket", uid=2, agent="two")):
        await world.control.services.update(service.id, service.version, service_spec("web", Labels={"a": "b"}))
    service = world.get_service("web")
    assert service.changed_by == "two, user 2 at node queen"
    with acting(Actor("socket", uid=3, agent="three")):
        await world.control.services.rollback(service.id, service.version)
    assert world.get_service("web").changed_by == "three, user 3 at node queen"
