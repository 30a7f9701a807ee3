# SPDX-License-Identifier: Apache-2.0
"""A draft: what a source says of a stack, before it is compared with what the swarm has."""

from __future__ import annotations

import dataclasses

from queenright.model.stack import Dependency
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec


class SourceError(ValueError):
    """A source that cannot be taken. ``path`` is where in it (``services.web.ports[0]``), ``reason`` what is wrong and
    how to mend it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


@dataclasses.dataclass(frozen=True, slots=True)
class DraftService:
    """``spec`` has the full name (``<stack>_<key>``), the stack's labels, and references to networks by ``target`` =
    the network's full name, to secrets and configs by ``secret_name``/``config_name`` = full name, without ids.
    Replicas that the source does not say are None in it. ``said`` are the paths of Engine JSON that the source mentions
    among those that operators set by hand. ``image`` is as it was written.
    """

    key: str
    spec: ServiceSpec
    after: tuple[Dependency, ...] = ()
    said: tuple[str, ...] = ()
    image: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class DraftNetwork:
    """``name`` is the full name. An external one has to be there, and ``spec`` is empty."""

    key: str
    name: str
    external: bool = False
    spec: NetworkSpec = NetworkSpec()


@dataclasses.dataclass(frozen=True, slots=True)
class DraftData:
    """A secret or config (``kind``). ``data`` None: it is not given, and has to be there already (always so where it is
    external).
    """

    key: str
    kind: str
    name: str
    external: bool = False
    data: bytes | None = dataclasses.field(default=None, repr=False)
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    template_driver: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """A whole stack as a source says it. ``warnings`` name what is ignored, by path."""

    name: str
    source: str  # "compose", "bundle" or "options"
    services: tuple[DraftService, ...] = ()
    networks: tuple[DraftNetwork, ...] = ()
    data: tuple[DraftData, ...] = ()
    warnings: tuple[str, ...] = ()
