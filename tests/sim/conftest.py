# SPDX-License-Identifier: Apache-2.0
"""The same schedules in every run; ``--hypothesis-profile=explore`` looks for new ones."""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from sim.clock import Clock, virtual
from sim.cluster import Cluster

PATIENT = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], print_blob=True
)

settings.register_profile("explore", PATIENT)
settings.register_profile("patient", PATIENT, derandomize=True, database=None)
settings.load_profile("patient")


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A virtual clock by which the library lives during the test, with dice that fall the same way each time."""
    time = Clock()
    with virtual(time, random.Random(20)):
        yield time


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Faults are what these tests make; nobody needs to read of each."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots of a few hundred bytes shall have several blocks, each written by itself, as large ones do."""
    monkeypatch.setattr("queenright.edge.raft.snapshot_format.CHUNK", 300)


@pytest.fixture
def group(clock: Clock) -> Iterator[Callable[..., Cluster]]:
    """Makes a simulated group of the members named, ``abc`` by default, and clears it away at the end."""
    made: list[Cluster] = []
    directory = Path(tempfile.mkdtemp(prefix="qrsim"))

    def make(names: str = "abc", seed: int = 1) -> Cluster:
        place = directory / str(len(made))
        place.mkdir()
        made.append(Cluster(place, clock, seed, names))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()
    shutil.rmtree(directory)
