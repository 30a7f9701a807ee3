# SPDX-License-Identifier: Apache-2.0
"""Calls that carry a request id are done once: who asks again gets the answer of the first time.

The memory is that of one leader, for a while. Whoever repeats a call makes sure that the same one still leads.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response
from queenright.edge.http.router import Pass
from queenright.model.errors import OutcomeUnknown, Refusal, Unavailable

MOST = 500
KEEP_SECONDS = 120.0

Work = Callable[[], Coroutine[Any, Any, Response | Pass]]


class Once:
    """Answers by request id."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    async def run(self, key: str, request: Request, work: Work, *, repeatable: bool = False) -> Response | Pass:
        """Do ``work``, or wait for the answer of the same call that has this ``key`` already.

        What begun goes on though the caller is cancelled. A refusal that says that nothing was done (Unavailable) is
        forgotten, and where the work is ``repeatable`` an unknown outcome too. Raises `ApiError` 409 if the key belongs
        to another call, and what ``work`` raises.
        """
        now = asyncio.get_running_loop().time()
        self._forget(now)
        known, content = self._calls.get(key), _content(request)
        if known is None:
            known = _Known(asyncio.create_task(work(), name=f"request {key}"), content, now)
            self._calls[key] = known
            passing = (Unavailable, OutcomeUnknown) if repeatable else (Unavailable,)
            known.task.add_done_callback(lambda task: self._done(key, task, passing))
        elif known.content != content:
            raise ApiError(409, f"request id {key} was used for another call: take a new one for each call")
        answer = await asyncio.shield(known.task)
        if isinstance(answer, Response):
            return Response(answer.status, answer.body, dict(answer.headers))
        return answer

    def _done(self, key: str, task: asyncio.Task[Response | Pass], passing: tuple[type[Refusal], ...]) -> None:
        if task.cancelled() or isinstance(task.exception(), passing):
            self._calls.pop(key, None)

    def _forget(self, now: float) -> None:
        """Drop the oldest that are done."""
        for key, known in list(self._calls.items()):
            if len(self._calls) < MOST and now - known.since < KEEP_SECONDS:
                break
            if known.task.done():
                del self._calls[key]


class _Known:
    """One call: what it was, since when, and what became of it."""

    __slots__ = ("content", "since", "task")

    def __init__(self, task: asyncio.Task[Response | Pass], content: bytes, since: float) -> None:
        self.task = task
        self.content = content
        self.since = since


def _content(request: Request) -> bytes:
    """What makes two requests the same, as a digest: a body may be long, and secret."""
    digest = hashlib.sha256()
    for part in (request.method, request.path, repr(sorted(request.query.items()))):
        digest.update(part.encode("utf-8", "surrogatepass") + b"\0")
    digest.update(request.body)
    return digest.digest()
