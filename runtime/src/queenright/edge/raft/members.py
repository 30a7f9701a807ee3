# SPDX-License-Identifier: Apache-2.0
"""Who belongs to the raft group, as it stands in the log and in snapshots: JSON, an object for each member."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import DamagedError


@dataclass(frozen=True, slots=True)
class Member:
    """One manager of the group. ``id`` never changes, whatever address (``host:port``) it has; "" is not yet known.

    A member that is no voter gets all entries and counts for nothing.
    """

    id: str
    addr: str = ""
    voter: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """All members, sorted by id, and the epoch: raised when a survivor forces a new cluster, so that the old majority
    is told apart. No members: this one has joined and was told nothing yet."""

    members: tuple[Member, ...] = ()
    epoch: int = 0

    @staticmethod
    def of(members: tuple[Member, ...] | list[Member], epoch: int = 0) -> Config:
        return Config(tuple(sorted(members, key=lambda member: member.id)), epoch)

    def get(self, member_id: str) -> Member | None:
        return next((member for member in self.members if member.id == member_id), None)

    def voters(self) -> frozenset[str]:
        """Ids of those whose votes count."""
        return frozenset(member.id for member in self.members if member.voter)

    def addresses(self) -> Mapping[str, str]:
        """Where each member is reached, as far as known."""
        return {member.id: member.addr for member in self.members if member.addr}

    def with_member(self, member: Member) -> Config:
        """The same with ``member`` added, or in the place of the one with its id."""
        others = [other for other in self.members if other.id != member.id]
        return Config.of([*others, member], self.epoch)

    def without(self, member_id: str) -> Config:
        return Config(tuple(member for member in self.members if member.id != member_id), self.epoch)


def encode_config(config: Config) -> bytes:
    """The configuration as JSON."""
    members = [{"id": member.id, "addr": member.addr, "voter": member.voter} for member in config.members]
    return json.dumps({"epoch": config.epoch, "members": members}).encode()


def parse_config(raw: bytes) -> Config:
    """The configuration that ``encode_config`` wrote; unknown keys are passed over. Raises ValueError.

    A bare list of objects with ids is what the first release wrote: voters whose addresses are not known.
    """
    try:
        found = json.loads(raw)
        items, epoch = (found, 0) if isinstance(found, list) else (found["members"], int(found["epoch"]))
        members = [Member(str(item["id"]), str(item.get("addr", "")), bool(item.get("voter", True))) for item in items]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("the list of members cannot be read") from None
    if len({member.id for member in members}) < len(members) or not all(member.id for member in members) or epoch < 0:
        raise ValueError("the list of members names one twice, or one without an id")
    return Config.of(members, epoch)


def decode_config(raw: bytes, path: Path, offset: int) -> Config:
    """The configuration out of a record of file ``path``."""
    try:
        return parse_config(raw)
    except ValueError as error:
        raise DamagedError(path, offset, str(error))


def encode_members(members: tuple[Member, ...]) -> bytes:
    """The members alone."""
    return encode_config(Config.of(members))


def decode_members(raw: bytes, path: Path, offset: int) -> tuple[Member, ...]:
    """The members out of a record of file ``path``."""
    return decode_config(raw, path, offset).members
