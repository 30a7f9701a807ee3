# SPDX-License-Identifier: Apache-2.0
"""``queenright bundle create``: Compose files written as one of Docker's bundles, every image by its digest."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from queenright.app.ask import AskError, ask
from queenright.app.compose_yaml import document
from queenright.app.settings import Settings
from queenright.lib.atomic import replace_file
from queenright.model.images import is_pinned, with_digest
from queenright.sources import bundle, compose
from queenright.sources.draft import Draft, SourceError

NAME = "app"  # of the stack, while it is read: nothing of it gets into the bundle
_READABLE = 0o644

Digest = Callable[[str], str]


def create(
    settings: Settings, said: argparse.Namespace, environment: Mapping[str, str], tell: Callable[[str], None]
) -> int:
    """The command. What is ignored is told (``tell``, a line each). Raises AskError."""
    paths = [Path(one) for one in said.files]
    try:
        draft = _draft(paths, environment)
        for warning in draft.warnings:
            tell(f"queenright: {warning}")
        draft = pinned(draft, lambda image: _digest(settings, image), tell if said.keep_tags else None)
        found = bundle.write(draft, tags=said.keep_tags)
    except SourceError as error:
        raise AskError(str(error)) from None
    text = json.dumps(found, indent=2, sort_keys=True) + "\n"
    if not said.output:
        sys.stdout.write(text)
        return 0
    try:
        replace_file(Path(said.output), text.encode(), mode=_READABLE)
    except OSError as error:
        raise AskError(f"{said.output} cannot be written: {error.strerror or error}") from None
    return 0


def _draft(paths: list[Path], environment: Mapping[str, str]) -> Draft:
    """Paths in the files are relative to the first of them, as with Docker's client."""
    documents = [document(path) for path in paths]
    folder = paths[0].parent
    files = {named: _content(folder / named) for named in compose.needs(documents, environment)}
    return compose.read(NAME, documents, variables=environment, files=files)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AskError(f"{path} cannot be read: {error.strerror or error}") from None


def pinned(draft: Draft, digest: Digest, tell: Callable[[str], None] | None) -> Draft:
    """The draft with each image by its digest. Where there is none for an image, it keeps its tag and that is told, if
    there is anybody to tell.
    """
    found: dict[str, str] = {}
    services = []
    for one in draft.services:
        if one.image not in found:
            found[one.image] = _pinned(one.key, one.image, digest, tell)
        container = dataclasses.replace(one.spec.task.container, image=found[one.image])
        task = dataclasses.replace(one.spec.task, container=container)
        services.append(dataclasses.replace(one, spec=dataclasses.replace(one.spec, task=task)))
    return dataclasses.replace(draft, services=tuple(services))


def _pinned(key: str, image: str, digest: Digest, tell: Callable[[str], None] | None) -> str:
    if is_pinned(image):
        return image
    try:
        return with_digest(image, digest(image))
    except AskError as error:
        why = f"services.{key}.image: no digest of {image} is known: {error}"
        if tell is None:
            raise AskError(f"{why}. Push it to a registry first, or say --keep-tags") from None
        tell(f"queenright: {why}; its tag is kept")
        return image


def _digest(settings: Settings, image: str) -> str:
    """As the registry says, asked by the engine of this host."""
    socket = settings.socket if settings.socket.exists() else settings.docker_socket
    answer: Any = ask(socket, "GET", f"/distribution/{urllib.parse.quote(image, safe='/:')}/json")
    found = answer.get("Descriptor", {}).get("digest") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not found.startswith("sha256:"):
        raise AskError("the engine names no digest")
    return found
