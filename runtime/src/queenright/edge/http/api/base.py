# SPDX-License-Identifier: Apache-2.0
"""What all handlers share: the host, its manager, and the reading of versions and specs."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TypeVar, cast

from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request
from queenright.manager.control import Control
from queenright.manager.ports import Host
from queenright.model.errors import Refusal
from queenright.spec.fields import decode

T = TypeVar("T")


REHEARSING: ContextVar[Control | None] = ContextVar("rehearsing", default=None)
"""The use cases of the dry run that the running call is, if it is one."""


class Handlers:
    """Base of the handlers of one kind of object."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def control(self) -> Control:
        """The running manager's use cases; Unavailable in the Engine's words where there is none."""
        return REHEARSING.get() or cast("Control", self.host.manager())

    def running(self) -> Control | None:
        """The same, or None."""
        try:
            return self.control()
        except Refusal:
            return None


def version_of(request: Request) -> int:
    """The ``version`` parameter of an update. `ApiError` 400 in Docker's words if it is missing or no number."""
    text = request.text("version")
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ApiError(400, f"invalid {request.path.split('/')[1].removesuffix('s')} version '{text}': invalid syntax")
    return int(text)


def read(record: type[T], request: Request) -> T:
    """The body as a record; what the client's API version does not know is dropped."""
    return decode(record, request.json(), version=request.version)
