# SPDX-License-Identifier: Apache-2.0
"""Use cases on the swarm itself: its spec, its join tokens and its unlock key."""

from __future__ import annotations

import dataclasses

from queenright.manager.context import Context
from queenright.manager.roots import Roots
from queenright.manager.signing import Signing
from queenright.manager.swarm_spec import check_swarm, normal
from queenright.model.changes import Update
from queenright.model.errors import FailedPrecondition, InvalidArgument, OutOfSequence
from queenright.model.objects import Cluster
from queenright.model.tokens import SECRET_BYTES, make_join_token
from queenright.model.unlock import KEY_BYTES, unlock_key_text
from queenright.spec.cluster import CAConfig, SwarmSpec
from queenright.spec.fields import keep_own

NO_AUTOLOCK = "cannot rotate the unlock key because autolock is not turned on"


@dataclasses.dataclass(frozen=True, slots=True)
class Rotation:
    """Which secrets are to be made anew."""

    worker_token: bool = False
    manager_token: bool = False
    unlock_key: bool = False


class ClusterControl:
    """Writes to the cluster object."""

    def __init__(self, context: Context, signing: Signing) -> None:
        self._context = context
        self._roots = Roots(context, signing)

    async def update(self, version: int, spec: SwarmSpec, rotation: Rotation, signing_key: str = "") -> None:
        """Put another spec in force; it must be whole, what it leaves out is unset, except what clients of the Engine
        API do not know. Then rotate. ``signing_key`` is that of the spec's root certificate, if it brings one along.
        """
        cluster = self._context.cluster
        if cluster.version != version:
            raise OutOfSequence
        spec = keep_own(cluster.spec, spec)
        check_swarm(spec)
        if rotation.unlock_key and not spec.encryption.autolock:
            raise FailedPrecondition(NO_AUTOLOCK, plain=True)
        after = await self._roots.changed(cluster, normal(spec), signing_key)
        await self._context.write([Update(self.rotated(self._keyed(after), rotation))])

    async def rooted(self, cluster: Cluster, ca: CAConfig, signing_key: str) -> Cluster:
        """The cluster with another declaration of its root in force, if that is allowed; nothing is written."""
        spec = dataclasses.replace(cluster.spec, ca=ca)
        check_swarm(spec)
        return await self._roots.changed(cluster, normal(spec), signing_key)

    def changed(self, cluster: Cluster, spec: SwarmSpec) -> Cluster:
        """The cluster with ``spec`` in force, if that is allowed. What concerns the root is not changed by this."""
        check_swarm(spec)
        held, ca = cluster.spec.ca, spec.ca
        for name in ("external_cas", "signing_ca_cert", "force_rotate"):
            if (getattr(ca, name) or None) != (getattr(held, name) or None):
                raise InvalidArgument(
                    "the root of a swarm is changed by itself, not along with other options", plain=True
                )
        return self._keyed(dataclasses.replace(cluster, spec=normal(spec)))

    def rotated(self, cluster: Cluster, rotation: Rotation) -> Cluster:
        """The cluster with new tokens and a new unlock key in the place of those to be rotated. Old tokens are dead at
        once, the old unlock key as soon as a manager hears of it.
        """
        if rotation.worker_token:
            cluster = dataclasses.replace(cluster, worker_token=self._token(cluster))
        if rotation.manager_token:
            cluster = dataclasses.replace(cluster, manager_token=self._token(cluster))
        if rotation.unlock_key and cluster.unlock_key:
            cluster = self._with_new_key(cluster)
        return cluster

    def _keyed(self, cluster: Cluster) -> Cluster:
        """With an unlock key where managers are to be locked, and only there."""
        if not cluster.spec.encryption.autolock:
            return dataclasses.replace(cluster, unlock_key="")
        return cluster if cluster.unlock_key else self._with_new_key(cluster)

    def _with_new_key(self, cluster: Cluster) -> Cluster:
        return dataclasses.replace(cluster, unlock_key=unlock_key_text(self._context.ids.bytes(KEY_BYTES)))

    def _token(self, cluster: Cluster) -> str:
        return make_join_token(cluster.root_certificate.encode(), self._context.ids.bytes(SECRET_BYTES)).text
