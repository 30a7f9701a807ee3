# SPDX-License-Identifier: Apache-2.0
"""Heads of requests and responses: read by h11, with the framing of the body that follows.

The bytes of a head are kept: what is passed on to dockerd or back is passed on as it came, in case and order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

import h11

from queenright.edge.http.errors import RequestError, ResponseError
from queenright.edge.http.framing import Chunked, Framing, Sized, UntilClose
from queenright.edge.http.messages import ApiVersion

MAX_HEAD = 64 * 1024

_END = re.compile(rb"\r?\n\r?\n")
_VERSIONED = re.compile(r"/v([0-9.]+)(/.*)", re.DOTALL)
_ANY_REQUEST = h11.Request(
    method="GET", target="/", headers=[("Host", "docker"), ("Connection", "Upgrade"), ("Upgrade", "any")]
)


@dataclass(slots=True)
class RequestHead:
    """Head of a request. ``raw`` are its bytes; ``version_text`` is the X.Y of the path where it has one."""

    raw: bytes
    method: str
    path: str
    version_text: str
    query_text: str
    headers: dict[str, str]
    http_1_0: bool

    def framing(self) -> Framing:
        """Framing of the body. A request without length and chunks has none."""
        return _framing(self.headers, Sized(0))

    @property
    def version(self) -> ApiVersion | None:
        return parse_version(self.version_text) if self.version_text else None

    def query(self) -> dict[str, list[str]]:
        return parse_qs(self.query_text, keep_blank_values=True) if self.query_text else {}

    @property
    def expects_continue(self) -> bool:
        return self.headers.get("expect", "").lower() == "100-continue" and not self.http_1_0

    @property
    def keep_alive(self) -> bool:
        return _keep_alive(self.headers, self.http_1_0)

    @property
    def wants_upgrade(self) -> bool:
        return "upgrade" in self.headers


@dataclass(slots=True)
class ResponseHead:
    """Head of a response of dockerd. ``raw`` are its bytes."""

    raw: bytes
    status: int
    headers: dict[str, str]
    http_1_0: bool

    def framing(self, method: str) -> Framing:
        """Framing of the body of the answer to a request with ``method``."""
        if method == "HEAD" or self.status in (204, 304) or self.interim:
            return Sized(0)
        return _framing(self.headers, UntilClose())

    @property
    def interim(self) -> bool:
        """Another head follows this one on the same request (100 Continue, 103 Early Hints)."""
        return 100 <= self.status < 200 and self.status != 101

    @property
    def keep_alive(self) -> bool:
        return _keep_alive(self.headers, self.http_1_0)


def head_end(buffer: bytearray, start: int = 0) -> int:
    """Length of the head at the beginning of ``buffer`` with its empty line, or 0 while it is not whole.

    ``start`` is a hint: the bytes before it are known to hold no end.
    """
    match = _END.search(buffer, max(0, start - 3))
    return match.end() if match else 0


def parse_request(raw: bytes) -> RequestHead:
    """Read a request head; `RequestError` 400 if it is none."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
    try:
        connection.receive_data(raw)
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise RequestError(error.error_status_hint, f"malformed HTTP request: {error}") from None
    if not isinstance(event, h11.Request):
        raise RequestError(400, "malformed HTTP request: the head ends too early")
    path, version, query = _split_target(event.target.decode("ascii"))
    return RequestHead(
        raw=raw,
        method=event.method.decode("ascii"),
        path=path,
        version_text=version,
        query_text=query,
        headers=_lower(event.headers),
        http_1_0=event.http_version < b"1.1",
    )


def parse_response(raw: bytes) -> ResponseHead:
    """Read a response head; `ResponseError` if it is none."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    connection.send(_ANY_REQUEST)
    try:
        connection.receive_data(raw)
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise ResponseError(f"malformed HTTP response: {error}") from None
    if not isinstance(event, h11.Response | h11.InformationalResponse):
        raise ResponseError("malformed HTTP response: the head ends too early")
    return ResponseHead(raw, event.status_code, _lower(event.headers), event.http_version < b"1.1")


def parse_version(text: str) -> ApiVersion:
    """``1.41`` as ``(1, 41)``; parts that are missing or empty count as 0, as dockerd reads them."""
    parts = [int(part or "0") for part in text.split(".")]
    return (parts[0], parts[1] if len(parts) > 1 else 0)


def _split_target(target: str) -> tuple[str, str, str]:
    """(decoded path without version, version text, query text) of a request target in either form."""
    scheme, separator, rest = target.partition("://")
    if separator and scheme.isalpha():
        target = rest[rest.find("/") :] if "/" in rest else "/"
    path, _, query = target.partition("#")[0].partition("?")
    path = unquote(path)
    match = _VERSIONED.fullmatch(path)
    if match and any(character.isdigit() for character in match[1]):
        return match[2], match[1], query
    return path, "", query


def _lower(headers: h11._headers.Headers) -> dict[str, str]:
    """Header fields by lower-case name, repeated ones joined."""
    fields: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


def _framing(headers: dict[str, str], default: Framing) -> Framing:
    if "transfer-encoding" in headers:
        return Chunked()
    if "content-length" in headers:
        return Sized(int(headers["content-length"]))
    return default


def _keep_alive(headers: dict[str, str], http_1_0: bool) -> bool:
    options = {option.strip() for option in headers.get("connection", "").lower().split(",")}
    return "keep-alive" in options if http_1_0 else "close" not in options
