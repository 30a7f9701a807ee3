# SPDX-License-Identifier: Apache-2.0
"""How a member comes home whose certificate opens no connection any more: it has ended, or is of a former root."""

from __future__ import annotations

from dataclasses import dataclass

from queenright.model.identity import Role


@dataclass(frozen=True, slots=True)
class HomeRequest:
    """A member's wish for another certificate. ``proof`` was made with the key of the first certificate in
    ``chain_pem``, over the manager's ``challenge`` and ``csr_pem``.
    """

    chain_pem: bytes
    csr_pem: bytes
    challenge: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class HomeGrant:
    """The new certificate chain, the roots to trust, and roots as signed by those before them; all PEM."""

    certificate_pem: bytes
    role: Role
    roots_pem: bytes
    path: tuple[bytes, ...] = ()
