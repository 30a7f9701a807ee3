# SPDX-License-Identifier: Apache-2.0
"""The merged routes: dockerd's answer with our part in it."""

from __future__ import annotations

import asyncio
import json

import pytest

from queenright.edge.http.engine_routes import EngineRoutes
from queenright.edge.http.errors import ApiError


class Swarm:
    def __init__(self) -> None:
        self.state = "inactive"
        self.infos = 0
        self.error: ApiError | None = None

    async def info(self) -> dict[str, object]:
        self.infos += 1
        if self.error:
            raise self.error
        return {"NodeID": "n1", "LocalNodeState": self.state}


@pytest.fixture
def swarm(site, engine, respond) -> Swarm:
    """Merged routes on the site; dockerd answers /info and /_ping."""
    swarm = Swarm()
    EngineRoutes(site.upstream, version="0.1.0", swarm_state=lambda: swarm.state, swarm_info=swarm.info).register(
        site.router
    )

    async def script(wire) -> None:
        while True:
            head = engine.heads[-1]
            if b"/_ping" in head:
                body = b"" if head.startswith(b"HEAD") else b"OK"
                await wire.send(
                    respond(
                        body, headers="Builder-Version: 2\r\nCache-Control: no-cache\r\nContent-Type: text/plain\r\n"
                    )
                )
            else:
                document = {"ID": "X", "NCPU": 2, "Swarm": {"LocalNodeState": "inactive", "NodeID": "theirs"}}
                await wire.send(respond(json.dumps(document).encode(), headers="Content-Type: application/json\r\n"))
            if not (head := await wire.head()):
                return
            engine.heads.append(head)

    engine.script = script
    return swarm


@pytest.mark.parametrize("target", ["/_ping", "/v1.41/_ping"])
@pytest.mark.parametrize(("method", "body"), [("GET", b"OK"), ("HEAD", b"")])
async def test_ping_has_dockerds_headers_and_the_state_of_the_swarm(site, swarm, target, method, body) -> None:
    for state in ("inactive", "active/manager"):
        swarm.state = state
        status, headers, got = await site.ask(target, method)
        assert (status, got, headers["swarm"]) == (200, body, state)
        assert headers["api-version"] == "1.41"
        assert headers["builder-version"] == "2"
        assert headers["cache-control"] == "no-cache"
        assert headers["content-type"] == "text/plain"


async def test_ping_says_that_dockerd_is_away_and_what_api_it_had(site, swarm, engine) -> None:
    await site.ask("/_ping")
    await engine.stop()
    status, headers, body = await site.ask("/_ping")
    assert (status, headers["api-version"]) == (502, "1.41")
    assert "Cannot connect to the Docker daemon" in json.loads(body)["message"]


async def test_version_has_one_component_more_and_the_engine_first(site, swarm) -> None:
    _, _, body = await site.ask("/v1.40/version")
    document = json.loads(body)
    assert [component["Name"] for component in document["Components"]] == ["Engine", "queenright"]
    assert document["Components"][1]["Version"] == "0.1.0"
    assert document["ApiVersion"] == "1.41"


async def test_a_version_without_components_stays_so(site, swarm, engine) -> None:
    del engine.version["Components"]
    assert "Components" not in json.loads((await site.ask("/version"))[2])


async def test_info_is_dockerds_with_our_swarm(site, swarm) -> None:
    status, headers, body = await site.ask("/v1.41/info")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == {"ID": "X", "NCPU": 2, "Swarm": {"NodeID": "n1", "LocalNodeState": "inactive"}}


async def test_dockerds_part_of_info_is_used_again_and_ours_is_always_fresh(site, swarm, engine) -> None:
    swarm.state = "pending"
    await asyncio.gather(*(site.ask("/info") for _ in range(10)))
    swarm.state = "active"
    assert json.loads((await site.ask("/info"))[2])["Swarm"]["LocalNodeState"] == "active"
    assert swarm.infos == 11
    assert len(engine.heads) < 11


async def test_each_api_version_has_its_own_info(site, swarm, engine) -> None:
    await site.ask("/v1.24/info")
    await site.ask("/v1.41/info")
    assert [head.split()[1] for head in engine.heads] == [b"/v1.24/info", b"/v1.41/info"]


async def test_a_failed_info_is_not_remembered(site, swarm, engine) -> None:
    await engine.stop()
    assert (await site.ask("/info"))[0] == 502
    await engine.start()
    assert (await site.ask("/info"))[0] == 200


async def test_an_error_of_dockerd_is_passed_on(site, swarm, engine, respond) -> None:
    async def script(wire) -> None:
        await wire.send(respond(b'{"message":"disk on fire"}\n', "500 Internal Server Error"))

    engine.script = script
    status, _, body = await site.ask("/info")
    assert (status, json.loads(body)) == (500, {"message": "disk on fire"})


async def test_an_error_of_ours_is_answered_as_such(site, swarm) -> None:
    swarm.error = ApiError(503, "the manager is starting")
    assert (await site.ask("/info"))[0] == 503
