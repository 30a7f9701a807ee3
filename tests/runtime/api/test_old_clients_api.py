# SPDX-License-Identifier: Apache-2.0
"""``/services`` for clients before API 1.30, which leave it to the manager to pin images."""

from __future__ import annotations

import base64
import dataclasses
from typing import Any

import pytest
from runtime.api.kit import Api
from runtime.manager.kit import World, service_json

from queenright.manager.control import Control
from queenright.manager.ports import RegistryError

OLD, NEW = (1, 29), (1, 30)
DIGEST = "sha256:" + "d" * 64


class Registries:
    """Says the same digest of all images, or what is wrong."""

    def __init__(self) -> None:
        self.error = ""
        self.asked: list[tuple[str, bytes]] = []

    async def digest(self, image: str, auth: bytes) -> str:
        self.asked.append((image, auth))
        if self.error:
            raise RegistryError(self.error)
        return DIGEST


@dataclasses.dataclass
class Scene:
    world: World
    registries: Registries
    api: Api

    @property
    def image(self) -> str:
        return self.world.get_service("web").spec.task.container.image or ""


@pytest.fixture
def scene() -> Scene:
    world, registries = World.make(), Registries()
    world.control = Control(dataclasses.replace(world.context, registries=registries), world.control.authority)
    return Scene(world, registries, Api.manager(world))


async def test_an_old_clients_image_is_pinned_with_its_credentials(scene: Scene) -> None:
    auth = base64.urlsafe_b64encode(b'{"username": "u"}').decode()
    headers = {"x-registry-auth": auth}
    status, answer = await scene.api.call("POST", "/services/create", service_json(), version=OLD, headers=headers)
    assert status == 201 and list(answer) == ["ID"]
    assert scene.image == f"busybox:1@{DIGEST}"
    assert scene.registries.asked == [("busybox:1", b'{"username": "u"}')]


@pytest.mark.parametrize("version", [NEW, None])
async def test_a_newer_client_has_pinned_it_or_does_not_want_to(scene: Scene, version: Any) -> None:
    await scene.api.call("POST", "/services/create", service_json(), version=version)
    assert scene.image == "busybox:1" and scene.registries.asked == []


async def test_where_the_registry_cannot_say_old_clients_are_warned(scene: Scene) -> None:
    scene.registries.error = "no such host"
    status, answer = await scene.api.call("POST", "/services/create", service_json(), version=OLD)
    assert status == 201 and scene.image == "busybox:1"
    assert "busybox:1 could not be accessed on a registry" in answer["Warnings"][0]


async def test_an_update_asks_only_for_another_image(scene: Scene) -> None:
    await scene.api.call("POST", "/services/create", service_json(), version=OLD)

    async def update(**container: str) -> Any:
        service = scene.world.get_service("web")
        target = f"/services/web/update?version={service.version}"
        return await scene.api.call("POST", target, service_json(container=container), version=OLD)

    assert await update() == (200, {"Warnings": None})
    assert scene.image == f"busybox:1@{DIGEST}" and len(scene.registries.asked) == 1
    await update(Image="busybox:2")
    assert scene.image == f"busybox:2@{DIGEST}"
