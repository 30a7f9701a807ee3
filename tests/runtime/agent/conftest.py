# SPDX-License-Identifier: Apache-2.0
"""A node with an engine in memory."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator

import pytest
from runtime.agent.kit import FakeEngine, Node, until


@pytest.fixture
async def node(tmp_path: pathlib.Path) -> AsyncIterator[Node]:
    node = Node(FakeEngine(), tmp_path)
    await node.start()
    await until(lambda: node.worker.adopted)
    yield node
    await node.stop()
