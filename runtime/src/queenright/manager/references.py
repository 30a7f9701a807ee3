# SPDX-License-Identifier: Apache-2.0
"""References of services to secrets and configs: from a name to what it means now, and from one version to the next."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from queenright.manager import revisions
from queenright.manager.data_kinds import KINDS, Data, DataKind, Reference
from queenright.manager.families import base_of, family, named, number_of
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Service
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store

NOT_YET = "(not created yet)"


def resolve(store: Store, spec: ServiceSpec, *, planned: bool) -> tuple[ServiceSpec, tuple[str, ...]]:
    """The service with its references complete, and warnings.

    A name without an id means the newest version of what is called so; a file without a name is called as the family.
    What is not there is refused (InvalidArgument), or in a plan (``planned``) warned of: a task before it may make it.
    """
    warnings: list[str] = []
    for kind in KINDS:
        references, missing = [], []
        for reference in kind.references(spec):
            whole = _complete(store, kind, reference)
            if whole is None:
                missing.append(kind.name_of(reference))
                whole = kind.pointed(_with_file(reference, kind.name_of(reference)), NOT_YET, kind.name_of(reference))
            references.append(whole)
        if missing and not planned:
            raise InvalidArgument(missing_text(kind, missing))
        warnings += [f"{kind.name} {name} does not exist yet: create it first" for name in missing]
        spec = kind.with_references(spec, tuple(references))
    return spec, tuple(warnings)


def following(store: Store, asked: ServiceSpec, whole: ServiceSpec, before: Service | None) -> tuple[str, ...]:
    """The ids of versions that a service refers to by the name of their family, so that it moves on to the next ones:
    by what was ``asked`` and what came of it, and for what was not said anew by what there is.
    """
    held: set[str] = set() if before is None else set(before.following)
    found: set[str] = set()
    exact: set[str] = set()
    for kind in KINDS:
        for said, reference in zip(kind.references(asked), kind.references(whole), strict=True):
            key = kind.id_of(reference)
            if not kind.id_of(said):
                (found if family(store, kind, kind.name_of(said)) else exact).add(key)
            elif key in held:
                found.add(key)
    if before is not None:  # what it may be rolled back to
        found |= held & _ids(before.spec)
    return tuple(sorted(found - exact))


def _ids(spec: ServiceSpec | None) -> set[str]:
    """What a service refers to."""
    return {kind.id_of(one) for kind in KINDS for one in kind.references(spec)}


def follows(service: Service, version: Data) -> bool:
    """Whether a service that refers to the version means whatever is the newest of its family, which has the name of
    its first one.
    """
    return number_of(version) == 1 or version.id in service.following


def _complete(store: Store, kind: DataKind, reference: Reference) -> Reference | None:
    name = kind.name_of(reference)
    if kind.id_of(reference):
        return _with_file(reference, name)
    found = named(store, kind, name) if name else None
    if found is None:
        return None
    return kind.pointed(_with_file(reference, base_of(found)), found.id, found.name)


def _with_file(reference: Reference, name: str) -> Reference:
    if reference.file.name or getattr(reference, "runtime", None):
        return reference
    return dataclasses.replace(reference, file=dataclasses.replace(reference.file, name=name))


def missing_in(store: Store, kind: DataKind, spec: ServiceSpec) -> list[str]:
    """The names of what is referred to but is not there, or is there under another name."""
    table = kind.table(store)
    found = [(one, table.get(kind.id_of(one))) for one in kind.references(spec)]
    return [kind.name_of(one) for one, held in found if held is None or held.name != kind.name_of(one)]


def missing_text(kind: DataKind, names: Sequence[str]) -> str:
    """That something is not there, in Swarm's words."""
    return f"{kind.name if len(names) == 1 else kind.name + 's'} not found: {', '.join(names)}"


def check_existence(store: Store, spec: ServiceSpec | None) -> None:
    """Refuse references to what is not there, or is there under another name."""
    if spec is None:
        return
    for kind in KINDS:
        names = missing_in(store, kind, spec)
        if names:
            raise InvalidArgument(missing_text(kind, names))


def moved(kind: DataKind, service: Service, old: frozenset[str], target: Data, now: int, by: str = "") -> Service:
    """The service with each reference to one of the ``old`` ids pointing to ``target``, as the next revision of its
    spec. ``now``: wall nanoseconds; ``by``: who asks, in words.
    """
    references = tuple(
        kind.pointed(one, target.id, target.name) if kind.id_of(one) in old else one
        for one in kind.references(service.spec)
    )
    after = revisions.updated(service, kind.with_references(service.spec, references), service.registry_auth, now, by)
    known = _ids(after.spec) | _ids(after.previous_spec)
    return dataclasses.replace(after, following=tuple(sorted({*service.following, target.id} & known)))
