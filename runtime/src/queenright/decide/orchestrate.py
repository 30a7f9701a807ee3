# SPDX-License-Identifier: Apache-2.0
"""The deciders that the manager's loop runs, in order, and what a change makes them look at."""

from __future__ import annotations

from collections.abc import Callable

from queenright.decide import (
    addresses,
    enforce,
    global_service,
    jobs,
    leftovers,
    reap,
    replicated,
    restart,
    schedule,
    stacks,
    update,
)
from queenright.decide.base import Decision, Dirty, Now
from queenright.model.objects import Cluster, Network, Node, Service, Stack, Task
from queenright.store.store import Event, Store

Decider = Callable[[Store, Dirty, Now, Callable[[], str]], Decision]

# Stacks first: what they let go, take back or remove is answered by all others. The numbers of tasks then, what runs in
# their slots, their addresses, and where they run; liveness (``nodes.decider``) goes before all.
# Updates come before restarts: a failure that pauses an update is not answered with one more task of the bad revision.
DECIDERS: tuple[tuple[str, Decider], ...] = (
    ("stacks", stacks.decide),
    ("replicated", replicated.decide),
    ("global", global_service.decide),
    ("jobs", jobs.decide),
    ("update", update.decide),
    ("enforce", enforce.decide),
    ("restart", restart.decide),
    ("addresses", addresses.decide),
    ("schedule", schedule.decide),
    ("reap", reap.decide),
    ("leftovers", leftovers.decide),
)


def mark(dirty: Dirty, event: Event) -> None:
    """Note what the deciders have to look at after a change.

    A task's progress concerns its own slot only. Its service is looked at as a whole when a task came, went or is no
    longer wanted; a node when the node itself changed. So a status costs the same in a service of three and of ten
    thousand tasks.
    """
    row = event.object
    if isinstance(row, Task):
        dirty.tasks.add(row.id)
        before, after = event.before, event.after
        if not (isinstance(before, Task) and isinstance(after, Task) and before.desired_state == after.desired_state):
            dirty.services.add(row.service_id)
    elif isinstance(row, Service):
        dirty.services.add(row.id)
    elif isinstance(row, Node):
        dirty.nodes.add(row.id)
    elif isinstance(row, Network):
        dirty.networks.add(row.id)
    elif isinstance(row, Stack):
        dirty.stacks.add(row.id)
    elif isinstance(row, Cluster):
        dirty.everything = True
