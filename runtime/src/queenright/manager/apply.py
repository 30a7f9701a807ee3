# SPDX-License-Identifier: Apache-2.0
"""A wish of a playbook: what it would change, and the change itself. One code path for check mode and the real run.

Options are laid over what is stored: an absent one leaves it untouched, null clears it. A plan is made anew when
somebody else wrote in between.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from queenright.manager import revisions
from queenright.manager.apply_data import DataPlanner
from queenright.manager.apply_network import NetworkPlanner
from queenright.manager.apply_registry import RegistryPlanner
from queenright.manager.apply_stack import StackPlanner
from queenright.manager.apply_swarm import refuse_immutable, without_immutable
from queenright.manager.author import author
from queenright.manager.check_networks import resolve_networks
from queenright.manager.check_ports import check_ports
from queenright.manager.checks import check_service
from queenright.manager.context import MOST_TRIES, Context
from queenright.manager.control_cluster import ClusterControl
from queenright.manager.control_data import DataControl
from queenright.manager.control_networks import Networks
from queenright.manager.control_nodes import Nodes
from queenright.manager.control_services import Services
from queenright.manager.pinning import Warnings, pinned_options
from queenright.manager.plans import ABSENT, HIDDEN, PRESENT, Plan, Wish, plan_of
from queenright.manager.references import check_existence, following, resolve
from queenright.manager.rehearsal import TURN, foreseen
from queenright.manager.sheet import write_whole
from queenright.manager.stack_documents import tell_restarts
from queenright.manager.swarm_spec import with_defaults
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.errors import InvalidArgument, NotFound, OutOfSequence
from queenright.model.objects import Node, Service
from queenright.model.states import UpdateState
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.fields import SpecError, encode, merge
from queenright.spec.service import ServiceSpec


class Applier:
    """Plans and applies wishes."""

    def __init__(
        self,
        context: Context,
        services: Services,
        nodes: Nodes,
        cluster: ClusterControl,
        data: Sequence[DataControl] = (),
        networks: Networks | None = None,
    ) -> None:
        self._context = context
        self._networks = networks if networks is not None else Networks(context)
        self._services = services
        self._nodes = nodes
        self._cluster = cluster
        self._stacks = StackPlanner(context)
        self._planners: dict[str, Callable[[Wish], Plan]] = {
            "service": self._plan_service,
            "node": self._plan_node,
            "swarm": self._plan_swarm,
            **{control.kind.name: DataPlanner(context, control).plan for control in data},
            "registry": RegistryPlanner(context).plan,
            "network": NetworkPlanner(context, self._networks).plan,
            "stack": self._stacks.plan,
        }

    async def apply(self, wish: Wish, *, dry_run: bool, forecast: bool = False) -> dict[str, Any]:
        """Do it, or with ``dry_run`` only say what would be done. The answer is that of ``POST /queenright/v1/apply``;
        a dry run, and who asks for the ``forecast``, is told what becomes of tasks.

        Raises SpecError and InvalidArgument for options that cannot be, and what the use cases raise. "Nothing to do"
        is an answer that must be true now, so the leader makes sure first that it still leads.
        """
        await self._context.fresh()
        wish, said = await self.prepared(dataclasses.replace(wish, dry_run=dry_run))
        foreseen_now: dict[str, Any] | None = None
        for attempt in range(MOST_TRIES):
            plan = await self.planned(wish)
            if dry_run or forecast:
                foreseen_now = await foreseen(self._context, plan.changes)
            if dry_run or not plan.changes:
                break
            try:
                await self.write(plan)
                break
            except OutOfSequence:  # somebody else wrote first: plan again from what is there now
                if attempt == MOST_TRIES - 1:
                    raise
        answer = self.answer(wish, dataclasses.replace(plan, warnings=(*said, *plan.warnings)), dry_run)
        if foreseen_now is not None:
            answer["forecast"] = foreseen_now
            tell_restarts(answer, foreseen_now)
        return answer

    async def write(self, plan: Plan) -> None:
        """Write what is planned."""
        if plan.whole:
            await write_whole(self._context, plan.changes)
        else:
            await self._context.write(plan.changes)

    async def prepared(self, wish: Wish) -> tuple[Wish, Warnings]:
        """The wish with its images pinned to digests (see ``pinning``); a stack with its source read."""
        if wish.kind == "stack":
            return await self._stacks.prepared(wish)
        if wish.kind != "service" or wish.state != PRESENT:
            return wish, ()
        found = self._find_service(wish.name)
        said_auth = _auth(wish)
        auth = (found.registry_auth if found is not None else "") if said_auth is None else said_auth
        held, how = found.spec if found is not None else None, wish.context.get("resolve_image")
        options, said = await pinned_options(self._context, wish.options, held, auth, how)
        return dataclasses.replace(wish, options=options), said

    async def planned(self, wish: Wish) -> Plan:
        """As `plan`; what is much is planned in turns with the rest of the manager's work."""
        if wish.kind != "stack" or wish.state != PRESENT:
            return self.plan(wish)
        clock = self._context.clock
        steps, until = self._stacks.steps(wish), clock.mono() + TURN
        while True:
            try:
                next(steps)
            except StopIteration as end:
                plan: Plan = end.value
                return plan
            if clock.mono() >= until:
                await asyncio.sleep(0)
                until = clock.mono() + TURN

    def plan(self, wish: Wish) -> Plan:
        """What the wish comes to now; nothing is written."""
        planner = self._planners.get(wish.kind)
        if planner is None:
            raise InvalidArgument(f"kind {wish.kind!r} is none of {', '.join(self._planners)}", plain=True)
        if wish.state not in (PRESENT, ABSENT):
            raise InvalidArgument(f"state {wish.state!r} is neither present nor absent", plain=True)
        return planner(wish)

    def answer(self, wish: Wish, plan: Plan, dry_run: bool) -> dict[str, Any]:
        """What is said of a plan that was carried out, or only made."""
        kind = "cluster" if wish.kind == "swarm" else wish.kind
        stored = self._context.store.get(kind, plan.id)
        creation = dry_run and stored is None
        return {
            **plan.more,
            "changed": plan.changed,
            "before": plan.before,
            "after": plan.after,
            "diff": plan.diff,
            "actions": list(plan.actions),
            "warnings": list(plan.warnings),
            "id": "" if creation else plan.id,
            "version": stored.version if stored is not None else 0,
        }

    # -- services

    def _plan_service(self, wish: Wish) -> Plan:
        found = self._find_service(wish.name)
        if wish.state == ABSENT:
            if found is None:
                return Plan("", None, None)
            before = encode(found.spec)
            return plan_of(found.id, before, None, f"remove service {found.name}", (Delete("service", found.id),))
        auth = _auth(wish)
        if found is None:
            spec = dataclasses.replace(merge(ServiceSpec, None, dict(wish.options)), name=wish.name)
            asked = spec
            spec, warnings = self._resolved(wish, asked)
            made = self._services.new(spec, auth or "")
            made = dataclasses.replace(made, following=following(self._context.store, asked, spec, None))
            changes = (*self._networks.for_service(made.spec), Create(made))
            plan = plan_of(made.id, None, encode(made.spec), f"create service {made.name}", changes)
            return dataclasses.replace(plan, warnings=warnings)
        asked = merge(ServiceSpec, found.spec, dict(wish.options))
        spec, warnings = self._resolved(wish, asked)
        followed = following(self._context.store, asked, spec, found)
        plan = self._plan_update(dataclasses.replace(found, following=followed), spec, auth)
        if not plan.changes and followed != found.following:  # nothing that runs is different
            plan = dataclasses.replace(plan, changes=(Update(dataclasses.replace(found, following=followed)),))
        return dataclasses.replace(plan, warnings=(*warnings, *plan.warnings))

    def _resolved(self, wish: Wish, spec: ServiceSpec) -> tuple[ServiceSpec, tuple[str, ...]]:
        """The spec with names of secrets, configs and networks turned into references; and words on those that are
        missing, which only a plan bears.
        """
        store = self._context.store
        spec, warnings = resolve(store, spec, planned=wish.dry_run)
        if not warnings:
            check_existence(store, spec)
        spec, missing = resolve_networks(store, spec, planned=wish.dry_run)
        return spec, (*warnings, *missing)

    def _plan_update(self, found: Service, spec: ServiceSpec, auth: str | None) -> Plan:
        """``auth``: credentials for the registry, "" for none any more, None to keep what there is."""
        check_ports(self._context.store, spec, found.id)
        check_service(spec)
        revisions.check_followable(found, spec)
        before, after = encode(found.spec), encode(spec)
        auth = found.registry_auth if auth is None else auth
        if before != after:
            changed = revisions.updated(found, spec, auth, self._context.clock.wall(), author(self._context))
            changes = (*self._networks.for_service(spec), Update(changed))
            return plan_of(found.id, before, after, f"update service {found.name}", changes)
        if auth != found.registry_auth:
            plan = plan_of(
                found.id,
                before,
                after,
                f"{'update' if auth else 'remove'} the registry credentials of service {found.name}",
                (Update(dataclasses.replace(found, registry_auth=auth)),),
            )
            shown = {"before": HIDDEN if found.registry_auth else None, "after": HIDDEN if auth else None}
            return dataclasses.replace(plan, diff={"RegistryAuth": shown})
        return Plan(found.id, before, after, changes=_acknowledgement(found))

    def _find_service(self, name: str) -> Service | None:
        """By full id or name; a playbook's abbreviation would be an accident."""
        if not name:
            raise InvalidArgument("a service needs a name", plain=True)
        services = self._context.store.services
        return services.get(name) or next(iter(services.by("name", name.lower())), None)

    # -- nodes

    def _plan_node(self, wish: Wish) -> Plan:
        try:
            node = self._context.store.node(wish.name)
        except NotFound:
            if wish.state == ABSENT:
                return Plan("", None, None)
            raise
        before = encode(_whole(node))
        if wish.state == ABSENT:
            changes = self._nodes.removal(node, wish.context.get("force") is True)
            return plan_of(node.id, before, None, f"remove node {_title(node)}", changes)
        changed = self._nodes.changed(node, _node_spec(node, wish.options))
        after = encode(_whole(changed))
        if before == after:
            return Plan(node.id, before, after)
        return plan_of(node.id, before, after, f"update node {_title(node)}", (Update(changed),))

    # -- the swarm

    def _plan_swarm(self, wish: Wish) -> Plan:
        if wish.state == ABSENT:
            raise InvalidArgument("a swarm is not removed: each of its nodes leaves it", plain=True)
        cluster = self._context.cluster
        refuse_immutable(cluster, {**wish.options, **wish.context})
        spec = with_defaults(merge(SwarmSpec, cluster.spec, without_immutable(wish.options)))
        changed = self._cluster.changed(cluster, spec)
        before, after = encode(with_defaults(cluster.spec)), encode(with_defaults(changed.spec))
        if before == after:
            return Plan(cluster.id, before, after)
        return plan_of(cluster.id, before, after, "update the swarm", (Update(changed),))


def _acknowledgement(found: Service) -> tuple[Change, ...]:
    """A failed update was taken back to just what is declared now: its failure is past."""
    status = found.update_status
    if status is None or status.state is not UpdateState.ROLLBACK_COMPLETED:
        return ()
    return (Update(dataclasses.replace(found, update_status=None)),)


def _whole(node: Node) -> NodeSpec:
    """The node's spec with what holds where it is silent, as clients see it."""
    return dataclasses.replace(node.spec, role=node.spec.role or node.role, availability=node.availability)


def _node_spec(node: Node, options: Mapping[str, Any]) -> NodeSpec:
    """Options laid over the node's spec. Labels are merged key by key; a key with null is removed."""
    given = dict(options)
    labels = given.pop("labels", {})
    spec = merge(NodeSpec, _whole(node), given)
    if spec.role is None:
        raise InvalidArgument("role: a node is always a worker or a manager, it cannot be cleared", plain=True)
    if labels is None:
        return dataclasses.replace(spec, labels={})
    if not isinstance(labels, dict):
        raise SpecError("labels", f"expected a dictionary, got {type(labels).__name__}")
    gone = {str(key) for key, value in labels.items() if value is None}
    new = merge(NodeSpec, None, {"labels": {key: value for key, value in labels.items() if value is not None}}).labels
    kept = {key: value for key, value in spec.labels.items() if key not in gone}
    return dataclasses.replace(spec, labels={**kept, **new})


def _title(node: Node) -> str:
    return node.hostname or node.id


def _auth(wish: Wish) -> str | None:
    """The credentials for the image's registry: None if nothing was said of them, "" if null was, which clears them."""
    if "registry_auth" not in wish.context or wish.context["registry_auth"] == "":
        return None
    return _text(wish.context, "registry_auth")


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isascii():
        raise InvalidArgument(f"{name}: expected a string of ASCII characters", plain=True)
    return value
