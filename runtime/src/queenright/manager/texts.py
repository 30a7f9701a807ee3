# SPDX-License-Identifier: Apache-2.0
"""The Engine's own words for what a host is not; clients look for parts of them."""

from __future__ import annotations

from queenright.manager.ports import LocalState
from queenright.model.errors import Unavailable

NOT_IN_SWARM = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
WORKER = (
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this "
    "command on a manager node or promote the current node to a manager."
)
PREPARING = "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
LOCKED = (
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
)
WRONG_KEY = "swarm could not be unlocked: invalid key provided"
NOT_LOCKED = "swarm is not locked"
NOT_PART = "This node is not part of a swarm"
ALREADY_PART = (
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
)
JOIN_TIMEOUT = (
    "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the "
    '"docker info" command to see the current swarm status of your node.'
)
LAST_MANAGER_LEAVES = (
    "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last manager "
    "erases all current state of the swarm. Use `--force` to ignore this message."
)
NO_LEADER = (
    "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the "
    "managers are online."
)
NOT_LEADER = "this manager is not the leader of the swarm"
LAST_MANAGER = "attempting to demote the last manager of the swarm"
LOSES_QUORUM = "can't remove member from the raft: this would result in a loss of quorum"
LEFT = "node left the swarm"


def no_leader(leader_id: str | None) -> Unavailable:
    """The refusal of what only the leader does, by a manager that knows ``leader_id`` as leader, or nobody."""
    return Unavailable(NOT_LEADER) if leader_id else Unavailable(NO_LEADER, plain=True)


def manager_leaves(reachable: int, total: int, *, leads: bool = True) -> str:
    """The refusal of a manager's leave without force. ``reachable`` of ``total`` managers answer, itself included;
    ``leads``: there is a leader.
    """
    text = "You are attempting to leave the swarm on a node that is participating as a manager. "
    if leads and total <= 1:
        return LAST_MANAGER_LEAVES
    if not leads:
        text += "Doing so may lose the consensus of your cluster. "
    elif reachable - 1 < total // 2 + 1:
        text += (
            f"Removing this node leaves {reachable - 1} managers out of {total}. Without a Raft quorum your swarm will "
            "be inaccessible. "
        )
    return text + (
        "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use "
        "`--force` to suppress this message."
    )


def not_a_manager(state: LocalState) -> Unavailable:
    """The refusal of a manager's work by a host in ``state``."""
    if state.state == "inactive":
        return Unavailable(NOT_IN_SWARM, plain=True)
    if state.state == "locked":
        return Unavailable(LOCKED, plain=True)
    if state.role == "worker":
        return Unavailable(WORKER, plain=True)
    text = f"{PREPARING} ({state.error})" if state.error else PREPARING
    return Unavailable(text, plain=True)
