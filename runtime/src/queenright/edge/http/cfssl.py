# SPDX-License-Identifier: Apache-2.0
"""Asks an authority outside of the swarm to sign, by the protocol of cfssl: one POST of JSON over mutual TLS.

No redirect is followed, and no proxy of the environment is used. What comes back is not judged here.
"""

from __future__ import annotations

import json
import ssl
from typing import Any

from queenright.edge.http import asking

TIMEOUT = 5.0  # seconds for one exchange, from the connection to the last byte
MOST = 256 * 1024  # bytes of an answer


class AwayError(Exception):
    """Nothing came back that could be used: it may be different at the next try."""


class RefusedError(Exception):
    """It said no."""


async def sign(url: str, body: bytes, context: ssl.SSLContext) -> bytes:
    """The certificate (PEM, unchecked) that was asked for. Raises AwayError or RefusedError."""
    try:
        status, answer = await asking.ask("POST", url, body, context, timeout=TIMEOUT, most=MOST)
    except asking.NoAnswerError as error:
        raise AwayError(str(error)) from error
    try:
        told = json.loads(answer)
    except ValueError:
        raise AwayError(f"{url} answered with status {status}, and not in JSON") from None
    if not isinstance(told, dict) or not isinstance(told.get("success"), bool):
        raise AwayError(f"{url} answered with status {status}, and not as cfssl does")
    if not told["success"]:
        if status >= 500 or status in (401, 403, 404, 408, 429):  # of what stands before it, or of its own trouble
            raise AwayError(f"{url} answered with status {status}: {_words(told)}")
        raise RefusedError(f"{url} refused: {_words(told)}")
    result = told.get("result")
    certificate = result.get("certificate") if isinstance(result, dict) else None
    if status != 200 or not isinstance(certificate, str) or not certificate.isascii():
        raise AwayError(f"{url} answered with status {status}, and without a certificate")
    return certificate.encode("ascii")


async def reach(url: str, context: ssl.SSLContext) -> None:
    """Return if there is somebody whose certificate ``context`` accepts. Raises AwayError."""
    try:
        await asking.reach(url, context, timeout=TIMEOUT)
    except asking.NoAnswerError as error:
        raise AwayError(str(error)) from error


def _words(told: dict[str, Any]) -> str:
    """Why not, as it says; bounded, and in one line."""
    errors = told.get("errors")
    said = [error.get("message") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    text = "; ".join(message for message in said if isinstance(message, str)) or "it does not say why"
    return " ".join(text.split())[:300]
