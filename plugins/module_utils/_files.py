# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Files that the installation owns: written in one step, only where they differ, and shown in diff mode."""

from __future__ import annotations

import os
import stat
import typing as t


class Files:
    """Writes and removes; in check mode it only says what it would do. ``diffs`` is for the module's result."""

    def __init__(self, check: bool) -> None:
        self._check = check
        self.diffs = []  # type: t.List[t.Dict[str, str]]

    def write(self, path: str, content: str, mode: int) -> bool:
        """Give a file its content and mode; whether that was (or would be) a change."""
        before = _read(path)
        if before == content and stat.S_IMODE(os.stat(path).st_mode) == mode:
            return False
        if before != content:
            self._note(path, before or "", content)
        if not self._check:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            replace(path, content, mode)
        return True

    def remove(self, path: str) -> bool:
        """Remove a file; whether there was one."""
        if not os.path.lexists(path):
            return False
        self._note(path, _read(path) or "", "")
        if not self._check:
            os.unlink(path)
        return True

    def _note(self, path: str, before: str, after: str) -> None:
        self.diffs.append({"before_header": path, "after_header": path, "before": before, "after": after})


def replace(path: str, content: str, mode: int) -> None:
    """Write a file whole or not at all; it is on the disk when this returns."""
    temporary = "%s.new" % path
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(content)
        handle.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    os.rename(temporary, path)


def _read(path: str) -> t.Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None
