# SPDX-License-Identifier: Apache-2.0
"""Lists of secrets, configs and registries as clients ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from queenright.manager.data_kinds import Data, DataKind
from queenright.model.objects import Registry
from queenright.store.store import Store

Filters = Mapping[str, Sequence[str]]


def list_data(store: Store, kind: DataKind, filters: Filters) -> list[Data]:
    """Those that fit, by id: ``names`` are whole names, ``name`` and ``id`` prefixes; of ``label`` all must hold."""
    table, names = kind.table(store), filters.get("names")
    labels = labels_of(filters.get("label", ()))

    def fits(value: Data) -> bool:
        return (
            (not names or value.name in names)
            and _begins(filters.get("name"), value.name)
            and _begins(filters.get("id"), value.id)
            and all(
                key in value.spec.labels and (not text or value.spec.labels[key] == text)
                for key, text in labels.items()
            )
        )

    if names:
        candidates = [one for name in names for one in table.by("name", name.lower())]
    else:
        exact = next(((key, text) for key, text in labels.items() if text), None)
        candidates = list(table.by("label", exact)) if exact else list(table)
    return sorted({one.id: one for one in candidates if fits(one)}.values(), key=lambda one: one.id)


def list_registries(store: Store) -> list[Registry]:
    """All of them, by server."""
    return sorted(store.registries, key=lambda one: one.name)


def labels_of(texts: Sequence[str]) -> dict[str, str]:
    """``key`` asks for the key, ``key=value`` for the value too."""
    return {key: value for key, _, value in (text.partition("=") for text in texts)}


def _begins(prefixes: Sequence[str] | None, text: str) -> bool:
    return not prefixes or text.startswith(tuple(prefixes))
