# SPDX-License-Identifier: Apache-2.0
"""What secrets, configs and the references to them must be: each check raises InvalidArgument in Swarm's words."""

from __future__ import annotations

import posixpath
import re

from queenright.manager.data_kinds import KINDS, DataKind, Reference
from queenright.model.errors import InvalidArgument
from queenright.model.payloads import MOST_ID
from queenright.spec.container import ContainerSpec

MOST_NAME = 64
_NAME = re.compile(r"[a-zA-Z0-9]+(?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?", re.ASCII)


def check_data_name(name: str) -> None:
    """Refuse a name that no secret, config or registry may have."""
    if not name:
        raise InvalidArgument("name must be provided")
    if len(name) > MOST_NAME or _NAME.fullmatch(name) is None:
        raise InvalidArgument(
            f"invalid name, only {MOST_NAME} [a-zA-Z0-9-_.] characters allowed, and the start and end character must "
            "be [a-zA-Z0-9]"
        )


def check_data(kind: DataKind, data: bytes) -> None:
    """Refuse data of a length that cannot be stored."""
    if not 0 < len(data) < kind.limit:
        raise InvalidArgument(f"{kind.name} data must be larger than 0 and less than {kind.limit} bytes")


def check_references(container: ContainerSpec) -> None:
    """Refuse references that are incomplete, or that mean the same file."""
    for kind, references in ((kind, getattr(container, f"{kind.name}s")) for kind in KINDS):
        targets: dict[str, str] = {}
        for reference in references:
            name, path = kind.name_of(reference), _path(kind, reference)
            if path in targets:
                raise InvalidArgument(
                    f"{kind.name} references '{targets[path]}' and '{name}' have a conflicting target: "
                    f"'{reference.file.name}'"
                )
            targets[path] = name


def _path(kind: DataKind, reference: Reference) -> str:
    """Where a complete reference shows its data in the container."""
    if not kind.id_of(reference) or not kind.name_of(reference):
        raise InvalidArgument(f"malformed {kind.name} reference")
    if getattr(reference, "runtime", None):
        raise InvalidArgument(f"{kind.name} '{kind.name_of(reference)}': runtime targets are for Windows containers")
    if not reference.file.name:
        raise InvalidArgument(f"malformed file {kind.name} reference, invalid target file name provided")
    for word, value in (("uid", reference.file.uid), ("gid", reference.file.gid)):
        if value and (not value.isascii() or not value.isdigit() or int(value) > MOST_ID):
            raise InvalidArgument(
                f"{kind.name} '{kind.name_of(reference)}': {word} must be a number up to {MOST_ID}, such as 1000"
            )
    if reference.file.mode is not None and not 0 <= reference.file.mode <= 0o7777:
        raise InvalidArgument(f"{kind.name} '{kind.name_of(reference)}': mode must be within 0000-7777")
    path = posixpath.normpath(posixpath.join(kind.root, reference.file.name))
    if path.strip("/") in ("", kind.root.strip("/")) or (
        not reference.file.name.startswith("/") and not path.startswith(kind.root)
    ):
        raise InvalidArgument(f"malformed file {kind.name} reference, invalid target file name provided")
    return path
