# SPDX-License-Identifier: Apache-2.0
"""What the nftables of a sandbox and of the host shall say, and the shortest text from one state to the next.

Pure: pictures in, text out. A sandbox has one map from address and number to backend for all services of a family, and
one chain for each count of backends (``n3_4`` throws a die of three sides), shared by all services with that many. So a
change is a few elements of maps, whatever there is besides; with chains and maps of their own for a thousand services
nft would read them all first. Names have prefixes or numbers: bare words may be keywords of nft.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from queenright.edge.kernel.balancer import (
    INSIDE,
    LINK4,
    LINK6,
    OUTSIDE,
    family_of,
    own_address,
    serving,
)
from queenright.edge.kernel.conntrack import PROTOCOLS
from queenright.model.mesh import HOST_LINK, Balanced, Overlay, Published

_SEED = "0x71756565"  # the same on every node: a client that comes by another one stays with its backend
_IP = {4: "ip", 6: "ip6"}
_ADDRESS = {4: "ipv4_addr", 6: "ipv6_addr"}
_PORT = "inet_proto . inet_service"
_SIDES = 64  # any number: it gives the maps the type of a die, not a bound

Source = Balanced | Published
Elements = Mapping[tuple[str, str], str]
"""(map, key) -> what it leads to."""

_HOOKS = {
    "marks": "type filter hook prerouting priority -150; policy accept;",
    "pre": "type nat hook prerouting priority -100; policy accept;",
    "through": "type filter hook forward priority 0; policy drop;",
    "into": "type filter hook input priority 0; policy accept;",
    "post": "type nat hook postrouting priority 100; policy accept;",
}
"""The chains of a sandbox through which packets come, the same for every backend."""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A sandbox's table: its sets and hooked chains, and what is balanced in it, each under a name."""

    base: str
    families: Sequence[int]
    sources: Mapping[str, Source]


def whole(name: str, table: Table, known: set[str]) -> str:
    """The text that fills the table anew, in one step. ``known``: gets the names of the chains that are in use then."""
    chains, elements = _parts(table.sources.values(), table.families)
    known.clear()
    known.update(chains)
    text = "".join(_chain(chain, rule, []) for chain, rule in chains.items())
    body = f"{emptied(name)}table inet {name} {{\n{table.base}{text}}}\n"
    return body + _elements("add", name, elements)


def emptied(name: str) -> str:
    """The text that leaves of a sandbox's table, whichever backend filled it, the hooked chains alone, without rules.

    They stay, as their rules are exchanged in one step. A chain that goes keeps its rules for a moment in which those
    of its successor hold already, and what one of the two lets pass the other may refuse.
    """
    chains = "".join(_chain(chain, hook, []) for chain, hook in _HOOKS.items())
    text = f"table inet {name} {{\n{chains}}}\nflush table inet {name}\n"
    for found, kind in [pair for family in (4, 6) for pair in (*_maps(family, ingress=True), *mark_maps(family))]:
        text += f"add map inet {name} {found} {{ {kind}; }}\ndelete map inet {name} {found}\n"
    return text


def mark_maps(family: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """Name and type of the maps in which the backend IPVS has its marks: by virtual address, by published port."""
    return (f"vipmark{family}", f"type {_ADDRESS[family]} : mark"), (f"pubmark{family}", f"type {_PORT} : mark")


def removal(name: str) -> str:
    """The text that takes a table away, whether it is there or not."""
    return f"table inet {name}\ndelete table inet {name}\n"


def step(name: str, old: Table, new: Table, known: set[str]) -> str:
    """The text from ``old``, which the kernel has, to ``new``; "" if there is nothing to do.

    Chains that nobody uses any more stay: there is one for each count of backends that there ever was, at most. Those
    that there are, ``known``, are added to.
    """
    if old.base != new.base:
        return whole(name, new, known)
    before = [source for key, source in old.sources.items() if not _same(new.sources.get(key), source)]
    after = [source for key, source in new.sources.items() if not _same(old.sources.get(key), source)]
    if not before and not after:
        return ""
    had, (chains, wanted) = _parts(before, old.families)[1], _parts(after, new.families)
    gone = {key: value for key, value in had.items() if wanted.get(key) != value}
    come = {key: value for key, value in wanted.items() if had.get(key) != value}
    added = [chain for chain in chains if chain not in known]
    known.update(added)
    lines = [f"add chain inet {name} {chain}\nadd rule inet {name} {chain} {chains[chain]}\n" for chain in added]
    return "".join(lines) + _elements("delete", name, gone) + _elements("add", name, come)


def sandbox(overlay: Overlay) -> Table:
    """What the sandbox of a network says with the backend nftables."""
    families = [family for family in (4, 6) if own_address(overlay, family)]
    sources: dict[str, Source] = {service.service_id: service for service in overlay.balanced}
    sources.update((f"{port.protocol} {port.port}", port) for port in overlay.published)
    return Table(_sandbox_base(overlay, families), families, sources)


def host(overlay: Overlay, ports: Sequence[Published]) -> str:
    """What is in the host's table: ``ports`` are those of the ingress network that are really ours on this node."""
    families = [family for family in (4, 6) if own_address(overlay, family)]
    chains = []
    elements: dict[int, list[str]] = {4: [], 6: []}
    for port in ports:
        for family in families:
            local = serving([backend for backend in port.backends if backend.local], family) if port.local_first else ()
            if local:
                chain = f"l_{port.protocol}_{port.port}_{family}"
                chains.append(_chain(chain, _local(port, local, family), []))
                elements[family].append(f"{port.protocol} . {port.port} : goto {chain}")
    return "".join(chains) + _host_base(overlay, ports, families, elements)


def _same(one: Source | None, other: Source) -> bool:
    return one is other or one == other


def _parts(sources: Iterable[Source], families: Sequence[int]) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """The chains that these need, with their rules, and their elements."""
    chains: dict[str, str] = {}
    elements: dict[tuple[str, str], str] = {}
    for source in sources:
        for family in families:
            addresses = serving(source.backends, family)
            if not addresses:
                continue  # in no map: the sandbox refuses what comes for it
            chain, rule = _spread(source, len(addresses), family)
            chains[chain] = rule
            if isinstance(source, Published):
                elements[f"pub{family}", f"{source.protocol} . {source.port}"] = f"goto {chain}"
                for number, address in enumerate(addresses):
                    to = f"{source.protocol}to{family}", f"{source.port} . {number}"
                    elements[to] = f"{address} . {source.target}"
                continue
            for vip in (vip for vip in source.vips if family_of(vip) == family):
                elements[f"vip{family}", vip] = f"goto {chain}"
                for number, address in enumerate(addresses):
                    elements[f"vipto{family}", f"{vip} . {number}"] = address
    return chains, elements


def _spread(source: Source, count: int, family: int) -> tuple[str, str]:
    """Name and rule of the chain for a number of backends."""
    ip = _IP[family]
    if isinstance(source, Published):
        protocol = source.protocol
        match = f"meta l4proto {protocol} dnat {ip} to {protocol} dport . numgen random mod {count}"
        return f"{protocol}{count}_{family}", f"{match} map @{protocol}to{family}"
    if source.sticky:
        dice = f"jhash {ip} saddr mod {count} seed {_SEED}"
        return f"h{count}_{family}", f"dnat {ip} to {ip} daddr . {dice} map @vipto{family}"
    return f"n{count}_{family}", f"dnat {ip} to {ip} daddr . numgen random mod {count} map @vipto{family}"


def _sandbox_base(overlay: Overlay, families: Sequence[int]) -> str:
    before, after, names = [], [], []
    for family in families:
        ip = _IP[family]
        before.append(f'iifname "{INSIDE}" meta l4proto {{ tcp, udp, sctp }} {ip} daddr vmap @vip{family}')
        if overlay.ingress:
            before.append(f'iifname "{OUTSIDE}" meta nfproto ipv{family} meta l4proto . th dport vmap @pub{family}')
        after.append(
            f'oifname "{INSIDE}" meta nfproto ipv{family} ct status dnat snat {ip} to {own_address(overlay, family)}'
        )
    for address in overlay.dns:
        names.append(f"{_IP[family_of(address)]} daddr {address} meta l4proto {{ tcp, udp }} th dport 53 accept")
    return (
        "".join(
            f"\tmap {name} {{ {kind}; }}\n"
            for family in families
            for name, kind in _maps(family, ingress=overlay.ingress)
        )
        + _chain("pre", _HOOKS["pre"], before)
        + _chain("post", _HOOKS["post"], after)
        + _chain(
            "through",
            _HOOKS["through"],
            [
                "ct state established,related accept",
                f'oifname "{INSIDE}" ct status dnat accept',
            ],
        )
        # What is not handed on ends here: it is refused, before the kernel remembers it, so that nobody sticks to it.
        + _chain(
            "into",
            _HOOKS["into"],
            [
                'iifname "lo" accept',
                "meta l4proto { icmp, ipv6-icmp } accept",
                "ct state invalid drop",
                *names,
                "ct state established,related accept",
                "meta l4proto tcp reject with tcp reset",
                "reject",
            ],
        )
    )


def _maps(family: int, *, ingress: bool) -> Iterable[tuple[str, str]]:
    """Name and type of each map."""
    ip, die = _IP[family], f"numgen random mod {_SIDES}"
    yield f"vip{family}", f"type {_ADDRESS[family]} : verdict"
    yield f"vipto{family}", f"typeof {ip} daddr . {die} : {ip} daddr"
    if ingress:
        yield f"pub{family}", f"type {_PORT} : verdict"
        for protocol in PROTOCOLS:  # one map for all would be of no type that nft understands in a rule
            yield f"{protocol}to{family}", f"typeof {protocol} dport . {die} : {ip} daddr . {protocol} dport"


def _host_base(
    overlay: Overlay, ports: Sequence[Published], families: Sequence[int], local: Mapping[int, Sequence[str]]
) -> str:
    numbers = [f"{port.protocol} . {port.port}" for port in ports]
    sets = [f"set pub {{ type {_PORT};{_filled(numbers)} }}"]
    sets += [f"map local{family} {{ type {_PORT} : verdict;{_filled(local[family])} }}" for family in families]
    before, out, after = [], [], []
    for family in families:
        ip, link = _IP[family], {4: LINK4, 6: LINK6}[family]
        inside = [subnet.subnet for subnet in overlay.subnets if family_of(subnet.subnet) == family]
        # Clients of the same bridge would get their answers past us, and local ones have no address to answer to.
        before.append(
            f"fib daddr type local {ip} saddr != {{ {', '.join(inside)} }} meta l4proto . th dport vmap @local{family}"
        )
        ours = f"{ip} daddr != ::1 " if family == 6 else f"meta nfproto ipv{family} "
        handed = f"{ours}fib daddr type local meta l4proto . th dport @pub dnat {ip} to {link}"
        before.append(handed)
        out.append(handed)
        hidden = inside + (["127.0.0.0/8"] if family == 4 else [])
        after.append(f'oifname "{HOST_LINK}" {ip} saddr {{ {", ".join(hidden)} }} masquerade')
    return (
        "".join(f"\t{line}\n" for line in sets)
        # Before the engine's own chains at -100: what is ours never meets a rule of theirs.
        + _chain("pre", "type nat hook prerouting priority -110; policy accept;", before)
        + _chain("local_out", "type nat hook output priority -110; policy accept;", out)
        + _chain("post", "type nat hook postrouting priority 100; policy accept;", after)
    )


def _filled(elements: Sequence[str]) -> str:
    return f" elements = {{ {', '.join(elements)} }};" if elements else ""


def _chain(name: str, head: str, rules: Iterable[str]) -> str:
    return f"\tchain {name} {{\n\t\t{head}\n" + "".join(f"\t\t{rule}\n" for rule in rules) + "\t}\n"


def _local(port: Published, addresses: Sequence[str], family: int) -> str:
    """The rule of a port that is handed to backends of this node."""
    match = f"meta l4proto {port.protocol} dnat {_IP[family]} to"
    if len(addresses) == 1:
        address = addresses[0] if family == 4 else f"[{addresses[0]}]"
        return f"{match} {address}:{port.target}"
    choices = ", ".join(f"{number} : {address} . {port.target}" for number, address in enumerate(addresses))
    return f"{match} numgen random mod {len(addresses)} map {{ {choices} }}"


def _elements(command: str, name: str, elements: Elements) -> str:
    """One command for each map that has a part in it."""
    by_map: dict[str, list[str]] = {}
    for (place, key), value in elements.items():
        by_map.setdefault(place, []).append(f"{key} : {value}")
    return "".join(
        f"{command} element inet {name} {place} {{ {', '.join(items)} }}\n" for place, items in sorted(by_map.items())
    )
