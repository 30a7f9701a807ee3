# SPDX-License-Identifier: Apache-2.0
"""Who belongs to the raft group, as it stands in the log and in snapshots: JSON, an object for each member."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .errors import DamagedError


@dataclass(frozen=True, slots=True)
class Member:
    """One voter. ``id`` never changes, whatever address the member has."""

    id: str


def encode_members(members: tuple[Member, ...]) -> bytes:
    """The members as JSON, sorted by id."""
    return json.dumps([{"id": member.id} for member in sorted(members, key=lambda each: each.id)]).encode()


def decode_members(raw: bytes, path: Path, offset: int) -> tuple[Member, ...]:
    """The members out of a record of file ``path``; unknown keys of a member are passed over."""
    try:
        return tuple(Member(str(item["id"])) for item in json.loads(raw))
    except (ValueError, TypeError, KeyError):
        raise DamagedError(path, offset, "the list of members cannot be read")
