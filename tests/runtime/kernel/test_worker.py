"""Threads for the kernel: in order, with errors handed back, and done with what they began."""

from __future__ import annotations

import asyncio
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.mesh import KernelMesh
from queenright.edge.kernel.nft import Command
from queenright.edge.kernel.worker import Worker
from queenright.model.mesh import MeshPicture

PATIENCE = 30.0


async def test_calls_run_one_after_the_other_on_the_same_thread() -> None:
    worker = Worker("kernel-test")
    order: list[int] = []
    names = await asyncio.gather(
        *(worker.run(lambda n=n: (order.append(n), threading.current_thread().name)[1]) for n in range(20))  # type: ignore[misc]
    )
    assert (order, set(names)) == (list(range(20)), {"kernel-test"})
    worker.close()
    worker.join(PATIENCE)
    assert "kernel-test" not in {thread.name for thread in threading.enumerate()}


async def test_a_thread_that_cannot_enter_says_why_to_each_caller() -> None:
    def refuse() -> None:
        raise KernelError("no way in")

    worker = Worker("kernel-test", refuse)
    for _ in range(2):
        with pytest.raises(KernelError, match="no way in"):
            await worker.run(lambda: None)
    worker.close()


async def test_a_caller_that_is_cancelled_goes_when_the_call_is_done() -> None:
    worker = Worker("kernel-test")
    gate, ended = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(PATIENCE)
        ended.set()

    task = asyncio.ensure_future(worker.run(work))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE)
    assert ended.is_set()
    worker.close()


async def test_the_last_step_comes_after_all_calls() -> None:
    worker = Worker("kernel-test")
    done: list[str] = []
    call = asyncio.ensure_future(worker.run(lambda: done.append("call")))
    await asyncio.sleep(0)
    worker.close(lambda: done.append("last"))
    await call
    worker.join(PATIENCE)
    assert done == ["call", "last"]
    with pytest.raises(RuntimeError, match="has ended"):
        await worker.run(lambda: None)


def test_a_node_without_networks_loads_no_netlink_library() -> None:
    script = (
        "import asyncio, sys, threading; from queenright.edge.kernel.mesh import KernelMesh;"
        "from queenright.model.mesh import MeshPicture; import pathlib;"
        "mesh = KernelMesh(folder=pathlib.Path('/nonexistent'));"
        "applied = asyncio.run(mesh.apply(MeshPicture('c')));"
        "print(applied.errors, 'pyroute2' in sys.modules, threading.active_count())"
    )
    sources = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[3] / "runtime/src")}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=sources)
    assert done.stdout.split() == ["{}", "False", "1"], done.stderr


async def test_asking_for_the_sockets_of_a_network_that_is_not_there_is_an_error() -> None:
    mesh = KernelMesh()
    with pytest.raises(OSError, match="not on this node"):
        await mesh.dns_sockets("n")
    assert (await mesh.apply(MeshPicture("c"))).errors == {}
    mesh.close()


def test_a_host_without_nft_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queenright.edge.kernel.nft.COMMAND", "no-such-nft")
    with pytest.raises(KernelError, match="install the package nftables"):
        Command().run("list ruleset")
