# SPDX-License-Identifier: Apache-2.0
"""Errors as clients of the Docker Engine API know them: a status and ``{"message": ...}``.

Clients match substrings of the message, so the texts keep Docker's form, the prefix ``rpc error: code = X desc = ``
of swarm-side errors included.
"""

from __future__ import annotations

from collections.abc import Mapping

GRPC_STATUS: dict[str, int] = {
    "InvalidArgument": 400,
    "FailedPrecondition": 400,
    "OutOfRange": 400,
    "Unauthenticated": 401,
    "PermissionDenied": 403,
    "NotFound": 404,
    "AlreadyExists": 409,
    "Unimplemented": 501,
    "Unavailable": 503,
}
"""HTTP status of each gRPC code that does not become a 500."""


class ApiError(Exception):
    """A failure with the HTTP status and the text that the client shall see.

    ``message`` goes out as it is: one or more clear sentences, never a secret. ``headers`` go with it.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


class RequestError(ApiError):
    """The bytes of a request cannot be understood any further: it is answered and its connection is closed."""


class EngineUnreachableError(ApiError):
    """dockerd does not answer (502). ``message`` names its socket and what to check."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            502,
            f"Cannot connect to the Docker daemon at unix://{path}: {reason}. Is the docker daemon running? "
            "Check it with 'systemctl status docker', and that the engine socket set for queenright is this path.",
        )
        self.reason = reason


class ResponseError(Exception):
    """dockerd sent something that is no HTTP response, or ended in the middle of one."""


def grpc_status(code: str) -> int:
    """HTTP status for a gRPC code in its CamelCase name; 500 for every code without a status of its own."""
    return GRPC_STATUS.get(code, 500)


def grpc_text(code: str, text: str) -> str:
    """The message of a swarm-side error in the form that gRPC gave it: ``rpc error: code = X desc = text``."""
    return f"rpc error: code = {code} desc = {text}"


def grpc_error(code: str, text: str) -> ApiError:
    """`ApiError` of a swarm-side error: the status of its gRPC code, the text with gRPC's prefix."""
    return ApiError(grpc_status(code), grpc_text(code, text))


def page_not_found() -> ApiError:
    """404 of a path that nobody serves."""
    return ApiError(404, "page not found")
