# SPDX-License-Identifier: Apache-2.0
"""Network namespaces with a name, as ``ip netns`` keeps them: a file in /run/netns on which the namespace is mounted.

All of it by system calls of the calling thread: nothing forks, and no other thread is moved.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import threading
from pathlib import Path

from queenright.edge.kernel.errors import KernelError

FOLDER = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_MS_BIND, _MS_REC, _MS_SHARED = 0x1000, 0x4000, 0x100000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p]


def enter(name: str, folder: Path = FOLDER) -> None:
    """Move the calling thread into the namespace of that name; it is made if it is not there. Raises KernelError."""
    path = folder / name
    try:
        if not _join(path):
            _make(path, folder)
    except OSError as error:
        hint = ": the agent needs root in the host's namespaces" if error.errno in (errno.EPERM, errno.EACCES) else ""
        raise KernelError(f"network namespace {path} cannot be entered or made ({error.strerror}){hint}")


def enter_new() -> None:
    """Move the calling thread into a namespace without a name, which ends with the thread. Raises KernelError."""
    try:
        _check(_libc.unshare(_CLONE_NEWNET))
    except OSError as error:
        raise KernelError(f"a network namespace cannot be made ({error.strerror}): the agent needs root")


def remove(name: str, folder: Path = FOLDER) -> None:
    """Take the name away; the namespace ends with the last thread and socket in it. What is gone is fine."""
    path = folder / name
    while _libc.umount2(os.fsencode(path), _MNT_DETACH) == 0:  # it may have been mounted twice
        pass
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def present(prefix: str, folder: Path = FOLDER) -> list[str]:
    """The names that begin so."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(prefix))
    return []


def is_here(name: str, folder: Path = FOLDER) -> bool:
    """Whether the calling thread is in the namespace of that name."""
    try:
        there, here = os.stat(folder / name), os.stat(_own())
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _own() -> str:
    """The calling thread's namespace; /proc/self would be that of the main thread."""
    return f"/proc/self/task/{threading.get_native_id()}/ns/net"


def _join(path: Path) -> bool:
    """Enter an existing namespace. False if there is none: no file, or one on which nothing is mounted."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        _check(_libc.setns(descriptor, _CLONE_NEWNET))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        path.unlink()  # an end came between making the file and mounting on it
        return False
    finally:
        os.close(descriptor)
    return True


def _make(path: Path, folder: Path) -> None:
    _share(folder)
    _check(_libc.unshare(_CLONE_NEWNET))
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
    try:
        _mount(_own(), path, _MS_BIND)
    except OSError:
        path.unlink()
        raise


def _share(folder: Path) -> None:
    """Make the folder a mount that passes on what is mounted in it, as ``ip netns`` does: dockerd and others see it."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        _mount("", folder, _MS_SHARED | _MS_REC)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _mount(str(folder), folder, _MS_BIND | _MS_REC)
        _mount("", folder, _MS_SHARED | _MS_REC)


def _mount(source: str, target: Path, flags: int) -> None:
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), b"none", flags, None))


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
