# SPDX-License-Identifier: Apache-2.0
"""Joins the managers' wish for signatures from outside to the rooms that ask for them and that check them."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from queenright.app.certificates import Credentials, as_issued, root_of, utc
from queenright.edge.http import cfssl
from queenright.edge.pki import outside, succession
from queenright.edge.pki.authority import Subject
from queenright.edge.pki.errors import PkiError
from queenright.manager.ports import IssuedCertificate, RootCA
from queenright.model.errors import InvalidArgument, Unavailable
from queenright.model.identity import Role
from queenright.spec.cluster import ExternalCA

T = TypeVar("T")

MOST_ASKING = 32  # requests for certificates that wait for an answer; more of them are put off at once


class OutsideAuthorities:
    """See ``manager.ports.Outside``. Managers show their own certificates there."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._asking = 0

    async def sign(
        self,
        cas: Sequence[ExternalCA],
        root: RootCA,
        csr: bytes,
        *,
        node_id: str,
        role: str,
        cluster_id: str,
        validity: int,
        now: int,
    ) -> IssuedCertificate:
        unit: Role = "manager" if role == "manager" else "worker"
        subject = Subject(node_id, cluster_id, unit)
        known = root_of(root)

        async def ask(ca: ExternalCA) -> IssuedCertificate:
            answer = await cfssl.sign(ca.url or "", outside.node_request(csr, subject), self._context(ca))
            issued = outside.check_signed(
                answer,
                csr,
                subject,
                known.certificate_pem,
                known.tail_pem,
                now=utc(now),
                validity=datetime.timedelta(microseconds=validity // 1000),
            )
            return as_issued(issued)

        if self._asking >= MOST_ASKING:
            raise Unavailable("too many requests wait for the external CA: try again", plain=True)
        self._asking += 1
        try:
            return await _first(cas, ask)
        finally:
            self._asking -= 1

    async def cross_sign(self, cas: Sequence[ExternalCA], old: str, new: RootCA) -> str:
        try:
            request = outside.root_request(succession.root_request(root_of(new)), new.certificate.encode("ascii"))
        except PkiError as error:
            raise InvalidArgument(str(error)) from error

        async def ask(ca: ExternalCA) -> str:
            answer = await cfssl.sign(ca.url or "", request, self._context(ca))
            succession.check_cross_signed(answer, old.encode("ascii"), new.certificate.encode("ascii"))
            return answer.decode("ascii")

        return await _first(cas, ask)

    async def check(self, cas: Sequence[ExternalCA], root: str) -> None:
        async def ask(ca: ExternalCA) -> None:
            await cfssl.reach(ca.url or "", self._context(ca))

        try:
            await _first(cas, ask)
        except Unavailable as error:
            raise InvalidArgument(str(error)) from error

    def _context(self, ca: ExternalCA) -> ssl.SSLContext:
        """TLS to an authority: it shows a certificate below its own root, or below one that the swarm trusts."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        roots = self._credentials.root_pem().decode("ascii") + (ca.ca_cert or "")
        context.load_verify_locations(cadata=roots)
        self._credentials.show(context)
        return context


async def _first(cas: Sequence[ExternalCA], ask: Callable[[ExternalCA], Awaitable[T]]) -> T:
    """What the first of them gives. One that is away, or gives what cannot be taken, is passed over for the next.

    Raises InvalidArgument where one said no, and Unavailable where there was none that could be asked.
    """
    troubles: list[str] = []
    for ca in cas:
        try:
            return await ask(ca)
        except cfssl.RefusedError as error:
            raise InvalidArgument(str(error)) from error
        except (cfssl.AwayError, PkiError, OSError) as error:  # ssl.SSLError is an OSError
            troubles.append(str(error) if isinstance(error, cfssl.AwayError) else f"{ca.url}: {error}")
    raise Unavailable("no external CA has signed: " + "; ".join(troubles or ["none is known"]), plain=True)
