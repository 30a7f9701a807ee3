# SPDX-License-Identifier: Apache-2.0
"""Refusals of the use cases as answers of the Engine API."""

from __future__ import annotations

from queenright.edge.http.errors import ApiError, grpc_status, grpc_text
from queenright.edge.http.forwarding import OUTCOME, UNKNOWN
from queenright.lib.addresses import AddressError
from queenright.model.errors import OutcomeUnknown, Refusal
from queenright.model.tokens import TokenError
from queenright.spec.fields import SpecError


def map_error(error: Exception) -> ApiError | None:
    """The answer to an exception of a handler; None for one that nobody foresaw.

    Swarm-side errors carry gRPC's prefix as Docker's do, except those that Docker's own daemon words (``plain``).
    """
    if isinstance(error, Refusal):
        text = str(error)
        headers = {OUTCOME: UNKNOWN} if isinstance(error, OutcomeUnknown) else None
        return ApiError(grpc_status(error.code), text if error.plain else grpc_text(error.code, text), headers)
    if isinstance(error, SpecError | TokenError | AddressError):
        return ApiError(400, str(error))
    return None
