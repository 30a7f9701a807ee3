# SPDX-License-Identifier: Apache-2.0
"""Much to look at, in portions: deciders that are asked about a hundred thousand tasks at once would hold the event
loop for seconds, and a leader that is silent for so long is none any more.

By the laws of deciders it makes no difference: told of one key after the other they come to the end that they would
have come to told of all at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator

from queenright.decide import defaults
from queenright.decide.base import Dirty
from queenright.spec.service import ServiceSpec
from queenright.store.store import Store

MOST = 500  # tasks that a portion makes deciders look at, or make; those of one service, or on one node, are not parted


@dataclasses.dataclass(frozen=True, slots=True)
class Portion:
    """Ids of what is to be looked at. ``whole``: with all tasks of the services, as they are when it is taken."""

    nodes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    whole: bool = False

    def dirty(self, view: Store) -> Dirty:
        """What deciders are told."""
        tasks = set(self.tasks)
        if self.whole:
            tasks.update(task.id for key in self.services for task in view.tasks.by("service", key))
        return Dirty(set(self.services), set(self.nodes), tasks, set(self.networks), set(self.stacks))


def cut(view: Store, dirty: Dirty) -> list[Portion]:
    """The portions of what is too much at once; none if it is not.

    Services come first: how many tasks there shall be is decided before what becomes of them. ``everything`` has the
    services among it that are gone and left tasks.
    """

    def on_node(key: str) -> int:
        return view.tasks.count("node", key)

    def of_service(key: str) -> int:
        """What it has, or shall have: making tasks takes as long as looking at them."""
        service = view.services.get(key)
        return max(_wanted(view, service.spec) if service is not None else 0, view.tasks.count("service", key))

    if dirty.everything:
        if len(view.tasks) + len(view.services) + len(view.nodes) <= MOST:
            return []
        services = {*view.services.ids(), *(str(key) for key in view.tasks.keys("service"))}
        return [
            *(Portion(services=keys, whole=True) for keys in _grouped(services, of_service)),
            *(Portion(nodes=keys) for keys in _grouped(view.nodes.ids(), on_node)),
            *(Portion(networks=keys) for keys in _grouped(view.networks.ids(), lambda key: 0)),
            *(Portion(stacks=keys) for keys in _grouped(view.stacks.ids(), lambda key: 0)),
        ]
    weight = len(dirty.tasks) + sum(map(on_node, dirty.nodes)) + sum(map(of_service, dirty.services))
    if weight + len(dirty.nodes) + len(dirty.services) + len(dirty.networks) <= MOST:
        return []
    return [
        *(Portion(services=keys) for keys in _grouped(dirty.services, of_service)),
        *(Portion(nodes=keys) for keys in _grouped(dirty.nodes, on_node)),
        *(Portion(tasks=keys) for keys in _grouped(dirty.tasks, lambda key: 0)),
        *(Portion(networks=keys) for keys in _grouped(dirty.networks, lambda key: 0)),
        *(Portion(stacks=keys) for keys in _grouped(dirty.stacks, lambda key: 0)),
    ]


def _wanted(view: Store, spec: ServiceSpec) -> int:
    """How many tasks there may be of it at a time; of a job, how many completions are looked at for those."""
    if defaults.on_each_node(spec):
        return len(view.nodes)
    return defaults.completions(spec) if defaults.is_job(spec) else defaults.replicas(spec)


def _grouped(keys: Iterable[str], weight: Callable[[str], int]) -> Iterator[tuple[str, ...]]:
    group: list[str] = []
    total = 0
    for key in sorted(keys):
        heavy = 1 + weight(key)
        if group and total + heavy > MOST:
            yield tuple(group)
            group, total = [], 0
        group.append(key)
        total += heavy
    if group:
        yield tuple(group)
