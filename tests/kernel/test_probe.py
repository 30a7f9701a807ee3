# SPDX-License-Identifier: Apache-2.0
"""The probe on the kernel that these tests run on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from queenright.edge.kernel.probe import examine, probe

T = TypeVar("T")
BACKENDS = os.environ.get("QUEENRIGHT_KERNEL_BACKENDS", "nftables").split(",")


def on_a_thread(call: Callable[[], T]) -> T:
    """The answer of a call made on a thread of its own, which is left in another namespace."""
    answers: list[T] = []
    thread = threading.Thread(target=lambda: answers.append(call()))
    thread.start()
    thread.join()
    return answers[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_this_kernel_can_do_all_that_a_mesh_needs(backend: str) -> None:
    findings = on_a_thread(lambda: probe(backend))
    assert {finding.name: finding.error for finding in findings if finding.error} == {}
    assert len(findings) > 12


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_answer_for_the_agent_names_the_backend(backend: str) -> None:
    answer = on_a_thread(lambda: examine(backend))
    assert (answer.mesh, answer.error) == (backend, "")


def test_probing_leaves_nothing_in_the_hosts_namespace() -> None:
    before = sorted(os.listdir("/sys/class/net")), os.readlink("/proc/self/ns/net")
    on_a_thread(probe)
    assert (sorted(os.listdir("/sys/class/net")), os.readlink("/proc/self/ns/net")) == before
