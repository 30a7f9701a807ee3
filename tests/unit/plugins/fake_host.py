# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as `run_command` of a module shows it: pip, venv and service tools that only note what they are asked."""

from __future__ import annotations

import os


class FakeHost:
    """``commands`` are those that were run. A daemon is ``running`` once systemctl or the init script started it."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.running = False
        self.enabled = False
        self.units: dict[str, str] = {}
        """States of units that are not ours; while it is empty they are not answered for."""
        self._failing: tuple[str, str] | None = None

    def fail_at(self, part: str, words: str) -> None:
        """Commands whose line holds ``part`` fail with ``words``."""
        self._failing = (part, words)

    def mend(self) -> None:
        """Nothing fails any more."""
        self._failing = None

    def run(self, command, environ_update=None, umask=None):
        """As AnsibleModule.run_command: (rc, stdout, stderr)."""
        self.commands.append(list(command))
        line = " ".join(command)
        if self._failing and self._failing[0] in line:
            return 1, "", self._failing[1]
        if "-m venv" in line:
            self._make_venv(command[-1])
        if self.units and command[:2] == ["systemctl", "is-active"] and command[2].endswith("Manager.service"):
            return 3, "".join(self.units.get(name, "inactive") + "\n" for name in command[2:]), ""
        if command[0] == "systemctl" or "INIT_D/" in command[0]:
            return self._service(command[1], line)
        return 0, "", ""

    def did(self, part: str) -> bool:
        """Whether a command whose line holds ``part`` was run."""
        return any(part in " ".join(command) for command in self.commands)

    def _service(self, verb: str, line: str):
        if verb in ("is-active", "status"):
            return (0 if self.running else 3), "", ""
        if verb == "is-enabled":
            return (0 if self.enabled else 1), "", ""
        if verb == "is-failed":
            return 1, "", ""
        if verb in ("start", "restart"):
            self.running = True
        if verb == "enable":
            self.enabled = True
        if verb in ("stop", "disable"):
            self.running = False
        return 0, "", ""

    @staticmethod
    def _make_venv(path: str) -> None:
        for name in ("python", "queenright"):
            program = os.path.join(path, "bin", name)
            os.makedirs(os.path.dirname(program), exist_ok=True)
            with open(program, "w", encoding="utf-8") as handle:
                handle.write("#!/bin/sh\n")
            os.chmod(program, 0o755)
