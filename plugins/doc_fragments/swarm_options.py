# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by scripts/docs from plugins/module_utils/_spec: change the rows there.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  labels:
    description:
      - >-
        Labels of the swarm.
    type: dict
  task_history_retention_limit:
    description:
      - >-
        Ended tasks kept per slot; negative keeps all.
      - >-
        If it was never set, V(5) applies.
    type: int
  snapshot_interval:
    description:
      - >-
        Log entries between two snapshots.
      - >-
        If it was never set, V(10000) applies.
    type: int
  keep_old_snapshots:
    description:
      - >-
        Old snapshots that are kept.
      - >-
        If it was never set, V(0) applies.
    type: int
  log_entries_for_slow_followers:
    description:
      - >-
        Log entries kept behind a snapshot.
      - >-
        If it was never set, V(500) applies.
    type: int
  election_tick:
    description:
      - >-
        Ticks without a leader before an election.
      - >-
        If it was never set, V(10) applies.
    type: int
  heartbeat_tick:
    description:
      - >-
        Ticks between two heartbeats of the leader.
      - >-
        If it was never set, V(1) applies.
    type: int
  dispatcher_heartbeat_period:
    description:
      - >-
        Time between two heartbeats of a node. Nodes are also pinged in between, so that one that is gone is
        noticed sooner; one whose agent answers no pings is down after three missed heartbeats.
      - >-
        If it was never set, 5s applies.
    type: str
  dispatcher_ping_period:
    description:
      - >-
        Time between two signs of life on a node's session; V(0s) is one second, or a thousandth of a second
        for each node of a large swarm.
      - >-
        If it was never set, V(0s) applies.
    type: str
  dispatcher_silence:
    description:
      - >-
        Time without a sign of life after which a node is suspected to be down, three pings at least. V(0s) is
        the heartbeat period.
      - >-
        If it was never set, V(0s) applies.
    type: str
  dispatcher_probe_grace:
    description:
      - >-
        Time that a suspected node has to show itself before it is down, half a second at least.
      - >-
        If it was never set, V(1s) applies.
    type: str
  dispatcher_restart_grace:
    description:
      - >-
        Time that a node has to come back when its daemon said that it restarts.
      - >-
        If it was never set, V(60s) applies.
    type: str
  node_cert_expiry:
    description:
      - >-
        How long a node's certificate is valid, V(30m) at least.
      - >-
        If it was never set, V(2160h) applies.
    type: str
  ca_key_algorithm:
    description:
      - >-
        The kind of key of roots that the swarm makes; the present root keeps its own.
      - >-
        If it was never set, V(p256) applies.
    type: str
    choices:
      - p256
      - p384
  ca_rotation_grace:
    description:
      - >-
        Time for which a change of the root waits for a node that is down. Then it is left behind, and finds
        home when it is up again.
      - >-
        If it was never set, V(1m) applies.
    type: str
  ca_expired_grace:
    description:
      - >-
        Time after the end of a node's certificate in which the node may come back by proof of its key; as
        long, a root that was replaced is remembered.
      - >-
        If it was never set, V(720h) applies.
    type: str
  autolock:
    description:
      - >-
        Whether a manager needs the unlock key after a restart, see M(queenright.swarm.swarm_unlock).
      - >-
        If it was never set, V(false) applies.
    type: bool
  mesh_backend:
    description:
      - >-
        What balances connections to virtual addresses and published ports in the nodes' kernels. V(ipvs)
        needs the kernel's module V(ip_vs) on each node.
      - >-
        If it was never set, V(nftables) applies.
    type: str
    choices:
      - nftables
      - ipvs
"""
