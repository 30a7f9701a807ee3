# SPDX-License-Identifier: Apache-2.0
"""``queenright stack`` against a real manager's answers, without a socket in between."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.app import cli, stacks
from queenright.model.stack import StackState, StackStatus


class Desk:
    """A manager, asked by the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = World.make()
        self.api = Api.manager(self.world)
        self._capsys = capsys
        monkeypatch.setattr(
            stacks, "ask", lambda path, method, target, body=None, timeout=0.0: self.ask(method, target, body)
        )
        monkeypatch.setenv("SUDO_USER", "ada")

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        status, answer = asyncio.run(self.api.call(method, target, body))
        assert status == 200, answer
        return answer

    def apply(self, **services: str) -> None:
        options = {"services": {key: {"image": image} for key, image in services.items()}}
        options["services"]["web"]["depends_on"] = ["db"]  # type: ignore[assignment]
        context = {"user": "bob", "playbook": "site.yml", "git_revision": "abcdef0123456789", "message": "new prices"}
        self.ask(
            "POST", "/queenright/v1/apply", {"kind": "stack", "name": "shop", "options": options, "context": context}
        )

    def said(self, *words: str) -> list[str]:
        assert cli.main(["stack", *words]) == 0
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(monkeypatch, capsys)


def test_stacks_are_listed_with_their_state(desk: Desk) -> None:
    assert desk.said("ls") == ["there are no stacks"]
    desk.apply(web="web:1", db="db:1")
    assert desk.said("ls") == ["shop: revision 1, 2 services, updating"]
    failed = StackStatus(state=StackState.PAUSED, message="no such image", failed="shop_web")
    desk.world.put(dataclasses.replace(desk.world.store.stack("shop"), status=failed))
    assert desk.said("ls") == ["shop: revision 1, 2 services, paused: shop_web: no such image"]
    assert json.loads("".join(desk.said("ls", "--json")))[0]["Name"] == "shop"


def test_a_stack_is_shown_with_what_was_changed_by_hand(desk: Desk) -> None:
    desk.apply(web="web:1", db="db:1")
    web = desk.world.get_service("shop_web")
    spec = dataclasses.replace(web.spec, labels={**web.spec.labels, "a": "b"})
    desk.world.put(dataclasses.replace(web, spec=spec, changed_by="Docker-Client, user 7 at node queen"))
    assert desk.said("show", "shop") == [
        "shop: revision 1, updating",
        "  shop_web: progressing, 0 of 1 running, waits for shop_db (web:1)",
        "  shop_db: progressing, 0 of 1 running (db:1)",
        "  not as declared: service shop_web Labels.a is b, not unset by Docker-Client, user 7 at node queen",
    ]


def test_the_history_says_who_and_why(desk: Desk) -> None:
    desk.apply(web="web:1", db="db:1")
    desk.apply(web="web:2", db="db:1")
    assert desk.said("history", "shop") == [
        "* 2 2023-11-14T22:13:20Z options, 2 services: by bob, from site.yml, at abcdef012345",
        "    new prices",
        "  1 2023-11-14T22:13:20Z options, 2 services: by bob, from site.yml, at abcdef012345",
        "    new prices",
    ]


def test_a_stack_is_rolled_back_as_a_whole(desk: Desk) -> None:
    desk.apply(web="web:1", db="db:1")
    desk.apply(web="web:2", db="db:1")
    planned = desk.said("rollback", "shop", "--dry-run")
    assert planned == ["update stack shop to revision 3", "update service shop_web"]
    assert desk.world.store.stack("shop").revision.number == 2
    assert desk.said("rollback", "shop", "--message", "wrong") == planned
    revision = desk.world.store.stack("shop").revision
    assert (revision.number, revision.user, revision.message) == (3, "ada", "wrong")
    assert desk.said("rollback", "shop", "--to", "1") == ["nothing to change"]
