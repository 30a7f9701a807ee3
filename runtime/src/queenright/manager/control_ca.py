# SPDX-License-Identifier: Apache-2.0
"""Use cases on roots and certificates: what is there, how far a change is, who was left behind; revocation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from queenright.decide import trust
from queenright.decide.base import Now
from queenright.manager.audit import record
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.control_cluster import ClusterControl
from queenright.manager.signing import Signing, present_root
from queenright.model.changes import Update
from queenright.model.errors import InvalidArgument, NotFound, OutOfSequence
from queenright.model.objects import Certificate, Cluster, Node
from queenright.spec.cluster import CAConfig, ExternalCA
from queenright.spec.fields import SpecError, difference, encode, merge

OPTIONS = ("rotate", "ca_cert", "ca_key", "external_cas")

Json = dict[str, Any]


class AuthorityControl:
    """The swarm's root, its certificates, and who signs them."""

    def __init__(self, context: Context, cluster: ClusterControl, signing: Signing) -> None:
        self._context = context
        self._cluster = cluster
        self._signing = signing

    # -- what is there

    def describe(self) -> Json:
        """All of it; times in nanoseconds since the epoch, no key and no token."""
        cluster, store = self._context.cluster, self._context.store
        issuer = self._signing.certificates.issuer(present_root(cluster))
        return {
            "cluster_id": cluster.id,
            "root_certificate": cluster.root_certificate,
            "root_digest": self._signing.certificates.root_digest(cluster.root_certificate),
            "issuer_subject": issuer[0],
            "issuer_public_key": issuer[1],
            "has_key": bool(cluster.root_key),
            "spec": encode(cluster.spec.ca),
            "rotation": self._rotation(cluster),
            "left_behind": [
                {"id": node.id, "hostname": node.hostname, "state": node.status.state.value}
                for node in sorted(store.nodes, key=lambda node: node.id)
                if trust.tls_status(node, cluster, issuer) == "Needs Rotation"
            ]
            if cluster.root_rotation is None
            else [],
            "former_roots": [
                {"root_digest": self._signing.certificates.root_digest(one.certificate), "until": one.until}
                for one in cluster.former_roots
            ],
            "certificates": [
                self._certificate(one) for one in sorted(store.certificates, key=lambda one: (one.created_at, one.id))
            ],
        }

    def _rotation(self, cluster: Cluster) -> Json | None:
        """How far a change of the root is."""
        clock = self._context.clock
        state = trust.turning(cluster, self._context.store.nodes, Now(clock.wall(), clock.mono()))
        rotation = cluster.root_rotation
        if state is None or rotation is None:
            return None
        return {
            "root_certificate": rotation.certificate,
            "root_digest": self._signing.certificates.root_digest(rotation.certificate),
            "started_at": rotation.started_at,
            "total": state.total,
            "turned": len(state.turned),
            "waiting": [self._named(key) for key in state.waiting],
            "left": [self._named(key) for key in state.left],
        }

    def _named(self, node_id: str) -> Json:
        node = self._context.store.node(node_id)
        return {"id": node.id, "hostname": node.hostname, "state": node.status.state.value}

    def _certificate(self, one: Certificate) -> Json:
        node = self._context.store.nodes.get(one.node_id)
        return {
            "serial": one.id,
            "node_id": one.node_id,
            "hostname": node.hostname if node is not None else "",
            "role": one.role,
            "issued_at": one.created_at,
            "not_before": one.not_before,
            "not_after": one.not_after,
            "revoked_at": one.revoked_at,
            "in_use": in_use(node, one.id),
        }

    # -- what is declared

    async def declare(self, options: Mapping[str, Any], *, dry_run: bool) -> Json:
        """Another root, or authorities outside. The answer says what was (or with ``dry_run``: would be) changed.

        ``rotate`` asks for a new root of the swarm's own (one that is under way is that), ``ca_cert`` (with
        ``ca_key``) for a given one; an absent option leaves all as it is. Raises InvalidArgument and SpecError.
        """
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise InvalidArgument(f"{unknown[0]!r} is none of {', '.join(OPTIONS)}", plain=True)
        await self._context.fresh()
        for attempt in range(MOST_TRIES):
            before = self._context.cluster
            under_way = before.root_rotation is not None and not before.spec.ca.signing_ca_cert
            ca, key = _wanted(before.spec.ca, {**options, "rotate": options.get("rotate") and not under_way})
            after = await self._cluster.rooted(before, ca, key)
            if dry_run or after == before:
                break
            try:
                await self._context.write([Update(after)])
                break
            except OutOfSequence:
                if attempt == MOST_TRIES - 1:
                    raise
        shown = encode(before.spec.ca), encode(after.spec.ca)
        return {
            "changed": after != before,
            "actions": _actions(before, after),
            "before": shown[0],
            "after": shown[1],
            "diff": difference(*shown),
        }

    async def revoke(self, serial: str, *, dry_run: bool = False) -> Json:
        """The certificate opens nothing from now on. If it is the one that its node uses, the node is shut out until it
        joins again.
        """
        await self._context.fresh()
        serial = serial.lower().replace(":", "").lstrip("0")
        for attempt in range(MOST_TRIES):
            held = self._certificate_of(serial)
            if held.revoked_at or dry_run:
                break
            self._refuse_last_manager(held)
            revoked = dataclasses.replace(held, revoked_at=self._context.clock.wall())
            try:
                await self._context.write([Update(revoked)])
                record("revoke", serial=serial, node=held.node_id)
                break
            except OutOfSequence:
                if attempt == MOST_TRIES - 1:
                    raise
        node = self._context.store.nodes.get(held.node_id)
        return {"changed": not held.revoked_at, "node_id": held.node_id, "shut_out": in_use(node, serial) == "current"}

    def _certificate_of(self, serial: str) -> Certificate:
        held = self._context.store.certificates.get(serial)
        if held is None:
            raise NotFound(f"no certificate with the serial {serial!r} was issued, or it ended long ago", plain=True)
        return held

    def _refuse_last_manager(self, held: Certificate) -> None:
        """Nobody shuts out the manager that does it: whether it could still undo anything, nobody knows."""
        consensus = self._context.consensus
        leader = consensus.leader_id if consensus is not None else held.node_id
        node = self._context.store.nodes.get(held.node_id)
        if held.node_id == leader and in_use(node, held.id) == "current":
            raise InvalidArgument(
                "the certificate is the one with which the leading manager works: demote the manager first",
                plain=True,
            )


def in_use(node: Node | None, serial: str) -> str:
    """What the node has it for: ``current``, ``previous``, or nothing any more."""
    if node is None:
        return ""
    return "current" if serial == node.serial else "previous" if serial == node.previous_serial else ""


def _wanted(held: CAConfig, options: Mapping[str, Any]) -> tuple[CAConfig, str]:
    """(what is declared, the key that comes with it)."""
    for name in ("ca_cert", "ca_key"):
        if options.get(name) is not None and not isinstance(options[name], str):
            raise SpecError(name, "expected a string")
    key = options.get("ca_key") or ""
    if options.get("external_cas") is not None:
        held = dataclasses.replace(held, external_cas=_authorities(options["external_cas"]))
    if options.get("ca_cert"):
        return dataclasses.replace(held, signing_ca_cert=options["ca_cert"]), key
    if options.get("rotate"):
        return dataclasses.replace(held, signing_ca_cert=None, force_rotate=(held.force_rotate or 0) + 1), key
    return dataclasses.replace(held, signing_ca_cert=None if key else held.signing_ca_cert), key


def _authorities(given: Any) -> tuple[ExternalCA, ...]:
    if not isinstance(given, list):
        raise SpecError("external_cas", "expected a list")
    return tuple(merge(ExternalCA, None, item, f"external_cas[{index}]") for index, item in enumerate(given))


def _actions(before: Cluster, after: Cluster) -> list[str]:
    """What was done, in words."""
    found = []
    if after.root_rotation != before.root_rotation:
        if after.root_rotation is None:
            found.append("give up the rotation of the root certificate")
        elif before.root_rotation is None or after.root_rotation.certificate != before.root_rotation.certificate:
            found.append("rotate the root certificate")
        else:
            found.append("replace the key of the new root certificate")
    if (after.root_key, after.intermediates) != (before.root_key, before.intermediates):
        found.append("replace the key of the root certificate")
    if after.spec.ca.external_cas != before.spec.ca.external_cas:
        found.append("change the external CAs")
    return found or (["update the swarm"] if after != before else [])
