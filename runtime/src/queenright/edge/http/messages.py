# SPDX-License-Identifier: Apache-2.0
"""Requests and responses as the handlers of our own routes see them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from queenright.edge.http.caller import NOBODY, Caller
from queenright.edge.http.errors import ApiError
from queenright.edge.http.filters import Filters, parse_filters
from queenright.edge.http.slicing import slices

ApiVersion = tuple[int, int]
"""Version of the Engine API, ``(1, 41)``."""

T = TypeVar("T")

_FALSE = frozenset({"", "0", "no", "false", "none"})


@dataclass(slots=True)
class Request:
    """One request to a route of ours.

    ``path`` comes without ``/vX.Y`` and percent-decoded; ``version`` is None where the client named none; header names
    are in lower case, repeated headers joined by ``, ``; ``body`` is whole and decoded; ``params`` holds what the
    ``{name}`` parts of the route's pattern matched; ``forwarded``: another manager handed it on to this one;
    ``caller``: the process that asks, on the host that was asked.
    """

    method: str
    path: str
    version: ApiVersion | None = None
    query: dict[str, list[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    params: dict[str, str] = field(default_factory=dict)
    forwarded: bool = False
    caller: Caller = NOBODY

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body, ``null`` included, is ``{}``.

        Raises `ApiError` 400 for another content type, bad JSON, content after the JSON, or JSON that is no object.
        """
        content_type = self.headers.get("content-type", "")
        if not content_type and not self.body:
            return {}
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise ApiError(400, f"Content-Type specified ({content_type}) must be 'application/json'")
        if not self.body.strip():
            return {}
        document = _decode(self.body)
        if document is None:
            return {}
        if not isinstance(document, dict):
            raise ApiError(400, f"invalid JSON: expected an object, got {_json_kind(document)}")
        return document

    def text(self, name: str, default: str = "") -> str:
        """First value of the query parameter ``name``."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """A query parameter as a boolean, by Docker's rule: absent, empty, 0, no, false, none are false in any case."""
        return self.text(name).strip().lower() not in _FALSE

    def integer(self, name: str, default: int | None = None) -> int:
        """A query parameter as an integer; `ApiError` 400 if it is none, or is missing and there is no default."""
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            if not text.isascii() or "_" in text:
                raise ValueError
            return int(text)
        except ValueError:
            raise ApiError(400, f"invalid query parameter {name}='{text}': expected an integer") from None

    def filters(self, allowed: Collection[str]) -> Filters:
        """The ``filters`` parameter, see `parse_filters`."""
        return parse_filters(self.text("filters"), allowed)


@dataclass(slots=True)
class Response:
    """Answer of a handler.

    ``body`` as bytes goes out with a length; as an async iterator chunk by chunk, each flushed at once and closed
    (``aclose``) when the client goes away. ``headers`` are added to those that the server sets itself
    (date, length, the engine's identity).
    """

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_response(document: object, status: int = 200) -> Response:
    """``document`` as JSON with the newline that Docker ends it with. For big lists take `json_list_response`."""
    return Response(status, encode(document) + b"\n", {"Content-Type": "application/json"})


def json_list_response(
    items: Iterable[T | None], text: Callable[[T], object] | None = None, status: int = 200
) -> Response:
    """A JSON list, encoded in slices between which the event loop runs (see `slicing`).

    ``text`` gives what stands in the list for an item; what is of type bytes is JSON already and copied as it is. An
    item None was looked at and does not belong to the list. A list of one slice goes out with its length, a longer one
    in chunks. ``items`` is read while other work goes on: hand in values that do not change any more.
    """

    def encoded(item: T) -> bytes:
        value = item if text is None else text(item)
        return value if isinstance(value, bytes) else encode(value)

    parts = slices(None if item is None else encoded(item) for item in items)
    first, last = next(parts)
    headers = {"Content-Type": "application/json"}
    if last:
        return Response(status, first, headers)

    async def body() -> AsyncIterator[bytes]:
        yield first
        for part, _ in parts:
            yield part
            await asyncio.sleep(0)

    return Response(status, body(), headers)


def error_response(error: ApiError) -> Response:
    """The body of every error: ``{"message": ...}`` and a newline."""
    response = json_response({"message": error.message}, error.status)
    response.headers.update(error.headers)
    return response


def encode(document: object) -> bytes:
    """Compact JSON in UTF-8, keys in the order given."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _decode(body: bytes) -> object:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise ApiError(400, "invalid JSON: unexpected content after JSON") from None
        raise ApiError(400, f"invalid JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ApiError(400, f"invalid JSON: {error}") from None


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON value")


def _json_kind(document: object) -> str:
    if isinstance(document, list):
        return "a list"
    if isinstance(document, bool):
        return "a boolean"
    return "a string" if isinstance(document, str) else "a number"
