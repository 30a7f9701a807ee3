# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from docker.errors import NotFound

from queenright.agent.ports import TaskError, TemporaryError
from queenright.edge.docker import pulling
from queenright.edge.docker.images import Images, read_auth

ID = "sha256:" + "a" * 64
DIGEST = "repo/app@sha256:" + "b" * 64


class Client:
    """Stands in for the SDK's client and the engine's threads at once."""

    def __init__(self, *local: str, error: str = "") -> None:
        self.local = set(local)
        self.error = error
        self.pulls: list[tuple[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.lines: list[dict[str, Any]] = []

    async def call(self, function: Callable[[Any], Any]) -> Any:
        await self.gate.wait()
        result = function(self)
        await asyncio.sleep(0)  # what the thread said before its end is heard before it
        return result

    def inspect_image(self, image: str) -> dict[str, Any]:
        if image not in self.local:
            raise NotFound("no such image")
        return {}

    def pull(self, image: str, *, auth_config: Any, **_options: Any) -> Iterable[dict[str, Any]]:
        self.pulls.append((image, auth_config))
        yield {"status": "Pulling"}
        yield from self.lines
        if self.error:
            yield {"error": self.error}
        self.local.add(image)


def images(client: Client, **options: Any) -> Images:
    return Images(client, **options)  # type: ignore[arg-type]


async def test_a_tag_is_pulled_even_if_it_is_there() -> None:
    client = Client("app:1")
    await images(client).ensure("app:1", b"")
    assert client.pulls == [("app:1", {})]


@pytest.mark.parametrize("image", [ID, ID.removeprefix("sha256:"), DIGEST])
async def test_an_id_or_a_digest_that_is_there_is_not_pulled(image: str) -> None:
    client = Client(image)
    await images(client).ensure(image, b"")
    assert client.pulls == []


async def test_a_digest_that_is_not_there_is_pulled() -> None:
    client = Client()
    await images(client).ensure(DIGEST, b"")
    assert [image for image, _ in client.pulls] == [DIGEST]


async def test_an_id_that_is_not_there_cannot_be_pulled() -> None:
    client = Client()
    with pytest.raises(TaskError, match=f"^No such image: {ID}$"):
        await images(client).ensure(ID, b"")
    assert client.pulls == []


async def test_a_pull_that_fails_is_borne_if_the_image_is_there() -> None:
    client = Client("app:1", error="no route to registry")
    await images(client).ensure("app:1", b"")
    assert len(client.pulls) == 1


async def test_a_pull_that_fails_for_an_image_that_is_not_there_says_both() -> None:
    with pytest.raises(TaskError, match=r"^No such image: app:1 \(no route to registry\)$"):
        await images(Client(error="no route to registry")).ensure("app:1", b"")


async def test_local_images_may_be_preferred() -> None:
    client = Client("app:1")
    await images(client, prefer_local=True).ensure("app:1", b"")
    assert client.pulls == []
    await images(client, prefer_local=True).ensure("app:2", b"")
    assert [image for image, _ in client.pulls] == ["app:2"]


async def test_tasks_that_want_the_same_image_share_a_pull_and_its_end() -> None:
    client = Client(error="denied")
    client.gate.clear()
    held = images(client)
    waiters = [asyncio.create_task(held.ensure("app:1", b"")) for _ in range(5)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    client.gate.set()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    assert len(client.pulls) == 1
    assert isinstance(outcomes[0], asyncio.CancelledError)
    assert all(isinstance(outcome, TaskError) for outcome in outcomes[1:])


async def test_other_credentials_are_another_pull() -> None:
    client = Client()
    auths = [json.dumps({"username": name}).encode() for name in ("a", "b")]
    held = images(client)
    await asyncio.gather(*(held.ensure("app:1", auth) for auth in auths))
    assert [credentials for _, credentials in client.pulls] == [{"username": "a"}, {"username": "b"}]


def test_no_credentials_are_none() -> None:
    assert read_auth(b"") == {}
    assert read_auth(b'{"username": "joe?>"}') == {"username": "joe?>"}


@pytest.mark.parametrize(
    ("server", "address"),
    [
        ("docker.io", "https://index.docker.io/v1/"),
        ("https://index.docker.io/v1/", "https://index.docker.io/v1/"),
        ("r.example.com:5000", "r.example.com:5000"),
        ("", ""),
    ],
)
def test_docker_hub_is_called_as_every_engine_knows_it(server: str, address: str) -> None:
    assert read_auth(json.dumps({"serveraddress": server}).encode()) == {"serveraddress": address}


@pytest.mark.parametrize("auth", [b"secret", b'["secret"]', b"!secret!", b"\xff\xfe"])
def test_credentials_that_cannot_be_read_are_not_shown(auth: bytes) -> None:
    with pytest.raises(TaskError, match="cannot be read") as caught:
        read_auth(auth)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_registry_that_does_not_answer_may_answer_in_a_moment() -> None:
    client = Client(error="Get https://registry.example/v2/: dial tcp 192.0.2.1:443: connect: connection refused")
    with pytest.raises(TemporaryError, match=r"^No such image: app:1 \(Get .*connection refused\)$"):
        await images(client).ensure("app:1", b"")


async def test_all_who_wait_for_a_pull_hear_of_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "EVERY", 0.0)
    client = Client()
    client.lines = [{"status": "Downloading", "id": "a", "progressDetail": {"current": 1_500_000, "total": 3_000_000}}]
    held, heard = images(client), (list[str](), list[str]())
    await asyncio.gather(*(held.ensure("app:1", b"", words.append) for words in heard))
    await asyncio.sleep(0)
    assert heard[0] == heard[1]
    assert heard[0][-1] == "pulling image: 0 of 1 layers, 1.5 of 3.0 MB"
