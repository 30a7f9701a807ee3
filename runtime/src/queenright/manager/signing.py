# SPDX-License-Identifier: Apache-2.0
"""The one place where node certificates come from, whatever the reason: the swarm's own key, or an authority outside.

Each one issued is written down with its node, role and dates (``records``), so that it can be shown and revoked.
"""

from __future__ import annotations

from queenright.decide.trust import expired_grace
from queenright.manager.audit import record
from queenright.manager.context import Context
from queenright.manager.ports import CertificateMaker, IssuedCertificate, Outside, RootCA
from queenright.manager.swarm_spec import certificate_validity
from queenright.model import features
from queenright.model.changes import Change, Create, Delete
from queenright.model.errors import Unavailable
from queenright.model.objects import Certificate, Cluster
from queenright.spec.cluster import ExternalCA
from queenright.store.store import Store

MOST_RECORDS = 8  # of one node; those of the certificates in use are always among them
LEVEL = 4  # of the swarm, from which on certificates are written down


def present_root(cluster: Cluster) -> RootCA:
    """What the swarm trusts and signs with while no change of the root is under way."""
    return RootCA(cluster.root_certificate, cluster.root_key, cluster.intermediates)


def signing_root(cluster: Cluster) -> RootCA:
    """What signs now: the root to be, while there is one."""
    rotation = cluster.root_rotation
    if rotation is None:
        return present_root(cluster)
    return RootCA(rotation.certificate, rotation.key, rotation.intermediates, rotation.cross_signed)


def outside_for(cas: tuple[ExternalCA, ...], root: str, present: str) -> tuple[ExternalCA, ...]:
    """The authorities that sign under a root; those that name none are for the ``present`` one."""
    return tuple(one for one in cas if (one.ca_cert or present).strip() == root.strip())


def trusted(cluster: Cluster) -> str:
    """The roots that a member shall trust now: the present one, and the one to be."""
    rotation = cluster.root_rotation
    return cluster.root_certificate + (rotation.certificate if rotation is not None else "")


def path(cluster: Cluster) -> tuple[str, ...]:
    """Roots as signed by those before them, the latest first: why a new one may be trusted."""
    rotation = cluster.root_rotation
    latest = (rotation.cross_signed,) if rotation is not None else ()
    return (*latest, *(former.cross_signed for former in reversed(cluster.former_roots)))


class Signing:
    """Issues certificates of nodes. ``outside`` may be None: then the swarm's own key must be there."""

    def __init__(self, context: Context, certificates: CertificateMaker, outside: Outside | None = None) -> None:
        self._context = context
        self.certificates = certificates
        self.outside = outside

    def over(self, context: Context) -> Signing:
        """The same over another store."""
        return Signing(context, self.certificates, self.outside)

    async def issue(self, cluster: Cluster, node_id: str, role: str, csr: bytes) -> IssuedCertificate:
        """Raises InvalidArgument (it is refused for good) or Unavailable (nobody can sign now)."""
        root = signing_root(cluster)
        cas = outside_for(cluster.spec.ca.external_cas, root.certificate, cluster.root_certificate)
        validity, now = certificate_validity(cluster.spec), self._context.clock.wall()
        if cas and self.outside is not None:
            issued = await self.outside.sign(
                cas, root, csr, node_id=node_id, role=role, cluster_id=cluster.id, validity=validity, now=now
            )
        elif root.key:
            issued = self.certificates.issue(
                root, csr, node_id=node_id, role=role, cluster_id=cluster.id, validity=validity, now=now
            )
        else:
            raise Unavailable("no external CA is known for the swarm's root certificate: add it to the swarm")
        record("sign", node=node_id, role=role, serial=issued.serial, not_after=issued.not_after, outside=bool(cas))
        return issued

    def records(self, node_id: str, role: str, issued: IssuedCertificate, *in_use: str) -> list[Change]:
        """Changes that write a certificate down, and forget those of the node that nobody asks for any more.

        ``in_use``: serials that the node has after this.
        """
        store, now = self._context.store, self._context.clock.wall()
        if features.level_of(store.cluster) < LEVEL:
            return []
        made = Certificate(
            id=issued.serial, node_id=node_id, role=role, not_before=issued.not_before, not_after=issued.not_after
        )
        held = [one for one in store.certificates.by("node", node_id) if one.id not in in_use]
        held.sort(key=lambda one: (one.created_at, one.id))
        room = MOST_RECORDS - 1 - len(set(in_use) - {issued.serial})
        gone = held[: max(0, len(held) - room)]
        gone += [one for one in held[len(gone) :] if one.not_after <= now]
        return [Create(made), *(Delete("certificate", one.id, one.version) for one in gone)]


def forgotten(store: Store, cluster: Cluster, now: int) -> list[Change]:
    """Changes that remove what is written down of certificates that mean nothing any more: those of nodes that are
    gone, and those that ended so long ago that nobody comes home with them.
    """
    grace = expired_grace(cluster)
    return [
        Delete("certificate", one.id, one.version)
        for one in store.certificates
        if one.not_after + grace <= now or (one.not_after <= now and store.nodes.get(one.node_id) is None)
    ]
