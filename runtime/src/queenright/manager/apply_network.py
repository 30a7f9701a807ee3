# SPDX-License-Identifier: Apache-2.0
"""A playbook's wish for an overlay network.

Labels can change at any time, nothing else of a network can: one that nobody uses is replaced by another of its name,
one that is in use is left, and the playbook is told who uses it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from queenright.lib.prefixes import prefix
from queenright.manager.context import Context
from queenright.manager.control_networks import Networks
from queenright.manager.plans import ABSENT, Plan, Wish, plan_of
from queenright.model.changes import Create, Delete
from queenright.model.errors import FailedPrecondition, InvalidArgument
from queenright.model.objects import Network, Subnet
from queenright.spec.fields import difference, encode, merge
from queenright.spec.network import IPAM, NetworkSpec, Pool

Json = dict[str, Any]

_SWITCHES = ("internal", "attachable", "ingress", "ipv6")


class NetworkPlanner:
    """Plans for networks."""

    def __init__(self, context: Context, networks: Networks) -> None:
        self._context = context
        self._networks = networks

    def plan(self, wish: Wish) -> Plan:
        """What the wish comes to now; nothing is written."""
        found = self._find(wish.name)
        if wish.state == ABSENT:
            return self._plan_removal(found)
        spec = merge(NetworkSpec, found.spec if found is not None else None, dict(wish.options))
        spec = dataclasses.replace(spec, name=wish.name if found is None else found.name)
        if found is None:
            made = self._networks.new(spec)
            return plan_of(made.id, None, shown(made), f"create network {made.name}", (Create(made),))
        differing = immutable_changes(found, spec)
        if differing:
            return self._plan_replacement(found, spec, differing)
        if spec.labels == found.spec.labels:
            return Plan(found.id, shown(found), shown(found))
        change = self._networks.relabelled(found, spec.labels)
        after = shown(dataclasses.replace(found, spec=dataclasses.replace(found.spec, labels=spec.labels)))
        return plan_of(found.id, shown(found), after, f"update the labels of network {found.name}", (change,))

    def _plan_removal(self, found: Network | None) -> Plan:
        if found is None:
            return Plan("", None, None)
        self._networks.check_unused(found)
        changes = (Delete("network", found.id, found.version),)
        return plan_of(found.id, shown(found), None, f"remove network {found.name}", changes)

    def _plan_replacement(self, found: Network, spec: NetworkSpec, differing: tuple[str, ...]) -> Plan:
        try:
            self._networks.check_unused(found)
        except FailedPrecondition as error:
            raise FailedPrecondition(
                f"network {found.name}: {', '.join(differing)} can be changed only while nobody uses it: {error}"
            ) from error
        made = self._networks.new(spec, replaced=found)
        before, after = shown(found), shown(made)
        changes = (Delete("network", found.id, found.version), Create(made))
        actions = (f"replace network {found.name}, which nobody uses",)
        return Plan(made.id, before, after, actions, (), changes, difference(before, after))

    def _find(self, name: str) -> Network | None:
        """By full id or name; a playbook's abbreviation would be an accident."""
        if not name:
            raise InvalidArgument("a network needs a name", plain=True)
        networks = self._context.store.networks
        return networks.get(name) or next(iter(networks.by("name", name.lower())), None)


def immutable_changes(found: Network, wanted: NetworkSpec) -> tuple[str, ...]:
    """Which options would have to be others than they are. What is said as it is anyway is no change."""
    differing = [name for name in _SWITCHES if bool(getattr(found.spec, name)) != bool(getattr(wanted, name))]
    if found.spec.options != wanted.options:
        differing.append("driver_options")
    if not _same_pools(found, wanted.ipam.configs):
        differing.append("ipam_config")
    return tuple("enable_ipv6" if name == "ipv6" else name for name in differing)


def _same_pools(found: Network, wanted: tuple[Pool, ...]) -> bool:
    if wanted == found.spec.ipam.configs:
        return True
    held = {str(prefix(one.subnet)): one for one in found.subnets}
    return bool(wanted) and all(_fits(held, pool) for pool in wanted)


def _fits(held: dict[str, Subnet], pool: Pool) -> bool:
    try:
        subnet = held.get(str(prefix(pool.subnet or "")))
    except ValueError:  # the check of what is to be created says what is wrong
        return False
    return (
        subnet is not None
        and (pool.gateway or subnet.gateway) == subnet.gateway
        and (pool.ip_range or "") == subnet.ip_range
    )


def shown(value: Network) -> Json:
    """A network's specification with the subnets that it has."""
    pools = tuple(Pool(subnet=one.subnet, gateway=one.gateway, ip_range=one.ip_range or None) for one in value.subnets)
    ipam = IPAM(driver=value.spec.ipam.driver, configs=pools, options=value.spec.ipam.options)
    return encode(dataclasses.replace(value.spec, ipam=ipam))
