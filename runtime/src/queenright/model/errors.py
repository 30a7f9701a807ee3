# SPDX-License-Identifier: Apache-2.0
"""Refusals that a caller can act on.

``code`` is the gRPC status name; the HTTP edge turns it into the Engine API's status.
"""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - not a fault, an answer
    """The base: a clear text in ``str(error)``, a gRPC status name in ``code``.

    ``plain`` errors are shown without the rpc prefix.
    """

    code = "Unknown"

    def __init__(self, message: str, *, plain: bool = False) -> None:
        super().__init__(message)
        self.plain = plain


class InvalidArgument(Refusal):
    code = "InvalidArgument"


class TooLarge(InvalidArgument):
    """More than one entry of the log may hold."""


class NotFound(Refusal):
    code = "NotFound"


class AlreadyExists(Refusal):
    code = "AlreadyExists"


class FailedPrecondition(Refusal):
    code = "FailedPrecondition"


class PermissionDenied(Refusal):
    code = "PermissionDenied"


class Unauthenticated(Refusal):
    code = "Unauthenticated"


class Unimplemented(Refusal):
    code = "Unimplemented"


class Unavailable(Refusal):
    code = "Unavailable"


class NotLeading(Unavailable):
    """Only the leader does this. ``leader``: (node id, ``host:port``) of the manager that leads, if one is known."""

    def __init__(self, message: str, leader: tuple[str, str] | None = None) -> None:
        super().__init__(message, plain=True)
        self.leader = leader


class OutOfSequence(Refusal):
    """The object changed since it was read."""

    code = "Unknown"

    def __init__(self, message: str = "update out of sequence") -> None:
        super().__init__(message)


class OutcomeUnknown(Refusal):
    """The write may or may not have happened (the log ended before it answered)."""

    code = "Unavailable"
