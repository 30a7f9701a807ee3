# SPDX-License-Identifier: Apache-2.0
"""Which containers of an engine are a task's, and which only look so."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from docker.errors import NotFound

from queenright.agent.data import NodeData
from queenright.decide.task_step import Phase
from queenright.edge.docker.executor import DockerExecutor
from queenright.model.objects import Task
from queenright.spec.service import TaskSpec

TASK = Task(id="t1", service_id="svc", service_name="web", slot=1, node_id="node", spec=TaskSpec())
LABELS = {
    "queenright.cluster.id": "cluster",
    "com.docker.swarm.task.id": TASK.id,
    "com.docker.swarm.task.name": TASK.name,
}


class Engine:
    """Containers by id: their names and labels."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[list[str], dict[str, str]]] = {}

    async def call(self, function: Any) -> Any:
        return function(self)

    def containers(self, **_options: Any) -> list[dict[str, Any]]:
        return [
            {"Id": key, "Names": names, "Labels": labels, "State": "running"}
            for key, (names, labels) in self.held.items()
        ]

    def inspect_container(self, reference: str) -> dict[str, Any]:
        for key, (names, labels) in self.held.items():
            if reference == key or f"/{reference}" in names:
                state = {"Status": "running", "Running": True, "Pid": 7}
                return {"Id": key, "Name": names[0], "Config": {"Labels": labels}, "State": state}
        raise NotFound("no such container")


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def executor(engine: Engine, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> DockerExecutor:
    made = DockerExecutor("cluster", wall=lambda: 1, supplies=NodeData(), data_root=tmp_path)
    monkeypatch.setattr(made, "_engine", engine)
    return made


async def test_a_copy_that_carries_a_tasks_labels_is_not_found(executor: DockerExecutor, engine: Engine) -> None:
    engine.held = {"ours": ([f"/{TASK.name}", "/other/alias"], LABELS), "copy": (["/backup"], LABELS)}
    assert [item.container_id for item in await executor.found()] == ["ours"]


async def test_a_copy_that_carries_a_tasks_labels_is_not_the_tasks(executor: DockerExecutor, engine: Engine) -> None:
    engine.held = {"copy": (["/backup"], LABELS)}
    assert (await executor.look(TASK, "copy")).phase == Phase.ABSENT
    engine.held["ours"] = [f"/{TASK.name}"], LABELS
    assert (await executor.look(TASK, "copy")).container_id == "ours"


async def test_a_container_of_ours_that_has_lost_its_name_on_its_way_out_is_found(
    executor: DockerExecutor, engine: Engine
) -> None:
    engine.held = {"ours": ([], LABELS)}
    assert [item.container_id for item in await executor.found()] == ["ours"]
