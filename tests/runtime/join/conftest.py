# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from runtime.join.kit import Admission, Joiner, Swarm


@pytest.fixture
def swarm(tmp_path: Path) -> Swarm:
    return Swarm(tmp_path / "manager")


@pytest.fixture
def admission(swarm: Swarm) -> Admission:
    return Admission(swarm)


@pytest.fixture
def joiner(swarm: Swarm) -> Joiner:
    return Joiner(swarm.token)
