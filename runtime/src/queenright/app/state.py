# SPDX-License-Identifier: Apache-2.0
"""``state.json`` in the state directory: which swarm this host is in and how it is reached.

Written whole or not at all.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from queenright.lib import atomic

if TYPE_CHECKING:
    from queenright.edge.pki.locking import Lock

FORMAT = 1
MAGIC = "queenright-state"


class StateError(Exception):
    """The file cannot be used; the text names it and says what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class MemberState:
    """A membership. Addresses are ``host:port``; ``managers`` are (node id, address) as last told.

    ``role`` is what this host does at its next start. ``fresh``: a manager whose log was never opened; one that is not
    fresh and has no log lost it. ``role_version``: the node's version that led to the role, so that older news is not
    acted on. ``forcing``: a new cluster is being forced, and that goes on at the next start. ``lock_version``: the
    swarm's version by which this host's keys were locked or opened last.
    """

    node_id: str
    cluster_id: str
    role: str
    listen_addr: str
    advertise_addr: str
    data_path_addr: str = ""
    managers: tuple[tuple[str, str], ...] = ()
    fresh: bool = False
    role_version: int = 0
    forcing: bool = False
    lock_version: int = 0


class StateFile:
    """Reads and writes the membership; the directory is the state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "state.json"
        self.lock: Lock | None = None  # of this membership, once somebody asked for it

    def load(self) -> MemberState | None:
        """The membership, or None where this host is in no swarm. Raises StateError."""
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StateError(f"{self.path} cannot be read ({error}): restore it, or remove {self.directory}") from error
        if not isinstance(data, dict) or data.get("magic") != MAGIC:
            raise StateError(f"{self.path} is no state file of queenright")
        if data.get("format", 0) > FORMAT:
            raise StateError(
                f"{self.path} has format {data['format']}, this version knows {FORMAT}: start the newer version again"
            )
        return _member(data, self.path)

    def save(self, member: MemberState) -> None:
        """Durable when this returns."""
        data = {"magic": MAGIC, "format": FORMAT, **dataclasses.asdict(member)}
        atomic.replace_file(self.path, (json.dumps(data, indent=1) + "\n").encode())

    def wipe(self, *, certificates: bool = True) -> None:
        """Forget the membership: state, log, tasks and keys. What is left of the files elsewhere cannot be opened.

        Without ``certificates`` those stay, with their key: somebody else has put them there.
        """
        atomic.remove_file(self.path)
        self.clear_leftovers()
        if certificates:
            shutil.rmtree(self.directory / "certificates", ignore_errors=True)

    @property
    def log_directory(self) -> Path:
        """Where a manager's log is."""
        return self.directory / "raft"

    @property
    def log_key(self) -> Path:
        """What seals the log. It goes with the log, and before it."""
        return self.directory / "raft.key"

    @property
    def lock_path(self) -> Path:
        """What the unlock key opens; there only where managers are locked."""
        return self.directory / "autolock.key"

    @property
    def has_lock(self) -> bool:
        """Whether there is one, or something else in its place."""
        return self.lock_path.is_symlink() or self.lock_path.exists()

    @property
    def tasks_key(self) -> Path:
        """What seals the agent's database."""
        return self.directory / "tasks.key"

    def clear_lock(self) -> None:
        """Destroy the lock: what is closed by it cannot be opened any more. Raises OSError."""
        atomic.shred_file(self.lock_path)
        self.lock = None

    def clear_log(self) -> None:
        """Destroy the key of a manager's log, and what is left of the log. Raises OSError."""
        atomic.shred_file(self.log_key)
        if self.log_directory.exists():
            shutil.rmtree(self.log_directory)
            atomic.sync_directory(self.directory)

    def clear_leftovers(self) -> None:
        """Remove the log and the tasks of a founding or joining that a crash cut short, their keys first."""
        for key in (self.log_key, self.tasks_key):
            atomic.shred_file(key)
        self.clear_lock()
        shutil.rmtree(self.log_directory, ignore_errors=True)
        for leftover in self.directory.glob("tasks.db*"):
            leftover.unlink(missing_ok=True)


def _member(data: dict[str, Any], path: Path) -> MemberState:
    names = {field.name for field in dataclasses.fields(MemberState)}
    values = {key: value for key, value in data.items() if key in names}
    try:
        values["managers"] = tuple((str(node_id), str(addr)) for node_id, addr in values.get("managers", ()))
        return MemberState(**values)
    except (TypeError, ValueError) as error:
        raise StateError(f"{path} is damaged ({error}): restore it, or leave and join again") from error
