# SPDX-License-Identifier: Apache-2.0
"""What a batch must fit: versions, names and subnets that are free, and references that hold.

Every manager asks the same of the same tables when it applies an entry, so that two writers who each saw a world
without the other cannot both be right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from queenright.lib.prefixes import overlap
from queenright.model.changes import Change, Conflict, Create, Delete
from queenright.model.objects import Config, Network, Object, Registry, Secret, Service, Stack, Task
from queenright.model.states import TaskState
from queenright.spec.service import Port
from queenright.store import tables

NAMED = ("service", "secret", "config", "registry", "network", "stack")
"""Kinds whose names are unique, in any letter case."""

REFERENCES = {"secret": tables.secret_ids, "config": tables.config_ids, "network": tables.network_ids}
"""Kinds that services refer to, with the ids that a specification names."""

_Named = Service | Secret | Config | Registry | Network | Stack


class Guard:
    """Checks the changes of one batch in order, each against the tables as the changes before it would leave them."""

    def __init__(self, held: Mapping[str, tables.AnyTable]) -> None:
        self._held = held
        self._later: dict[tuple[str, str], Object | None] = {}  # what the batch makes of objects, None: gone

    def check(self, changes: Iterable[Change]) -> Conflict | None:
        """The first change that does not fit, if there is one."""
        for change in changes:
            target = change if isinstance(change, Delete) else change.object
            reason = self._reason(change, target.kind, target.id)
            if reason is not None:
                return Conflict(target.kind, target.id, reason)
            self._later[target.kind, target.id] = None if isinstance(change, Delete) else change.object
        return None

    def _reason(self, change: Change, kind: str, key: str) -> str | None:
        present = self._get(kind, key)
        reason = _misfit(change, None if present is None else present.version)
        if reason is not None:
            return reason
        if isinstance(change, Delete):
            return self._in_use(kind, key) if kind in REFERENCES else None
        if kind in NAMED and self._name_taken(
            cast("Service | Secret | Config | Registry | Network | Stack", change.object)
        ):
            return "name in use"
        if kind == "network":
            return self._crowded(cast("Network", change.object), cast("Network | None", present))
        if kind != "service":
            return None
        service = cast("Service", change.object)
        return self._dangling(service) or self._published(service, cast("Service | None", present))

    def _get(self, kind: str, key: str) -> Object | None:
        if (kind, key) in self._later:
            return self._later[kind, key]
        return self._held[kind].get(key)

    def _name_taken(self, wanted: _Named) -> bool:
        kind, name = wanted.kind, wanted.name.lower()
        table = cast("tables.Table[Service]", self._held[kind])
        holders = {other.id for other in table.by("name", name) if (kind, other.id) not in self._later}
        for (of, key), other in self._later.items():
            if of == kind and other is not None and cast("Service", other).name.lower() == name:
                holders.add(key)
        return bool(holders - {wanted.id})

    def _in_use(self, kind: str, key: str) -> str | None:
        gone = cast("Secret | Config | Network | None", self._get(kind, key))
        if isinstance(gone, Network):
            return network_in_use(
                gone, self._services("ingress", True) if gone.ingress else self._users(kind, key)
            ) or (task_in_use(gone, self._tasks(key)))
        users = list(self._users(kind, key))
        if not users:
            return None
        names = ", ".join(sorted(user.name for user in users))
        word = "service" if len(users) == 1 else "services"
        return f"{kind} '{gone.name if gone is not None else key}' is in use by the following {word}: {names}"

    def _users(self, kind: str, key: str) -> Iterator[Service]:
        """The services whose specification refers to it."""
        return (user for user in self._services(kind, key) if key in REFERENCES[kind](user.spec.task))

    def _services(self, index: str, key: object) -> Iterator[Service]:
        """The services with that key of an index, and whatever the batch makes of others."""
        table = cast("tables.Table[Service]", self._held["service"])
        yield from (user for user in table.by(index, key) if ("service", user.id) not in self._later)
        for other in self._later.values():
            if isinstance(other, Service) and key in table.keys_of(index, other):
                yield other

    def _tasks(self, key: str) -> Iterator[Task]:
        """The tasks of services that are there, in that network."""
        table = cast("tables.Table[Task]", self._held["task"])
        found = [one for one in table.by("network", key) if ("task", one.id) not in self._later]
        found += [one for one in self._later.values() if isinstance(one, Task) and key in table.keys_of("network", one)]
        return (one for one in found if self._get("service", one.service_id) is not None)

    def _crowded(self, wanted: Network, present: Network | None) -> str | None:
        """Two networks share neither an address nor a number, and there is one that is the ingress."""
        if present is not None and (present.subnets, present.vni) == (wanted.subnets, wanted.vni):
            return None
        table = cast("tables.Table[Network]", self._held["network"])
        others = [one for one in table if ("network", one.id) not in self._later and one.id != wanted.id]
        others += [one for one in self._later.values() if isinstance(one, Network) and one.id != wanted.id]
        for other in others:
            if wanted.vni and other.vni == wanted.vni:
                return f"its number is that of network {other.name}"
            if wanted.ingress and other.ingress:
                return "there is an ingress network already"
            if any(overlap(one.subnet, two.subnet) for one in wanted.subnets for two in other.subnets):
                return f"its subnet overlaps with network {other.name}"
        return None

    def _published(self, service: Service, present: Service | None) -> str | None:
        """A port that it did not have before must be free; two services that publish on their own nodes get along."""
        before = set(map(_on_nodes, tables.held_ports(present))) if present is not None else set()
        for port in tables.held_ports(service):
            if _on_nodes(port) in before:
                continue
            for key in tables.published(port):
                for other in self._services("port", key):
                    if other.id != service.id and any(
                        key in tables.published(held) and (port.mode, held.mode) != ("host", "host")
                        for held in tables.held_ports(other)
                    ):
                        return f"port {key[1]}/{key[0]} is that of service {other.name}"
        return None

    def _dangling(self, service: Service) -> str | None:
        """A reference that was not there before must lead somewhere."""
        for kind, ids_of in REFERENCES.items():
            wanted = ids_of(service.spec.task)
            if not wanted:
                continue
            before = cast("Service | None", self._get("service", service.id))
            known = ids_of(before.spec.task) if before is not None else ()
            for key in wanted:
                if key not in known and self._get(kind, key) is None:
                    return f"{kind} {key} not found"
        return None


def network_in_use(network: Network, users: Iterable[Service]) -> str | None:
    """That a service of ``users`` needs the network, in Swarm's words; None if there is none."""
    user = min(users, key=lambda one: one.name, default=None)
    if user is None:
        return None
    if network.ingress:
        return f"ingress network cannot be removed because service {user.id} depends on it"
    return f"network {network.id} is in use by service {user.id}"


def task_in_use(network: Network, tasks: Iterable[Task]) -> str | None:
    """That a task that runs or will needs the network, in Swarm's words; None if there is none."""
    for task in tasks:
        if task.desired_state <= TaskState.RUNNING and task.state <= TaskState.RUNNING:
            return f"network {network.id} is in use by task {task.id}"
    return None


def _on_nodes(port: Port) -> tuple[object, ...]:
    return tables.published(port), port.mode == "host"


def _misfit(change: Change, version: int | None) -> str | None:
    if isinstance(change, Create):
        return None if version is None else "exists already"
    if isinstance(change, Delete):
        return None if change.version is None or change.version == version else "changed meanwhile"
    if version is None:
        return "is gone"
    return None if change.object.version == version else "changed meanwhile"
