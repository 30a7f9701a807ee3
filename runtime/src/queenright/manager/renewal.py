# SPDX-License-Identifier: Apache-2.0
"""Certificates of members: for the role that counts next.

A node that shall be a manager becomes one when it asks for a certificate and says where it is reached; the raft group
takes it in afterwards (``members``).
"""

from __future__ import annotations

import dataclasses
import logging
from typing import NamedTuple

from queenright.decide.roles import wish
from queenright.lib import addresses
from queenright.manager import texts
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.signing import Signing
from queenright.model.changes import Update
from queenright.model.errors import InvalidArgument, NotFound, OutOfSequence, Unavailable
from queenright.model.identity import Role
from queenright.model.objects import Node
from queenright.spec.cluster import MANAGER, WORKER

log = logging.getLogger(__name__)

CONTROL_PORT = 2377


class Renewed(NamedTuple):
    """A certificate chain (PEM, the node's own first) and the role that it is for."""

    chain: bytes
    role: Role


class Renewals:
    """Renews the certificates of members."""

    def __init__(self, context: Context, signing: Signing) -> None:
        self._context = context
        self._signing = signing

    async def renew(self, node_id: str, csr_pem: bytes, control_addr: str, serial: str) -> Renewed:
        """A certificate for a member, for the role that counts next.

        A worker that shall be a manager becomes one by it: role, address and serial are one entry. ``control_addr``
        ("host:port") is where other managers reach it, with an unspecified host where they see it; a node that gives
        none is not promoted. A manager that gives another one than before has moved. ``serial`` is that of the
        certificate with which the caller has shown who it is; it stays good beside the new one, for the answer may be
        lost. Raises Unavailable (not the leader, too busy), NotFound, InvalidArgument.
        """
        if not self._context.proposer.is_leader:
            consensus = self._context.consensus
            raise texts.no_leader(consensus.leader_id if consensus is not None else "unknown")
        for _ in range(MOST_TRIES):
            node = self._context.store.nodes.get(node_id)
            if node is None:
                raise NotFound("node not registered")
            try:
                return await self._renew(node, csr_pem, control_addr, serial)
            except OutOfSequence:  # its session or its spec was written meanwhile
                continue
        raise Unavailable(f"node {node_id} changed too often while its certificate was renewed; it may try again")

    async def _renew(self, node: Node, csr_pem: bytes, control_addr: str, serial: str) -> Renewed:
        addr = _control_addr(control_addr, node)
        promoted = node.role == WORKER and wish(node) == MANAGER and bool(addr)
        role: Role = "manager" if promoted or node.role == MANAGER else "worker"
        cluster = self._context.cluster
        certificate = await self._signing.issue(cluster, node.id, role, csr_pem)
        held = serial or node.serial
        after = dataclasses.replace(
            node,
            role=role,
            manager_addr=(addr or node.manager_addr) if role == MANAGER else "",
            serial=certificate.serial,
            previous_serial=held,
            renew_for="",
        )
        records = self._signing.records(node.id, role, certificate, certificate.serial, held)
        await self._context.write([Update(after), *records])
        if promoted:
            log.info("a node becomes a manager", extra={"node": node.id, "address": addr})
        return Renewed(certificate.chain.encode(), role)


def _control_addr(said: str, node: Node) -> str:
    """Where a manager is reached as it says; one that names no host stays where it was, a new one is where it is seen.

    Raises InvalidArgument.
    """
    if not said:
        return ""
    try:
        address = addresses.parse(said, CONTROL_PORT)
        if address.is_unspecified:
            if node.manager_addr:
                return node.manager_addr
            host = node.status.addr
            address = addresses.parse(f"[{host}]" if ":" in host else host, address.port)
    except addresses.AddressError as error:
        raise InvalidArgument(f"promotion needs a reachable manager port: {error}", plain=True) from None
    return str(address)
