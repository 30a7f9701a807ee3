# SPDX-License-Identifier: Apache-2.0
"""Hosts for the tests with several managers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from queenright.app import managing

from .kit import Dockerd, Place


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for others that are known to be gone."""
    monkeypatch.setattr(managing, "HAND_OVER", 0.5)


@pytest.fixture
def dockerd() -> Iterator[Dockerd]:
    engine = Dockerd()
    yield engine
    engine.close()


@pytest.fixture
async def places(dockerd: Dockerd, hurry: None) -> AsyncIterator[list[Place]]:
    """Four hosts; the first one has founded a swarm."""
    made = [Place(dockerd.path) for _ in range(4)]
    await made[0].host.init(made[0].init)
    yield made
    await asyncio.gather(*(place.close() for place in made))
