# SPDX-License-Identifier: Apache-2.0
"""Stacks that are objects of the swarm, as what declares them. Pure functions.

Services are exported as they run; all else as the revision in force has it. Declared again, that is no new revision,
unless something was changed by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queenright.app.exported import Item, Picture, Variables, data_items, network_items, service_items
from queenright.app.exported_inside import Keys, service_inside
from queenright.app.exported_options import Json, Names, Notes
from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.sources.options import SAID
from queenright.spec.codecs import duration_text

SETTINGS = {"OnFailure": "rollback", "Keep": 5, "Timeout": 15 * 60 * 1_000_000_000}
SECTIONS = {"network": "Networks", "secret": "Secrets", "config": "Configs"}


def managed_item(known: Json, own: Picture, names: Names, variables: Variables, notes: Notes) -> Item:
    """``known``: what the swarm says of the stack; ``own``: what has its label."""
    name, declared = str(known["Name"]), known["Declared"]
    begun = len(variables.missing)
    sections = {kind: declared.get(section) or {} for kind, section in SECTIONS.items()}
    keys = Keys(name, {kind: {one["Name"]: key for key, one in rows.items()} for kind, rows in sections.items()})
    options: Json = {"services": _services(known, own, names, keys, notes)}
    options["networks"] = {key: _network(name, key, one, notes) for key, one in sections["network"].items()}
    for kind, raws in (("secret", own.secrets), ("config", own.configs)):
        held = {item.name: item.options for item in data_items(kind, raws, variables, notes)}
        options[f"{kind}s"] = {key: _data(name, key, one, held, notes) for key, one in sections[kind].items()}
    options |= _settings(known)
    for drift in known.get("Drift") or ():
        notes.add(
            f"stack {name}: {drift['Kind']} {drift['Name']}: {drift['Field'] or 'it'} was changed by hand"
            + (f" ({drift['By']})" if drift.get("By") else "")
        )
    comment = tuple(f"{one.what} cannot be read: give it in {one.variable}" for one in variables.missing[begun:])
    return Item("stack", "name", name, {option: value for option, value in options.items() if value}, comment)


def _services(known: Json, own: Picture, names: Names, keys: Keys, notes: Notes) -> Json:
    name, found = str(known["Name"]), {}
    items = {item.name: item.options for item in service_items(own.services, names, notes)}
    for row in known["Services"]:
        if row["Name"] not in items:
            notes.add(f"stack {name}: service {row['Name']} is not there, and left out")
            continue
        options = items.pop(row["Name"])
        inside = service_inside(name, row["Key"], options, keys)
        inside["image"] = _written(options)
        for option, path in SAID.items():
            if path not in row.get("Said", ()):
                _unsaid(inside, option, f"service {row['Name']}", notes)
        if row.get("After"):
            inside["depends_on"] = {one["Key"]: {"condition": one["Condition"]} for one in row["After"]}
        found[row["Key"]] = inside
    for other in items:
        notes.add(f"stack {name}: service {other} has its label and is no part of it; it is left out")
    return found


def _unsaid(options: Json, option: str, title: str, notes: Notes) -> None:
    """Leave out what the stack leaves to operators."""
    value = options.pop(option, None)
    if value is not None and (option, value) != ("replicas", 1):
        notes.add(f"{title}: its stack does not say {option}, which is {value} now, and stays what it is")


def _written(options: Json) -> str:
    """The image as it was written, unless the service runs another one."""
    image, written = str(options.get("image", "")), str(options.get("labels", {}).get(IMAGE_LABEL, ""))
    tag = image.partition("@")[0]
    return written if written and (written == image or tag in (written, f"{written}:latest")) else image


def _network(stack: str, key: str, declared: Json, notes: Notes) -> Json:
    if declared.get("External"):
        return _external(key, declared)
    (item,) = network_items([declared], notes)
    return {**_named(stack, key, declared), **_labelled(item.options)}


def _data(stack: str, key: str, declared: Json, held: Mapping[str, Json], notes: Notes) -> Json:
    if declared.get("External"):
        return _external(key, declared)
    living = held.get(declared["Name"])
    if living is None:
        notes.add(f"stack {stack}: {declared['Name']} is not there, and its data is not exported")
    options: Json = {name: living[name] for name in ("data", "data_is_b64") if name in living} if living else {}
    if declared.get("Templating"):
        options["template_driver"] = declared["Templating"]["Name"]
    return {**_named(stack, key, declared), **options, **_labelled({"labels": declared.get("Labels") or {}})}


def _external(key: str, declared: Json) -> Json:
    return {"external": True, **({} if declared["Name"] == key else {"name": declared["Name"]})}


def _named(stack: str, key: str, declared: Json) -> Json:
    return {} if declared["Name"] == f"{stack}_{key}" else {"name": declared["Name"]}


def _labelled(options: Json) -> Json:
    labels = {name: value for name, value in options.get("labels", {}).items() if name != NAMESPACE_LABEL}
    rest = {option: value for option, value in options.items() if option != "labels"}
    return {**rest, **({"labels": labels} if labels else {})}


def _settings(known: Json) -> dict[str, Any]:
    """What is said of the stack as a whole, as far as it would not hold anyway."""
    found: dict[str, Any] = {"labels": dict(known.get("Labels") or {})}
    said = {key: known.get(key, default) for key, default in SETTINGS.items() if known.get(key, default) != default}
    if "OnFailure" in said:
        found["on_failure"] = said["OnFailure"]
    if "Keep" in said:
        found["keep"] = said["Keep"]
    if "Timeout" in said:
        found["timeout"] = duration_text(said["Timeout"])
    return found
