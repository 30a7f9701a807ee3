# SPDX-License-Identifier: Apache-2.0
"""The log: one JSON object a line, on standard error or in a file that SIGHUP reopens. Tokens and keys never pass."""

from __future__ import annotations

import collections
import datetime
import json
import logging
import logging.handlers
import re
import sys
from pathlib import Path

from queenright.manager.audit import LOGGER

_SECRET = re.compile(
    r"(SWMTKN|SWMKEY|QRTICKET)-[0-9]-[A-Za-z0-9+/-]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)",
    re.DOTALL,
)
TRAIL = 2000  # lines of the audit that are remembered
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact(text: str) -> str:
    """The text without tokens, tickets, unlock keys and private keys."""
    return _SECRET.sub(lambda match: f"{match.group(1) or 'PRIVATE KEY'}-(hidden)", text)


class JsonFormatter(logging.Formatter):
    """``{"time": "...Z", "level": "info", "logger": "...", "message": "...", ...extra}``, times UTC with
    nanoseconds.
    """

    def format(self, record: logging.LogRecord) -> str:
        seconds = datetime.datetime.fromtimestamp(int(record.created), datetime.UTC)
        line: dict[str, object] = {
            "time": f"{seconds:%Y-%m-%dT%H:%M:%S}.{int(record.created % 1 * 1e9):09d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({key: value for key, value in vars(record).items() if key not in _STANDARD})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, default=str, ensure_ascii=False))


class Trail(logging.Handler):
    """The last lines of the audit, oldest first, as they are in the log."""

    def __init__(self, most: int = TRAIL) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self._lines: collections.deque[str] = collections.deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def lines(self) -> list[str]:
        return list(self._lines)


def keep_trail() -> Trail:
    """Begin to remember the audit's lines. They are written whatever the log's level is."""
    audit = logging.getLogger(LOGGER)
    audit.setLevel(logging.INFO)
    for earlier in [handler for handler in audit.handlers if isinstance(handler, Trail)]:
        audit.removeHandler(earlier)
    trail = Trail()
    audit.addHandler(trail)
    return trail


def configure(level: str, file: Path | None) -> None:
    """Set the root logger up. Calling it again (SIGHUP) reopens the file and takes the new level.

    Raises OSError for a file that cannot be written; then all stays as it was.
    """
    fresh = logging.handlers.WatchedFileHandler(file) if file is not None else logging.StreamHandler(sys.stderr)
    fresh.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.addHandler(fresh)
    root.setLevel(level.upper())
    for noisy in ("docker", "urllib3", "asyncio", "pysyncobj"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
