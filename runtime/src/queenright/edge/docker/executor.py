# SPDX-License-Identifier: Apache-2.0
"""Runs tasks as containers of the Docker Engine: create, start and inspect once each; ends come by the event stream."""

from __future__ import annotations

import asyncio
import logging
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from queenright.agent.ports import ExecutorError, Found, Supplies, TaskError, TemporaryError
from queenright.decide.task_step import Health, Phase, Seen
from queenright.edge.docker import calls
from queenright.edge.docker.client import Engine
from queenright.edge.docker.container_config import CLUSTER_LABEL, NAME_LABEL, TASK_LABEL, create_body, expanded
from queenright.edge.docker.containers import Event, Watched
from queenright.edge.docker.data_mounts import DataMounts
from queenright.edge.docker.description import read_info
from queenright.edge.docker.events import EventStream
from queenright.edge.docker.images import Images
from queenright.edge.docker.mount_config import missing_source
from queenright.edge.docker.network_config import Plan
from queenright.edge.docker.networks import DockerNetworks, create, join_missing
from queenright.edge.docker.resolv_files import ResolvFiles, bind_resolv, has_own
from queenright.edge.docker.task_files import TaskFiles, has_files
from queenright.lib.tasks import Background
from queenright.model.objects import NodeDescription, Task

log = logging.getLogger(__name__)

AFTER_KILL = 10.0  # seconds in which a killed container has to end
RECONCILE_EVERY = 30.0
RECONCILE_AGAIN = 1.0
ENDED = (Phase.EXITED, Phase.ABSENT)


class DockerExecutor:
    """Fulfils ``agent.ports.Executor`` for one node of one cluster. Belongs to the event loop's thread.

    ``socket`` is the path of the engine's socket; ``wall`` gives nanoseconds since the epoch; ``prefer_local`` never
    pulls an image that is there. ``supplies`` knows the secrets, configs and credentials of tasks; the former two are
    mounted below ``data_root``. ``error`` says why the engine cannot be reached, "" while it can.
    """

    def __init__(
        self,
        cluster_id: str,
        *,
        wall: Callable[[], int],
        supplies: Supplies,
        data_root: pathlib.Path,
        socket: str = "/var/run/docker.sock",
        prefer_local: bool = False,
        threads: int = 64,
    ) -> None:
        self._cluster_id = cluster_id
        self._wall = wall
        self._engine = Engine(socket, threads)
        self._supplies = supplies
        self._images = Images(self._engine, prefer_local=prefer_local)
        self._files = TaskFiles(DataMounts(data_root), self._engine, supplies)
        self._resolv = ResolvFiles(data_root.with_name("resolv"))
        self.networks = DockerNetworks(self._engine, cluster_id)
        self._watched: dict[str, Watched] = {}
        self._background = Background()
        self._gap = asyncio.Event()
        self._events: EventStream | None = None
        self._description: NodeDescription | None = None
        self.error = "the Docker Engine has not been asked yet"

    def open(self) -> None:
        """Begin to listen to the engine; it need not be there yet."""
        self._events = EventStream(
            self._engine,
            [self._label],
            wall=self._wall,
            on_event=self._take_event,
            on_open=self._opened,
            on_lost=self._lost,
        )
        self._background.start(self._reconcile(), "docker-reconcile")

    async def close(self) -> None:
        """Stop listening. Containers go on; calls under way end by themselves."""
        if self._events is not None:
            self._events.close()
        self._images.close()
        await self._background.stop()
        self._engine.close()

    async def describe(self) -> NodeDescription:
        info = await self._engine.call(lambda client: client.info())
        self._files.take_info(info)
        self._description = read_info(info)
        return self._description

    async def found(self) -> Sequence[Found]:
        return [
            Found(item["Id"], item["Labels"][TASK_LABEL], item.get("State") not in ("created", "exited", "dead"))
            for item in await self._list()
            if TASK_LABEL in (item.get("Labels") or {}) and _bears_name(item["Labels"], item.get("Names") or ())
        ]

    async def look(self, task: Task, container_id: str) -> Seen:
        for reference in filter(None, (container_id, task.name)):
            inspected = await self._inspect(reference)
            if inspected is not None and self._is_of(task, inspected):
                return self._watch(inspected["Id"]).seen
        return Seen(phase=Phase.ABSENT)

    async def pull(self, task: Task, told: Callable[[str], None]) -> None:
        await self._images.ensure(task.spec.container.image or "", self._supplies.credentials(task), told)

    async def create(self, task: Task) -> Seen:
        node = self._description or await self.describe()
        plan = self.networks.plan(task)
        body = create_body(task, node, self._cluster_id)
        mounts = expanded(task, node).mounts
        missing = (
            await self._engine.call(lambda _client: missing_source(mounts)) if "Binds" in body["HostConfig"] else None
        )
        if missing is not None:
            raise TaskError(f'invalid mount config for type "bind": bind source path does not exist: {missing}')
        if has_files(task):
            await self._files.lay_out(task, node, body)
        if plan is not None and not has_own(body):
            bind_resolv(body, await self._write_resolv(task, plan))
        container_id = await self._engine.call(lambda client: create(client, task.name, body, plan))
        if container_id is None:
            return await self._created_before(task)
        watched = self._watch(container_id)
        watched.take_created()
        return watched.seen

    async def start(self, task: Task, container_id: str) -> Seen:
        watched = self._watch(container_id)
        before = watched.events
        if has_files(task):
            await self._files.make_sure(task, self._description or await self.describe())
        plan = self.networks.plan(task)
        if plan is not None:  # a crash may have come between its creation and its second network, or a reboot
            await self._write_resolv(task, plan)
            await self._engine.call(lambda client: join_missing(client, container_id, plan))
        inspected = await self._engine.call(lambda client: calls.start(client, container_id))
        self._take_answer(watched, inspected, before)
        return watched.seen

    async def changed(self, container_id: str, seen: Seen) -> Seen:
        return await self._watch(container_id).differs(seen)

    async def stop(self, container_id: str, signal: str, grace: float) -> Seen:
        watched = self._watch(container_id)
        if watched.seen.phase == Phase.UNKNOWN:
            await self._inspect(container_id)
        if watched.seen.phase not in ENDED:
            await self._kill(watched, signal or watched.stop_signal or "SIGTERM")
        if not await self._ends(watched, grace):
            await self._kill(watched, "SIGKILL")
            if not await self._ends(watched, AFTER_KILL):
                raise TemporaryError(f"container {container_id[:12]} was killed but does not end")
        return watched.seen

    async def release(self, task_id: str) -> None:
        self._resolv.drop(task_id)
        await self._files.drop(task_id)

    async def sweep(self, keep: Collection[str]) -> None:
        kept = frozenset(keep)
        await self._engine.on_thread(lambda: self._resolv.sweep(kept))
        await self._files.sweep(keep)

    async def remove(self, container_id: str, task_id: str) -> None:
        await self._engine.call(lambda client: calls.remove(client, container_id))
        self._watched.pop(container_id, None)
        self._resolv.drop(task_id)
        await self._files.drop(task_id)

    # -- calls

    async def _write_resolv(self, task: Task, plan: Plan) -> pathlib.Path:
        dns = task.spec.container.dns
        try:
            return await self._engine.on_thread(lambda: self._resolv.ensure(task.id, plan.dns, dns))
        except OSError as error:
            raise TemporaryError(f"the resolv.conf of the task cannot be written: {error}") from error

    @property
    def _label(self) -> str:
        return f"{CLUSTER_LABEL}={self._cluster_id}"

    async def _list(self) -> list[dict[str, Any]]:
        filters = {"label": [self._label]}
        answer: list[dict[str, Any]] = await self._engine.call(lambda c: c.containers(all=True, filters=filters))
        return answer

    async def _inspect(self, reference: str) -> calls.Inspected | None:
        """Ask for a container and note the answer if it is one of this cluster."""
        watched = self._watched.get(reference)
        before = watched.events if watched else 0
        inspected = await self._engine.call(lambda client: calls.inspect(client, reference))
        if inspected is None:
            if watched is not None:
                watched.gone()
        elif self._is_ours(inspected):
            self._take_answer(self._watch(inspected["Id"]), inspected, before)
        return inspected

    async def _created_before(self, task: Task) -> Seen:
        """The name is taken: by a container that was created for this task before a crash, or by someone else's."""
        inspected = await self._inspect(task.name)
        if inspected is None:
            raise TemporaryError(f"the container name {task.name} was taken a moment ago; trying again")
        if not self._is_of(task, inspected):
            raise TaskError(
                f"the container name {task.name} is taken by container {inspected['Id'][:12]}, which is not of this "
                "task: remove or rename that container"
            )
        return self._watch(inspected["Id"]).seen

    async def _kill(self, watched: Watched, signal: str) -> None:
        container_id = watched.seen.container_id
        if not await self._engine.call(lambda client: calls.kill(client, container_id, signal)):
            await self._inspect(container_id)  # it was not running

    async def _ends(self, watched: Watched, seconds: float) -> bool:
        """Wait for the end of a container; asked once more at last, should its event have been missed."""
        try:
            async with asyncio.timeout(seconds):
                while watched.seen.phase not in ENDED:
                    await watched.differs(watched.seen)
        except TimeoutError:
            await self._inspect(watched.seen.container_id)
        return watched.seen.phase in ENDED

    # -- what is known

    def _watch(self, container_id: str) -> Watched:
        watched = self._watched.get(container_id)
        if watched is None:
            watched = self._watched[container_id] = Watched(container_id)
        return watched

    def _take_answer(self, watched: Watched, inspected: calls.Inspected | None, before: int) -> None:
        if inspected is None:
            watched.gone()
        else:
            watched.take_answer(inspected, before)

    def _take_event(self, event: Event) -> None:
        watched = self._watched.get(event.container_id)
        if watched is not None:
            watched.take_event(event)

    def _is_ours(self, inspected: calls.Inspected) -> bool:
        labels = calls.labels(inspected)
        names = filter(None, (inspected.get("Name"),))
        return labels.get(CLUSTER_LABEL) == self._cluster_id and _bears_name(labels, tuple(names))

    def _is_of(self, task: Task, inspected: calls.Inspected) -> bool:
        return self._is_ours(inspected) and calls.labels(inspected).get(TASK_LABEL) == task.id

    def _lost(self, reason: str) -> None:
        if not self.error:
            log.warning("the Docker Engine is lost, waiting for it: %s", reason)
        self.error = reason

    def _opened(self) -> None:
        if self.error:
            log.info("the Docker Engine answers")
        self.error = ""
        self._gap.set()

    async def _reconcile(self) -> None:
        """After a gap in the events, and now and then in case one was lost, ask what became of the containers."""
        while True:
            try:
                async with asyncio.timeout(RECONCILE_EVERY):
                    await self._gap.wait()
            except TimeoutError:
                if self.error:
                    continue  # the stream's return will be a gap
            self._gap.clear()
            try:
                await self._ask_for_all()
            except ExecutorError as error:
                log.info("what became of the containers cannot be asked, trying again: %s", error)
                await asyncio.sleep(RECONCILE_AGAIN)
                self._gap.set()

    async def _ask_for_all(self) -> None:
        alive = {key: watched for key, watched in self._watched.items() if watched.seen.phase == Phase.RUNNING}
        if not alive:
            return
        states = {item["Id"]: item.get("State") for item in await self._list()}
        for container_id, watched in alive.items():
            if container_id not in states:
                watched.gone()
            elif states[container_id] != "running" or watched.seen.health != Health.NONE:
                await self._inspect(container_id)


def _bears_name(labels: Mapping[str, str], names: Sequence[str]) -> bool:
    """Whether a container is called what its labels say. One that is not was made from an image into which someone
    committed a task's container, labels included. (A container on its way out may have lost its name.)
    """
    return not names or f"/{labels.get(NAME_LABEL)}" in names
