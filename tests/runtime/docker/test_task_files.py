# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from queenright.agent.ports import TaskError, TemporaryError
from queenright.edge.docker.data_mounts import Bind, DataMountError
from queenright.edge.docker.task_files import TaskFiles, has_files
from queenright.model.objects import NodeDescription, Task
from queenright.model.payloads import Payload
from queenright.spec.container import ConfigReference, ContainerSpec, SecretReference
from queenright.spec.service import TaskSpec

NODE = NodeDescription(hostname="host7")
FILE = Payload("config", "app", "app", "/app", templating="golang", data=b"{{.Node.Hostname}}")
TASK = Task(
    id="t1",
    service_id="s",
    spec=TaskSpec(container=ContainerSpec(image="a", configs=(ConfigReference(config_id="c", config_name="app"),))),
)


class Mounts:
    """Remembers what lies where; ``error`` is what every call raises."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[tuple[Payload, ...], tuple[int, int]]] = {}
        self.error: Exception | None = None
        self.written = 0

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    def lay_out(self, task_id: str, files: Sequence[Payload], owner: tuple[int, int]) -> tuple[Bind, ...]:
        self._fail()
        self.written += 1
        self.held[task_id] = tuple(files), owner
        return (Bind("/place/0", "/app"),)

    def is_laid_out(self, task_id: str) -> bool:
        return task_id in self.held

    def drop(self, task_id: str) -> None:
        self._fail()
        self.held.pop(task_id, None)

    def sweep(self, keep: Collection[str]) -> list[str]:
        self._fail()
        gone = [key for key in self.held if key not in keep]
        for key in gone:
            del self.held[key]
        return gone


class Threads:
    async def on_thread(self, function: Callable[[], Any]) -> Any:
        return function()


class Supplies:
    def __init__(self) -> None:
        self.files = (FILE,)
        self.error: Exception | None = None

    def payloads(self, task: Task) -> tuple[Payload, ...]:
        if self.error is not None:
            raise self.error
        return self.files

    def credentials(self, task: Task) -> bytes:
        return b""


@pytest.fixture
def mounts() -> Mounts:
    return Mounts()


@pytest.fixture
def supplies() -> Supplies:
    return Supplies()


@pytest.fixture
def files(mounts: Mounts, supplies: Supplies) -> TaskFiles:
    return TaskFiles(mounts, Threads(), supplies)  # type: ignore[arg-type]


async def test_files_are_expanded_written_and_bound(files: TaskFiles, mounts: Mounts) -> None:
    body: dict[str, Any] = {}
    await files.lay_out(TASK, NODE, body)
    (written, owner) = mounts.held["t1"]
    assert [item.data for item in written] == [b"host7"] and owner == (0, 0)
    assert [mount["Target"] for mount in body["HostConfig"]["Mounts"]] == ["/app"]


async def test_they_belong_to_the_root_of_the_engines_containers(files: TaskFiles, mounts: Mounts) -> None:
    files.take_info({"SecurityOptions": ["name=userns"], "DockerRootDir": "/var/lib/docker/100000.100000"})
    await files.lay_out(TASK, NODE, {})
    assert mounts.held["t1"][1] == (100000, 100000)


async def test_before_a_start_files_that_a_reboot_took_are_written_again(
    files: TaskFiles, mounts: Mounts, supplies: Supplies
) -> None:
    await files.lay_out(TASK, NODE, {})
    supplies.error = TemporaryError("no manager was heard yet")
    await files.make_sure(TASK, NODE)
    assert mounts.written == 1, "they are there: nobody is asked"
    mounts.held.clear()
    with pytest.raises(TemporaryError, match="no manager"):
        await files.make_sure(TASK, NODE)
    supplies.error = None
    await files.make_sure(TASK, NODE)
    assert mounts.written == 2


async def test_a_node_that_cannot_mount_fails_the_task_and_one_that_cannot_unmount_tries_again(
    files: TaskFiles, mounts: Mounts
) -> None:
    mounts.error = DataMountError("no memory")
    with pytest.raises(TaskError, match="no memory"):
        await files.lay_out(TASK, NODE, {})
    for work in (files.drop("t1"), files.sweep(())):
        with pytest.raises(TemporaryError, match="no memory"):
            await work


async def test_what_cannot_be_expanded_is_the_tasks_error(files: TaskFiles, supplies: Supplies) -> None:
    supplies.files = (Payload("config", "app", "app", "/app", templating="golang", data=b"{{.No}}"),)
    with pytest.raises(TaskError, match="config 'app', line 1"):
        await files.lay_out(TASK, NODE, {})


def test_only_tasks_with_secrets_or_configs_have_files() -> None:
    secret = ContainerSpec(image="a", secrets=(SecretReference(secret_id="s", secret_name="db"),))
    assert has_files(TASK)
    assert has_files(Task(id="t", service_id="s", spec=TaskSpec(container=secret)))
    assert not has_files(Task(id="t", service_id="s", spec=TaskSpec(container=ContainerSpec(image="a"))))
