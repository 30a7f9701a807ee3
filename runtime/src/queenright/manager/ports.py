# SPDX-License-Identifier: Apache-2.0
"""What a manager needs of the world, and what the world may ask of the local member.

Edges fulfil the former and use the latter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from queenright.decide.roles import Seat
from queenright.model.changes import Change
from queenright.model.home import HomeRequest
from queenright.spec.cluster import P256, ExternalCA


class Clock(Protocol):
    """The only two clocks. ``wall``: nanoseconds since the epoch, UTC. ``mono``: seconds, never jumps."""

    def wall(self) -> int: ...

    def mono(self) -> float: ...


class StateMachine(Protocol):
    """What the log drives; every call but ``prepare`` is made on the event loop's thread, in log order."""

    def apply(self, index: int, command: bytes) -> object: ...

    def freeze(self) -> Callable[[], Iterator[bytes]]: ...

    def prepare(self, index: int, records: Iterator[bytes]) -> Callable[[], None]: ...


class Log(Protocol):
    """The replicated log (``edge/raft``)."""

    async def start(self) -> None: ...

    async def propose(self, command: bytes, *, term: int | None = None) -> object:
        """``term``: refuse unless this manager leads in just that term; then nothing is written."""
        ...

    async def barrier(self) -> int: ...

    async def stop(self) -> None: ...

    @property
    def is_leader(self) -> bool: ...

    @property
    def term(self) -> int: ...

    @property
    def applied_index(self) -> int: ...

    @property
    def failure(self) -> str | None: ...


GroupMember = Seat
"""One manager of the raft group, as the deciders know it."""


class Consensus(Protocol):
    """The group of managers behind the log, as this one knows it.

    The coroutines raise Unavailable (this manager does not lead; nothing was changed) or FailedPrecondition (why the
    change cannot be made, or was not finished).
    """

    @property
    def is_leader(self) -> bool: ...

    @property
    def term(self) -> int: ...

    @property
    def leader_id(self) -> str | None: ...

    @property
    def has_quorum(self) -> bool: ...

    @property
    def epoch(self) -> int: ...

    def members(self) -> Sequence[GroupMember]: ...

    def connected(self, member_id: str) -> bool:
        """Whether the member was heard of lately; this one itself always."""
        ...

    def levels(self) -> Mapping[str, int]:
        """The feature level that each member has shown (see ``model.features``), this one's included."""
        ...

    async def barrier(self) -> int: ...

    async def add_member(self, member_id: str, addr: str) -> None:
        """Returns when the member is a voter; repeated calls go on where the last one stopped."""
        ...

    async def remove_member(self, member_id: str) -> None: ...

    async def move_member(self, member_id: str, addr: str) -> None: ...

    async def transfer_leadership(self) -> None:
        """Returns when another member leads."""
        ...


class RegistryError(Exception):
    """A registry could not say what was asked. The text says why, and holds no credential."""


class Registries(Protocol):
    """The registries that images come from (``edge/docker``)."""

    async def digest(self, image: str, auth: bytes) -> str:
        """The digest of the image that a tag means now; ``auth`` is the JSON of credentials or empty. Raises
        RegistryError.
        """
        ...


class Proposer(Protocol):
    """How anything above the log writes: a batch is taken as a whole or refused.

    Raises OutOfSequence (an object changed since it was read; nothing was written), Unavailable (not the leader,
    stopping, log failed; nothing was
    written) or OutcomeUnknown.
    """

    async def propose(self, changes: Sequence[Change]) -> int: ...

    async def barrier(self) -> int: ...

    @property
    def is_leader(self) -> bool: ...


@dataclasses.dataclass(frozen=True, slots=True)
class RootCA:
    """A certificate authority; all in PEM, byte for byte as made.

    ``key`` is that of the first of the ``intermediates``, or of the root where there are none; an authority outside of
    the swarm has it if it is empty. ``cross_signed`` is the root as signed by the one before it.
    """

    certificate: str
    key: str = dataclasses.field(repr=False)
    intermediates: str = ""
    cross_signed: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A node's certificate chain (PEM), its serial in hexadecimal, and its ends (nanoseconds since the epoch)."""

    chain: str
    serial: str
    not_after: int
    not_before: int = 0


class CertificateMaker(Protocol):
    """Signing (``edge/pki``). ``now`` and times in nanoseconds since the epoch, ``validity`` in nanoseconds.

    InvalidArgument says what cannot be taken.
    """

    def make_root(self, now: int, algorithm: str = P256) -> RootCA: ...

    def read_root(self, certificates: str, key: str, now: int) -> RootCA:
        """A root that was brought along, or an intermediate and what leads from it to its root, checked."""
        ...

    def cross_sign(self, old: RootCA, new: RootCA) -> str:
        """The new root as signed by the old one."""
        ...

    def root_request(self, new: RootCA) -> str:
        """What an authority outside needs to sign the new root: a CSR with its name, made with its key."""
        ...

    def check_cross_signed(self, cross_signed: str, old: str, new: str) -> None:
        """Refuse what is not the new root as signed by the old one."""
        ...

    def issuer(self, root: RootCA) -> tuple[str, str]:
        """Subject and public key of what signs, base64 of DER each."""
        ...

    def issue(
        self, root: RootCA, csr: bytes, *, node_id: str, role: str, cluster_id: str, validity: int, now: int
    ) -> IssuedCertificate:
        """All subject fields are decided here, none comes from the CSR.

        Raises InvalidArgument for a CSR that cannot be taken.
        """
        ...

    def key_digest(self, csr: bytes) -> str:
        """``sha256:<hex>`` of the CSR's public key (DER)."""
        ...

    def root_digest(self, certificate: str) -> str:
        """``sha256:<hex>`` of the PEM bytes."""
        ...


class HomeReader(Protocol):
    """Finds out who comes home (``edge/pki``)."""

    def holder(self, request: HomeRequest, roots: Sequence[str]) -> Peer:
        """Whose certificate it is, which may have ended, below one of the roots (PEM).

        Raises JoinRefused for one that is none of ours, and where the proof does not hold.
        """
        ...


class Outside(Protocol):
    """Authorities outside of the swarm. ``cas`` are tried in their order.

    Raises Unavailable where none could be asked (worth another try), InvalidArgument where one refused for good.
    """

    async def sign(
        self,
        cas: Sequence[ExternalCA],
        root: RootCA,
        csr: bytes,
        *,
        node_id: str,
        role: str,
        cluster_id: str,
        validity: int,
        now: int,
    ) -> IssuedCertificate:
        """As ``CertificateMaker.issue``; what came back was checked."""
        ...

    async def cross_sign(self, cas: Sequence[ExternalCA], old: str, new: RootCA) -> str: ...

    async def check(self, cas: Sequence[ExternalCA], root: str) -> None:
        """Return if one of them is reached, and shows a certificate that leads to the root."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class LocalState:
    """What this host is. ``state``: inactive, pending, locked, active or error; ``role``: "", worker or manager.

    Of a manager: ``leader`` is the node id of the manager that leads ("" for none), ``stale`` says that it reads what
    may be old, ``raft`` describes the group for ``status``.
    """

    state: str = "inactive"
    role: str = ""
    node_id: str = ""
    node_addr: str = ""
    cluster_id: str = ""
    error: str = ""
    managers: tuple[tuple[str, str], ...] = ()  # (node id, "host:port")
    ready: bool = True
    started_at: int = 0
    tasks_running: int = 0
    tasks_total: int = 0
    leader: str = ""
    has_quorum: bool = True
    stale: bool = False
    raft: dict[str, Any] | None = None
    clock_skew: int = 0  # nanoseconds by which this host's clock was ahead of the leading manager's


@dataclasses.dataclass(frozen=True, slots=True)
class FirstManager:
    """Who a founder is, as an authority outside of the swarm has certified it; all PEM."""

    key: str = dataclasses.field(repr=False)
    certificate: str
    root_certificate: str


@dataclasses.dataclass(frozen=True, slots=True)
class InitOptions:
    """``POST /swarm/init``; texts as the client gave them, empty where it gave none."""

    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    data_path_port: int = 0
    default_addr_pool: tuple[str, ...] = ()
    subnet_size: int = 0
    force_new_cluster: bool = False
    availability: str = ""
    spec: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)  # may bring a key
    first: FirstManager | None = None  # where an external CA shall sign


@dataclasses.dataclass(frozen=True, slots=True)
class JoinOptions:
    """``POST /swarm/join``; ``secret`` is a join token or a ticket."""

    remote_addrs: tuple[str, ...] = ()
    secret: str = dataclasses.field(default="", repr=False)
    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    availability: str = ""


class Host(Protocol):
    """The local member's life, as the host socket sees it (``app`` fulfils it)."""

    def local_state(self) -> LocalState: ...

    async def init(self, options: InitOptions) -> str:
        """Found a swarm; gives the node id. Raises Unavailable if this host is in one."""
        ...

    async def join(self, options: JoinOptions) -> None: ...

    async def leave(self, force: bool) -> None: ...

    async def unlock(self, key: str) -> None:
        """Go on with a membership that is locked. Raises Unauthenticated for a wrong key, AlreadyExists if nothing
        is locked, InvalidArgument for what is no key, Unavailable where the files of the lock are damaged or missing.
        """
        ...

    async def pending_key_digest(self) -> str:
        """The digest of the key with which this host will join."""
        ...

    def manager(self) -> Any:
        """The running manager's use cases (``manager.control.Control``).

        Raises Unavailable, with the Engine's words, where there is none.
        """
        ...

    def explain_local(self, task_ref: str) -> dict[str, Any] | None:
        """What this node's agent knows of a task of its own."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """Who a certificate says it is. ``role``: worker or manager; its dates in nanoseconds since the epoch."""

    node_id: str
    cluster_id: str
    role: str
    serial: str
    not_after: int
    not_before: int = 0
