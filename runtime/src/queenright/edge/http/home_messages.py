# SPDX-License-Identifier: Apache-2.0
"""The JSON of coming home: how a request and a grant look on the wire, for both ends and for managers between them.

Unknown members are passed over; what is there must be of the right kind.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from queenright.edge.http.join_messages import decode_refusal
from queenright.model.home import HomeGrant, HomeRequest
from queenright.model.identity import UNIT_OF_ROLE
from queenright.model.join import BadRequest

CHALLENGE_PATH = "/v1/challenge"
HOME_PATH = "/v1/home"
CHALLENGE_BYTES = 32

_MOST_PEM = 32 * 1024
_MOST_STEPS = 32


def encode_challenge(challenge: bytes) -> bytes:
    return _dump({"challenge": challenge.hex()})


def decode_challenge(body: bytes) -> bytes:
    """Raises ValueError."""
    text = (_object(body) or {}).get("challenge")
    if not isinstance(text, str) or len(text) != 2 * CHALLENGE_BYTES:
        raise ValueError("the answer has no challenge")
    return bytes.fromhex(text)


def encode_request(request: HomeRequest) -> bytes:
    """The body of ``POST /v1/home``, and of what a manager hands on to the leader."""
    home = {
        "certificate": request.chain_pem.decode("ascii"),
        "csr": request.csr_pem.decode("ascii"),
        "challenge": request.challenge.hex(),
        "proof": base64.b64encode(request.proof).decode("ascii"),
    }
    return _dump({"home": home})


def is_request(body: bytes) -> bool:
    """Whether it is a wish to come home, in whatever form; else it is one to join."""
    return "home" in (_object(body) or {})


def decode_request(body: bytes) -> HomeRequest:
    """Raises BadRequest."""
    home = (_object(body) or {}).get("home")
    if not isinstance(home, dict):
        raise BadRequest("the request to come home is no JSON object")
    try:
        challenge = bytes.fromhex(_text(home, "challenge"))
        proof = base64.b64decode(_text(home, "proof"), validate=True)
    except (ValueError, binascii.Error):
        raise BadRequest("the challenge or the proof in the request to come home cannot be read") from None
    return HomeRequest(_pem(home, "certificate"), _pem(home, "csr"), challenge, proof)


def encode_grant(grant: HomeGrant) -> bytes:
    """The body of a successful answer."""
    return _dump(
        {
            "certificate": grant.certificate_pem.decode("ascii"),
            "role": grant.role,
            "roots": grant.roots_pem.decode("ascii"),
            "path": [step.decode("ascii") for step in grant.path],
        }
    )


def decode_grant(body: bytes) -> HomeGrant:
    """Raises ValueError."""
    data = _object(body) or {}
    role = next((known for known in UNIT_OF_ROLE if known == data.get("role")), None)
    path = data.get("path")
    if role is None or not isinstance(path, list) or len(path) > _MOST_STEPS:
        raise ValueError("the answer has no known role, or no path")
    texts = [data.get("certificate"), data.get("roots"), *path]
    if not all(isinstance(text, str) and text.isascii() for text in texts):
        raise ValueError("the answer has no certificate, or no roots")
    certificate, roots, *steps = (text.encode("ascii") for text in texts if isinstance(text, str))
    return HomeGrant(certificate, role, roots, tuple(steps))


def decode_outcome(body: bytes) -> HomeGrant:
    """A grant, or the refusal that stands in its place is raised. Raises ValueError when it is neither."""
    refusal = decode_refusal(body)
    if refusal is not None:
        raise refusal
    return decode_grant(body)


def _pem(data: dict[str, Any], name: str) -> bytes:
    text = _text(data, name)
    if not text:
        raise BadRequest(f"the request to come home has no '{name}'")
    return text.encode("ascii")


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str) or len(value) > _MOST_PEM or not value.isascii():
        raise BadRequest(f"'{name}' in the request to come home is not a text of at most {_MOST_PEM} characters")
    return value


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"
