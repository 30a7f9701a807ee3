# SPDX-License-Identifier: Apache-2.0
"""Stacks of a running swarm as what declares each whole, in the form of the module swarm_stack. Pure functions.

What the labels of Swarm's clients say is left out where the stack says it itself: to whom things belong, under which
name a service is reached, and which image was meant.
"""

from __future__ import annotations

import base64
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
from queenright.app.exported_options import Json, Names, Notes
from queenright.lib.yaml_text import Expression
from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.spec.network import PREDEFINED

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
        stack_item(name, known.get(name), of_stack(picture, name), names, variables, notes) for name in sorted(whole)
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


def stack_item(
    name: str,
    known: Json | None,
    own: Picture,
    names: Names,
    variables: Variables,
    notes: Notes,
    *,
    pinned: bool = False,
) -> Item:
    """A stack. ``known``: what the swarm says of it, if it is an object of the swarm; then images are named as they
    were written, so that nothing changes, unless they shall be those that run (``pinned``).
    """
    begun = len(variables.missing)
    keys = {one["Name"]: one["Key"] for one in (known or {}).get("Services") or ()}
    networks = {item.name: item for item in network_items(own.networks, notes)}
    used: dict[str, dict[str, str]] = {"networks": {}, "secrets": {}, "configs": {}}  # by part: full name to key
    services = {}
    for item in service_items(own.services, names, notes):
        key = keys.get(item.name) or _key(name, item.name)
        services[key] = _service(name, key, item.options, used, bool(known) and not pinned)
    for row in (known or {}).get("Services") or ():
        if row.get("After") and row["Key"] in services:
            services[row["Key"]]["depends_on"] = _dependencies(row["After"])
    options: Json = {"services": services}
    options["networks"] = {
        used["networks"].get(full, _key(name, full)): _named(name, full, item.options)
        for full, item in networks.items()
    }
    options["networks"] |= _external(used["networks"], networks)
    for kind, part, raws in (("secret", "secrets", own.secrets), ("config", "configs", own.configs)):
        held = {item.name: item for item in data_items(kind, raws, variables, notes)}
        options[part] = {
            used[part].get(full, _key(name, full)): _named(name, full, _stored(item.options))
            for full, item in held.items()
        }
        options[part] |= _external(used[part], held)
    options = {part: found for part, found in options.items() if found}
    comment = tuple(f"{one.what} cannot be read: give it in {one.variable}" for one in variables.missing[begun:])
    return Item("stack", "name", name, {**options, **_settings(name, known or {}, notes)}, comment)


def _settings(name: str, known: Json, notes: Notes) -> Json:
    """What is said of the stack as a whole, and who waits for whom."""
    found: Json = {"labels": dict(known["Labels"])} if known.get("Labels") else {}
    for drift in known.get("Drift") or ():
        notes.add(
            f"stack {name}: {drift['Kind']} {drift['Name']}: {drift['Field']} was changed by hand by "
            f"{drift.get('By') or 'somebody'}; it is exported as it is now"
        )
    return found


def _service(stack: str, key: str, options: Json, used: dict[str, dict[str, str]], ours: bool) -> Json:
    """A service's options inside the stack, and under ``used`` which networks, secrets and configs it names."""
    found = dict(options)
    labels = dict(found.pop("labels", {}))
    written = labels.pop(IMAGE_LABEL, "")
    labels.pop(NAMESPACE_LABEL, None)
    container_labels = {
        name: value for name, value in found.pop("container_labels", {}).items() if name != NAMESPACE_LABEL
    }
    found.pop("resolve_image", None)
    if ours and written:
        found["image"] = written
    attached = [_attachment(stack, key, one, used["networks"]) for one in found.pop("networks", ())]
    more = {"labels": labels, "container_labels": container_labels, "networks": attached}
    found |= {option: value for option, value in more.items() if value}
    for part, option in (("secrets", "secret_name"), ("configs", "config_name")):
        if part in found:
            found[part] = [{**one, option: _used(stack, one[option], used[part])} for one in found[part]]
    return found


def _dependencies(after: Any) -> Any:
    """Whom a service awaits, in the form of the option."""
    if isinstance(after, Mapping):
        return after
    rows = [one if isinstance(one, Mapping) else {"Key": str(one)} for one in after]
    return {row["Key"]: {"condition": row["Condition"]} if row.get("Condition") else None for row in rows}


def _attachment(stack: str, key: str, one: Json, used: dict[str, str]) -> Json:
    aliases = list(one.get("aliases", ()))
    if aliases[-1:] == [key]:  # the stack adds it there
        aliases.pop()
    kept = {option: value for option, value in one.items() if option != "aliases"}
    name = one["name"] if one["name"] in PREDEFINED else _used(stack, one["name"], used)
    return {**kept, "name": name, **({"aliases": aliases} if aliases else {})}


def _used(stack: str, full: str, used: dict[str, str]) -> str:
    """The key of something inside the stack; it keeps its name where that would be the key of something else."""
    key = used.get(full)
    if key is None:
        short = _key(stack, full)
        key = used[full] = full if short in used.values() else short
    return key


def _key(stack: str, full: str) -> str:
    return (full.removeprefix(f"{stack}_") if stack else full) or full


def _named(stack: str, full: str, options: Json) -> Json:
    """What is declared of something inside the stack; its name, if it is not that of the stack and the key."""
    found = dict(options)
    labels = {name: value for name, value in found.pop("labels", {}).items() if name != NAMESPACE_LABEL}
    named = {} if full.startswith(f"{stack}_") else {"name": full}
    return {**named, **found, **({"labels": labels} if labels else {})}


def _external(used: Mapping[str, str], held: Mapping[str, Any]) -> dict[str, Json]:
    """What services of the stack use and is not the stack's."""
    return {key: {"external": True, "name": full} for full, key in used.items() if full not in held}


def _stored(options: Json) -> Json:
    """A secret's or config's options with the data in base64, as stacks have it."""
    found = dict(options)
    data, encoded = found.pop("data"), found.pop("data_is_b64", False)
    if isinstance(data, Expression):
        variable = data.strip("{} ").partition(" ")[0]
        return {"data": Expression(f"{{{{ omit if {variable} is undefined else {variable} | b64encode }}}}"), **found}
    return {"data": data if encoded else base64.b64encode(data.encode()).decode(), **found}
