# SPDX-License-Identifier: Apache-2.0
"""Networks of the swarm as clients ask for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from queenright.manager.view_data import labels_of
from queenright.model.objects import Network
from queenright.spec.network import OVERLAY
from queenright.store.store import Store

Filters = Mapping[str, Sequence[str]]

ABBREVIATION = 6  # letters of an id from which on it is taken for one: a node's own networks have ids and names too


def find_network(store: Store, ref: str) -> Network | None:
    """By id, then name, then the beginning of an id that is long enough to be no name of another network."""
    found = store.networks.get(ref) or next(iter(store.networks.by("name", ref.lower())), None)
    if found is not None or len(ref) < ABBREVIATION:
        return found
    matches = store.networks.with_prefix(ref)
    return matches[0] if len(matches) == 1 else None


def list_networks(store: Store, filters: Filters) -> list[Network]:
    """Those that fit, by name. ``name`` and ``id`` mean parts, as dockerd has it; of ``label`` all must hold."""
    labels = labels_of(filters.get("label", ()))
    dangling = [text.lower() in ("true", "1") for text in filters.get("dangling", ())]

    def fits(value: Network) -> bool:
        return (
            _among(filters, "driver", OVERLAY)
            and _among(filters, "scope", "swarm")
            and _among(filters, "type", "custom")
            and _part(filters, "name", value.name)
            and _part(filters, "id", value.id)
            and all(key in value.spec.labels and text in ("", value.spec.labels[key]) for key, text in labels.items())
            and all(_unused(store, value) is wanted for wanted in dangling)
        )

    return sorted((one for one in store.networks if fits(one)), key=lambda one: one.name)


def _unused(store: Store, value: Network) -> bool:
    ingress = value.ingress and store.services.count("ingress", True)
    return not (ingress or store.services.count("network", value.id) or store.tasks.count("network", value.id))


def _among(filters: Filters, name: str, value: str) -> bool:
    wanted = filters.get(name)
    return not wanted or value in wanted


def _part(filters: Filters, name: str, value: str) -> bool:
    wanted = filters.get(name)
    return not wanted or any(text in value for text in wanted)
