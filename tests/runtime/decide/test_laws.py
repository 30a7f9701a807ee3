# SPDX-License-Identifier: Apache-2.0
"""All deciders, in whatever the cluster gets into, obey the five laws; and in the end everything runs."""

from __future__ import annotations

from hypothesis import Phase, given, settings
from laws import scenes
from laws.scenes import Step

from queenright.decide.convergence import convergence


# Shrinking a scene takes minutes; add Phase.shrink where one has failed.
@settings(max_examples=40, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(scenes.scenes)
def test_deciders_obey_the_laws_and_the_cluster_heals(scene: list[Step]) -> None:
    world = scenes.world()
    scenes.play(world, scene)
    scenes.heal(world)
    for service in world.store.services:
        found = convergence(world.store, service, world.now)
        assert found.converged, f"{service.name}: {found}"
        wanted = [task for task in world.tasks(service.name) if task.wanted]
        assert len(wanted) == found.desired
