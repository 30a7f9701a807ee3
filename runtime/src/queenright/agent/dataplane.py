# SPDX-License-Identifier: Apache-2.0
"""The node's networks: what a manager tells of them becomes a picture, and the kernel is made to be like it.

Everything is desired state, compared and applied; nothing is undone when managers or this daemon go away. Changes that
come close together are applied together. The engine's part follows the kernel's and never holds it up. Nothing of it is
loaded before the node has its first network.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable

from queenright.agent.bridging import Bridging
from queenright.agent.database import TaskDatabase
from queenright.agent.link import LinkError, ManagerLink
from queenright.agent.mesh_ports import Applied, Machinery, Probe
from queenright.agent.naming import Naming
from queenright.agent.ports import TemporaryError
from queenright.agent.remembered import Remembered
from queenright.decide.dataplane import DEFAULT_DRAIN, Tables
from queenright.decide.names import NameTable
from queenright.lib.tasks import Background
from queenright.model.mesh import MeshPicture, Overlay
from queenright.model.mesh_rows import NetworksSet, NetworksState, Row
from queenright.model.objects import Task

log = logging.getLogger(__name__)

COALESCE = 0.05  # seconds in which further changes join a round
AUDIT_EVERY = 60.0
AUDIT_SETTLE = 0.5  # seconds after a change by another hand, which is seldom one alone
RETRY_AFTER = 5.0  # seconds after a round in which something failed
AT_ONCE = 500  # rows that are taken and written before others get their turn on the loop
FEW = 100  # the same of what takes longer: rows that are read and taken, services whose part of the picture is made
SETTLE = 1.0
"""Seconds for a task that gets no more connections to take up those that it was sent last: many servers drop at their
end what they have not accepted yet."""
READY_PATIENCE = 5.0  # seconds for which a task waits for a network before it says so
SECOND = 1_000_000_000


class Dataplane:
    """One for a membership; belongs to the event loop's thread. ``load`` makes what it works with, once."""

    def __init__(
        self,
        cluster_id: str,
        node_id: str,
        database: TaskDatabase,
        load: Callable[[NameTable], Awaitable[Machinery]],
        uses: Callable[[str], bool] = lambda network_id: False,
    ) -> None:
        """``uses`` says whether a container may still be in a network."""
        self._cluster_id = cluster_id
        self._memory = Remembered(database)
        self._load = load
        self._uses = uses
        self._tables = Tables(cluster_id, node_id)
        self._names = NameTable()
        self._background = Background()
        self._machinery: Machinery | None = None
        self._bridging: Bridging | None = None
        self._naming: Naming | None = None
        self._running: asyncio.Task[None] | None = None
        self._wanted = asyncio.Event()
        self._taking = asyncio.Lock()  # held while the rows are in between what was and what was told
        self._audit = True  # what is there at the start is not known
        self._made: dict[str, Overlay] = {}  # what the kernel has
        self._errors: dict[str, str] = {}
        self._token = ""  # of the state that is in force
        self._applied = Applied()
        self._news = asyncio.Event()  # set and replaced whenever a row or what came of it changes
        self.probe: Probe | None = None  # once it was needed
        self._probed = ""

    # -- life

    async def start(self) -> None:
        """Go on as it was, before any manager is heard. The database is open. Nothing else is asked of this before it
        has returned, so that nobody meets a part of what was; when it is cancelled nothing has begun.
        """
        self._names.remember(())
        await self._memory.recall(self._recalled, FEW)
        if self._memory.in_use:
            self._begin()

    def _recalled(self, row: Row) -> None:
        self._tables.load((row,))
        self._names.remember((row,))

    async def stop(self) -> None:
        """Let go of everything; the data path goes on as it is."""
        await self._background.stop()
        self._running = None
        machinery, self._machinery = self._machinery, None
        if machinery is not None:
            await machinery.name_server.close()
            machinery.kernel.close()

    async def leave(self) -> None:
        """Take away all that is of this cluster. The containers are gone already."""
        if self._running is None:
            return
        await self._background.stop()
        machinery = self._machinery or await self._load(self._names)
        self._machinery = self._running = None
        await machinery.name_server.close()
        try:
            await machinery.bridges.sweep(())
        except Exception as error:  # what the kernel has is to go all the same
            log.error("networks of the engine are still there: %s", error)
        try:
            await machinery.kernel.clear(self._cluster_id)
        except Exception as error:  # the membership ends all the same
            log.error("parts of the networks are still there: %s", error)
        machinery.kernel.close()

    # -- what a manager tells

    async def follow(self, link: ManagerLink, session_id: str, manager: tuple[str, str]) -> None:
        """Runs as long as a session does."""
        parts = [
            asyncio.create_task(self._listen(link, session_id), name="networks-listen"),
            asyncio.create_task(self._report(link, session_id), name="networks-report"),
        ]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _listen(self, link: ManagerLink, session_id: str) -> None:
        token = ""
        try:
            async for told in link.networks(session_id):
                if not told.complete and told.applies_to != token:
                    raise LinkError("DataLoss", "a message on networks is missing; starting from a complete set")
                token = told.results_in
                await self._take(told)
        except LinkError as error:
            if error.code != "Unimplemented":
                raise
            await asyncio.Event().wait()  # a manager of an earlier version: there are no networks
        raise LinkError("Unavailable", "the manager ended what it says of networks")

    async def _report(self, link: ManagerLink, session_id: str) -> None:
        """Tell what is in force, whenever that is something else."""
        said: NetworksState | None = None
        while True:
            news = self._news
            state = self.state
            if state.applied and state != said:
                await link.networks_applied(session_id, state)
                said = state
            else:
                await news.wait()

    async def _take(self, told: NetworksSet) -> None:
        """Rows as a manager tells them."""
        async with self._taking:
            if len(told.rows) + len(told.removes) > AT_ONCE:
                self._names.whole = False  # what is not known may come with a later step
            for put, gone in self._tables.steps(told, AT_ONCE):
                self._keep(put, gone)
                if len(told.rows) + len(told.removes) > AT_ONCE:
                    await asyncio.sleep(0)
            self._names.whole = self._tables.complete
        if self._tables.networks:
            self._begin()
        self._stir()
        self._wanted.set()

    def _keep(self, put: list[Row], gone: list[str]) -> None:
        """Names, and what is remembered, follow the rows step by step: a session may end between two."""
        self._names.take(put, gone)
        self._memory.keep(put, gone, in_use=bool(self._tables.networks))

    @property
    def state(self) -> NetworksState:
        """What there is to say of the networks. While nothing is loaded there is nothing."""
        return NetworksState(self._token, self.errors, dict(self._applied.ports))

    @property
    def errors(self) -> dict[str, str]:
        """Networks that are not as they shall be, by id, with the reason."""
        naming = self._naming.errors if self._naming is not None else {}
        bridging = self._bridging.errors if self._bridging is not None else {}
        return {**naming, **bridging, **self._errors}

    # -- rounds

    def _begin(self) -> None:
        if self._running is None:
            self._running = self._background.start(self._run(), "dataplane")

    def _stir(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _run(self) -> None:
        machinery = self._machinery = await self._loaded()
        self._naming = Naming(machinery.kernel, machinery.name_server)
        self._bridging = Bridging(machinery.bridges, self._uses, self._bridged)
        self._background.start(self._bridging.run(), "dataplane-bridges")
        self._background.start(self._watch(machinery), "dataplane-watch")
        self._wanted.set()
        while True:
            await self._rest()
            self._wanted.clear()
            audit, self._audit = self._audit, False
            try:
                await self._round(machinery, audit)
            except Exception as error:  # a fault of ours must not end the networks
                log.exception("a round of the networks broke")
                text = f"unexpected {type(error).__name__}: {error}"
                self._errors = dict.fromkeys(self._tables.networks, text)
                self._audit = True
                self._stir()

    async def _loaded(self) -> Machinery:
        """What the networks need; while it cannot be had, all networks say why."""
        while True:
            try:
                return await self._load(self._names)
            except Exception as error:
                log.exception("what networks need cannot be loaded")
                text = f"what networks need cannot be loaded on this node ({type(error).__name__}: {error})"
                self._errors = dict.fromkeys(self._tables.networks, text)
                self._stir()
            await asyncio.sleep(RETRY_AFTER)

    async def _rest(self) -> None:
        """Return when there is something to do."""
        idle = not self._made and not self._tables.networks
        patience = RETRY_AFTER if self.errors or self._audit else AUDIT_EVERY
        try:
            async with asyncio.timeout(None if idle else patience):
                await self._wanted.wait()
        except TimeoutError:
            self._audit = True
            return
        await asyncio.sleep(COALESCE)

    async def _round(self, machinery: Machinery, audit: bool) -> None:
        async with self._taking:
            for _ in self._tables.prepare(FEW):
                await asyncio.sleep(0)
            token = self._tables.token
            wanted = self._tables.picture()
        picture = self._with_leaving(wanted)
        call = machinery.kernel.audit if audit else machinery.kernel.apply
        applied = await call(picture)
        self._made = {overlay.network_id: overlay for overlay in picture.overlays}
        self._errors, self._applied = dict(applied.errors), applied
        made = [overlay for overlay in wanted.overlays if overlay.network_id not in applied.errors]
        if self._naming is not None:
            await self._naming.follow({overlay.network_id for overlay in made}, applied.renewed)
        if self._bridging is not None:
            leaving = [key for key in self._made if key not in self._tables.networks]
            self._bridging.want(made, leaving, again=audit)
        self._token = token
        self._stir()
        if not self._made and not applied.errors and not self._tables.networks:
            self._memory.unused()
        if wanted.backend != self._probed and self._tables.networks:
            self._probed = wanted.backend
            self._background.start(self._look(machinery, wanted.backend), "dataplane-probe")

    def _with_leaving(self, wanted: MeshPicture) -> MeshPicture:
        """With the networks that are no longer the node's, until the engine has let go of them."""
        known = {overlay.network_id for overlay in wanted.overlays}
        leaving = [
            # Nobody is told of changes in there any more: what it knew of others may be wrong.
            dataclasses.replace(overlay, neighbours=(), balanced=(), published=())
            for key, overlay in self._made.items()
            if key not in known and self._bridging is not None and not self._bridging.gone(key)
        ]
        if not leaving:
            return wanted
        overlays = sorted((*wanted.overlays, *leaving), key=lambda overlay: overlay.network_id)
        return dataclasses.replace(wanted, overlays=tuple(overlays))

    async def _watch(self, machinery: Machinery) -> None:
        """Look at everything when another hand changed something of ours."""
        while True:
            await machinery.kernel.changed()
            log.info("something of the networks was changed by another hand: comparing all of it")
            await asyncio.sleep(AUDIT_SETTLE)
            self._audit = True
            self._wanted.set()

    async def _look(self, machinery: Machinery, backend: str) -> None:
        """Find out what this machine can do, for its description."""
        try:
            self.probe = await machinery.kernel.probe(backend)
        except Exception as error:
            log.exception("the kernel could not be probed")
            self.probe = Probe(error=f"the kernel could not be probed: {error}")

    def _bridged(self) -> None:
        """The engine's part changed."""
        self._stir()
        if any(self._bridging is not None and self._bridging.gone(key) for key in self._made):
            self._wanted.set()

    # -- what tasks ask

    def engine_back(self) -> None:
        """The engine was away: what it made of our bridges is to be seen."""
        self._audit = True
        self._wanted.set()

    async def ready(self, task: Task) -> None:
        """See ``ports.Mesh``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_PATIENCE):
                while any(self._lack(one.network_id) for one in task.attachments):
                    news = self._news
                    errors = self.errors
                    failed = [errors[one.network_id] for one in task.attachments if one.network_id in errors]
                    if failed:
                        raise TemporaryError(failed[0])
                    await news.wait()
        for one in task.attachments:
            lack = self._lack(one.network_id)
            if lack:
                raise TemporaryError(lack)

    def _lack(self, network_id: str) -> str:
        """What keeps a task from being in a network; "" for nothing."""
        network = self._tables.networks.get(network_id)
        if network is None:
            return f"no manager has told this node of network {network_id} yet"
        error = self.errors.get(network_id)
        if error:
            return error
        if network_id not in self._made or self._bridging is None or not self._bridging.has(network_id):
            return f"network {network.link.name} is not made on this node yet"
        return ""

    async def let_go(self, task: Task) -> None:
        """See ``ports.Mesh``."""
        networks = [one.network_id for one in task.attachments]
        limit = self._tables.drain(task.service_id, networks)
        if limit is None:
            limit = task.endpoint.drain if task.endpoint.drain is not None else DEFAULT_DRAIN
        loop = asyncio.get_running_loop()
        until = loop.time() + limit / SECOND
        try:
            async with asyncio.timeout_at(until):
                while not self._tables.drained(task.id, networks):
                    await self._news.wait()
        except TimeoutError:
            log.warning("not all nodes said that they let go of a task: stopping it", extra={"task": task.id})
        await asyncio.sleep(min(SETTLE, max(0.0, until - loop.time())))
