# SPDX-License-Identifier: Apache-2.0
"""What a node is told of the networks that it has a part in: rows by key, each a value.

All rows of a network follow its :class:`Link`: once that is gone, so are they. Addresses stand without the length of
their prefix, except a sandbox's own. Field names equal those of ``proto/dispatcher.proto``.
"""

from __future__ import annotations

import dataclasses

from queenright.model.objects import Subnet
from queenright.spec.service import Port


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A network, as one node takes part in it. Key: the network's id.

    ``addresses``: of the node's sandbox, with prefix; ``vtep`` the node's own end of the tunnels, ``mtu`` that inside
    of them; ``backend`` what balances there, as it is wished for.
    """

    network_id: str
    name: str = ""
    vni: int = 0
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    ingress: bool = False
    mtu: int = 0
    addresses: tuple[str, ...] = ()
    vtep: str = ""
    vxlan_port: int = 0
    backend: str = ""

    @property
    def key(self) -> str:
        return self.network_id


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Who has addresses in a network: a task that has not ended, or a node's sandbox (no ``task_id``).

    ``vtep`` is its node's end of the tunnels. ``serving``: it runs and shall go on, so that it gets connections and is
    named; one that ceased to keeps those that it has. ``drained``: it shall stop, and no node sends it connections any
    more. ``lost``: its node is down, so that what it had is to be cut.
    """

    network_id: str
    holder: str  # id of the task or the node
    addresses: tuple[str, ...] = ()
    node_id: str = ""
    vtep: str = ""
    task_id: str = ""
    service_id: str = ""
    name: str = ""
    aliases: tuple[str, ...] = ()
    serving: bool = False
    drained: bool = False
    lost: bool = False

    @property
    def key(self) -> str:
        return f"{self.network_id}/{self.holder}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A service in a network. ``vips``: its virtual addresses, one of each family at most; ``dnsrr``: it has none, its
    name is answered with the addresses of its tasks. ``ports``: in the ingress network, those that it publishes.
    ``drain_ns``: how long its tasks wait at most to be let go.
    """

    network_id: str
    service_id: str
    name: str = ""
    aliases: tuple[str, ...] = ()
    vips: tuple[str, ...] = ()
    dnsrr: bool = False
    ports: tuple[Port, ...] = ()
    drain_ns: int = 0

    @property
    def key(self) -> str:
        return f"{self.network_id}/{self.service_id}"


Row = Link | Endpoint | Face


@dataclasses.dataclass(frozen=True, slots=True)
class NetworksSet:
    """All rows of a node (``complete``), or a difference that builds on the state named ``applies_to``."""

    complete: bool
    applies_to: str
    results_in: str
    rows: tuple[Row, ...] = ()
    removes: tuple[str, ...] = ()  # keys


@dataclasses.dataclass(frozen=True, slots=True)
class NetworksState:
    """What a node says of its networks: it has done what the state ``applied`` asks for.

    ``errors``: networks that are not as they shall be, and why ("": what is of no network alone); ``ports``: each
    published port by protocol and number, with "" once it answers there, else the reason why not.
    """

    applied: str = ""
    errors: dict[str, str] = dataclasses.field(default_factory=dict)
    ports: dict[tuple[str, int], str] = dataclasses.field(default_factory=dict)
