# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a check finds, and what it may use of the host."""

from __future__ import annotations

import os
import subprocess
import typing as t

OK, WARNING, ERROR = "ok", "warning", "error"


class Finding(t.NamedTuple):
    """One thing that was looked at. ``fix`` says what to do, and is empty where all is well."""

    check: str
    state: str
    text: str
    fix: str = ""

    def shown(self) -> t.Dict[str, str]:
        """For JSON and for the module's result."""
        return dict(self._asdict())


def ok(check: str, text: str) -> Finding:
    return Finding(check, OK, text)


def warning(check: str, text: str, fix: str) -> Finding:
    return Finding(check, WARNING, text, fix)


def error(check: str, text: str, fix: str) -> Finding:
    return Finding(check, ERROR, text, fix)


class Host:
    """The host as checks see it; tests put another one in its place."""

    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    def run(self, arguments: t.Sequence[str], data: t.Optional[str] = None) -> t.Tuple[int, str, str]:
        """Run a command: status, output, errors. Status 127 if there is no such command."""
        environment = dict(os.environ, LC_ALL="C", PATH=self.path)
        try:
            done = subprocess.run(
                list(arguments),
                input=data,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                universal_newlines=True,
                timeout=60,
                env=environment,
                check=False,
            )
        except FileNotFoundError:
            return 127, "", "%s is not installed" % arguments[0]
        except subprocess.TimeoutExpired:
            return 124, "", "%s did not end" % arguments[0]
        return done.returncode, done.stdout, done.stderr

    def read(self, path: str) -> str:
        """A file's text; empty if it cannot be read."""
        try:
            with open(path, encoding="utf-8", errors="replace") as handle:
                return handle.read()
        except OSError:
            return ""
