# SPDX-License-Identifier: Apache-2.0
"""From an object as the Engine API shows it to the options that declare it. Pure functions.

What no option can say is never dropped in silence: it becomes a note.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from queenright.manager.families import base_of, number_of, users_labels
from queenright.model.objects import Config, Secret
from queenright.spec.container import ConfigReference, SecretReference
from queenright.spec.data import ConfigSpec, SecretSpec
from queenright.spec.fields import SpecError, decode, difference, encode, merge, options_of, rows
from queenright.spec.network import PREDEFINED, NetworkSpec
from queenright.spec.service import ServiceSpec

Json = dict[str, Any]
T = TypeVar("T")
Reference = TypeVar("Reference", SecretReference, ConfigReference)

SPECS: dict[str, Any] = {"secret": SecretSpec, "config": ConfigSpec}
MOST_REFUSALS = 50
ENCRYPTED = "encrypted"
_VXLAN = "com.docker.network.driver.overlay.vxlanid_list"  # what the network has, not what was said of it
_SHOWN = frozenset(
    ["id", "created", "scope", "containers", "peers", "services", "status", "configonly", "configfrom", "enableipv4"]
)
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Notes:
    """What is to be told beside the tasks, each thing once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)


@dataclasses.dataclass(frozen=True)
class Names:
    """What ids mean: networks by id; of secrets and configs, by id, the name of the family and whether it is the newest
    of it.
    """

    networks: Mapping[str, str]
    secrets: Mapping[str, tuple[str, bool]]
    configs: Mapping[str, tuple[str, bool]]


# -- services


def service_options(raw: Json, names: Names, notes: Notes) -> Json | None:
    """The options of a service without its name; None for one that cannot be declared."""
    title = f"service {raw.get('Name', '')}"
    template = raw.get("TaskTemplate") or {}
    if template.get("PluginSpec") or template.get("NetworkAttachmentSpec"):
        notes.add(f"{title}: left out, as it runs no containers (it is of runtime {template.get('Runtime')!r})")
        return None
    spec = _decoded(ServiceSpec, _with_networks(raw), title, notes)
    spec = _named(spec, names, title, notes)
    options = _whole(spec, title, notes)
    for kind in ("secrets", "configs"):
        for one in options.get(kind, ()):
            if "mode" in one:
                one["mode"] = f"{one['mode']:04o}"
    if "@" not in (spec.task.container.image or ""):
        options["resolve_image"] = "never"
    return options


def _with_networks(raw: Json) -> Json:
    """The service with its networks where they are today: the first versions of the API had them in another place."""
    template = dict(raw.get("TaskTemplate") or {})
    template["Networks"] = template.get("Networks") or raw.get("Networks")
    return {**{key: value for key, value in raw.items() if key != "Networks"}, "TaskTemplate": template}


def _named(spec: ServiceSpec, names: Names, title: str, notes: Notes) -> ServiceSpec:
    """The spec with names instead of ids."""
    container, task = spec.task.container, spec.task
    for one in task.networks:
        if one.target not in names.networks and one.target not in names.networks.values():
            notes.add(f"{title}: its network {one.target} is not there")
    networks = tuple(
        dataclasses.replace(one, target=names.networks.get(one.target or "", one.target)) for one in task.networks
    )
    container = dataclasses.replace(
        container,
        secrets=tuple(_by_name(one, "secret", names.secrets, title, notes) for one in container.secrets),
        configs=tuple(_by_name(one, "config", names.configs, title, notes) for one in container.configs),
    )
    return dataclasses.replace(spec, task=dataclasses.replace(task, container=container, networks=networks))


def _by_name(
    reference: Reference, kind: str, known: Mapping[str, tuple[str, bool]], title: str, notes: Notes
) -> Reference:
    """A reference to the newest version is one to the name that all versions have."""
    key, name = getattr(reference, f"{kind}_id") or "", getattr(reference, f"{kind}_name")
    base, newest = known.get(key, (name, True))
    if key and key not in known:
        notes.add(f"{title}: its {kind} {name} is not there")
    if not newest:
        notes.add(f"{title}: it uses {kind} {name}, which is not the newest version of {base} and is not exported")
    return dataclasses.replace(reference, **{f"{kind}_id": None, f"{kind}_name": base if newest else name})


# -- networks, secrets and configs


def network_options(raw: Json, notes: Notes) -> Json:
    """The options of a network without its name."""
    title = f"network {raw.get('Name', '')}"
    document = {key: value for key, value in raw.items() if key.lower() not in _SHOWN}
    if raw.get("ConfigOnly") or raw.get("EnableIPv4") is False:
        notes.add(f"{title}: it is without IPv4 or holds a configuration only, which cannot be declared")
    document["Options"] = {key: value for key, value in (raw.get("Options") or {}).items() if key != _VXLAN}
    document["IPAM"] = _without_empty(raw.get("IPAM") or {})
    if ENCRYPTED in document["Options"]:
        notes.add(
            f"{title}: it is encrypted, which queenright does not do: the task is refused until that is taken out"
        )
    options = _whole(_decoded(NetworkSpec, document, title, notes), title, notes)
    return {key: value for key, value in options.items() if value is not False}


def _without_empty(ipam: Json) -> Json:
    pools = [{key: value for key, value in pool.items() if value} for pool in ipam.get("Config") or ()]
    said = {key: value for key, value in ipam.items() if value and (key, value) != ("Driver", "default")}
    return {**said, "Config": pools}


def is_predefined(raw: Json) -> bool:
    """Whether it is a network that every node has of itself."""
    return raw.get("Name") in PREDEFINED and raw.get("Driver") in PREDEFINED


def data_of(kind: str, raw: Json, notes: Notes) -> Secret | Config:
    """A secret or config without its data, as a version of its family."""
    spec = {key: value for key, value in (raw.get("Spec") or {}).items() if key != "Data"}
    decoded = _decoded(SPECS[kind], spec, f"{kind} {spec.get('Name', '')}", notes)
    made: Secret | Config = (Secret if kind == "secret" else Config)(id=raw["ID"], spec=decoded)
    return made


def data_options(value: Secret | Config, notes: Notes) -> Json:
    """The options of a family, whose newest version it is, without name and data."""
    spec = dataclasses.replace(value.spec, labels=users_labels(value.spec.labels))
    return _whole(spec, f"{value.kind} {value.spec.name}", notes)


def newest(values: list[Secret] | list[Config]) -> dict[str, Secret | Config]:
    """The newest version of each family."""
    found: dict[str, Secret | Config] = {}
    for one in sorted(values, key=number_of):
        found[base_of(one)] = one
    return found


# -- any record


def options_with_notes(record: Any, raw: Json, title: str, notes: Notes) -> Json:
    """The options of something that needs no more than its record."""
    return _whole(_decoded(record, raw, title, notes), title, notes)


def _decoded(record: type[T], raw: Json, title: str, notes: Notes) -> T:
    """The record. What is refused or unknown is taken out, and noted."""
    for path in unknown(record, raw):
        notes.add(f"{title}: {path} is not known here, and left out")
    document = copy.deepcopy(raw)
    for _ in range(MOST_REFUSALS):
        try:
            return decode(record, document)
        except SpecError as error:
            if not _taken_out(document, error.path):
                raise
            notes.add(f"{title}: {error.path} is left out: {error.reason}")
    raise SpecError("", "too much of it cannot be taken")


def _whole(spec: Any, title: str, notes: Notes) -> Json:
    """The options that declare it, and notes on what they do not say."""
    options = options_of(spec)
    made = merge(type(spec), None, options)
    if hasattr(spec, "name"):
        made = dataclasses.replace(made, name=spec.name)
    for path, values in difference(encode(made), encode(spec)).items():
        notes.add(f"{title}: {path} cannot be declared, and left out: it is {values['after']!r}")
    return _in_order(type(spec), options)


def _in_order(record: Any, options: Json) -> Json:
    """The options with maps in the order of their keys: engines show them in any."""
    found = dict(options)
    for _name, option, row in rows(record):
        if row.codec.inline:
            found = _in_order(row.codec.record, found)
        elif option in found and getattr(row.codec, "many", False):
            found[option] = [_in_order(row.codec.record, one) for one in found[option]]
        elif option in found and row.codec.record is not None:
            found[option] = _in_order(row.codec.record, found[option])
        elif option in found and isinstance(found[option], dict):
            found[option] = dict(sorted(found[option].items()))
    return found


def unknown(record: Any, raw: Any, path: str = "") -> list[str]:
    """The keys with something in them that no row of the record knows."""
    if hasattr(record, "from_api") or not isinstance(raw, dict):
        return []
    known = {row.api.lower(): row for _name, _option, row in rows(record)}
    refused = {key.lower() for key in getattr(record, "REFUSED", {})}
    found: list[str] = []
    for key, value in raw.items():
        row, here = known.get(key.lower()), f"{path}.{key}" if path else key
        if row is None:
            found += [here] if value and key.lower() not in refused else []
        elif row.codec.record is not None and isinstance(value, list):
            for index, item in enumerate(value):
                found += unknown(row.codec.record, item, f"{here}[{index}]")
        elif row.codec.record is not None:
            found += unknown(row.codec.record, value, here)
    return found


def _taken_out(document: Any, path: str) -> bool:
    """Take what is at the path out of a document; whether it was there."""
    steps = [name if name else int(index) for name, index in _STEP.findall(path)]
    holder = document
    for depth, step in enumerate(steps):
        key = _key_of(holder, step)
        if key is None:
            return False
        if depth == len(steps) - 1:
            del holder[key]
            return True
        holder = holder[key]
    return False


def _key_of(holder: Any, step: str | int) -> Any:
    if isinstance(holder, list):
        return step if isinstance(step, int) and step < len(holder) else None
    if not isinstance(holder, dict) or isinstance(step, int):
        return None
    return next((key for key in holder if key.lower() == step.lower()), None)
