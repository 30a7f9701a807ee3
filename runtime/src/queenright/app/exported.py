# SPDX-License-Identifier: Apache-2.0
"""A running swarm, as it was read, as what a playbook says of it. Pure functions.

The order is that in which things need each other. Data of secrets and passwords can be read by nobody: a variable
stands for each, and where it is not defined, what the swarm holds stays.
"""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from queenright.app.exported_options import (
    Json,
    Names,
    Notes,
    data_of,
    data_options,
    is_predefined,
    network_options,
    newest,
    options_with_notes,
    service_options,
)
from queenright.lib.yaml_text import Expression
from queenright.manager.families import base_of
from queenright.manager.swarm_spec import DEFAULT, with_defaults
from queenright.model.objects import Config, Secret
from queenright.spec.cluster import ACTIVE, NodeSpec, SwarmSpec
from queenright.spec.data import RegistrySpec
from queenright.spec.fields import SpecError, decode, options_of

FOUNDED = {"default_addr_pool": ["10.0.0.0/8"], "subnet_size": 24, "data_path_port": 4789}
KINDS = ("swarm", "registry", "network", "secret", "config", "node", "service", "stack")


@dataclasses.dataclass(frozen=True)
class Picture:
    """A swarm as the Engine API shows it: lists of objects. ``stacks`` are those that are objects of the swarm."""

    swarm: Json = dataclasses.field(default_factory=dict)
    services: tuple[Json, ...] = ()
    networks: tuple[Json, ...] = ()
    secrets: tuple[Json, ...] = ()
    configs: tuple[Json, ...] = ()
    nodes: tuple[Json, ...] = ()
    registries: tuple[Json, ...] = ()
    stacks: tuple[Json, ...] = ()


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing to be declared. ``key`` is the option that names it, "" for the swarm."""

    kind: str
    key: str
    name: str
    options: Json
    comment: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Missing:
    """A value that nobody can read: the variable that stands for it, and what it is."""

    variable: str
    what: str


class Variables:
    """Hands out the variables for what cannot be read, each name once."""

    def __init__(self) -> None:
        self.missing: list[Missing] = []

    def new(self, name: str, what: str) -> str:
        wanted = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
        taken = {one.variable for one in self.missing}
        found, number = wanted, 2
        while found in taken:
            found, number = f"{wanted}_{number}", number + 1
        self.missing.append(Missing(found, what))
        return found


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was made of a picture."""

    items: tuple[Item, ...]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]


def names_of(picture: Picture, notes: Notes) -> Names:
    """What the ids in services mean."""
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for kind, raws in (("secret", picture.secrets), ("config", picture.configs)):
        values: Any = [data_of(kind, raw, notes) for raw in raws]
        last = {one.id for one in newest(values).values()}
        found[kind] = {one.id: (base_of(one), one.id in last) for one in values}
    networks = {raw["Id"]: raw["Name"] for raw in picture.networks}
    return Names(networks=networks, secrets=found["secret"], configs=found["config"])


# -- one thing of each kind


def swarm_items(raw: Json, notes: Notes) -> Iterable[Item]:
    """The swarm's settings, as far as they are others than those of any swarm."""
    if not raw:
        return
    said = raw.get("Spec") or {}
    authorities = said.get("CAConfig") or {}
    for key in ("ExternalCAs", "SigningCACert"):
        if authorities.get(key):
            notes.add(f"swarm: CAConfig.{key} is left out: it is declared with the module swarm_ca")
    kept = {key: value for key, value in authorities.items() if key not in ("ExternalCAs", "SigningCACert")}
    kept.pop("ForceRotate", None)  # a counter of what was done, and no setting
    options = options_with_notes(SwarmSpec, {**said, "CAConfig": kept}, "swarm", notes)
    defaults = options_of(DEFAULT)
    whole = options_of(with_defaults(decode(SwarmSpec, {**said, "CAConfig": kept})))
    options = {name: value for name, value in whole.items() if name in options and defaults.get(name) != value}
    for name, value in (
        ("default_addr_pool", raw.get("DefaultAddrPool")),
        ("subnet_size", raw.get("SubnetSize")),
        ("data_path_port", raw.get("DataPathPort")),
    ):
        if value and value != FOUNDED[name]:
            options[name] = value
    if options:
        yield Item("swarm", "", "", options)


def registry_items(raws: Iterable[Json], variables: Variables, notes: Notes) -> Iterable[Item]:
    """Credentials for registries; a user goes with the password, and both are left as they are without it."""
    for raw in sorted(raws, key=lambda one: str(one["Spec"]["Server"])):
        spec = decode(RegistrySpec, raw["Spec"])
        server = spec.server or ""
        what = f"the {'password' if spec.username else 'identity token'} for registry {server}"
        variable = variables.new(f"registry_{'password' if spec.username else 'token'}_{server}", what)
        options: Json = {"identity_token": optional(variable)}
        if spec.username:
            user = spec.username.replace("\\", "\\\\").replace("'", "\\'")
            known = Expression(f"{{{{ omit if {variable} is undefined else '{user}' }}}}")
            options = {"username": known, "password": optional(variable)}
        yield Item("registry", "server", server, options, (f"{what} cannot be read: give it in {variable}",))


def optional(variable: str) -> Expression:
    """The variable's value, or nothing at all where it is not defined."""
    return Expression(f"{{{{ {variable} | default(omit) }}}}")


def network_items(raws: Iterable[Json], notes: Notes) -> Iterable[Item]:
    """Networks, the one that carries published ports first: it has to be there before the services bring another."""
    for raw in sorted(raws, key=lambda one: (not one.get("Ingress"), one["Name"])):
        if not is_predefined(raw):
            yield Item("network", "name", raw["Name"], network_options(raw, notes))


def data_items(kind: str, raws: Iterable[Json], variables: Variables, notes: Notes) -> Iterable[Item]:
    """Secrets or configs, the newest version of each."""
    documents = {raw["ID"]: raw["Spec"].get("Data") or "" for raw in raws}
    values: Any = [data_of(kind, raw, notes) for raw in raws]
    for base, value in sorted(newest(values).items()):
        yield (
            _secret(base, value, variables, notes)
            if kind == "secret"
            else Item(kind, "name", base, {**readable(documents[value.id]), **data_options(value, notes)})
        )


def _secret(base: str, value: Secret | Config, variables: Variables, notes: Notes) -> Item:
    what = f"the data of secret {base}"
    variable = variables.new(f"secret_{base}", what)
    options = {"data": optional(variable), **data_options(value, notes)}
    return Item("secret", "name", base, options, (f"{what} cannot be read: give it in {variable}",))


def readable(encoded: str) -> Json:
    """A config's data as text, or in base64 where it is none."""
    data = base64.b64decode(encoded)
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        return {"data": encoded, "data_is_b64": True}


def node_items(raws: Iterable[Json], notes: Notes) -> Iterable[Item]:
    """Labels and availability of nodes. What a node is in the swarm, the groups of the inventory say."""
    hosts = [_host(raw) for raw in raws]
    for raw in sorted(raws, key=lambda one: (_host(one), str(one["ID"]))):
        options = options_with_notes(NodeSpec, raw.get("Spec") or {}, f"node {_host(raw) or raw['ID']}", notes)
        options.pop("role", None)
        if options.get("availability") == ACTIVE:
            del options["availability"]
        if options:
            name = _host(raw) if hosts.count(_host(raw)) == 1 and _host(raw) else str(raw["ID"])
            yield Item("node", "name", name, options)


def _host(raw: Json) -> str:
    return str((raw.get("Description") or {}).get("Hostname") or "")


def service_items(raws: Iterable[Json], names: Names, notes: Notes) -> Iterable[Item]:
    """Services with everything that is said of them."""
    for raw in sorted(raws, key=lambda one: str(one["Spec"]["Name"])):
        try:
            options = service_options(raw["Spec"], names, notes)
        except SpecError as error:
            notes.add(f"service {raw['Spec']['Name']}: left out: {error}")
            continue
        if options is not None:
            yield Item("service", "name", raw["Spec"]["Name"], options)


def items_of(picture: Picture, names: Names, variables: Variables, notes: Notes) -> list[Item]:
    """Everything of a picture but its stacks, in the order in which things need each other."""
    return [
        *swarm_items(picture.swarm, notes),
        *registry_items(picture.registries, variables, notes),
        *network_items(picture.networks, notes),
        *data_items("secret", picture.secrets, variables, notes),
        *data_items("config", picture.configs, variables, notes),
        *node_items(picture.nodes, notes),
        *service_items(picture.services, names, notes),
    ]


def labels_of(kind: str, raw: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of a service, network, secret or config."""
    holder = raw if kind == "network" else raw.get("Spec") or {}
    labels: Mapping[str, str] = holder.get("Labels") or {}
    return labels
