# SPDX-License-Identifier: Apache-2.0
"""The use cases of a running manager, as the host socket and the command line ask for them."""

from __future__ import annotations

from queenright.manager import texts
from queenright.manager.apply import Applier
from queenright.manager.apply_all import WholeApplier
from queenright.manager.authority import Authority
from queenright.manager.context import Context
from queenright.manager.control_ca import AuthorityControl
from queenright.manager.control_cluster import ClusterControl
from queenright.manager.control_data import DataControl
from queenright.manager.control_networks import Networks
from queenright.manager.control_nodes import Nodes
from queenright.manager.control_services import Services
from queenright.manager.data_kinds import CONFIG, SECRET
from queenright.manager.log_reader import LogReader
from queenright.manager.mesh_view import MeshView, NodeStates, no_states
from queenright.manager.view_stacks import StackView
from queenright.manager.wait import Waiter
from queenright.manager.why import Why
from queenright.model.errors import Unavailable
from queenright.store.store import Store


class Control:
    """One per running manager. Reads go to ``store`` directly: on the leader, after :meth:`fresh`, it is the swarm's
    truth; on others it trails by a moment.
    """

    def __init__(
        self,
        context: Context,
        authority: Authority,
        logs: LogReader | None = None,
        networks: NodeStates = no_states,
    ) -> None:
        """``networks``: what nodes said of their networks, to this manager while it leads."""
        self.context = context
        self.authority = authority
        self._logs = logs
        self.networks = Networks(context)
        self.services = Services(context, self.networks)
        self.nodes = Nodes(context)
        self.cluster = ClusterControl(context, authority.signing)
        self.ca = AuthorityControl(context, self.cluster, authority.signing)
        self.secrets = DataControl(context, SECRET)
        self.configs = DataControl(context, CONFIG)
        self.applier = Applier(
            context, self.services, self.nodes, self.cluster, (self.secrets, self.configs), self.networks
        )
        self.whole = WholeApplier(context, self.applier, lambda other: self.over(other).applier)
        self.waiter = Waiter(context)
        self.why = Why(context)
        self.stacks = StackView(context)
        self._network_states = networks
        self.mesh = MeshView(context.store, networks)

    def over(self, context: Context) -> Control:
        """The same use cases over another store and proposer."""
        return Control(context, self.authority.over(context), self._logs, self._network_states)

    async def fresh(self) -> None:
        """See ``Context.fresh``."""
        await self.context.fresh()

    @property
    def logs(self) -> LogReader:
        """Logs of services and tasks. Raises Unavailable where there is no way to who has them."""
        if self._logs is None:
            raise Unavailable(texts.NO_LEADER, plain=True)
        return self._logs

    @property
    def store(self) -> Store:
        return self.context.store
