# SPDX-License-Identifier: Apache-2.0
"""Versions of a secret or config. Data never changes: what a playbook changes becomes a new object of the same family.

The first version has the family's name, the next ones are ``<name>.v2``, ``<name>.v3`` and so on, and carry two labels
that say so. A name alone makes nobody a member.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from queenright.manager.data_kinds import Data, DataKind
from queenright.store.store import Store

BASE_LABEL = "queenright.base"
VERSION_LABEL = "queenright.version"
OWN_LABELS = frozenset({BASE_LABEL, VERSION_LABEL})

_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


def base_of(value: Data) -> str:
    """The name of its family: its own unless labels and name agree on another."""
    base, number = value.spec.labels.get(BASE_LABEL, ""), value.spec.labels.get(VERSION_LABEL, "")
    if base and _NUMBER.fullmatch(number) and value.spec.name == version_name(base, int(number)):
        return base
    return value.spec.name or ""


def number_of(value: Data) -> int:
    """Which version of its family it is; 1 is the first."""
    return int(value.spec.labels[VERSION_LABEL]) if base_of(value) != value.spec.name else 1


def version_name(base: str, number: int) -> str:
    """The name of a version."""
    return base if number == 1 else f"{base}.v{number}"


def version_labels(base: str, number: int) -> dict[str, str]:
    """The labels of a version; the first one has none."""
    return {} if number == 1 else {BASE_LABEL: base, VERSION_LABEL: str(number)}


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Those labels that make a version."""
    return {key: value for key, value in labels.items() if key in OWN_LABELS}


def users_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """All other labels."""
    return {key: value for key, value in labels.items() if key not in OWN_LABELS}


def family(store: Store, kind: DataKind, base: str) -> list[Data]:
    """All versions, oldest first; none if there are none. ``base`` is matched without regard to case."""
    table = kind.table(store)
    first = [one for one in table.by("name", base.lower()) if base_of(one).lower() == base.lower()]
    name = first[0].spec.name if first else base
    later = [one for one in table.by("label", (BASE_LABEL, name)) if base_of(one) == name]
    return sorted({one.id: one for one in [*first, *later]}.values(), key=number_of)


def named(store: Store, kind: DataKind, name: str) -> Data | None:
    """The newest version of the family of that name; else the object of just that name."""
    versions = family(store, kind, name)
    return versions[-1] if versions else next(iter(kind.table(store).by("name", name.lower())), None)
