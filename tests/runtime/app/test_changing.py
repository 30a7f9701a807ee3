# SPDX-License-Identifier: Apache-2.0
"""What a node does when the swarm says what it is, from every state that a crash can leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from queenright.agent.link import LinkError
from queenright.app.certificates import Credentials, PkiMaker
from queenright.app.changing import Changing, duty
from queenright.app.state import MemberState, StateFile
from queenright.app.world import SystemClock
from queenright.edge.pki.keys import make_csr
from queenright.edge.pki.keystore import KeyStore, NodeCredentials
from queenright.model.objects import Node
from queenright.spec.cluster import MANAGER, WORKER, NodeSpec

from .kit import until

NODE, CLUSTER = "1" + 24 * "n", "1" + 24 * "c"
HOUR = 3600 * 10**9
OPEN = "0.0.0.0:2377"
STATE = MemberState(node_id=NODE, cluster_id=CLUSTER, role=WORKER, listen_addr=OPEN, advertise_addr="")


class Died(BaseException):
    """The host dies here."""


class Swarm:
    """A swarm of one node, and the host of that node: what it has on disk, and what runs."""

    def __init__(self, folder: Path, *, role: str, certificate: str, log: bool) -> None:
        self.file = StateFile(folder)
        self.maker = PkiMaker()
        self.root = self.maker.make_root(time.time_ns())
        self.store = KeyStore(folder / "certificates")
        key = self.store.pending_key()
        chain = self.chain(make_csr(key), certificate)
        self.store.save(NodeCredentials(key, chain, self.root.certificate.encode()))
        self.file.save(dataclasses.replace(STATE, role=role))
        if log:
            self.file.log_directory.mkdir()
            (self.file.log_directory / "log").write_text("entries")
        self.node = Node(id=NODE, version=10, role=role, spec=NodeSpec(role=role))
        self.control_addr = OPEN
        self.asked: list[tuple[str, str]] = []
        self.steps: list[str] = []
        self.dies_at: str = ""
        self.unreachable = 0
        self.lies = ""
        self.task: asyncio.Task[None] | None = None
        self.boot()

    def chain(self, csr: bytes, role: str) -> bytes:
        issued = self.maker.issue(
            self.root, csr, node_id=NODE, role=role, cluster_id=CLUSTER, validity=HOUR, now=time.time_ns()
        )
        return issued.chain.encode()

    # -- the host

    def boot(self) -> None:
        """As at the start of a daemon."""
        loaded = self.file.load()
        assert loaded is not None
        self.state = loaded
        self.credentials = Credentials(self.store)
        self.managing = self.state.role == MANAGER and self.credentials.identity.role == MANAGER
        if self.managing:
            self.file.log_directory.mkdir(exist_ok=True)
        elif self.state.role == WORKER:
            self.file.clear_log()
        self.changing = Changing(self, self.credentials, self.renew, SystemClock(), lambda: 0.5)

    def at(self, step: str) -> None:
        self.steps.append(step)
        if step == self.dies_at:
            raise Died(step)

    async def begin_managing(self, version: int) -> None:
        self.file.save(dataclasses.replace(self.state, role=MANAGER, fresh=True, role_version=version))
        self.at("saved as manager")
        self.state = dataclasses.replace(self.state, role=MANAGER, fresh=True, role_version=version)
        self.file.log_directory.mkdir(exist_ok=True)
        self.at("opened the log")
        self.managing = True

    async def end_managing(self, version: int) -> None:
        self.managing = False
        self.at("stopped")
        self.file.save(dataclasses.replace(self.state, role=WORKER, role_version=version))
        self.at("saved as worker")
        self.state = dataclasses.replace(self.state, role=WORKER, role_version=version)
        self.file.clear_log()
        self.at("cleared the log")

    async def certificate_changed(self) -> None:
        self.at("certified")

    # -- the swarm

    async def renew(self, csr: bytes, addr: str) -> bytes:
        self.asked.append((self.node.spec.role or "", addr))
        if self.unreachable:
            self.unreachable -= 1
            raise LinkError("Unavailable", "no manager answers")
        if addr and self.node.spec.role == MANAGER:
            self.node = dataclasses.replace(
                self.node, role=MANAGER, manager_addr="10.0.0.9:2377", version=self.node.version + 1
            )
        chain = self.chain(csr, self.lies or self.node.role)
        self.at("asked")
        return chain

    def wish(self, role: str, *, counts: str | None = None) -> None:
        """The swarm wants the node to be a ``role``; it counts as one already, or as what ``counts`` says."""
        version = self.node.version + 1
        addr = "10.0.0.9:2377" if (counts or role) == MANAGER else ""
        self.node = dataclasses.replace(
            self.node, version=version, spec=NodeSpec(role=role), role=counts or role, manager_addr=addr
        )

    async def told(self) -> None:
        """Run with the present news until nothing is left to do, or until the host dies."""
        if self.task is None:
            self.task = asyncio.create_task(self.changing.run())
        while True:
            version = self.node.version
            self.changing.heard(self.node)
            await asyncio.sleep(0.02)
            if self.task.done() or (not self.changing.problem and self.node.version == version):
                return

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None

    async def crash_and_boot(self) -> None:
        await self.end()
        self.dies_at = ""
        self.boot()

    def is_whole(self, role: str) -> bool:
        saved = self.file.load()
        assert saved is not None
        alike = {saved.role, self.state.role, Credentials(self.store).identity.role, self.credentials.identity.role}
        return alike == {role} and self.managing == self.file.log_directory.exists() == (role == MANAGER)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[list[Swarm]]:
    found: list[Swarm] = []
    yield found
    for swarm in found:
        await swarm.end()


@pytest.mark.parametrize(
    ("role", "wish", "counts", "wanted"),
    [
        (WORKER, WORKER, WORKER, WORKER),
        (WORKER, MANAGER, WORKER, MANAGER),
        (WORKER, MANAGER, MANAGER, MANAGER),
        (WORKER, WORKER, MANAGER, WORKER),  # wished back before it began
        (MANAGER, MANAGER, MANAGER, MANAGER),
        (MANAGER, MANAGER, WORKER, MANAGER),
        (MANAGER, WORKER, MANAGER, MANAGER),  # the others have not let it go yet
        (MANAGER, WORKER, WORKER, WORKER),
    ],
)
def test_a_wish_to_be_a_worker_counts_once_the_managers_have_let_the_node_go(
    role: str, wish: str, counts: str, wanted: str
) -> None:
    assert duty(role, Node(id=NODE, role=counts, spec=NodeSpec(role=wish))) == wanted


@pytest.mark.parametrize("dies_at", ["", "asked", "certified", "saved as manager", "opened the log"])
async def test_a_promotion_is_finished_whatever_step_the_host_dies_at(
    tmp_path: Path, made: list[Swarm], dies_at: str
) -> None:
    swarm = Swarm(tmp_path, role=WORKER, certificate=WORKER, log=False)
    made.append(swarm)
    swarm.wish(MANAGER, counts=WORKER)
    swarm.dies_at = dies_at
    with pytest.raises(Died) if dies_at else contextlib.nullcontext():
        await asyncio.wait_for(_until_death(swarm), 20)
    if dies_at:
        await swarm.crash_and_boot()
    await swarm.told()
    await until(lambda: swarm.is_whole(MANAGER), lambda: (swarm.steps, swarm.state, swarm.changing.problem))


@pytest.mark.parametrize("dies_at", ["", "stopped", "saved as worker", "cleared the log", "asked", "certified"])
async def test_a_demotion_is_finished_whatever_step_the_host_dies_at(
    tmp_path: Path, made: list[Swarm], dies_at: str
) -> None:
    swarm = Swarm(tmp_path, role=MANAGER, certificate=MANAGER, log=True)
    made.append(swarm)
    swarm.wish(WORKER)
    swarm.dies_at = dies_at
    with pytest.raises(Died) if dies_at else contextlib.nullcontext():
        await asyncio.wait_for(_until_death(swarm), 20)
    if dies_at:
        await swarm.crash_and_boot()
    await swarm.told()
    await until(lambda: swarm.is_whole(WORKER), lambda: (swarm.steps, swarm.state, swarm.changing.problem))


@pytest.mark.parametrize("wanted", [WORKER, MANAGER])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("certificate", [WORKER, MANAGER])
@pytest.mark.parametrize("role", [WORKER, MANAGER])
async def test_from_every_combination_on_disk_the_node_becomes_what_the_swarm_says(
    tmp_path: Path, made: list[Swarm], role: str, certificate: str, log: bool, wanted: str
) -> None:
    swarm = Swarm(tmp_path, role=role, certificate=certificate, log=log)
    made.append(swarm)
    swarm.wish(wanted)
    await swarm.told()
    await until(lambda: swarm.is_whole(wanted), lambda: (swarm.steps, swarm.state, swarm.changing.problem))


async def test_news_that_change_nothing_cost_nothing(tmp_path: Path, made: list[Swarm]) -> None:
    swarm = Swarm(tmp_path, role=MANAGER, certificate=MANAGER, log=True)
    made.append(swarm)
    swarm.wish(MANAGER)
    for _ in range(3):
        await swarm.told()
    assert swarm.asked == [] and swarm.steps == []


async def test_old_news_do_not_demote(tmp_path: Path, made: list[Swarm]) -> None:
    swarm = Swarm(tmp_path, role=MANAGER, certificate=MANAGER, log=True)
    made.append(swarm)
    swarm.state = dataclasses.replace(swarm.state, role_version=50)
    swarm.wish(WORKER)
    await swarm.told()
    assert swarm.managing and swarm.steps == []
    swarm.node = dataclasses.replace(swarm.node, version=51)
    await swarm.told()
    await until(lambda: swarm.is_whole(WORKER), lambda: swarm.steps)


async def test_what_does_not_work_is_said_and_tried_again(tmp_path: Path, made: list[Swarm]) -> None:
    swarm = Swarm(tmp_path, role=WORKER, certificate=WORKER, log=False)
    made.append(swarm)
    swarm.wish(MANAGER, counts=WORKER)
    swarm.unreachable = 3
    swarm.task = asyncio.create_task(swarm.changing.run())
    swarm.changing.heard(swarm.node)
    await until(lambda: swarm.changing.problem == "no manager answers")
    await swarm.told()
    await until(lambda: swarm.is_whole(MANAGER), lambda: swarm.steps)
    assert len(swarm.asked) == 4 and swarm.changing.problem == ""


async def test_a_certificate_for_another_role_is_not_taken(tmp_path: Path, made: list[Swarm]) -> None:
    swarm = Swarm(tmp_path, role=WORKER, certificate=WORKER, log=False)
    made.append(swarm)
    swarm.wish(MANAGER, counts=WORKER)
    swarm.lies = WORKER
    swarm.task = asyncio.create_task(swarm.changing.run())
    swarm.changing.heard(swarm.node)
    await until(lambda: "certificate for a worker, this node shall be a manager" in swarm.changing.problem)
    assert not swarm.managing and swarm.state.role == WORKER


async def test_a_manager_with_another_address_says_so_once(tmp_path: Path, made: list[Swarm]) -> None:
    swarm = Swarm(tmp_path, role=MANAGER, certificate=MANAGER, log=True)
    made.append(swarm)
    swarm.wish(MANAGER)
    swarm.control_addr = "10.0.0.7:2377"
    for _ in range(3):
        await swarm.told()
    assert swarm.asked == [(MANAGER, "10.0.0.7:2377")]
    assert swarm.is_whole(MANAGER)


async def _until_death(swarm: Swarm) -> None:
    """Until the host dies of what it does, or has nothing more to do."""
    try:
        await swarm.told()
        if swarm.task is not None and swarm.task.done():
            await swarm.task
    finally:
        if swarm.task is not None and swarm.task.done():
            swarm.task = None
