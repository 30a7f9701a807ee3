# SPDX-License-Identifier: Apache-2.0
"""Who needs a network: services by what they are now, and tasks that run or will; as the store guards it."""

from __future__ import annotations

from collections.abc import Iterable

from queenright.model.objects import Network, Service
from queenright.store.guards import network_in_use, task_in_use
from queenright.store.store import Store
from queenright.store.tables import network_ids


class Uses:
    """One look at a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: set[str] | None = None

    def services(self, network: Network) -> Iterable[Service]:
        """The services whose specification needs it."""
        if network.ingress:
            return self._store.services.by("ingress", True)
        found = self._store.services.by("network", network.id)
        return (one for one in found if network.id in network_ids(one.spec.task))

    def reason(self, network: Network) -> str | None:
        """Why it cannot be removed, in Swarm's words."""
        tasks = self._store.tasks.by("network", network.id)
        kept = (task for task in tasks if task.service_id in self._store.services)
        return network_in_use(network, self.services(network)) or task_in_use(network, kept)

    def hold(self, network: Network) -> bool:
        """Whether anybody needs it: more than what keeps it from being removed, what a service can be rolled back to
        and what has not ended need it too.
        """
        if self.reason(network) is not None or network.id in self._for_rollback():
            return True
        return any(not task.state.terminal for task in self._store.tasks.by("network", network.id))

    def _for_rollback(self) -> set[str]:
        if self._kept is None:
            specs = (one.previous_spec for one in self._store.services if one.previous_spec is not None)
            self._kept = {key for spec in specs for key in network_ids(spec.task)}
        return self._kept
