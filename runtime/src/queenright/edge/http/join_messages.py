# SPDX-License-Identifier: Apache-2.0
"""The JSON of the join: how a request, a grant and a refusal look on the wire, for both ends.

Unknown members are passed over (newer versions may add some); what is there must be of the right kind.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from queenright.model.identity import UNIT_OF_ROLE
from queenright.model.ids import is_id
from queenright.model.join import REFUSALS, BadRequest, BadToken, JoinGrant, JoinLimited, JoinRefused, JoinRequest
from queenright.model.join import ManagerAddress as Manager
from queenright.model.tokens import SecretKind, TokenError, parse_join_secret

ROOT_PATH = "/v1/root"
JOIN_PATH = "/v1/join"

# The HTTP status of each refusal; the client goes by the reason, a person with curl by this.
STATUS_OF_REASON = {
    "refused": 403,
    "bad-token": 403,
    "ticket-used": 403,
    "ticket-expired": 403,
    "ticket-of-other-key": 403,
    "bad-request": 400,
    "needs-consensus": 501,
    "rate-limited": 429,
    "not-leader": 503,
    "not-signed": 503,
}

_MAX_TEXT = 512
_MAX_MANAGERS = 16


def encode_request(request: JoinRequest) -> bytes:
    """The body of ``POST /v1/join``."""
    return _dump(
        {
            "csr": request.csr_pem.decode("ascii"),
            "ticket" if request.secret.kind is SecretKind.TICKET else "token": request.secret.text,
            "availability": request.availability,
            "advertise_addr": request.advertise_addr,
            "listen_port": request.listen_port,
            "version": request.version,
        }
    )


def decode_request(body: bytes) -> JoinRequest:
    """Read the body of ``POST /v1/join``; the secret stands in ``token`` or in ``ticket``.

    Raises BadRequest for a wrong form and BadToken for a secret that is none.
    """
    data = _object(body)
    if data is None:
        raise BadRequest("the join request is no JSON object")
    if ("token" in data) == ("ticket" in data):
        raise BadRequest("the join request must have either a token or a ticket")
    secret_text = _text(data, "ticket" if "ticket" in data else "token", "")
    csr = _text(data, "csr", "", limit=16 * 1024)
    if not csr.isascii() or not csr:
        raise BadRequest("the join request has no PEM certificate request in 'csr'")
    port = data.get("listen_port", 2377)
    if type(port) is not int or not 1 <= port <= 65535:
        raise BadRequest("'listen_port' in the join request is not a port number")
    availability = _text(data, "availability", "active")
    if availability not in ("active", "pause", "drain"):
        raise BadRequest("'availability' in the join request is not one of active, pause and drain")
    try:
        secret = parse_join_secret(secret_text)
    except TokenError:
        raise BadToken() from None
    return JoinRequest(
        csr_pem=csr.encode("ascii"),
        secret=secret,
        availability=availability,
        advertise_addr=_text(data, "advertise_addr", ""),
        listen_port=port,
        version=_text(data, "version", ""),
    )


def encode_grant(grant: JoinGrant) -> bytes:
    """The body of a successful answer."""
    return _dump(
        {
            "node_id": grant.node_id,
            "role": grant.role,
            "cluster_id": grant.cluster_id,
            "certificate": grant.certificate_pem.decode("ascii"),
            "managers": [{"node_id": manager.node_id, "addr": manager.addr} for manager in grant.managers],
        }
    )


def decode_grant(body: bytes) -> JoinGrant:
    """Read a successful answer. Raises ValueError when it is not of the right form."""
    data = _object(body)
    if data is None:
        raise ValueError("the answer is no JSON object")
    node_id, cluster_id, role = data.get("node_id"), data.get("cluster_id"), data.get("role")
    certificate, managers = data.get("certificate"), data.get("managers")
    if not isinstance(node_id, str) or not isinstance(cluster_id, str) or not is_id(node_id) or not is_id(cluster_id):
        raise ValueError("the answer has no node id or no cluster id")
    known_role = next((known for known in UNIT_OF_ROLE if known == role), None)
    if known_role is None:
        raise ValueError("the answer has no known role")
    if not isinstance(certificate, str) or not certificate.isascii() or not isinstance(managers, list):
        raise ValueError("the answer has no certificate or no managers")
    return JoinGrant(
        node_id, known_role, cluster_id, certificate.encode("ascii"), tuple(_manager(one) for one in managers)
    )


def encode_refusal(refusal: JoinRefused, managers: Sequence[str] = ()) -> tuple[int, bytes]:
    """HTTP status and body of a refusal. ``managers``: control addresses of others who may not refuse."""
    document: dict[str, Any] = {"message": str(refusal), "reason": refusal.reason}
    if managers:
        document["managers"] = list(managers[:_MAX_MANAGERS])
    return STATUS_OF_REASON[refusal.reason], _dump(document)


def encode_error(message: str) -> bytes:
    """The body of any other error, as the Engine API has it."""
    return _dump({"message": message})


def decode_refusal(body: bytes, retry_after: str = "") -> JoinRefused | None:
    """The refusal in an answer's body, None when there is none in it. ``retry_after``: the header, in seconds."""
    data = _object(body) or {}
    reason, message = data.get("reason"), data.get("message")
    if not isinstance(message, str) or not isinstance(reason, str):
        return None
    text = "".join(character for character in message[:_MAX_TEXT] if character.isprintable())
    kind = REFUSALS.get(reason, JoinRefused)
    if kind is JoinLimited:
        seconds = int(retry_after) if retry_after.isascii() and retry_after.isdigit() else 1
        return JoinLimited(text, retry_after=float(min(seconds, 3600)))
    return kind(text)


def decode_others(body: bytes) -> tuple[str, ...]:
    """The other managers that a refusal names; what is no text is passed over."""
    named = (_object(body) or {}).get("managers")
    if not isinstance(named, list):
        return ()
    return tuple(addr for addr in named[:_MAX_MANAGERS] if isinstance(addr, str) and len(addr) <= _MAX_TEXT)


def decode_outcome(body: bytes) -> JoinGrant:
    """Read a grant, or raise the refusal that stands in its place. Raises ValueError when it is neither."""
    refusal = decode_refusal(body)
    if refusal is not None:
        raise refusal
    return decode_grant(body)


def _manager(data: object) -> Manager:
    if not isinstance(data, dict) or not isinstance(data.get("node_id"), str) or not isinstance(data.get("addr"), str):
        raise ValueError("the answer has a manager without id or address")
    return Manager(data["node_id"], data["addr"])


def _text(data: dict[str, Any], name: str, default: str, *, limit: int = _MAX_TEXT) -> str:
    value = data.get(name, default)
    if not isinstance(value, str) or len(value) > limit:
        raise BadRequest(f"'{name}' in the join request is not a text of at most {limit} characters")
    return value


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _dump(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"
