# SPDX-License-Identifier: Apache-2.0
"""What a node is, read from the engine's ``GET /info``."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from queenright.model.objects import GenericResource, NodeDescription
from queenright.spec.fields import SpecError, decode

log = logging.getLogger(__name__)

PLUGIN_KINDS = ("Authorization", "Log", "Network", "Volume")


def read_info(info: dict[str, Any]) -> NodeDescription:
    """Machine and engine as the engine sees them. Labels without a value have the value ""."""
    plugins = info.get("Plugins") or {}
    labels = dict(label.partition("=")[::2] for label in info.get("Labels") or [])
    return NodeDescription(
        hostname=info.get("Name") or "",
        architecture=info.get("Architecture") or "",
        os=info.get("OSType") or "",
        nano_cpus=int(info.get("NCPU") or 0) * 10**9,
        memory_bytes=int(info.get("MemTotal") or 0),
        engine_version=info.get("ServerVersion") or "",
        engine_labels=labels,
        plugins=tuple(sorted(f"{kind}/{name}" for kind in PLUGIN_KINDS for name in plugins.get(kind) or [])),
        generic_resources=tuple(_generic(info.get("GenericResources") or [])),
    )


def _generic(said: list[dict[str, Any]]) -> Iterator[GenericResource]:
    """The ``node-generic-resources`` of the engine's configuration; what is none is left out."""
    for number, item in enumerate(said):
        try:
            yield decode(GenericResource, item, path=f"GenericResources[{number}]")
        except SpecError as error:
            log.warning("a generic resource that the engine tells of is left out: %s", error)
