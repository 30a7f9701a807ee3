# SPDX-License-Identifier: Apache-2.0
"""One pull: how far it is, in words, and whether its error is worth another try."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from docker.api.client import APIClient
from docker.errors import APIError

from queenright.agent.ports import TaskError, TemporaryError

EVERY = 10.0  # seconds between two words on the progress: each of them goes through the managers' log
MEGABYTE = 1_000_000
DOWNLOADED = ("Verifying Checksum", "Download complete", "Extracting")
DONE = ("Pull complete", "Already exists")
LASTING = (  # whatever else the text says, trying again does not help
    "unauthorized",
    "denied",
    "not found",
    "manifest unknown",
    "name unknown",
    "no matching manifest",
    "no basic auth credentials",
    "invalid reference format",
    "http response to https client",
    "certificate",
    "no space left",
)
PASSING = (
    "connection refused",
    "connection reset",
    "broken pipe",
    "timeout",
    "timed out",
    "deadline exceeded",
    "eof",
    "no such host",
    "name resolution",
    "server misbehaving",
    "unreachable",
    "no route to host",
    "request canceled",
    "context canceled",
    "toomanyrequests",
    "too many requests",
    "unexpected http status: 5",
    "internal server error",
    "bad gateway",
    "service unavailable",
)
HTTP_TOO_MANY, HTTP_SERVER_FAULT = 429, 500


class Progress:
    """The layers of one pull, put together from the engine's lines."""

    def __init__(self) -> None:
        self._layers: dict[str, tuple[int, int, bool]] = {}  # bytes had, bytes in all, whether it is done

    def take(self, line: dict[str, Any]) -> None:
        """A line of the engine's answer."""
        layer, status = line.get("id"), str(line.get("status", ""))
        if not layer or status.startswith("Pulling from"):
            return
        had, total, _ = self._layers.get(layer, (0, 0, False))
        detail = line.get("progressDetail") or {}
        if status == "Downloading":
            had, total = int(detail.get("current") or 0), int(detail.get("total") or 0)
        elif status in DOWNLOADED or status in DONE:
            had = total
        self._layers[layer] = (had, total, status in DONE)

    @property
    def text(self) -> str:
        """For people: ``pulling image: 1 of 3 layers, 12.5 of 90.0 MB``."""
        if not self._layers:
            return "pulling image"
        done = sum(layer[2] for layer in self._layers.values())
        had, total = (sum(layer[index] for layer in self._layers.values()) for index in (0, 1))
        text = f"pulling image: {done} of {len(self._layers)} layers"
        return f"{text}, {had / MEGABYTE:.1f} of {total / MEGABYTE:.1f} MB" if total else text


def pull(client: APIClient, image: str, credentials: dict[str, Any], told: Callable[[str], None]) -> None:
    """Pull and read the answer to its end, where an error may stand. (Empty credentials keep the SDK from looking for
    some of its own.) Raises TaskError or TemporaryError.
    """
    progress, said, last = Progress(), "", -math.inf  # the first word is said at once
    try:
        for line in client.pull(image, stream=True, decode=True, auth_config=credentials):
            if "error" in line:
                raise refusal(str(line["error"]), int((line.get("errorDetail") or {}).get("code") or 0))
            progress.take(line)
            now = time.monotonic()
            if now - last >= EVERY and progress.text != said:
                said, last = progress.text, now
                told(said)
    except APIError as error:
        raise refusal(str(error.explanation or error), error.status_code or 0) from error


def refusal(text: str, status: int = 0) -> TaskError | TemporaryError:
    """What the engine's or the registry's words mean for the task that wants the image."""
    low = text.lower()
    if any(sign in low for sign in LASTING):
        return TaskError(text)
    if status in (HTTP_TOO_MANY, HTTP_SERVER_FAULT + 3) or any(sign in low for sign in PASSING):
        return TemporaryError(text)
    return TaskError(text)
