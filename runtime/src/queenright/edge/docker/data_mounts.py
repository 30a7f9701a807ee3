# SPDX-License-Identifier: Apache-2.0
"""Secrets and configs of tasks as files in memory: a small tmpfs for each task, of which every file is bound into the
task's container.

A tmpfs is filled and then made read-only; one that is not read-only was left by a crash and is made anew. Nothing of
it is on a disk. All functions block and belong to the engine's threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import itertools
import os
import pathlib
import re
from collections.abc import Callable, Collection, Sequence

from queenright.lib import mounts
from queenright.model.payloads import MOST_ID, Payload

GUARDS = mounts.MS_NODEV | mounts.MS_NOSUID | mounts.MS_NOEXEC
SELINUX = pathlib.Path("/sys/fs/selinux/enforce")
LABELS = ("system_u:object_r:container_file_t:s0", "system_u:object_r:svirt_sandbox_file_t:s0")  # new, and before 2017
NOSWAP = "noswap"
PAGE = 4096
SPARE = 16 * PAGE  # for the root folder and what the kernel needs besides the files
_TASK = re.compile(r"[0-9a-z]{25}")  # whatever else is in the folder is not ours and stays


class DataMountError(Exception):
    """The files of a task cannot be laid out. The text names the place and never what is in them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bind:
    """A file on the node and where the container sees it."""

    source: str
    target: str


class DataMounts:
    """The task folders below ``root``, which has to be where the Docker Engine sees what is mounted there.

    ``owner`` is the (user, group) on the node that the container's root is.
    """

    def __init__(
        self,
        root: pathlib.Path,
        *,
        mount: Callable[[str, str, str, int, str], None] = mounts.mount,
        unmount: Callable[[str], None] = mounts.unmount,
        is_mount: Callable[[str], bool] = os.path.ismount,
    ) -> None:
        self._root = root
        self._mount = mount
        self._unmount = unmount
        self._is_mount = is_mount

    def lay_out(self, task_id: str, files: Sequence[Payload], owner: tuple[int, int] = (0, 0)) -> tuple[Bind, ...]:
        """Write a task's files, instead of any that are there. Raises DataMountError; then nothing is left of them."""
        place = self._place(task_id)
        try:
            self._clear(place)
            for item in files:
                _check_owner(item, owner)
            self._make_root(owner)
            place.mkdir(mode=0o700)
            swapless = self._mount_empty(place, files)
            for number, item in enumerate(files):
                _write(place / str(number), item, owner)
            flags = GUARDS | mounts.MS_REMOUNT | mounts.MS_RDONLY
            self._mount("tmpfs", str(place), "tmpfs", flags, swapless)
        except (OSError, OverflowError) as error:
            with contextlib.suppress(OSError):
                self._clear(place)
            raise DataMountError(_explained(place, error)) from error
        return self.binds(task_id, files)

    def binds(self, task_id: str, files: Sequence[Payload]) -> tuple[Bind, ...]:
        """Where a task's files are and have to be."""
        place = self._place(task_id)
        return tuple(Bind(str(place / str(number)), item.path) for number, item in enumerate(files))

    def is_laid_out(self, task_id: str) -> bool:
        """Whether a task's files are there, all of them: a crash in the middle leaves a tmpfs that can be written."""
        place = str(self._place(task_id))
        return self._is_mount(place) and bool(os.statvfs(place).f_flag & os.ST_RDONLY)

    def drop(self, task_id: str) -> None:
        """Take a task's files away; containers that still run keep theirs. Raises DataMountError."""
        place = self._place(task_id)
        try:
            self._clear(place)
        except OSError as error:
            raise DataMountError(_explained(place, error)) from error

    def sweep(self, keep: Collection[str]) -> list[str]:
        """Take away the files of all tasks but these, gives the ids of those that had any. Raises DataMountError once
        all others are away.
        """
        try:
            found = [entry.name for entry in os.scandir(self._root)]
            left = [name for name in found if _TASK.fullmatch(name) and name not in keep]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataMountError(_explained(self._root, error)) from error
        failure: DataMountError | None = None
        for task_id in sorted(left):
            try:
                self.drop(task_id)
            except DataMountError as error:
                failure = error
        if failure is not None:
            raise failure
        return sorted(left)

    def _place(self, task_id: str) -> pathlib.Path:
        if not _TASK.fullmatch(task_id):
            raise DataMountError(f"{task_id!r} is no id of a task")
        return self._root / task_id

    def _make_root(self, owner: tuple[int, int]) -> None:
        """Nobody but the containers' root gets past it: what the files' own modes allow counts inside only."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(self._root, *owner)
        self._root.chmod(0o700)

    def _mount_empty(self, place: pathlib.Path, files: Sequence[Payload]) -> str:
        """Gives the option that has to be repeated when it is mounted anew: that it is never swapped out, which kernels
        before 6.4 cannot promise.
        """
        size = SPARE + sum(-(-len(item.data) // PAGE) * PAGE for item in files)
        options = f"size={size},nr_inodes={len(files) + 8},mode=0711"
        labels = [f'context="{label}"' for label in LABELS if SELINUX.exists()]
        for swapless, label in itertools.product((NOSWAP, ""), (*labels, "")):
            try:
                asked = ",".join(filter(None, (options, swapless, label)))
                self._mount("tmpfs", str(place), "tmpfs", GUARDS, asked)
                return swapless
            except OSError as error:  # invalid: the kernel does not know the option, or its policy the label
                if error.errno != errno.EINVAL or not (swapless or label):
                    raise
        raise AssertionError("unreachable")

    def _clear(self, place: pathlib.Path) -> None:
        """Unmount it and remove the empty folder. What is in a folder on a disk is not ours: nothing is removed
        with what it holds.
        """
        while self._is_mount(str(place)):
            self._unmount(str(place))
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            place.rmdir()


def _check_owner(item: Payload, owner: tuple[int, int]) -> None:
    """Refuse owners that no file can have: the container's ids are counted on from those of its root."""
    for what, first, number in (("uid", owner[0], item.uid), ("gid", owner[1], item.gid)):
        if not 0 <= first + number <= MOST_ID:
            begins = f", counted from {first} on this node" if first else ""
            raise DataMountError(f"{item.kind} {item.name!r}: {what} {number} is no id a file can have{begins}")


def _write(path: pathlib.Path, item: Payload, owner: tuple[int, int]) -> None:
    """A file that nobody can read before it has its owner."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(item.data)
        os.fchown(descriptor, owner[0] + item.uid, owner[1] + item.gid)
        os.fchmod(descriptor, item.mode)


def _explained(place: pathlib.Path, error: OSError | OverflowError) -> str:
    start = f"the secrets and configs of a task cannot be laid out in memory at {place}"
    if isinstance(error, OverflowError):
        return f"{start}: a number is too large for the kernel ({error})"
    reason = error.strerror or type(error).__name__
    hint = ""
    if error.errno == errno.EPERM:
        hint = ": the daemon has to be root and to have CAP_SYS_ADMIN"
    elif error.errno in (errno.ENOMEM, errno.ENOSPC):
        hint = ": the node is out of memory"
    return f"{start}: {reason}{hint}"
