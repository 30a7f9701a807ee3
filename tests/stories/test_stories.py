# SPDX-License-Identifier: Apache-2.0
"""The stories are true. QUEENRIGHT_REWRITE_STORIES=1 writes down what happens now; read the difference then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stories.teller import tell

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_is_true(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    happened = tell(written)
    if os.environ.get("QUEENRIGHT_REWRITE_STORIES"):
        path.write_text(happened, encoding="utf-8")
    else:
        assert happened == written


def test_there_are_stories() -> None:
    assert len(STORIES) >= 9


def test_telling_a_story_twice_changes_nothing() -> None:
    once = tell("$ nodes h1\n$ create web --replicas 2\n    nonsense that never happened\nProse.\n")
    assert "nonsense" not in once and "Prose." in once
    assert tell(once) == once
