# SPDX-License-Identifier: Apache-2.0
"""When two specifications ask for the same, however they are written.

Clients write in many ways: what applies anyway is said or left out, what has no order comes in another one, a switch
that is off is false or absent. A task is replaced only if its container would be another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from queenright.model import constraints
from queenright.model.errors import InvalidArgument
from queenright.spec.container import (
    AppArmor,
    BindOptions,
    ContainerSpec,
    FileTarget,
    Mount,
    Seccomp,
)
from queenright.spec.service import (
    EndpointSpec,
    GenericResource,
    NetworkAttachment,
    Placement,
    Port,
    Reservations,
    Resources,
    RollbackConfig,
    TaskSpec,
    UpdateConfig,
)

R = TypeVar("R")

_APPLIES: dict[tuple[type, str], Any] = {
    (Mount, "type"): "volume",
    (BindOptions, "propagation"): "rprivate",
    (Seccomp, "mode"): "default",
    (AppArmor, "mode"): "default",
    (FileTarget, "uid"): "0",
    (FileTarget, "gid"): "0",
    (FileTarget, "mode"): 0o444,
    (ContainerSpec, "isolation"): "default",
    (TaskSpec, "runtime"): "container",
    (Resources, "memory_swappiness"): -1,
    (Port, "protocol"): "tcp",
    (Port, "mode"): "ingress",
    (EndpointSpec, "mode"): "vip",
    (EndpointSpec, "drain"): 5 * 1_000_000_000,
    **{(config, "gate"): "running" for config in (UpdateConfig, RollbackConfig)},
    **{(config, "timeout"): 15 * 60 * 1_000_000_000 for config in (UpdateConfig, RollbackConfig)},
}
"""What applies where a field is silent, so that saying it says nothing."""

_ZERO_COUNTS = {
    (Resources, "swap_bytes"),
    (Resources, "memory_swappiness"),
    (FileTarget, "mode"),
    (UpdateConfig, "timeout"),
    (RollbackConfig, "timeout"),
    (EndpointSpec, "drain"),
}
"""Fields in which 0 is not the same as nothing. (Durations that have a default are filled in before.)"""


def _first(entry: str) -> str:
    return entry.partition("=")[0]


def _env(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Variables in order of their names; as they are if one is set twice, because then the order counts."""
    names = [_first(entry) for entry in entries]
    return tuple(sorted(entries, key=_first)) if len(set(names)) == len(names) else entries


def _texts(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(items)))


def _capabilities(items: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({item.upper().removeprefix("CAP_") for item in items}))


def _constraints(expressions: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(sorted({str(constraint) for constraint in constraints.parse_all(expressions)}))
    except InvalidArgument:  # stored by a version that took it
        return expressions


def _generic(items: tuple[GenericResource, ...]) -> tuple[GenericResource, ...]:
    return tuple(sorted((item for item in items if item.value or item.name), key=lambda item: (item.kind, item.name)))


def _by(*names: str) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Records in the order of some of their fields."""

    def key(record: Any) -> tuple[str, ...]:
        return tuple(str(getattr(record, name) or "").rjust(12) for name in names)

    return lambda records: tuple(sorted(records, key=key))


_ORDER: dict[tuple[type, str], Callable[[tuple[Any, ...]], tuple[Any, ...]]] = {
    (ContainerSpec, "env"): _env,
    (ContainerSpec, "groups"): _texts,
    (ContainerSpec, "cap_add"): _capabilities,
    (ContainerSpec, "cap_drop"): _capabilities,
    (ContainerSpec, "mounts"): _by("target"),
    (ContainerSpec, "ulimits"): _by("name"),
    (ContainerSpec, "secrets"): _by("secret_name", "secret_id", "file"),
    (ContainerSpec, "configs"): _by("config_name", "config_id", "file"),
    (Placement, "constraints"): _constraints,
    (Placement, "platforms"): _by("os", "architecture"),
    (Reservations, "generic"): _generic,
    (NetworkAttachment, "aliases"): _texts,
    (TaskSpec, "networks"): _by("target"),
    (EndpointSpec, "ports"): _by("target_port", "published_port", "protocol", "mode"),
}
"""Lists in which the order (and, of texts, saying a thing twice) means nothing."""


def plainest(record: R) -> R:
    """The specification said in one way only: equal records of this form mean the same, and others do not.

    Fields that have a default which depends on more than the field are as they were; see ``defaults``.
    """
    cls = type(record)
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        value = getattr(record, field.name)
        plain = _plain(cls, field.name, value)
        if plain is not value:
            changes[field.name] = plain
    return dataclasses.replace(record, **changes) if changes else record  # type: ignore[type-var]


def _plain(cls: type, name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        order = _ORDER.get((cls, name))
        items = tuple(plainest(item) if dataclasses.is_dataclass(item) else item for item in value)
        return order(items) if order is not None else items
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = plainest(value)
        return None if inner == type(value)() else inner
    if value is None or isinstance(value, dict):
        return value
    if value == _APPLIES.get((cls, name)) and value is not False:
        return None
    return None if not value and cls is not GenericResource and (cls, name) not in _ZERO_COUNTS else value


class Memory:
    """Answers about pairs of specifications, by identity: a service's tasks share one, and deciders ask at every turn.

    It holds what it was asked about, so an identity is not given to another object meanwhile; at its limit it begins
    anew.
    """

    MOST = 4096

    def __init__(self, compare: Callable[[TaskSpec, TaskSpec], bool]) -> None:
        self._compare = compare
        self._answers: dict[tuple[int, int], tuple[TaskSpec, TaskSpec, bool]] = {}

    def same(self, one: TaskSpec, other: TaskSpec) -> bool:
        """Whether they are the same to the comparison that this was made with."""
        if one is other:
            return True
        key = (id(one), id(other))
        known = self._answers.get(key)
        if known is None:
            if len(self._answers) >= self.MOST:
                self._answers.clear()
            known = self._answers[key] = (one, other, self._compare(one, other))
        return known[2]


def same_endpoint(one: EndpointSpec, other: EndpointSpec) -> bool:
    """Whether two services are reached in the same way. How their connections are steered is no matter of the tasks."""
    return one == other or plainest(_unsteered(one)) == plainest(_unsteered(other))


def _unsteered(endpoint: EndpointSpec) -> EndpointSpec:
    ports = tuple(dataclasses.replace(port, local_first=None) if port.local_first else port for port in endpoint.ports)
    return dataclasses.replace(endpoint, ports=ports, drain=None)


__all__ = ["Memory", "plainest", "same_endpoint"]
