# SPDX-License-Identifier: Apache-2.0
"""Switches of the host (sysctls) that published ports need, and what they were before: that is put back at the end.

What was there at first is kept in a file that a reboot takes away, as it does the switches. A switch that another hand
has set meanwhile is that hand's, and stays. Runs on the host's worker: /proc/sys is that of its namespace.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.links import read_sysctl, set_sysctl
from queenright.lib.atomic import replace_file


class Switches:
    """``file`` remembers, by name, what a switch was and what we made of it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self, name: str, value: int, *, least: bool = False) -> None:
        """As :func:`links.set_sysctl`; the first value that is ever seen is remembered first. Raises KernelError."""
        present = read_sysctl(name)
        if present is None:
            return
        known = self._known()
        before = known.get(name, (present, 0))[0]
        ours = max(value, before) if least else value
        if known.get(name) != (before, ours):
            self._keep({**known, name: (before, ours)})
        set_sysctl(name, value, least=least)

    def are_kept(self) -> bool:
        """Whether there may be something to put back."""
        return self._file.exists()

    def put_back(self) -> None:
        """Set to what it was whatever is as we made it, the last first. Raises KernelError."""
        for name, (before, ours) in reversed(self._known().items()):
            if before != ours and read_sysctl(name) == ours:
                set_sysctl(name, before)
        self._file.unlink(missing_ok=True)

    def _known(self) -> dict[str, tuple[int, int]]:
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
            held = json.loads(self._file.read_text())
            return {str(name): (int(before), int(ours)) for name, (before, ours) in held.items()}
        return {}

    def _keep(self, known: dict[str, tuple[int, int]]) -> None:
        try:
            self._file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            replace_file(self._file, json.dumps(known).encode(), mode=0o600)
        except OSError as error:
            raise KernelError(f"what the host's switches were cannot be kept in {self._file}: {error}")
