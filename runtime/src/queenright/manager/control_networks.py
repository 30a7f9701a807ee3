# SPDX-License-Identifier: Apache-2.0
"""Use cases on overlay networks: create, relabel, remove, prune; and the ingress network, which comes when needed.

A network gets its subnets and its number in the write that creates it, so that none is ever there without.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from queenright.decide import subnets
from queenright.lib.prefixes import prefix
from queenright.manager.check_networks import check_network_spec
from queenright.manager.checks import check_labels
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.network_uses import Uses
from queenright.manager.prune import Only
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.errors import AlreadyExists, FailedPrecondition, InvalidArgument, OutOfSequence
from queenright.model.objects import Network, Subnet
from queenright.spec.network import INGRESS, OVERLAY, NetworkSpec
from queenright.spec.service import ServiceSpec
from queenright.store.tables import publishes


class Networks:
    """Writes to networks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def create(self, spec: NetworkSpec) -> str:
        """Create a network and give its id. Raises InvalidArgument for one that cannot be or whose subnet is taken,
        AlreadyExists if its name is, in any case of letters.
        """
        for attempt in range(MOST_TRIES):
            made = self.new(spec)
            try:
                await self._context.write([Create(made)])
            except OutOfSequence:  # another call took the name (the next try says so), the subnet or the id
                if attempt == MOST_TRIES - 1:
                    raise
            else:
                return made.id
        raise AssertionError("unreachable")

    async def remove(self, ref: str) -> None:
        """Remove a network. Raises FailedPrecondition, and names who uses it, if it is in use."""
        found = self._context.store.network(ref)
        for attempt in range(MOST_TRIES):
            self.check_unused(found)
            try:
                await self._context.write([Delete("network", found.id)])
                return
            except OutOfSequence:  # a service took it up in between: the next look names it
                if attempt == MOST_TRIES - 1:
                    raise

    async def prune(self, only: Only, *, dry_run: bool) -> list[Network]:
        """Remove all that nobody needs (the ingress network is never among them), or only say what that is. What is
        taken up or removed meanwhile is left out.
        """
        for attempt in range(MOST_TRIES):
            uses = Uses(self._context.store)
            networks = sorted(self._context.store.networks, key=lambda one: one.name)
            found = [one for one in networks if not one.ingress and only.take(one) and not uses.hold(one)]
            if dry_run or not found:
                return found
            try:
                await self._context.write([Delete("network", one.id, one.version) for one in found])
                return found
            except OutOfSequence:
                if attempt == MOST_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def new(self, spec: NetworkSpec, *, replaced: Network | None = None) -> Network:
        """One that could be created now; nothing is written. It may have the name and the addresses of the one that is
        ``replaced``.
        """
        check_network_spec(spec)
        store, gone = self._context.store, replaced.id if replaced is not None else ""
        name = spec.name or ""
        if any(one.id != gone for one in store.networks.by("name", name.lower())):
            raise AlreadyExists(f"network with name {name} already exists", plain=True)
        if spec.ingress and store.ingress is not None and store.ingress.id != gone:
            raise AlreadyExists(f"ingress network ({store.ingress.id}) is already present")
        others = [one for one in store.networks if one.id != gone]
        spec = dataclasses.replace(spec, driver=OVERLAY)
        return Network(
            id=self._context.ids(),
            spec=spec,
            vni=subnets.vni(others),
            subnets=self._subnets(spec, gone),
        )

    def relabelled(self, found: Network, labels: dict[str, str]) -> Change:
        """The change that gives a network other labels; nothing else of one ever changes."""
        check_labels(labels)
        return Update(dataclasses.replace(found, spec=dataclasses.replace(found.spec, labels=dict(labels))))

    def check_unused(self, found: Network) -> None:
        """Raise FailedPrecondition in Swarm's words if something needs the network."""
        reason = Uses(self._context.store).reason(found)
        if reason is not None:
            raise FailedPrecondition(reason)

    def for_service(self, spec: ServiceSpec) -> tuple[Change, ...]:
        """What is to be written together with a service: the ingress network, if it is the first that needs it."""
        if not publishes(spec) or self._context.store.ingress is not None:
            return ()
        return (Create(self.new(NetworkSpec(name=INGRESS, ingress=True, ipv6=True))),)

    # -- addresses

    def _subnets(self, spec: NetworkSpec, besides: str) -> tuple[Subnet, ...]:
        """That of IPv4, then that of IPv6. Raises InvalidArgument, with both names, where two would overlap, and
        FailedPrecondition if the pools are used up.
        """
        cluster = self._context.cluster
        taken = tuple(subnets.held(self._context.store, besides))
        found = [self._family(spec, 4, cluster.default_addr_pool, cluster.subnet_size, taken)]
        if spec.ipv6:
            found.append(self._family(spec, 6, (subnets.local_pool(cluster.id),), subnets.IPV6_SIZE, taken))
        return tuple(found)

    def _family(
        self, spec: NetworkSpec, version: int, pools: Sequence[str], size: int, taken: tuple[subnets.Taken, ...]
    ) -> Subnet:
        wanted = next((one for one in spec.ipam.configs if prefix(one.subnet or "").version == version), None)
        found = subnets.choose(pools, size, taken, (wanted,) if wanted is not None else ())
        if isinstance(found, str):
            raise InvalidArgument(found) if wanted is not None else FailedPrecondition(f"network {spec.name}: {found}")
        return found[0]
