# SPDX-License-Identifier: Apache-2.0
"""``queenright export``: a running swarm, ours or Docker's own, written as what declares it."""

from __future__ import annotations

import argparse
import json
import sys
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from queenright.app import exported_bundle, exported_text
from queenright.app.ask import AskError, ask
from queenright.app.exported import Exported, Picture
from queenright.app.exported_stacks import exported
from queenright.app.settings import Settings
from queenright.lib.atomic import replace_file

Get = Callable[[str], Any]

BUNDLE = "bundle"
FORMATS: dict[str, Callable[[Exported], str]] = {
    "playbook": exported_text.playbook,
    "apply": exported_text.apply,
    BUNDLE: exported_bundle.text,
}
OVERLAYS = urllib.parse.quote(json.dumps({"scope": ["swarm"]}))


def export(settings: Settings, said: argparse.Namespace, tell: Callable[[str], None]) -> int:
    """The command. What cannot be exported as it is, is told (``tell``, a line each), and stands at the head of what is
    written.
    """
    path = _socket(said.source) if said.source else Path(settings.socket)
    picture = read(lambda target: ask(path, "GET", target))
    try:
        if said.format == BUNDLE:
            found = exported_bundle.bundle(picture, said.stack)
        else:
            found = exported(picture, only=said.stack, adopt=said.adopt)
    except LookupError:
        raise AskError(f"there is no stack {said.stack}" if said.stack else "there are no services") from None
    text = FORMATS[said.format](found)
    if said.output:
        _written(Path(said.output), text)
    else:
        sys.stdout.write(text)
    for one in found.missing:
        tell(f"queenright: {one.what} cannot be read: give it in the variable {one.variable}")
    for note in found.notes:
        tell(f"queenright: {note}")
    return 0


def _socket(text: str) -> Path:
    scheme, found, path = text.partition("://")
    if not found:
        return Path(text)
    if scheme != "unix" or not path.startswith("/"):
        raise AskError(f"--from {text}: expected unix:///PATH; another host's socket can be forwarded by ssh -L")
    return Path(path)


def _written(path: Path, text: str) -> None:
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise AskError(f"{path} cannot be written: {error.strerror or error}") from None


# -- reading


def read(get: Get) -> Picture:
    """What an engine says of its swarm. Raises AskError, also where it manages none."""
    services = get("/services")
    ours = _ours(get)
    networks = {raw["Id"]: raw for raw in get(f"/networks?filters={OVERLAYS}")}
    for target in _targets(services) - set(networks) - {raw["Name"] for raw in networks.values()}:
        networks.update(_network(get, target))
    return Picture(
        swarm=get("/swarm"),
        services=tuple(services),
        networks=tuple(networks.values()),
        secrets=tuple(get("/secrets")),
        configs=tuple(get("/configs")),
        nodes=tuple(get("/nodes")),
        registries=tuple(get("/queenright/v1/registries")) if ours else (),
        stacks=_stacks(get) if ours else (),
    )


def _ours(get: Get) -> bool:
    """Whether it is a runtime of ours that answers."""
    try:
        return isinstance(get("/queenright/v1/status"), dict)
    except AskError:
        return False


def _targets(services: list[Any]) -> set[str]:
    """The ids of the networks that services name, wherever they do."""
    found: set[str] = set()
    for raw in services:
        spec = raw.get("Spec") or {}
        listed = (spec.get("TaskTemplate") or {}).get("Networks") or spec.get("Networks") or ()
        found |= {str(one.get("Target") or "") for one in listed}
    return found - {""}


def _network(get: Get, target: str) -> dict[str, Any]:
    """A network that is in no list: those which every node has of itself."""
    try:
        raw = get(f"/networks/{urllib.parse.quote(target, safe='')}?scope=swarm")
    except AskError:
        return {}
    return {target: {**raw, "Id": target}}


def _stacks(get: Get) -> tuple[dict[str, Any], ...]:
    """What is known of each stack that is an object of the swarm."""
    try:
        listed = get("/queenright/v1/stacks")
    except AskError:  # a runtime without stacks
        return ()
    names = [one["Name"] for one in listed if one.get("Managed")]
    return tuple(get(f"/queenright/v1/stacks/{urllib.parse.quote(name, safe='')}") for name in names)
