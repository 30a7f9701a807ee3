# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions: each is pinned exactly, stands once, and the pins are the whole closure."""

from __future__ import annotations

import importlib.metadata
import pathlib
import re
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lint import house

RUNTIME = house.ROOT / "runtime/requirements.txt"
TOOLS = house.ROOT / "tests/requirements.txt"


def pins(path: pathlib.Path) -> list[Requirement]:
    """The requirements of a file, without comments and includes."""
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def versions(*paths: pathlib.Path) -> dict[str, str]:
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for path in paths for pin in pins(path)}


def test_every_requirement_is_pinned_exactly() -> None:
    loose = [
        str(pin)
        for path in (RUNTIME, TOOLS)
        for pin in pins(path)
        if not re.fullmatch(r"==[\w.+!]+", str(pin.specifier))
    ]
    assert not loose


def test_each_pin_stands_once() -> None:
    names = [canonicalize_name(pin.name) for path in (RUNTIME, TOOLS) for pin in pins(path)]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_messages_are_generated_by_the_tools_of_the_pinned_grpc() -> None:
    pinned = versions(RUNTIME, TOOLS)
    assert pinned["grpcio-tools"] == pinned["grpcio"]


def test_the_venv_holds_what_the_files_pin() -> None:
    pinned = versions(RUNTIME, TOOLS)
    assert {name: importlib.metadata.version(name) for name in pinned} == pinned


def test_the_runtimes_closure_is_pinned() -> None:
    pinned = versions(RUNTIME)
    for name in pinned:
        needs = [Requirement(line) for line in importlib.metadata.requires(name) or []]
        wanted = {
            canonicalize_name(need.name) for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})
        }
        assert wanted <= pinned.keys(), f"{name} brings along {sorted(wanted - pinned.keys())}"


def test_the_runtime_uses_no_library_beyond_its_pins() -> None:
    providers = importlib.metadata.packages_distributions()
    allowed = set(versions(RUNTIME))
    for path in house.python_files("runtime/src/queenright"):
        for name, line in house.imported(path):
            top = name.split(".")[0]
            if top in sys.stdlib_module_names or top == "queenright":
                continue
            owners = {canonicalize_name(owner) for owner in providers.get(top, [])}
            assert owners & allowed, (
                f"{house.at(path, line)} imports {name}, which runtime/requirements.txt does not pin"
            )
