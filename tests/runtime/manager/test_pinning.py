# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from runtime.manager.kit import World, service_spec

from queenright.manager import pinning
from queenright.manager.apply import Applier
from queenright.manager.pinning import pinned_spec
from queenright.manager.plans import Wish
from queenright.manager.ports import RegistryError
from queenright.model.errors import InvalidArgument
from queenright.model.images import encoded_auth
from queenright.model.objects import Registry
from queenright.spec.data import RegistrySpec

DIGEST = "sha256:" + "d" * 64
OTHER = "sha256:" + "e" * 64


class Registries:
    """Knows one digest for everything; ``error`` is what it raises instead, ``gate`` holds its answers back."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.says = DIGEST
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def digest(self, image: str, auth: bytes) -> str:
        self.asked.append((image, auth))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.says


@dataclasses.dataclass
class Scene:
    world: World
    registries: Registries
    applier: Applier

    async def apply(self, image: str, **context: Any) -> Any:
        wish = Wish("service", "web", options={"image": image}, context=context)
        return await self.applier.apply(wish, dry_run=False)

    @property
    def image(self) -> str:
        return self.world.get_service("web").spec.task.container.image or ""


@pytest.fixture
def scene() -> Scene:
    world, registries = World.make(), Registries()
    context = dataclasses.replace(world.context, registries=registries)
    control = world.control
    applier = Applier(context, control.services, control.nodes, control.cluster, (control.secrets, control.configs))
    return Scene(world, registries, applier)


async def test_a_playbooks_tag_becomes_a_digest(scene: Scene) -> None:
    done = await scene.apply("app:1")
    assert scene.image == f"app:1@{DIGEST}"
    assert done["changed"] and done["warnings"] == []


async def test_the_same_tag_again_changes_nothing_though_the_registry_has_another_image(scene: Scene) -> None:
    await scene.apply("app")
    scene.registries.says = OTHER
    assert not (await scene.apply("app:latest"))["changed"]
    assert scene.image == f"app:latest@{DIGEST}" and len(scene.registries.asked) == 1


async def test_another_tag_is_asked_for(scene: Scene) -> None:
    await scene.apply("app:1")
    scene.registries.says = OTHER
    assert (await scene.apply("app:2"))["changed"]
    assert scene.image == f"app:2@{OTHER}"


async def test_who_always_resolves_follows_a_tag_that_moves(scene: Scene) -> None:
    await scene.apply("app:1")
    scene.registries.says = OTHER
    assert (await scene.apply("app:1", resolve_image="always"))["changed"]
    assert scene.image == f"app:1@{OTHER}"
    assert not (await scene.apply("app:1", resolve_image="always"))["changed"]


async def test_who_never_resolves_gets_the_tag_as_it_is(scene: Scene) -> None:
    await scene.apply("app:1", resolve_image="never")
    assert scene.image == "app:1" and scene.registries.asked == []


async def test_an_image_with_a_digest_is_taken_as_it_is(scene: Scene) -> None:
    await scene.apply(f"app:1@{OTHER}")
    assert scene.image == f"app:1@{OTHER}" and scene.registries.asked == []


async def test_a_registry_that_cannot_say_is_a_warning_and_asked_again_with_the_next_tag_only(scene: Scene) -> None:
    scene.registries.error = RegistryError("no such host")
    (warning,) = (await scene.apply("app:1"))["warnings"]
    assert warning.startswith("image app:1 could not be accessed on a registry to record its digest (no such host).")
    assert scene.image == "app:1"
    assert not (await scene.apply("app:1"))["changed"]
    assert len(scene.registries.asked) == 1


async def test_a_silent_registry_is_not_waited_for_long(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinning, "PATIENCE", 0.01)
    scene.registries.gate.clear()
    (warning,) = (await scene.apply("app:1"))["warnings"]
    assert "did not answer" in warning


async def test_the_question_is_asked_with_the_services_credentials_or_the_swarms(scene: Scene) -> None:
    scene.world.put(Registry(id="r", spec=RegistrySpec(server="r.example.com"), auth=b"shared"))
    await scene.apply("r.example.com/app:1")
    await scene.apply("r.example.com/app:2", registry_auth=encoded_auth(b"own"))
    await scene.apply("r.example.com/app:3")
    assert [auth for _, auth in scene.registries.asked] == [b"shared", b"own", b"own"]


async def test_an_unknown_way_to_resolve_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidArgument, match="resolve_image: 'maybe' is none of changed, always, never"):
        await scene.apply("app:1", resolve_image="maybe")


async def test_old_clients_get_their_spec_with_a_digest(scene: Scene) -> None:
    context = dataclasses.replace(scene.world.context, registries=scene.registries)
    spec, warnings = await pinned_spec(context, service_spec("web"), None, "")
    assert spec.task.container.image == f"busybox:1@{DIGEST}" and warnings == ()
    again, _ = await pinned_spec(context, service_spec("web"), spec, "")
    assert again == spec and len(scene.registries.asked) == 1


async def test_without_registries_tags_stay() -> None:
    spec, warnings = await pinned_spec(World.make().context, service_spec("web"), None, "")
    assert spec == service_spec("web") and warnings == ()
