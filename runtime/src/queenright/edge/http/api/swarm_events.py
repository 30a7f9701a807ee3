# SPDX-License-Identifier: Apache-2.0
"""Changes of the store as the Engine API's events of scope ``swarm``, and the filters that choose among them.

Secrets, configs, networks, nodes and services have events; what happens to their tasks shows as the containers' own
events.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from queenright.decide import defaults
from queenright.manager.views import ManagerStatus
from queenright.model.objects import Config, Network, Node, Secret, Service
from queenright.spec.network import OVERLAY
from queenright.store.history import Commit, Event

SECOND = 1_000_000_000
SCOPE = "swarm"
TYPES = frozenset({"service", "node", "secret", "config", "network"})
SHARED = frozenset({"network"})
"""Types of which the engine has events too."""
NAMING = ("daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config")
"""Filters that ask for an id or a name."""

Attributes = dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class SwarmEvent:
    """One event. ``at``: wall nanoseconds."""

    type: str
    action: str
    id: str
    attributes: Mapping[str, str]
    at: int

    def document(self) -> dict[str, Any]:
        """Its JSON, key for key in Docker's order."""
        return {
            "Type": self.type,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(self.attributes)},
            "scope": SCOPE,
            "time": self.at // SECOND,
            "timeNano": self.at,
        }


def events_of(commit: Commit) -> Iterator[SwarmEvent]:
    """What a commit is to those who listen."""
    for event in commit.events:
        row = event.object
        if row.kind in TYPES:
            action = "create" if event.before is None else "remove" if event.after is None else "update"
            yield SwarmEvent(row.kind, action, row.id, _attributes(event), commit.at)


def managers_moved(
    before: Mapping[str, ManagerStatus], after: Mapping[str, ManagerStatus], names: Mapping[str, str], at: int
) -> Iterator[SwarmEvent]:
    """Who began or ceased to lead, or to be reachable. ``names``: host names by node id."""
    for key in sorted(before.keys() & after.keys()):
        old, new = before[key], after[key]
        moved: Attributes = {}
        _moved(moved, "leader", _word(old.leader), _word(new.leader))
        _moved(moved, "reachability", old.reachability, new.reachability)
        if moved:
            yield SwarmEvent("node", "update", key, {"name": names.get(key, ""), **moved}, at)


def _attributes(event: Event) -> Attributes:
    row, before, after = event.object, event.before, event.after
    if isinstance(row, Service):
        found = {"name": row.name}
        if isinstance(before, Service) and isinstance(after, Service):
            _service_moved(found, before, after)
        return found
    if isinstance(row, Node):
        found = {"name": row.hostname}
        if isinstance(before, Node) and isinstance(after, Node):
            _moved(found, "availability", before.availability, after.availability)
            _moved(found, "role", before.role, after.role)
            _moved(found, "state", str(before.status.state), str(after.status.state))
        return found
    if isinstance(row, Network):
        return {"name": row.name, "type": row.spec.driver or OVERLAY}
    assert isinstance(row, Secret | Config)
    return {"name": row.name}


def _service_moved(found: Attributes, before: Service, after: Service) -> None:
    if (after.spec.mode.kind or "replicated") == "replicated":
        _moved(found, "replicas", str(defaults.replicas(before.spec)), str(defaults.replicas(after.spec)))
    _moved(found, "image", before.spec.task.container.image or "", after.spec.task.container.image or "")
    old, new = before.update_status, after.update_status
    _moved(found, "updatestate", str(old.state) if old else "", str(new.state) if new else "")


def _moved(found: Attributes, name: str, before: str, after: str) -> None:
    """Note a value that is another one; one that was or is not there is left out."""
    if before != after:
        found.update({f"{name}.{when}": value for when, value in (("old", before), ("new", after)) if value})


def _word(value: bool) -> str:
    return "true" if value else "false"


class EventFilter:
    """The ``filters`` of ``/events`` by Docker's rules; names that it does not know ask for nothing."""

    def __init__(self, filters: Mapping[str, list[str]]) -> None:
        self._filters = filters

    def takes(self, event: SwarmEvent) -> bool:
        """Whether the event is asked for."""
        return (
            self._exact("event", event.action)
            and self._exact("type", event.type)
            and self._exact("scope", SCOPE)
            and self._labelled(event.attributes)
            and not self._filters.get("image")
            and all(self._named(name, event) for name in NAMING if name in self._filters)
        )

    @property
    def swarm(self) -> bool:
        """Whether events of the swarm can be among them."""
        types = self._filters.get("type")
        return self._exact("scope", SCOPE) and (not types or bool(TYPES & set(types)))

    @property
    def engine(self) -> bool:
        """Whether events of the engine can be among them."""
        types = self._filters.get("type")
        return self._exact("scope", "local") and (not types or bool(set(types) - (TYPES - SHARED)))

    def _exact(self, name: str, value: str) -> bool:
        wanted = self._filters.get(name)
        return not wanted or value in wanted

    def _named(self, name: str, event: SwarmEvent) -> bool:
        """By the beginning of the id or the name of what the event is about, whatever its type, as dockerd does."""
        wanted = tuple(self._filters[name])
        return not wanted or event.id.startswith(wanted) or event.attributes.get("name", "").startswith(wanted)

    def _labelled(self, attributes: Mapping[str, str]) -> bool:
        for text in self._filters.get("label", ()):
            key, separator, value = text.partition("=")
            if key not in attributes or (separator and attributes[key] != value):
                return False
        return True
