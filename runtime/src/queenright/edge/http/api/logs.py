# SPDX-License-Identifier: Apache-2.0
"""``/services/{id}/logs`` and ``/tasks/{id}/logs``, in the framing that clients of containers' logs know."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from queenright.edge.http.api.base import Handlers
from queenright.edge.http.api.log_frames import Framing
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.router import Router
from queenright.model.logs import ALL, LogOptions, LogReadRequest

if TYPE_CHECKING:
    from queenright.manager.log_reader import LogStream

CONTENT_TYPE_SINCE = (1, 42)
MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"
INCOMPLETE = (
    "warning: incomplete log stream. some logs could not be retrieved for the following reasons: {}"  # Swarm's words
)
_TIME = re.compile(r"(\d{1,12})(?:\.(\d{1,9})\d*)?")


class LogHandlers(Handlers):
    """Handlers of logs. They are read by this manager, whoever leads."""

    def register(self, router: Router) -> None:
        router.add("GET", "/services/{id}/logs", self.of_service, abandon=True)
        router.add("GET", "/tasks/{id}/logs", self.of_task, abandon=True)

    async def of_service(self, request: Request) -> Response:
        options = read_options(request)
        service = self.control().store.service(request.params["id"])
        tty = bool(service.spec.task.container.tty)
        return await self._answer(request, LogReadRequest(service_ids=(service.id,), options=options), tty)

    async def of_task(self, request: Request) -> Response:
        options = read_options(request)
        task = self.control().store.task(request.params["id"])
        tty = bool(task.spec.container.tty)
        return await self._answer(request, LogReadRequest(task_ids=(task.id,), options=options), tty)

    async def _answer(self, request: Request, wanted: LogReadRequest, tty: bool) -> Response:
        control = self.control()
        framing = Framing(
            raw=tty,
            timestamps=request.flag("timestamps"),
            details=request.flag("details"),
            wall=control.context.clock.wall,
        )
        headers = {}
        if request.version is None or request.version >= CONTENT_TYPE_SINCE:
            headers["Content-Type"] = RAW if tty else MULTIPLEXED
        stream = await control.logs.open(wanted)
        return Response(200, _Body(stream, framing, follow=wanted.options.follow), headers)


class _Body:
    """What the client gets. Closing it frees all that was begun for it, whether it was read or not."""

    def __init__(self, stream: LogStream, framing: Framing, *, follow: bool) -> None:
        self._stream = stream
        self._framing = framing
        self._follow = follow
        self._reasons: dict[str, None] = {}

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        """Something is missing: who reads to an end is told at the end, as Swarm does it; who follows at once, in the
        name of the task, since its other logs go on and clients end at a frame of the system.
        """
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            if not self._reasons:
                raise
            reasons, self._reasons = self._reasons, {}
            return self._framing.error(INCOMPLETE.format(", ".join(reasons)))
        if not chunk.missing:
            return self._framing.lines(chunk)
        if self._follow and chunk.task_id:
            return self._framing.warning(chunk, INCOMPLETE.format(chunk.missing))
        self._reasons[chunk.missing] = None
        return b""

    async def aclose(self) -> None:
        await self._stream.aclose()


def read_options(request: Request) -> LogOptions:
    """The query of a request for logs. `ApiError` 400, where Docker has them in its words."""
    stdout, stderr = request.flag("stdout"), request.flag("stderr")
    if not stdout and not stderr:
        raise ApiError(400, "Bad parameters: you must choose at least one stream")
    return LogOptions(
        follow=request.flag("follow"),
        stdout=stdout,
        stderr=stderr,
        since=_time(request, "since"),
        until=_time(request, "until"),
        tail=_tail(request.text("tail")),
    )


def _time(request: Request, name: str) -> int:
    """``seconds[.nanoseconds]`` since the epoch, in nanoseconds; 0 for none."""
    text = request.text(name)
    if not text:
        return 0
    found = _TIME.fullmatch(text) if text.isascii() else None
    if found is None:
        raise ApiError(400, f"could not parse {name} timestamp '{text}': expected seconds[.nanoseconds] since 1970")
    return int(found[1]) * 10**9 + int((found[2] or "").ljust(9, "0"))


def _tail(text: str) -> int:
    if text in ("", "all"):
        return ALL
    if text.startswith("-"):
        raise ApiError(400, "negative tail values not supported")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ApiError(400, 'tail value must be a positive integer or "all"')
    return int(text)
