# SPDX-License-Identifier: Apache-2.0
"""One JSON object a line, and never a secret in it."""

from __future__ import annotations

import json
import logging

import pytest

from queenright.app.logs import JsonFormatter, redact

TOKEN = "SWMTKN-1-32y93orkilq9kpntsfx9velcx9m25brnhmoihvdz4iy0bs75zj-ah37tw5ldzs0m33y97dh6x7ja"


def line(message: str, **extra: object) -> dict[str, object]:
    record = logging.makeLogRecord({"name": "room", "levelname": "INFO", "msg": message, "created": 1.5, **extra})
    return json.loads(JsonFormatter().format(record))


def test_a_line_carries_time_level_place_and_extras() -> None:
    found = line("hello", node="n1")
    assert found == {
        "time": "1970-01-01T00:00:01.500000000Z",
        "level": "info",
        "logger": "room",
        "message": "hello",
        "node": "n1",
    }


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        "QRTICKET-1-32y93orkilq9kpntsfx9velcx9m25brnhmoihvdz4iy0bs75zj-ah37tw5ldzs0m33y97dh6x7ja",
        "SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8",
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIN\n-----END EC PRIVATE KEY-----",
    ],
)
def test_no_secret_passes_in_message_extra_or_error(secret: str) -> None:
    body = secret.split("-")[-1] if "BEGIN" not in secret else "MHcCAQEEIN"
    assert body not in redact(f"x {secret} y")
    assert body not in json.dumps(line(f"joined with {secret}", told=secret))
    try:
        raise ValueError(secret)
    except ValueError as error:
        shown = line("failed", exc_info=(type(error), error, error.__traceback__))
    assert body not in json.dumps(shown)


def test_ordinary_text_is_left_alone() -> None:
    assert redact("SWMTKN is what a token begins with") == "SWMTKN is what a token begins with"
