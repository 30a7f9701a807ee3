# SPDX-License-Identifier: Apache-2.0
"""What holds data: secrets, configs and the credentials for registries; part of ``objects``."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from queenright.spec.data import ConfigSpec, RegistrySpec, SecretSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Data that only the containers of the services that name it may read. Its labels may change, the data not."""

    kind: ClassVar[str] = "secret"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    spec: SecretSpec = SecretSpec()
    data: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def name(self) -> str:
        return self.spec.name or ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """As a secret, but nothing that must be hidden."""

    kind: ClassVar[str] = "config"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    spec: ConfigSpec = ConfigSpec()
    data: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def name(self) -> str:
        return self.spec.name or ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The swarm's credentials for a registry: ``auth`` is JSON, as a client sends it in X-Registry-Auth."""

    kind: ClassVar[str] = "registry"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    spec: RegistrySpec = RegistrySpec()
    auth: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def name(self) -> str:
        return self.spec.server or ""
