# SPDX-License-Identifier: Apache-2.0
"""A follower as a client sees it: bytes on its socket, the same ones as from the leader."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator

import pytest
from runtime.api.managers import Managers
from runtime.http.conftest import FakeEngine, Site
from runtime.manager.kit import service_json

from queenright.edge.http import listener
from queenright.edge.http.api import map_error
from queenright.edge.http.engine_routes import EngineRoutes
from queenright.edge.http.server import Server
from queenright.model.errors import OutcomeUnknown


class Field:
    """Two managers, the second one behind a socket."""

    def __init__(self, folder: pathlib.Path, engine: FakeEngine) -> None:
        self.managers = Managers()
        self.site = Site(folder, engine)
        routes = self.managers.second.api.routes
        EngineRoutes(
            self.site.upstream,
            version="0.1.0",
            swarm_state=routes.swarm_state,
            swarm_info=routes.swarm_info,
            stale=routes.stale,
        ).register(self.site.router)
        routes.register(self.site.router)
        self.site.server = Server(self.site.router, self.site.upstream, map_error=map_error)

    async def ask(self, method: str, target: str, body: object = None) -> tuple[int, dict[str, str], bytes]:
        return await self.site.ask(target, method, json.dumps(body).encode() if body is not None else b"")


@pytest.fixture
async def field() -> AsyncIterator[Field]:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qr"))
    engine = FakeEngine(str(folder / "d.sock"))

    async def info(wire: object) -> None:
        document = b'{"ID":"x","Swarm":{"LocalNodeState":"inactive"}}'
        await wire.send(  # type: ignore[attr-defined]
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(document), document)
        )

    await engine.start()
    engine.script = info
    made = Field(folder, engine)
    made.site.server.start(listener.bind(made.site.path))
    yield made
    await made.site.close_clients()
    await made.site.server.stop(own_grace=1.0, stream_grace=0.1)
    await engine.stop()
    shutil.rmtree(folder)


async def test_a_service_is_made_read_and_removed_through_a_follower(field: Field) -> None:
    status, headers, body = await field.ask("POST", "/v1.41/services/create", service_json("web"))
    assert (status, headers["content-type"], set(json.loads(body))) == (201, "application/json", {"ID"})
    assert headers["api-version"] == "1.41"  # of this host's engine, whatever the leader's is
    status, headers, body = await field.ask("GET", "/v1.41/services/web")
    assert (status, json.loads(body)["Spec"]["Name"]) == (200, "web")
    assert "x-queenright-stale" not in headers
    assert (await field.ask("DELETE", "/v1.41/services/web"))[0] == 200
    status, _, body = await field.ask("DELETE", "/v1.41/services/web")
    assert (status, body) == (404, b'{"message":"service web not found"}\n')


async def test_a_stack_is_declared_through_a_follower_who_shows_it_and_says_who_asked(field: Field) -> None:
    options = {"services": {"web": {"image": "web:1"}}}
    wish = {"kind": "stack", "name": "shop", "options": options}
    status, _, body = await field.ask("POST", "/queenright/v1/apply", wish)
    assert (status, json.loads(body)["revision"]) == (200, 1)
    status, _, body = await field.ask("POST", "/queenright/v1/apply_all", {"wishes": [wish]})
    assert (status, json.loads(body)["changed"]) == (200, False)
    status, _, body = await field.ask("GET", "/queenright/v1/stacks/shop")
    shown = json.loads(body)
    assert (status, shown["Services"][0]["Name"]) == (200, "shop_web")
    assert shown["Revisions"][0]["Actor"].startswith(f"a client, user {os.getuid()} at node ")
    assert (await field.ask("GET", "/queenright/v1/stacks/none"))[0] == 404


async def test_a_cut_off_manager_marks_lists_errors_and_info_and_refuses_writes(field: Field) -> None:
    assert "x-queenright-stale" not in (await field.ask("GET", "/info"))[1]
    field.managers.cut_off(field.managers.second)
    for target, expected in (("/nodes", 200), ("/services/nosuch", 404), ("/info", 200)):
        status, headers, _ = await field.ask("GET", target)
        assert (status, headers["x-queenright-stale"]) == (expected, "true")
    status, headers, body = await field.ask("POST", "/services/create", service_json("web"))
    assert status == 503
    assert "The swarm does not have a leader." in json.loads(body)["message"]
    status, _, body = await field.ask("GET", "/info")
    assert "The swarm does not have a leader." in json.loads(body)["Swarm"]["Error"]


async def test_what_managers_tell_each_other_is_not_told_to_clients(field: Field) -> None:
    field.managers.group.elect("")
    _, headers, _ = await field.ask("POST", "/services/create", service_json("web"))
    assert not [name for name in headers if name.startswith("x-queenright")]
    field.managers.group.elect(field.managers.first.node_id)

    async def lost() -> None:
        raise OutcomeUnknown("gone")

    field.managers.second.way.after.append(lost)
    status, headers, body = await field.ask("POST", "/services/create", service_json("web"))
    assert status == 503
    assert json.loads(body)["message"].startswith("the connection to the leader was lost before it answered")
    assert {name: value for name, value in headers.items() if name.startswith("x-queenright")} == {
        "x-queenright-outcome": "unknown"
    }
