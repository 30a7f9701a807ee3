# SPDX-License-Identifier: Apache-2.0
"""Everything that can go wrong with the replicated log, each as its own class with a text for the operator."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RaftError(Exception):
    """The root of all errors of this room."""


class StoppedError(RaftError):
    """The log is not running: not started yet, stopping or stopped. What was under way has an unknown outcome."""


class FailedError(RaftError):
    """The log failed for good (disk error, state machine error); nothing is acknowledged any more.

    A proposal that was under way may or may not be found after a restart.
    """


class NotLeaderError(RaftError):
    """Only the leader takes proposals, and this member is not the leader."""


class DiscardedError(RaftError):
    """Another leader's entry took the place of this proposal: it is certain that it was not applied."""


class UnknownOutcomeError(RaftError):
    """This member ceased to lead while the proposal was under way: it may be applied yet, or never."""


class MembershipError(RaftError):
    """The members of the group cannot be changed so, or not now; the text says why."""


class CommandTooLargeError(RaftError):
    """The command is over the limit of one log entry."""


class QueueFullError(RaftError):
    """Too many proposals are under way; try again when some are done."""


class LockedError(RaftError):
    """Another process uses the directory."""


class LibraryError(RaftError):
    """The installed pysyncobj is not the one whose private methods are overridden here."""


class FormatError(RaftError):
    """A file cannot be used as it lies on disk; starting without it would lose acknowledged writes."""


class DamagedError(FormatError):
    """Bytes that had been written durably have changed; ``offset`` counts bytes from the start of ``path``."""

    def __init__(self, path: Path, offset: int, what: str) -> None:
        super().__init__(
            f"{path} is damaged at byte {offset}: {what}. Nothing was changed. "
            "Check the disk, then restore this manager's state directory from a backup"
        )
        self.path = path
        self.offset = offset


class NewerFormatError(FormatError):
    """A file was written by a later version of this program."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} has format version {found}, but this queenright knows versions up to {known}: "
            "it was written by a newer release. Install that release (or a later one) again"
        )
        self.path = path
        self.found = found
        self.known = known


class SealError(FormatError):
    """A file is whole, but the key that it is sealed with is not here, or not to be used."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} {what}. Nothing was changed")
        self.path = path


class InconsistentError(FormatError):
    """The files are whole each, but do not belong together."""


class UnwritableError(RaftError, OSError):
    """A file could not be written. ``no_room``: the disk, or its owner's quota, is full."""

    def __init__(self, path: Path, error: OSError) -> None:
        self.no_room = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = f"free some space in {path.parent}" if self.no_room else "check the disk and the kernel's messages"
        super().__init__(error.errno, f"{path} cannot be written ({error.strerror or error}): {mend}, then restart")
        self.path = path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError of the block comes out as UnwritableError that names ``path``."""
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        raise UnwritableError(path, error) from error


class InstallError(RaftError):
    """A snapshot of another member is not taken, and the text says why; nothing has changed."""
