# SPDX-License-Identifier: Apache-2.0
"""Stacks of a running swarm as what declares each whole, in the form of the module swarm_stack. Pure functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from queenright.app.exported import (
    Exported,
    Item,
    Picture,
    Variables,
    data_items,
    items_of,
    labels_of,
    names_of,
    network_items,
    service_items,
)
from queenright.app.exported_inside import Keys, external, inside, key_of, service_inside
from queenright.app.exported_managed import managed_item
from queenright.app.exported_options import Json, Names, Notes
from queenright.model.stack import NAMESPACE_LABEL

PARTS = {"service": "services", "network": "networks", "secret": "secrets", "config": "configs"}


def exported(picture: Picture, *, only: str | None = None, adopt: bool = False) -> Exported:
    """All of a swarm. ``only``: nothing but the stack of that name, with the things that it uses. ``adopt``: what
    Docker's clients deployed as stacks becomes stacks of the swarm; else it stays as it is, with its labels.

    Raises LookupError if there is no stack of the name.
    """
    notes, variables = Notes(), Variables()
    names = names_of(picture, notes)
    known = {raw["Name"]: raw for raw in picture.stacks}
    whole = {*known, *(namespaces(picture) if adopt else ())}
    if only is not None:
        if only not in known and only not in namespaces(picture):
            raise LookupError(only)
        whole &= {only}
        picture = of_stack(picture, only)
    loose = part_of(picture, lambda raw, kind: _namespace(kind, raw) not in whole)
    items = items_of(loose, names, variables, notes)
    items += [
        managed_item(known[name], of_stack(picture, name), names, variables, notes)
        if name in known
        else stack_item(name, of_stack(picture, name), names, variables, notes)
        for name in sorted(whole)
    ]
    return Exported(tuple(items), tuple(variables.missing), tuple(notes.lines))


def namespaces(picture: Picture) -> set[str]:
    """The names of all stacks that labels tell of."""
    found = {_namespace(kind, raw) for kind, part in PARTS.items() for raw in getattr(picture, part)}
    return found - {""}


def _namespace(kind: str, raw: Mapping[str, Any]) -> str:
    return labels_of(kind, raw).get(NAMESPACE_LABEL, "")


def part_of(picture: Picture, fits: Callable[[Json, str], bool]) -> Picture:
    """The picture with those services, networks, secrets and configs alone that fit; what belongs to no stack (nodes,
    registries, settings) is kept if things of no stack are.
    """
    parts: dict[str, Any] = {
        part: tuple(raw for raw in getattr(picture, part) if fits(raw, kind)) for kind, part in PARTS.items()
    }
    if not fits({}, "service"):
        parts |= {"swarm": {}, "nodes": (), "registries": ()}
    return dataclasses.replace(picture, **parts)


def of_stack(picture: Picture, name: str) -> Picture:
    """What belongs to a stack."""
    return part_of(picture, lambda raw, kind: _namespace(kind, raw) == name)


# -- one stack


def stack_item(name: str, own: Picture, names: Names, variables: Variables, notes: Notes) -> Item:
    """A stack of Docker's clients, by its labels: as one of the swarm, with everything that runs as it does."""
    keys = Keys(name)
    begun = len(variables.missing)
    services = {}
    for item in service_items(own.services, names, notes):
        key = key_of(name, item.name)
        services[key] = service_inside(name, key, item.options, keys)
    options: Json = {"services": services}
    networks = {item.name: item for item in network_items(own.networks, notes)}
    options["networks"] = {keys.of("network", full): inside(name, full, one.options) for full, one in networks.items()}
    options["networks"] |= external(keys.used["network"], networks)
    for kind, raws in (("secret", own.secrets), ("config", own.configs)):
        held = {item.name: item for item in data_items(kind, raws, variables, notes)}
        options[f"{kind}s"] = {keys.of(kind, full): inside(name, full, one.options) for full, one in held.items()}
        options[f"{kind}s"] |= external(keys.used[kind], held)
    comment = tuple(f"{one.what} cannot be read: give it in {one.variable}" for one in variables.missing[begun:])
    return Item("stack", "name", name, {part: found for part, found in options.items() if found}, comment)
