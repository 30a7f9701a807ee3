# SPDX-License-Identifier: Apache-2.0
"""What an overlay network must be before it is taken, and which networks a service may name.

Each check raises InvalidArgument in Swarm's words where Swarm has words for it.
"""

from __future__ import annotations

import dataclasses

from queenright.lib.prefixes import prefix
from queenright.manager.checks import check_labels, check_name, check_values
from queenright.model.errors import InvalidArgument, NotFound, PermissionDenied
from queenright.model.objects import Network
from queenright.spec.fields import encode
from queenright.spec.network import INGRESS, OVERLAY, PREDEFINED, NetworkSpec
from queenright.spec.service import NetworkAttachment, ServiceSpec
from queenright.store.store import Store
from queenright.store.tables import publishes

RESERVED = frozenset({*PREDEFINED, "none", "default"})
MTU = "com.docker.network.driver.mtu"
LEAST_MTU = {False: 576, True: 1280}  # by whether the network has IPv6
MOST_MTU = 65_535
REFUSED_OPTIONS = {
    "encrypted": "encrypted overlay networks are not supported by this version of queenright; none is made without "
    "encryption in its place",
    "com.docker.network.driver.overlay.vxlanid_list": "the swarm numbers its networks itself",
}


def check_network_spec(spec: NetworkSpec) -> None:
    """Refuse a network that could not be. Raises InvalidArgument, or PermissionDenied for a reserved name."""
    check_values(encode(spec))
    check_labels(spec.labels)
    name = spec.name or ""
    check_name(name)
    if name.lower() in RESERVED:
        raise PermissionDenied(f"operation is not permitted on predefined {name} network", plain=True)
    if (spec.driver or OVERLAY) != OVERLAY:
        raise InvalidArgument(f"networks of the swarm are of driver {OVERLAY}, not {spec.driver}")
    if name.lower() == INGRESS and not spec.ingress:
        raise InvalidArgument(f'the name "{INGRESS}" is that of the ingress network: create it as that (--ingress)')
    if spec.ingress and spec.attachable:
        raise InvalidArgument("ingress network cannot be attachable")
    if spec.ingress and spec.internal:
        raise InvalidArgument("ingress network cannot be internal: the ports of its services are for the outside")
    _check_options(spec)
    _check_pools(spec)


def _check_options(spec: NetworkSpec) -> None:
    for name, reason in REFUSED_OPTIONS.items():
        if name in spec.options:
            raise InvalidArgument(f"option {name}: {reason}")
    text = spec.options.get(MTU)
    if text is None:
        return
    least = LEAST_MTU[bool(spec.ipv6)]
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and least <= int(text) <= MOST_MTU):
        raise InvalidArgument(f"option {MTU}: {text!r} is no number within {least}-{MOST_MTU}")


def _check_pools(spec: NetworkSpec) -> None:
    """Refuse what is wrong with the pools together. What is wrong with one is found where its subnet is taken."""
    families: set[int] = set()
    for pool in spec.ipam.configs:
        if not pool.subnet:
            raise InvalidArgument("IPAM: a configuration must name its subnet")
        try:
            version = prefix(pool.subnet).version
        except ValueError:
            raise InvalidArgument(f"invalid subnet {pool.subnet}: write it as 10.5.0.0/24 or fd00:5::/64") from None
        if version in families:
            raise InvalidArgument(f"a network has one subnet of IPv{version} at most, not also {pool.subnet}")
        families.add(version)
        if version == 6 and not spec.ipv6:
            raise InvalidArgument(f"subnet {pool.subnet} is of IPv6, which is not enabled for the network (--ipv6)")


# -- services


def resolve_networks(store: Store, spec: ServiceSpec, *, planned: bool = False) -> tuple[ServiceSpec, tuple[str, ...]]:
    """The service with its networks named by id, and warnings. Predefined ones stay as they are.

    A network that is not there is refused (NotFound), or in a plan (``planned``) warned of: a task before it may make
    it. Raises InvalidArgument for networks that a service cannot name.
    """
    if not spec.task.networks:
        return spec, ()
    found, warnings = [], []
    for one in spec.task.networks:
        try:
            found.append(_resolved(store, one))
        except NotFound:
            if not planned:
                raise
            warnings.append(f"network {one.target} does not exist yet: create it first")
            found.append(one)
    _check_together(store, spec, found)
    return dataclasses.replace(spec, task=dataclasses.replace(spec.task, networks=tuple(found))), tuple(warnings)


def _resolved(store: Store, wanted: NetworkAttachment) -> NetworkAttachment:
    target = wanted.target or ""
    if not target:
        raise InvalidArgument("TaskSpec: a network attachment must name its network")
    if target in PREDEFINED:
        return wanted
    refused = InvalidArgument(f'Service cannot be explicitly attached to the ingress network "{target}"')
    if target == INGRESS:
        raise refused
    network: Network = store.network(target)
    if network.ingress:
        raise refused
    return wanted if target == network.id else dataclasses.replace(wanted, target=network.id)


def _check_together(store: Store, spec: ServiceSpec, networks: list[NetworkAttachment]) -> None:
    targets = [one.target or "" for one in networks]
    predefined = [target for target in targets if target in PREDEFINED]
    if predefined and len(targets) > 1:
        raise InvalidArgument(
            f"a service in the network {predefined[0]} is in no other: leave {predefined[0]} out, or all others"
        )
    if "host" in predefined and publishes(spec):
        raise InvalidArgument(
            "EndpointSpec: a service in the network host listens on its nodes' own ports: it can publish none in "
            "ingress mode"
        )
    for target in targets:
        if targets.count(target) > 1:
            network = store.networks.get(target)
            raise InvalidArgument(f"the service is attached to network {network.name if network else target} twice")


def check_network_existence(store: Store, spec: ServiceSpec | None) -> None:
    """Refuse a spec that names a network by an id that is not there (any more)."""
    for one in spec.task.networks if spec is not None else ():
        if one.target not in PREDEFINED and (one.target or "") not in store.networks:
            raise NotFound(f"network {one.target} not found", plain=True)
