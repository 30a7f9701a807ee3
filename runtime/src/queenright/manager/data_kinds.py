# SPDX-License-Identifier: Apache-2.0
"""What secrets and configs have in common, and the few things in which they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, cast

from queenright.model.objects import Config, Secret
from queenright.spec.container import ConfigReference, ContainerSpec, SecretReference
from queenright.spec.data import ConfigSpec, SecretSpec
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store
from queenright.store.tables import Table

Data = Secret | Config
SpecOfData = SecretSpec | ConfigSpec
Reference = SecretReference | ConfigReference


@dataclasses.dataclass(frozen=True, slots=True)
class DataKind:
    """``name`` is secret or config; data is shorter than ``limit`` bytes; relative targets are below ``root`` in the
    container; ``spec`` is the record of what is said of one, ``make`` gives a new object.
    """

    name: str
    limit: int
    root: str
    spec: type[SpecOfData]
    make: Callable[..., Data]

    def table(self, store: Store) -> Table[Any]:
        """The objects of the kind."""
        return cast("Table[Any]", store.secrets if self.name == "secret" else store.configs)

    def find(self, store: Store, ref: str) -> Data:
        """By id, then name, then unique prefix of an id. Raises NotFound or InvalidArgument (ambiguous)."""
        return store.secret(ref) if self.name == "secret" else store.config(ref)

    def respecified(self, value: Data, spec: SpecOfData) -> Data:
        """The same object, of which something else is said."""
        changes: dict[str, Any] = {"spec": spec}
        return dataclasses.replace(value, **changes)

    def references(self, spec: ServiceSpec | None) -> tuple[Reference, ...]:
        """What a service refers to; of no spec: nothing."""
        if spec is None:
            return ()
        return cast("tuple[Reference, ...]", getattr(spec.task.container, f"{self.name}s"))

    def id_of(self, reference: Reference) -> str:
        """The id that a reference holds, or ""."""
        return getattr(reference, f"{self.name}_id") or ""

    def name_of(self, reference: Reference) -> str:
        """The name that a reference holds, or ""."""
        return getattr(reference, f"{self.name}_name") or ""

    def pointed(self, reference: Reference, key: str, name: str) -> Reference:
        """The reference, at the same place in the container, to the object of that id and name."""
        changes: dict[str, Any] = {f"{self.name}_id": key, f"{self.name}_name": name}
        return dataclasses.replace(reference, **changes)

    def with_references(self, spec: ServiceSpec, references: tuple[Reference, ...]) -> ServiceSpec:
        """The service with other references of this kind."""
        changes: dict[str, Any] = {f"{self.name}s": references}
        container: ContainerSpec = dataclasses.replace(spec.task.container, **changes)
        return dataclasses.replace(spec, task=dataclasses.replace(spec.task, container=container))


SECRET = DataKind("secret", 500 * 1024, "/run/secrets/", SecretSpec, Secret)
CONFIG = DataKind("config", 1000 * 1024, "/", ConfigSpec, Config)
KINDS = (SECRET, CONFIG)
