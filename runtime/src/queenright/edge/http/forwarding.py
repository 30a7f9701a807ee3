# SPDX-License-Identifier: Apache-2.0
"""A call of ours on its way from one manager to the leader, and the answer on its way back.

The leader gets what the handler needs and no more: few headers, the path without version, the body as it came.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qs, urlencode

from queenright.edge.http.caller import NOBODY
from queenright.edge.http.errors import ApiError
from queenright.edge.http.heads import parse_version
from queenright.edge.http.messages import Request, Response

if TYPE_CHECKING:  # a host that is in no swarm does not load protobuf
    from queenright.wire.messages import ForwardAnswer, ForwardCall

STALE: Final = "X-Queenright-Stale"
"""Header of answers that may be behind what the swarm has agreed on."""
VERSION: Final = "X-Queenright-Version"
"""Header of reads: all that was written up to this version is in the answer; to be watched from there."""
OUTCOME: Final = "X-Queenright-Outcome"
"""Header of an error that leaves open whether the call took effect; its value is `UNKNOWN`."""
UNKNOWN: Final = "unknown"
REQUEST_ID: Final = "x-queenright-request-id"
"""Header of a client that may ask again: the leader does a call of one id once, and gives its answer again."""
HERE: Final = "x-queenright-here"
"""Header between managers: the control address of the manager that was asked."""
AGAIN: Final = "x-queenright-again"
"""Header between managers: the call may have been done before, in the leadership of this term."""
ORIGIN: Final = "x-queenright-origin"
"""Header between managers: which process of the host that was asked does it, for the audit."""
NOT_LEADER: Final = "x-queenright-not-leader"
"""Header between managers: this one does not lead, and has done nothing."""

_KEPT = ("content-type", "user-agent", "x-registry-auth")
_HOP = frozenset({"connection", "content-length", "date", "transfer-encoding", NOT_LEADER})
_ID = re.compile(r"[!-~]{1,128}")
_VERSION = re.compile(r"\d{1,4}\.\d{1,4}")


class Forwarder(Protocol):
    """The way to the leader that this manager knows (``edge/grpc``)."""

    async def forward(self, call: ForwardCall) -> ForwardAnswer:
        """Hand the call over once and give the answer, whatever it says.

        Raises Unavailable if the call was certainly not taken (no leader known, no connection), OutcomeUnknown if
        the connection was lost after it may have been.
        """
        ...


def request_id(request: Request) -> str:
    """The client's id of a request, empty where it gave none. `ApiError` 400 for one that cannot be."""
    text = request.headers.get(REQUEST_ID, "")
    if text and _ID.fullmatch(text) is None:
        raise ApiError(400, "X-Queenright-Request-Id must have 1 to 128 printable ASCII characters without spaces")
    return text


def to_call(request: Request, *, key: str, here: str) -> ForwardCall:
    """The request as the leader shall see it. ``key`` is its id, ``here`` this manager's control address."""
    from queenright.wire.messages import ForwardCall  # noqa: PLC0415

    headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
    if here:
        headers[HERE] = here
    if request.caller != NOBODY:
        headers[ORIGIN] = str(request.caller)
    return ForwardCall(
        method=request.method,
        path=request.path,
        query=urlencode(request.query, doseq=True),
        api_version=f"{request.version[0]}.{request.version[1]}" if request.version else "",
        headers=headers,
        body=request.body,
        request_id=key,
    )


def to_request(call: ForwardCall, params: dict[str, str]) -> Request:
    """A call of another manager as a handler sees it. `ApiError` 400 for an API version that is none."""
    if call.api_version and _VERSION.fullmatch(call.api_version) is None:
        raise ApiError(400, f"invalid API version '{call.api_version[:16]}'")
    headers = {name.lower(): value for name, value in call.headers.items()}
    if call.request_id:
        headers[REQUEST_ID] = call.request_id
    return Request(
        method=call.method,
        path=call.path,
        version=parse_version(call.api_version) if call.api_version else None,
        query=parse_qs(call.query, keep_blank_values=True) if call.query else {},
        headers=headers,
        body=call.body,
        params=params,
        forwarded=True,
    )


def to_response(answer: ForwardAnswer) -> Response:
    """The leader's answer as the client gets it."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
    return Response(answer.status, answer.body, headers)


async def to_answer(response: Response, index: int) -> ForwardAnswer:
    """A handler's answer as the other manager gets it."""
    from queenright.wire.messages import ForwardAnswer  # noqa: PLC0415

    body = response.body
    if not isinstance(body, bytes):
        body = b"".join([part async for part in body])
    return ForwardAnswer(response.status, dict(response.headers), body, index)


def refused_as_follower(answer: ForwardAnswer) -> bool:
    """Whether the manager that was asked does not lead, and so has done nothing."""
    return any(name.lower() == NOT_LEADER for name in answer.headers)


def left_open(answer: ForwardAnswer) -> bool:
    """Whether the leader itself does not know whether the call took effect: it lost its office meanwhile."""
    return any(name.lower() == OUTCOME.lower() for name in answer.headers)
