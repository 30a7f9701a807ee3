# SPDX-License-Identifier: Apache-2.0
"""Subnets and numbers of networks: what is asked for is checked, what is not asked for is found.

A subnet shares no address with another network, nor with what a node routes by itself: its containers would not reach
the one or the other.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from queenright.lib.prefixes import prefix
from queenright.model.objects import Network, Subnet
from queenright.spec.network import Pool
from queenright.store.store import Store

Prefix = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Taken = tuple[str, str]  # (who has it, in words; the prefix)

FIRST_VNI = 4096
LAST_VNI = (1 << 24) - 1
MOST_BITS = {4: 29, 6: 125}  # of a prefix: in a longer one nothing is left to hand out
IPV6_SIZE = 64
MOST_NAMED = 3
OVERLAPS = "invalid pool request: Pool overlaps with other one on this address space"

UNUSABLE = (
    ("0.0.0.0/8", "this host"),
    ("127.0.0.0/8", "the loopback"),
    ("169.254.0.0/16", "the local link"),
    ("224.0.0.0/3", "multicast and reserved addresses"),
    ("::/8", "reserved addresses"),
    ("fe80::/10", "the local link"),
    ("ff00::/8", "multicast addresses"),
)


def choose(
    pools: Sequence[str], size: int, taken: Iterable[Taken], wanted: Sequence[Pool] = ()
) -> tuple[Subnet, ...] | str:
    """The subnets of a new network, of one family: those that are ``wanted``, or the first free one of ``pools``.

    ``size`` is the length of its prefix, ``taken`` what others have: the name of each in words ("network web", "node
    h1"), and its prefix. A refusal is a text that names the two that overlap.
    """
    held = [(owner, prefix(text)) for owner, text in taken]
    if not wanted:
        return _first_free(pools, size, held)
    if len(wanted) > 1:
        return "a network has one subnet of IPv4 and one of IPv6 at most"
    found = _read(wanted[0])
    if isinstance(found, str):
        return found
    asked = prefix(found.subnet)
    for owner, other in held:
        if other.prefixlen and _overlap(asked, other):
            return f"{OVERLAPS}: {asked} overlaps with {other} of {owner}"
    return (found,)


def vni(networks: Iterable[Network]) -> int:
    """The lowest number that no network has. Raises OverflowError if there is none left."""
    used = {network.vni for network in networks}
    number = next((one for one in range(FIRST_VNI, LAST_VNI + 1) if one not in used), None)
    if number is None:
        raise OverflowError(f"all numbers of networks, {FIRST_VNI} to {LAST_VNI}, are in use")
    return number


def held(view: Store, besides: str = "") -> Iterator[Taken]:
    """Whose prefixes are whose, but for the network with the id ``besides``."""
    for network in sorted(view.networks, key=lambda one: one.id):
        if network.id != besides:
            yield from ((f"network {network.name}", one.subnet) for one in network.subnets)
    for node in sorted(view.nodes, key=lambda one: one.id):
        yield from ((f"node {node.hostname or node.id}", text) for text in node.description.prefixes)


def of_both_families(view: Store) -> tuple[Subnet, ...] | str:
    """The next free subnets for a network of IPv4 and IPv6 that asks for none."""
    cluster = view.cluster
    if cluster is None:
        return "there is no swarm"
    pools = [pool for pool in cluster.default_addr_pool if ":" not in pool]
    made: list[Subnet] = []
    for part, size in ((pools, cluster.subnet_size), ([local_pool(cluster.id)], IPV6_SIZE)):
        found = choose(part, size, held(view))
        if isinstance(found, str):
            return found
        made.extend(found)
    return tuple(made)


def local_pool(cluster_id: str) -> str:
    """The swarm's own pool of unique local addresses (RFC 4193), always the same."""
    digest = hashlib.sha256(f"queenright:{cluster_id}".encode()).hexdigest()
    return f"fd{digest[:2]}:{digest[2:6]}:{digest[6:10]}::/48"


def _read(pool: Pool) -> Subnet | str:
    """A subnet as it was asked for, with its gateway filled in; or what is wrong with it."""
    text = pool.subnet or ""
    try:
        subnet = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"invalid subnet {text!r}: an address and the length of a prefix are expected, such as 10.5.0.0/24"
    if text.partition("/")[0] != str(subnet.network_address) and not _same(text, subnet):
        return f"invalid subnet {text}: it should be {subnet}"
    if subnet.prefixlen > MOST_BITS[subnet.version]:
        return f"invalid subnet {subnet}: a prefix of {MOST_BITS[subnet.version]} bits is the longest that leaves room"
    for unusable, reason in UNUSABLE:
        if _overlap(subnet, prefix(unusable)):
            return f"invalid subnet {subnet}: {unusable} is {reason}"
    gateway = _gateway(pool.gateway or "", subnet)
    if isinstance(gateway, str):
        return gateway
    made = Subnet(subnet=str(subnet), gateway=str(gateway))
    return _narrowed(made, subnet, pool.ip_range or "")


def _same(text: str, subnet: Prefix) -> bool:
    """Whether the text names the subnet's first address, in whatever form."""
    return ipaddress.ip_address(text.partition("/")[0]) == subnet.network_address


def _gateway(text: str, subnet: Prefix) -> Address | str:
    if not text:
        return subnet.network_address + 1
    try:
        gateway = ipaddress.ip_address(text)
    except ValueError:
        return f"invalid gateway {text!r}: an address in {subnet} is expected"
    if gateway.version != subnet.version or gateway not in subnet:
        return f"invalid gateway {text}: it is not in {subnet}"
    if gateway in (subnet.network_address, subnet.broadcast_address):
        return f"invalid gateway {text}: the first and the last address of {subnet} belong to nobody"
    return gateway


def _narrowed(made: Subnet, subnet: Prefix, text: str) -> Subnet | str:
    """With the part out of which addresses are handed out."""
    if not text:
        return made
    try:
        part = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return f"invalid range {text!r}: a part of {subnet} is expected"
    if part.version != subnet.version or not _within(part, subnet):
        return f"invalid range {text}: it is not within {subnet}"
    kept = {ipaddress.ip_address(made.gateway), ipaddress.ip_address(made.dns)}
    kept |= {subnet.network_address, subnet.broadcast_address}
    if part.num_addresses <= sum(1 for one in kept if one in part):
        return f"invalid range {text}: no address in it can be handed out"
    return Subnet(subnet=made.subnet, gateway=made.gateway, ip_range=str(part))


def _first_free(pools: Sequence[str], size: int, held: Sequence[tuple[str, Prefix]]) -> tuple[Subnet, ...] | str:
    for text in pools:
        pool = prefix(text)
        length = min(max(size, pool.prefixlen), MOST_BITS[pool.version])
        start = _gap(pool, 1 << (pool.max_prefixlen - length), [other for _, other in held])
        if start is not None:
            subnet = ipaddress.ip_network((start, length)) if pool.version == 6 else IPv4Network((start, length))
            return (Subnet(subnet=str(subnet), gateway=str(subnet.network_address + 1)),)
    return _nothing_free(pools, size, held)


def _gap(pool: Prefix, step: int, held: Iterable[Prefix]) -> int | None:
    """Where the first part of ``step`` addresses begins that nobody has a share in."""
    busy = sorted(
        (int(other.network_address), int(other.broadcast_address))
        for other in held
        if other.prefixlen and _overlap(pool, other)
    )
    at = int(pool.network_address)
    for first, last in busy:
        if first >= at + step:
            break
        if last >= at:
            at = -(-(last + 1) // step) * step
    return at if at + step - 1 <= int(pool.broadcast_address) else None


def _nothing_free(pools: Sequence[str], size: int, held: Sequence[tuple[str, Prefix]]) -> str:
    """Why, and the largest of what stands in the way."""
    text = f"no subnet of /{size} is free in {', '.join(pools)}" if pools else "there is no pool of addresses"
    blocking = [(other, owner) for owner, other in held if any(_overlap(prefix(pool), other) for pool in pools)]
    blocking.sort(key=lambda item: (item[0].prefixlen, str(item[0]), item[1]))
    if blocking:
        more = f" and {len(blocking) - MOST_NAMED} more" if len(blocking) > MOST_NAMED else ""
        named = ", ".join(f"{other} ({owner})" for other, owner in blocking[:MOST_NAMED])
        text += f"; taken: {named}{more}"
    return f"{text}. Name a free one (--subnet), or found the swarm with another pool (default_addr_pool)"


def _overlap(one: Prefix, other: Prefix) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def _within(part: Prefix, whole: Prefix) -> bool:
    if isinstance(part, IPv4Network):
        return isinstance(whole, IPv4Network) and part.subnet_of(whole)
    return isinstance(whole, IPv6Network) and part.subnet_of(whole)
