# SPDX-License-Identifier: Apache-2.0
"""What the replicated state holds of roots and certificates; a part of ``objects``. Texts are PEM."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from queenright.spec.cluster import WORKER


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RootRotation:
    """The change to another root that is under way.

    ``key`` and ``intermediates`` are of what signs from now on (no key: an authority outside does; no intermediates:
    the root itself). ``cross_signed`` is the root to be as signed by the present one: who knows only that one can
    follow. The issuer is named as nodes name theirs, see ``NodeDescription``.
    """

    certificate: str = ""
    key: str = dataclasses.field(default="", repr=False)
    intermediates: str = ""
    cross_signed: str = ""
    issuer_subject: str = ""
    issuer_public_key: str = ""
    started_at: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FormerRoot:
    """A root that was, and its successor as signed by it: the way home of a node that missed the change."""

    certificate: str = ""
    cross_signed: str = ""
    until: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate that was issued to a node; ``id`` is its serial, hexadecimal. A revoked one opens nothing."""

    kind: ClassVar[str] = "certificate"
    id: str
    version: int = 0
    created_at: int = 0
    updated_at: int = 0
    node_id: str = ""
    role: str = WORKER
    not_before: int = 0
    not_after: int = 0
    revoked_at: int = 0
