# SPDX-License-Identifier: Apache-2.0
"""What is declared of the swarm's root becomes so: another root, another key, authorities outside.

To ask for another root begins the change; ``manager.turning`` brings it to its end. Asked again for what is so, or is
under way, nothing happens; asked for the present root, a change that is under way is given up.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from queenright.manager.context import Context
from queenright.manager.ports import RootCA
from queenright.manager.signing import Signing, outside_for, present_root
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Cluster, RootRotation
from queenright.spec.cluster import CFSSL, P256, CAConfig, ExternalCA, SwarmSpec

log = logging.getLogger(__name__)

UNREACHED = "there must be at least one valid, reachable external CA corresponding to the {which} CA certificate"
OUTSIDE_TO_OUTSIDE = "rotating from one external CA to a different external CA is not supported"
NO_KEY_FOR = "if a signing CA key is provided, the signing CA cert must also be provided"


class Roots:
    """Makes the cluster that a specification asks for, as far as its root goes. Writes nothing."""

    def __init__(self, context: Context, signing: Signing) -> None:
        self._context = context
        self._signing = signing

    async def changed(self, cluster: Cluster, spec: SwarmSpec, key: str = "") -> Cluster:
        """``cluster`` with ``spec`` in force; ``key`` is that of ``spec``'s certificate. Raises InvalidArgument."""
        spec = dataclasses.replace(spec, ca=normal(spec.ca, self._read))
        held, wanted = cluster.spec.ca, spec.ca
        if (wanted.force_rotate or 0) < (held.force_rotate or 0):  # of a client that does not know of it
            wanted = dataclasses.replace(wanted, force_rotate=held.force_rotate)
            spec = dataclasses.replace(spec, ca=wanted)
        after = dataclasses.replace(cluster, spec=spec)
        if key and not wanted.signing_ca_cert:
            raise InvalidArgument(NO_KEY_FOR)
        if wanted.signing_ca_cert:
            brought = self._read(wanted.signing_ca_cert, key)
            return await self._brought(after, brought, held.external_cas)
        if (wanted.force_rotate or 0) != (held.force_rotate or 0):
            made = self._signing.certificates.make_root(self._context.clock.wall(), wanted.key_algorithm or P256)
            return await self._begun(after, made, held.external_cas)
        if wanted.external_cas != held.external_cas:
            await self._require_signer(after)
        return after

    async def _brought(self, after: Cluster, brought: RootCA, held: tuple[ExternalCA, ...]) -> Cluster:
        """The root that was brought along becomes the swarm's."""
        rotation = after.root_rotation
        if brought.certificate == after.root_certificate:
            after = dataclasses.replace(after, root_rotation=None)
            if brought.key:
                after = dataclasses.replace(after, root_key=brought.key, intermediates=brought.intermediates)
            await self._require_signer(after)
            return after
        if rotation is not None and brought.certificate == rotation.certificate:
            if not brought.key:
                return after
            subject, public = self._signing.certificates.issuer(brought)
            moved = dataclasses.replace(
                rotation,
                key=brought.key,
                intermediates=brought.intermediates,
                issuer_subject=subject,
                issuer_public_key=public,
            )
            return dataclasses.replace(after, root_rotation=moved)
        return await self._begun(after, brought, held)

    async def _begun(self, after: Cluster, new: RootCA, held: tuple[ExternalCA, ...]) -> Cluster:
        """The change to ``new`` begins; one that was under way is given up."""
        maker, present = self._signing.certificates, present_root(after)
        if maker.issuer(RootCA(new.certificate, ""))[1] == maker.issuer(RootCA(present.certificate, ""))[1]:
            raise InvalidArgument("the new root has the key of the present one: a rotation needs another key")
        if not new.key:
            await self._require_outside(after, new.certificate, "desired")
        cross = await self._cross_signed(after, new, held)
        maker.check_cross_signed(cross, present.certificate, new.certificate)
        subject, public = maker.issuer(new)
        rotation = RootRotation(
            certificate=new.certificate,
            key=new.key,
            intermediates=new.intermediates,
            cross_signed=cross,
            issuer_subject=subject,
            issuer_public_key=public,
            started_at=self._context.clock.wall(),
        )
        return dataclasses.replace(after, root_rotation=rotation)

    async def _cross_signed(self, after: Cluster, new: RootCA, held: tuple[ExternalCA, ...]) -> str:
        """The new root as signed by the present one's key.

        ``held`` are the authorities of before: one that the swarm leaves by this very step is asked once more.
        """
        present = present_root(after)
        if present.key:
            return self._signing.certificates.cross_sign(present, new)
        if not new.key:
            raise InvalidArgument(OUTSIDE_TO_OUTSIDE)
        root = present.certificate
        cas = outside_for(after.spec.ca.external_cas, root, root) or outside_for(held, root, root)
        await self._require_reached(cas, root, "current")
        assert self._signing.outside is not None  # or nobody would have been reached
        return await self._signing.outside.cross_sign(cas, root, new)

    async def _require_signer(self, cluster: Cluster) -> None:
        """Refuse what would leave the swarm without anybody who can sign."""
        if not cluster.root_key:
            await self._require_outside(cluster, cluster.root_certificate, "current")
        rotation = cluster.root_rotation
        if rotation is not None and not rotation.key:
            await self._require_outside(cluster, rotation.certificate, "desired")

    async def _require_outside(self, cluster: Cluster, root: str, which: str) -> None:
        cas = outside_for(cluster.spec.ca.external_cas, root, cluster.root_certificate)
        await self._require_reached(cas, root, which)

    async def _require_reached(self, cas: tuple[ExternalCA, ...], root: str, which: str) -> None:
        if not cas or self._signing.outside is None:
            raise InvalidArgument(UNREACHED.format(which=which))
        try:
            await self._signing.outside.check(cas, root)
        except InvalidArgument as error:
            raise InvalidArgument(f"{UNREACHED.format(which=which)}: {error}") from error

    def _read(self, certificates: str, key: str) -> RootCA:
        return self._signing.certificates.read_root(certificates, key, self._context.clock.wall())


def normal(ca: CAConfig, read: Callable[[str, str], RootCA]) -> CAConfig:
    """With certificates in the form in which they are kept, so that equality of texts is equality.

    ``read`` makes a root of (certificates, key).
    """
    cas = []
    for one in ca.external_cas:
        check_url(one)
        root = read(one.ca_cert, "").certificate if one.ca_cert else None
        cas.append(dataclasses.replace(one, protocol=one.protocol or CFSSL, ca_cert=root))
    return dataclasses.replace(ca, external_cas=tuple(cas))


def check_url(ca: ExternalCA) -> None:
    """Refuse what cannot be asked."""
    try:
        parts = urlsplit(ca.url or "")
        complete = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete or parts.username is not None:
        raise InvalidArgument(f"the URL of an external CA must begin with https:// and name a host: {ca.url!r}")
