# SPDX-License-Identifier: Apache-2.0
"""The change from one root to another: who has yet to turn, whom to ask now, when it is done, and without whom.

A node has turned when it says itself that its certificate is of the new issuer. It is asked to by ``renew_for``, a few
at a time. A node that is not there is waited for as long as the grace is; then the change ends without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from queenright.decide.base import SECOND, Now
from queenright.model.objects import Cluster, Node, RootRotation
from queenright.model.states import NodeState

AT_ONCE = 30  # nodes that are asked and have not turned yet
GRACE = 60 * SECOND
EXPIRED_GRACE = 30 * 24 * 3600 * SECOND


@dataclasses.dataclass(frozen=True, slots=True)
class Turning:
    """How far a change of the root is.

    ``ask``: nodes to be asked now; ``left``: those it no longer waits for; ``wake_at``: the monotonic time at which it
    ends waiting for another one. It is ``done`` when nobody is waited for.
    """

    turned: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    wake_at: float | None = None

    @property
    def done(self) -> bool:
        return not self.waiting

    @property
    def total(self) -> int:
        return len(self.turned) + len(self.waiting) + len(self.left)


def rotation_grace(cluster: Cluster) -> int:
    """How long a change of the root waits for a node that is not there, in nanoseconds."""
    said = cluster.spec.ca.rotation_grace
    return GRACE if said is None else said


def expired_grace(cluster: Cluster) -> int:
    """How long after its certificate's end a node may come back by proof of its key, in nanoseconds."""
    said = cluster.spec.ca.expired_grace
    return EXPIRED_GRACE if said is None else said


def has_turned(node: Node, rotation: RootRotation) -> bool:
    """Whether the node says that its certificate is of the issuer to be."""
    described = node.description
    return (described.issuer_subject, described.issuer_public_key) == (
        rotation.issuer_subject,
        rotation.issuer_public_key,
    )


def turning(cluster: Cluster, nodes: Iterable[Node], now: Now) -> Turning | None:
    """How far the change is, and what comes next; None where there is none."""
    rotation = cluster.root_rotation
    if rotation is None:
        return None
    grace = rotation_grace(cluster)
    turned: list[str] = []
    waiting: list[Node] = []
    left: list[str] = []
    ends: list[int] = []
    for node in sorted(nodes, key=lambda node: node.id):
        if has_turned(node, rotation):
            turned.append(node.id)
            continue
        until = waits_until(node, rotation, grace)
        if until is not None and until <= now.wall:
            left.append(node.id)
            continue
        waiting.append(node)
        if until is not None:
            ends.append(until)
    asked = [node for node in waiting if node.renew_for == rotation.issuer_public_key and _is_there(node)]
    others = [node.id for node in waiting if node.renew_for != rotation.issuer_public_key and _is_there(node)]
    return Turning(
        tuple(turned),
        tuple(node.id for node in waiting),
        tuple(left),
        tuple(others[: max(1, AT_ONCE - len(asked))]),  # some may never manage: they do not hold up the rest
        now.wake_at(min(ends)) if ends else None,
    )


def waits_until(node: Node, rotation: RootRotation, grace: int) -> int | None:
    """The wall time until which the change waits for the node; None: as long as it takes, for the node is there."""
    if _is_there(node):
        return None
    gone = node.status.silent_since or node.status.since or node.created_at
    return max(gone, rotation.started_at) + grace if not _long_gone(gone, rotation, grace) else rotation.started_at


def _long_gone(gone: int, rotation: RootRotation, grace: int) -> bool:
    """Whether the node was away for longer than the grace when the change began."""
    return gone + grace <= rotation.started_at


def _is_there(node: Node) -> bool:
    return node.status.state == NodeState.READY and not node.status.silent_since


def tls_status(node: Node, cluster: Cluster, issuer: tuple[str, str]) -> str:
    """The word of ``docker node inspect``: whether a node's certificate is of the issuer that now is, or is to be."""
    rotation = cluster.root_rotation
    wanted = (rotation.issuer_subject, rotation.issuer_public_key) if rotation is not None else issuer
    described = node.description
    if not described.issuer_public_key:
        return "Unknown"
    return "Ready" if (described.issuer_subject, described.issuer_public_key) == wanted else "Needs Rotation"
