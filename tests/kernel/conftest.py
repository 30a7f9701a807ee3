"""Each test has a folder of its own for the names of its namespaces."""

from __future__ import annotations

import os
import pathlib
import tempfile

import pytest

SOURCES = pathlib.Path(__file__).parents[2] / "runtime/src"


@pytest.fixture(autouse=True, scope="session")
def sources() -> None:
    """Programs that tests start in namespaces find the runtime as the tests themselves do."""
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(SOURCES), os.environ.get("PYTHONPATH"))))


@pytest.fixture
def folder() -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(prefix="qrk", dir="/run"))
