# SPDX-License-Identifier: Apache-2.0
"""Every certificate that is signed has a line in the audit that says for whom, and who asked."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest
from runtime.manager.kit import World

from queenright.app.logs import Trail, keep_trail
from queenright.lib.tasks import Background
from queenright.manager.audit import Actor, acting, actor, record


@pytest.fixture
def trail() -> Iterator[Trail]:
    held = keep_trail()
    yield held
    logging.getLogger("queenright.audit").removeHandler(held)


async def test_a_signing_is_written_down_with_who_asked(trail: Trail) -> None:
    world = World.make()
    node = world.worker("one")
    who = Actor("member", node=node.id, serial=node.serial, role="worker")
    with acting(who):
        await world.control.authority.renew(node.id, b"key:new", serial=node.serial)
    founded, renewed = (json.loads(line) for line in trail.lines() if json.loads(line)["event"] == "sign")
    assert (founded["actor"], founded["what"]["role"]) == ({"kind": "manager"}, "manager")
    assert renewed["actor"] == who.described()
    assert renewed["what"]["node"] == node.id
    assert renewed["what"]["serial"] == world.store.node("one").serial


async def test_what_goes_on_in_the_background_is_not_done_for_who_began_it(trail: Trail) -> None:
    background, done = Background(), asyncio.Event()

    async def tidy() -> None:
        record("sign", node="n", by=actor().kind)
        done.set()

    with acting(Actor("socket", uid=0, gid=0, pid=7)):
        background.start(tidy(), "tidy")
    await done.wait()
    await background.stop()
    assert json.loads(trail.lines()[0])["actor"] == {"kind": "manager"}
