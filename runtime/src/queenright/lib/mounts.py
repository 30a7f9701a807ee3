# SPDX-License-Identifier: Apache-2.0
"""Mounting and unmounting by the kernel's own calls: no child process, no mount table of somebody else's making."""

from __future__ import annotations

import ctypes
import os

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    """``mount(2)``. Raises OSError with the kernel's reason and the target."""
    arguments = (source.encode(), os.fsencode(target), kind.encode(), flags, options.encode())
    if _libc.mount(*arguments) != 0:
        _raise(target)


def unmount(target: str) -> None:
    """Take a mount out of sight at once; whoever still uses it keeps it until they end. Raises OSError."""
    if _libc.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW) != 0:
        _raise(target)


def _raise(target: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), target)
