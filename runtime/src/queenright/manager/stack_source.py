# SPDX-License-Identifier: Apache-2.0
"""What a playbook sends of a stack, read: its source as a draft with pinned images, and the settings beside it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from queenright.manager.checks import check_labels
from queenright.manager.context import Context
from queenright.manager.pinning import ALWAYS, CHANGED, CHOICES, NEVER, Warnings, pinned_image
from queenright.manager.plans import Wish
from queenright.model.errors import InvalidArgument
from queenright.model.images import domain_of, encoded_auth, is_pinned, registry_of, same_tag
from queenright.model.stack import Stack
from queenright.sources import options
from queenright.sources.draft import Draft, DraftService, SourceError
from queenright.spec.codecs import DURATION
from queenright.store.store import Store

ROLLBACK, ROLLBACK_TO = "rollback", "rollback_to"
SETTINGS = ("labels", "keep", "on_failure", "timeout", "prune")
KNOWN = ("compose", "bundle", *options.SECTIONS, *SETTINGS, ROLLBACK, ROLLBACK_TO)
ON_FAILURE = ("rollback", "pause")
KEEP, TIMEOUT = 5, 15 * 60 * 1_000_000_000
MOST_KEPT = 100

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,61}", re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What is said of a stack beside its source."""

    labels: dict[str, str]
    keep: int
    on_failure: str
    timeout: int
    prune: bool


def check_name(name: str) -> None:
    """Refuse a name that no stack may have."""
    if _NAME.fullmatch(name) is None:
        raise InvalidArgument(
            f"{name!r} is no name of a stack: letters, digits, - and _ are, 62 at most, and a letter or digit first",
            plain=True,
        )


def settings(given: Mapping[str, Any]) -> Settings:
    """What is said, and for what is not said what holds then. Raises InvalidArgument."""
    for unknown in sorted(given.keys() - set(KNOWN)):
        raise InvalidArgument(f"{unknown}: there is no such option; known are {', '.join(sorted(KNOWN))}", plain=True)
    said = {name: value for name, value in given.items() if value is not None}
    on_failure = said.get("on_failure", ON_FAILURE[0])
    if on_failure not in ON_FAILURE:
        raise InvalidArgument(f"on_failure: {on_failure!r} is none of {', '.join(ON_FAILURE)}", plain=True)
    prune = said.get("prune", True)
    if not isinstance(prune, bool):
        raise InvalidArgument("prune: expected true or false", plain=True)
    keep = whole(said.get("keep", KEEP), "keep")
    if keep > MOST_KEPT:
        raise InvalidArgument(f"keep: no more than {MOST_KEPT} revisions are kept", plain=True)
    return Settings(_labels(said.get("labels", {})), keep, on_failure, _duration(said.get("timeout")), prune)


def whole(value: object, name: str) -> int:
    """A number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidArgument(f"{name}: expected a whole number that is not negative", plain=True)
    return value


def _labels(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidArgument("labels: expected a dictionary", plain=True)
    labels = {str(key): str(one) for key, one in value.items()}
    check_labels(labels)
    return labels


def _duration(value: object) -> int:
    if value is None:
        return TIMEOUT
    try:
        return int(DURATION.from_option(value, "timeout", None))
    except ValueError as error:
        raise InvalidArgument(str(error), plain=True) from None


# -- the source


def read(wish: Wish) -> Draft:
    """The draft that the wish's source is. Raises InvalidArgument, by path."""
    given = {name: wish.options[name] for name in KNOWN if wish.options.get(name) is not None}
    native = [name for name in options.SECTIONS if name in given]
    kinds = [name for name in ("compose", "bundle") if name in given] + (["services"] if native else [])
    if len(kinds) != 1:
        named = " and ".join(kinds) if kinds else "none is given"
        raise InvalidArgument(
            f"a stack has one source: compose, bundle, or services with what they use; not {named}", plain=True
        )
    try:
        if native:
            return options.read(wish.name, given)
        return _bundle(wish, given["bundle"]) if "bundle" in given else _compose(wish, given["compose"])
    except SourceError as error:
        raise InvalidArgument(str(error), plain=True) from None


def _bundle(wish: Wish, value: object) -> Draft:
    from queenright.sources import bundle  # noqa: PLC0415 - managers that read none do not pay for it

    if not isinstance(value, str):
        raise InvalidArgument("bundle: expected a text", plain=True)
    return bundle.read(wish.name, bundle.parse(value), tags=wish.context.get("tags") is True)


def _compose(wish: Wish, value: object) -> Draft:
    from queenright.sources import compose  # noqa: PLC0415

    documents: list[Any] = value if isinstance(value, list) else [value]
    if not documents or not all(isinstance(one, dict) for one in documents):
        raise InvalidArgument("compose: expected a list of documents, each an object", plain=True)
    return compose.read(wish.name, documents, variables=_variables(wish.context), files=_files(wish.context))


def _variables(context: Mapping[str, Any]) -> dict[str, str]:
    given = context.get("variables") or {}
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise InvalidArgument("variables: expected an object of texts", plain=True)
    return given


def _files(context: Mapping[str, Any]) -> dict[str, bytes]:
    """Contents by path. Nothing of them is ever quoted."""
    given = context.get("files") or {}
    try:
        return {path: base64.b64decode(text, validate=True) for path, text in given.items()}
    except (AttributeError, TypeError, ValueError, binascii.Error):
        raise InvalidArgument("files: expected an object of base64 texts by path", plain=True) from None


# -- images and credentials


async def pinned(context: Context, wish: Wish, draft: Draft) -> tuple[Draft, Warnings]:
    """The draft with its images pinned to digests; each image is asked for once. What is in force stays as long as its
    tag does, unless all are to be asked for anew.
    """
    how = wish.context.get("resolve_image") or CHANGED
    if how not in CHOICES:
        raise InvalidArgument(f"resolve_image: {how!r} is none of {', '.join(CHOICES)}", plain=True)
    stack = next(iter(context.store.stacks.by("name", draft.name.lower())), None)
    found: dict[str, str] = {}
    asked: dict[str, str] = {}  # image to credentials
    for one in draft.services:
        held = in_force(context.store, stack, one) if how != ALWAYS else ""
        if held:
            found[one.key] = held
        elif how != NEVER and one.image and not is_pinned(one.image):
            asked[one.image] = auth_for(wish, one.image) or ""
    answers = await asyncio.gather(*(pinned_image(context, image, "", auth, how) for image, auth in asked.items()))
    images = {image: answer[0] for image, answer in zip(asked, answers, strict=True)}
    services = tuple(_with_image(one, found.get(one.key) or images.get(one.image, one.image)) for one in draft.services)
    return dataclasses.replace(draft, services=services), tuple(text for _, said in answers for text in said)


def in_force(store: Store, stack: Stack | None, one: DraftService) -> str:
    """The image of the service as it is, or as it was declared, if it is of the same tag; else nothing."""
    if not one.image or is_pinned(one.image):
        return ""
    specs = [part.spec for part in stack.revision.services if part.key == one.key] if stack is not None else []
    specs += [held.spec for held in store.services.by("name", (one.spec.name or "").lower())]
    images = [spec.task.container.image or "" for spec in specs]
    return next((image for image in images if image and same_tag(one.image, image)), "")


def _with_image(one: DraftService, image: str) -> DraftService:
    if image == (one.spec.task.container.image or ""):
        return one
    container = dataclasses.replace(one.spec.task.container, image=image)
    task = dataclasses.replace(one.spec.task, container=container)
    return dataclasses.replace(one, spec=dataclasses.replace(one.spec, task=task))


def auth_for(wish: Wish, image: str) -> str | None:
    """The credentials that were sent for the registry that an image is in, as in X-Registry-Auth; None if none were."""
    given = wish.context.get("registry_auth") or {}
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise InvalidArgument("registry_auth: expected an object of texts by server", plain=True)
    domain = domain_of(image)
    text = next((one for server, one in given.items() if registry_of(str(server)) == domain), None)
    if text is None or not text.lstrip().startswith("{"):
        return text
    try:
        return encoded_auth(json.dumps(json.loads(text), sort_keys=True).encode())
    except ValueError:
        raise InvalidArgument("registry_auth: the credentials are no JSON object", plain=True) from None
