# SPDX-License-Identifier: Apache-2.0
"""Running services as a bundle (.dab 0.1). Pure functions.

A bundle says of services which image they run and how they meet. What else they have stands in notes, and never gets
lost in silence.
"""

from __future__ import annotations

import json
from typing import Any

from queenright.app.exported import Exported, Item, Picture, Variables, names_of
from queenright.app.exported_options import Json, Notes
from queenright.app.exported_stacks import of_stack, stack_item

VERSION = "0.1"
PLAIN = {
    "image": "Image",
    "command": "Command",
    "args": "Args",
    "env": "Env",
    "labels": "Labels",
    "working_dir": "WorkingDir",
    "user": "User",
}
NOTHING: Json = {"mode": "replicated", "replicas": 1, "endpoint_mode": "vip", "force_update": 0}
"""What a bundle's services are, though it does not say so."""


def bundle(picture: Picture, only: str | None) -> Exported:
    """A document of the services of a stack, or of all services, as the one item exported. Raises LookupError
    if the stack has no services.
    """
    notes = Notes()
    names = names_of(picture, notes)
    own = picture if only is None else of_stack(picture, only)
    if not own.services:
        raise LookupError(only)
    options = stack_item(only or "", own, names, Variables(), notes).options
    networks = options.get("networks", {})
    services = {key: _service(key, given, networks, notes) for key, given in options["services"].items()}
    for key, given in networks.items():
        if set(given) - {"labels"}:
            notes.add(f"network {key}: a bundle says nothing of it but its name")
    document = {"Version": VERSION, "Services": services}
    return Exported((Item("bundle", "", only or "", document),), (), tuple(notes.lines))


def text(exported: Exported) -> str:
    """The bundle's text."""
    (item,) = exported.items
    return json.dumps(item.options, indent=2, ensure_ascii=False) + "\n"


def _service(key: str, options: Json, networks: Json, notes: Notes) -> Json:
    found = {name: options[option] for option, name in PLAIN.items() if option in options}
    title = f"service {key}"
    if "@sha256:" not in found.get("Image", ""):
        notes.add(f"{title}: its image {found.get('Image')} has no digest, which a bundle must have")
    if options.get("publish"):
        found["Ports"] = [_port(one, title, notes) for one in options["publish"]]
    if options.get("networks"):
        found["Networks"] = [one["name"] for one in options["networks"]]
        for one in options["networks"]:
            if set(one) - {"name"}:
                notes.add(f"{title}: a bundle cannot say {_words(set(one) - {'name'})} of its network {one['name']}")
    left = {
        option
        for option, value in options.items()
        if option not in PLAIN and option not in ("publish", "networks") and NOTHING.get(option) != value
    }
    if left:
        notes.add(f"{title}: a bundle cannot say {_words(left)}")
    return found


def _port(one: Json, title: str, notes: Notes) -> dict[str, Any]:
    if one.get("published_port") or one.get("mode") == "host":
        notes.add(f"{title}: a bundle cannot say where port {one['target_port']} is published; one is chosen")
    return {"Protocol": one.get("protocol", "tcp"), "Port": one["target_port"]}


def _words(options: set[str]) -> str:
    return ", ".join(sorted(options))
