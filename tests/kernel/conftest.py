"""Each test has a folder of its own for the names of its namespaces."""

from __future__ import annotations

import pathlib
import tempfile

import pytest


@pytest.fixture
def folder() -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(prefix="qrk", dir="/run"))
