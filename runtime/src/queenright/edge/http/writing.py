# SPDX-License-Identifier: Apache-2.0
"""Answers of our own handlers on the wire."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from http import HTTPStatus

from queenright.edge.http.heads import RequestHead
from queenright.edge.http.messages import Response
from queenright.edge.http.stream import PeerGoneError, Stream

_log = logging.getLogger(__name__)
_LAST_CHUNK = b"0\r\n\r\n"
_NO_CONTENT = (204, 304)


async def send_response(
    stream: Stream,
    head: RequestHead | None,
    response: Response,
    *,
    engine_headers: Mapping[str, str],
    keep_alive: bool,
) -> bool:
    """Send ``response`` to the request ``head`` (None: a request that could not be read).

    ``engine_headers`` (API version and the like) go with every answer, as they do with dockerd's. True if the
    connection can take another request. Raises `PeerGoneError` if the client went away.
    """
    body = response.body
    whole = isinstance(body, bytes)
    chunked = not whole and head is not None and not head.http_1_0
    keep_alive = keep_alive and head is not None and head.keep_alive and (whole or chunked)
    start = _head(response, engine_headers, keep_alive=keep_alive, chunked=chunked, head=head)
    bodyless = response.status in _NO_CONTENT or (head is not None and head.method == "HEAD")
    if isinstance(body, bytes):
        await stream.write(start if bodyless else start + body)
        return keep_alive
    try:
        await stream.write(start)
        if not bodyless:
            await _send_parts(stream, body, chunked)
    except PeerGoneError:
        raise
    except Exception:
        _log.exception("an answer was cut in the middle: %s %s", head and head.method, head and head.path)
        return False
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
    return keep_alive


async def _send_parts(stream: Stream, body: AsyncIterator[bytes], chunked: bool) -> None:
    async def following() -> bytes | None:
        return await anext(body, None)

    while (part := await stream.while_present(following())) is not None:
        if part:
            await stream.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
    if chunked:
        await stream.write(_LAST_CHUNK)


def _head(
    response: Response,
    engine_headers: Mapping[str, str],
    *,
    keep_alive: bool,
    chunked: bool,
    head: RequestHead | None,
) -> bytes:
    fields = {**engine_headers, **response.headers, "Date": formatdate(usegmt=True)}
    if chunked:
        fields["Transfer-Encoding"] = "chunked"
    elif isinstance(response.body, bytes) and response.status not in _NO_CONTENT:
        fields.setdefault("Content-Length", str(len(response.body)))
    if not keep_alive:
        fields["Connection"] = "close"
    elif head is not None and head.http_1_0:
        fields["Connection"] = "keep-alive"
    lines = [f"HTTP/1.1 {response.status} {_reason(response.status)}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header must not contain a line break")
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
