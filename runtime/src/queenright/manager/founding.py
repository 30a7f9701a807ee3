# SPDX-License-Identifier: Apache-2.0
"""Founding a swarm: the root CA, the join tokens, the cluster and its first node. Pure but for the signing and its line
in the audit.
"""

from __future__ import annotations

import dataclasses
from ipaddress import ip_network

from queenright.manager.audit import record
from queenright.manager.context import Ids
from queenright.manager.ports import CertificateMaker, InitOptions, IssuedCertificate, RootCA
from queenright.manager.swarm_spec import NAME, certificate_validity, check_swarm, normal, with_defaults
from queenright.model import features
from queenright.model.changes import Change, Create
from queenright.model.errors import InvalidArgument, Unimplemented
from queenright.model.objects import Certificate, Cluster, Node, NodeStatus
from queenright.model.tokens import SECRET_BYTES, make_join_token
from queenright.model.unlock import KEY_BYTES, unlock_key_text
from queenright.spec.cluster import ACTIVE, DRAIN, MANAGER, PAUSE, NodeSpec, SwarmSpec
from queenright.spec.fields import decode

DATA_PATH_PORT = 4789
SUBNET_SIZE = 24
ADDR_POOL = ("10.0.0.0/8",)
MOST_SUBNET = 29


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What a founder decides for good, and the swarm's first spec; checked, with all defaults."""

    spec: SwarmSpec
    default_addr_pool: tuple[str, ...] = ADDR_POOL
    subnet_size: int = SUBNET_SIZE
    data_path_port: int = DATA_PATH_PORT
    availability: str = ACTIVE


@dataclasses.dataclass(frozen=True, slots=True)
class Founding:
    """A new swarm, still nowhere: ``changes`` is the first log entry, ``certificate`` the first manager's."""

    cluster: Cluster
    node: Node
    certificate: IssuedCertificate
    changes: tuple[Change, ...]


def settings_of(options: InitOptions) -> Settings:
    """Read and check the options of ``init``. Raises InvalidArgument, Unimplemented or SpecError; nothing is made.

    ``force_new_cluster`` founds nothing: it is for a host that is a manager already (``Nodes.sole_manager``).
    """
    given = decode(SwarmSpec, options.spec)
    if (given.name or NAME) != NAME:
        raise InvalidArgument('swarm spec must be named "default"', plain=True)
    check_swarm(given)
    if given.ca.signing_ca_cert:
        raise Unimplemented(
            "a swarm is founded with a root of its own, or below that of an external CA (which takes external CAs and "
            "the first manager's certificate): found the swarm first, then rotate its root"
        )
    spec = with_defaults(normal(given))
    subnet_size = options.subnet_size or SUBNET_SIZE
    pools = tuple(_pool(text, subnet_size) for text in options.default_addr_pool or ADDR_POOL)
    _check_overlap(pools)
    port = options.data_path_port or DATA_PATH_PORT
    if not 1024 <= port <= 49151:
        raise InvalidArgument("Datapath port must be between 1024 and 49151", plain=True)
    availability = options.availability or ACTIVE
    if availability not in (ACTIVE, PAUSE, DRAIN):
        raise InvalidArgument(f'invalid Availability: "{availability}"', plain=True)
    return Settings(spec, pools, subnet_size, port, availability)


@dataclasses.dataclass(frozen=True, slots=True)
class Certified:
    """Who a first manager is, below which root; that has no key here if an authority outside has signed."""

    cluster_id: str
    node_id: str
    root: RootCA
    certificate: IssuedCertificate


def certify(settings: Settings, certificates: CertificateMaker, ids: Ids, csr: bytes, now: int) -> Certified:
    """A first manager below a new root of the swarm's own; ``csr`` (PEM) brings its key."""
    root, cluster_id, node_id = certificates.make_root(now), ids(), ids()
    validity = certificate_validity(settings.spec)
    made = certificates.issue(
        root, csr, node_id=node_id, role=MANAGER, cluster_id=cluster_id, validity=validity, now=now
    )
    return Certified(cluster_id, node_id, root, made)


def found(
    settings: Settings,
    *,
    certificates: CertificateMaker,
    ids: Ids,
    csr: bytes,
    control_addr: str,
    now: int,
    first: Certified | None = None,
) -> Founding:
    """A new swarm with this host as its manager.

    ``csr`` (PEM) brings the host's key, unless it was certified already (``first``); ``control_addr`` ("host:port") is
    what it advertises, ``now`` is in nanoseconds since the epoch.
    """
    first = first or certify(settings, certificates, ids, csr, now)
    root, certificate, node_id = first.root, first.certificate, first.node_id
    pem = root.certificate.encode()
    cluster = Cluster(
        id=first.cluster_id,
        spec=settings.spec,
        root_certificate=root.certificate,
        root_key=root.key,
        worker_token=make_join_token(pem, ids.bytes(SECRET_BYTES)).text,
        manager_token=make_join_token(pem, ids.bytes(SECRET_BYTES)).text,
        default_addr_pool=settings.default_addr_pool,
        subnet_size=settings.subnet_size,
        data_path_port=settings.data_path_port,
        feature_level=features.LEVEL,
        unlock_key=unlock_key_text(ids.bytes(KEY_BYTES)) if settings.spec.encryption.autolock else "",
    )
    record("sign", node=node_id, role=MANAGER, serial=certificate.serial, not_after=certificate.not_after)
    node = Node(
        id=node_id,
        spec=NodeSpec(role=MANAGER, availability=settings.availability),
        role=MANAGER,
        status=NodeStatus(addr=_host(control_addr)),
        manager_addr=control_addr,
        serial=certificate.serial,
    )
    written = Certificate(
        id=certificate.serial,
        node_id=node_id,
        role=MANAGER,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
    )
    return Founding(cluster, node, certificate, (Create(cluster), Create(node), Create(written)))


def _pool(text: str, subnet_size: int) -> str:
    try:
        network = ip_network(text.strip())
    except ValueError:
        raise InvalidArgument(f"invalid default address pool {text!r}: expected an IPv4 network", plain=True) from None
    if network.version != 4:
        raise InvalidArgument(f"invalid default address pool {text!r}: only IPv4 is supported", plain=True)
    if subnet_size > MOST_SUBNET or subnet_size < network.prefixlen:
        raise InvalidArgument(
            f"invalid subnet size {subnet_size}: it must be from the pool's {network.prefixlen} to {MOST_SUBNET}",
            plain=True,
        )
    return str(network)


def _check_overlap(pools: tuple[str, ...]) -> None:
    networks = [ip_network(pool) for pool in pools]
    for index, network in enumerate(networks):
        for other in networks[:index]:
            if network.overlaps(other):
                raise InvalidArgument(f"the default address pools {other} and {network} overlap", plain=True)


def _host(control_addr: str) -> str:
    return control_addr.rpartition(":")[0].strip("[]")
