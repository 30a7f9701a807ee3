# SPDX-License-Identifier: Apache-2.0
"""Tags made into digests for callers who do not do it themselves (playbooks, and clients before API 1.30), so that all
nodes run the same image however the tag moves.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

from queenright.decide.credentials import shared
from queenright.manager.context import Context
from queenright.manager.ports import RegistryError
from queenright.model.errors import InvalidArgument
from queenright.model.images import decoded_auth, is_pinned, same_tag, with_digest
from queenright.spec.service import ServiceSpec

PATIENCE = 10.0  # seconds for which a registry is waited for
ALWAYS, CHANGED, NEVER = "always", "changed", "never"
CHOICES = (CHANGED, ALWAYS, NEVER)

Warnings = tuple[str, ...]


async def pinned_image(context: Context, image: str, held: str, auth: str, how: str = CHANGED) -> tuple[str, Warnings]:
    """(the image with its digest, warnings). ``held`` is the image in force or "", ``auth`` the service's own
    credentials as in X-Registry-Auth.

    CHANGED asks the registry only for another tag than the one in force, ALWAYS whenever the image has no digest, NEVER
    takes it as it is. An image whose registry cannot say its digest stays as it is, with a warning.
    """
    if how == NEVER or not image or is_pinned(image):
        return image, ()
    if how == CHANGED and held and same_tag(image, held):
        return held, ()
    if context.registries is None:
        return image, ()
    credentials = decoded_auth(auth) if auth else shared(context.store, image)
    try:
        async with asyncio.timeout(PATIENCE):
            return with_digest(image, await context.registries.digest(image, credentials)), ()
    except TimeoutError:
        reason = f"the registry did not answer within {PATIENCE:.0f} s"
    except RegistryError as error:
        reason = str(error)
    return image, (
        f"image {image} could not be accessed on a registry to record its digest ({reason}). Each node will access "
        f"{image} independently, possibly leading to different nodes running different versions of the image.",
    )


async def pinned_spec(
    context: Context, spec: ServiceSpec, held: ServiceSpec | None, auth: str
) -> tuple[ServiceSpec, Warnings]:
    """A service with its image pinned, for a client that expects the manager to do it."""
    container = spec.task.container
    before = (held.task.container.image or "") if held is not None else ""
    image, warnings = await pinned_image(context, container.image or "", before, auth)
    if image == (container.image or ""):
        return spec, warnings
    task = dataclasses.replace(spec.task, container=dataclasses.replace(container, image=image))
    return dataclasses.replace(spec, task=task), warnings


async def pinned_options(
    context: Context, options: Mapping[str, Any], held: ServiceSpec | None, auth: str, how: object
) -> tuple[Mapping[str, Any], Warnings]:
    """The options of a playbook with the image pinned. Raises InvalidArgument for a ``how`` that is none."""
    if how is None:
        how = CHANGED
    if how not in CHOICES:
        raise InvalidArgument(f"resolve_image: {how!r} is none of {', '.join(CHOICES)}", plain=True)
    image = options.get("image")
    if not isinstance(image, str):
        return options, ()
    before = (held.task.container.image or "") if held is not None else ""
    pinned, warnings = await pinned_image(context, image, before, auth, str(how))
    return {**options, "image": pinned}, warnings
