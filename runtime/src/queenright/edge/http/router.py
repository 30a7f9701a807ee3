# SPDX-License-Identifier: Apache-2.0
"""Which requests are ours: a table of method and path pattern; everything else is dockerd's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final

from queenright.edge.http.errors import page_not_found
from queenright.edge.http.messages import Request, Response


class Pass:
    """Type of `PASS`."""


PASS: Final = Pass()
"""What a handler returns to have its request proxied to dockerd after all, the body that was read included."""

Handler = Callable[[Request], Coroutine[Any, Any, Response | Pass]]
"""Serves one request. Raises `ApiError` for what the client shall see."""

RESERVED = ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/queenright")
"""Paths below these are never dockerd's: without a route they are 404."""


@dataclass(frozen=True, slots=True)
class Route:
    """One row. ``segments`` of the pattern; ``abandon``: the handler is cancelled when its client goes away.

    ``local``: about this host alone, whoever leads the swarm; ``repeatable``: done twice it is as if done once;
    ``plans``: the handler itself minds the parameter ``dry_run``; ``led``: only the leader knows the answer, so that a
    read is handed on to it like a write; ``root``: only for processes of root; ``ours``: which of these requests are
    not dockerd's after all (None: all of them).
    """

    method: str
    segments: tuple[str, ...]
    handler: Handler
    abandon: bool = False
    local: bool = False
    repeatable: bool = False
    plans: bool = False
    ours: Callable[[Request], bool] | None = None
    led: bool = False
    root: bool = False

    @property
    def pattern(self) -> str:
        return "/".join(self.segments)

    @property
    def reads(self) -> bool:
        """It changes nothing, and every manager can answer it."""
        return self.method in ("GET", "HEAD") and not self.led

    def match(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        """Values of the ``{name}`` segments, or None if the path is another one."""
        params = {}
        for pattern, segment in zip(self.segments, segments, strict=True):
            if pattern.startswith("{"):
                if not segment:
                    return None
                params[pattern[1:-1]] = segment
            elif pattern != segment:
                return None
        return params


class Router:
    """The table of routes."""

    def __init__(self, reserved: tuple[str, ...] = RESERVED) -> None:
        self._reserved = reserved
        self._routes: dict[tuple[str, int], list[Route]] = {}

    def add(
        self,
        method: str,
        pattern: str,
        handler: Handler,
        *,
        abandon: bool = False,
        local: bool = False,
        repeatable: bool = False,
        plans: bool = False,
        ours: Callable[[Request], bool] | None = None,
        led: bool = False,
        root: bool = False,
    ) -> None:
        """Serve ``method`` on ``pattern`` (``/services/{id}/update``; a ``{name}`` matches one segment).

        Patterns without names win over those with names. By default a handler runs to its end even if its client goes
        away, so that nothing is left half done; ``abandon`` is for calls that only wait or read. ``local``,
        ``repeatable``, ``plans``, ``ours``, ``led`` and ``root``: see `Route`.
        """
        segments = tuple(pattern.split("/"))
        rows = self._routes.setdefault((method, len(segments)), [])
        if any(row.segments == segments for row in rows):
            raise ValueError(f"{method} {pattern} has a handler already")
        rows.append(Route(method, segments, handler, abandon, local, repeatable, plans, ours, led, root))
        rows.sort(key=lambda row: [segment.startswith("{") for segment in row.segments])

    def __iter__(self) -> Iterator[Route]:
        """All rows."""
        return (row for rows in self._routes.values() for row in rows)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Route and parameters of a request; None if it is dockerd's.

        Raises `ApiError` 404 for a path below one of ours that no route serves.
        """
        segments = tuple(path.split("/"))
        for route in self._routes.get((method, len(segments)), ()):
            params = route.match(segments)
            if params is not None:
                return route, params
        if path.startswith(self._reserved) and f"/{segments[1]}" in self._reserved:
            raise page_not_found()
        return None
