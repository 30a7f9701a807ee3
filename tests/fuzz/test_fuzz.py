# SPDX-License-Identifier: Apache-2.0
"""No parser breaks on what others may send: some hundred damaged inputs each; and the fuzzer finds what is there."""

from __future__ import annotations

import pathlib
import random

import pytest

from .fuzzer import Crash, Result, Target, execute, fuzz, mutated
from .parsers import targets

EXECUTIONS = 300
FOUND = pathlib.Path(__file__).with_name("found")
TARGETS = {target.name: target for target in targets()}


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks_a_parser(name: str) -> None:
    result = fuzz(TARGETS[name], seed=6, executions=EXECUTIONS)
    assert result.crashes == []
    assert result.executions == EXECUTIONS
    assert result.taken >= len(TARGETS[name].seeds)  # the valid ones at least: what refuses all tests nothing


@pytest.mark.parametrize("path", sorted(FOUND.glob("*")), ids=lambda path: path.name)
def test_what_broke_one_once_does_so_no_more(path: pathlib.Path) -> None:
    """Files are named after their target, with a number: ``chunks.1``."""
    result = Result()
    execute(TARGETS[path.name.rpartition(".")[0].replace("_", " ")], path.read_bytes(), result)
    assert result.crashes == []


def fragile(data: bytes) -> object:
    if b"\x00" in data:
        raise KeyError("found")
    if not data.startswith(b"valid"):
        raise ValueError
    return data


def test_the_fuzzer_finds_a_fault_finds_it_again_and_says_by_what() -> None:
    target = Target("fragile", (b"valid input",), fragile, (ValueError,))
    first, again = fuzz(target, 1, 2000), fuzz(target, 1, 2000)
    assert first.crashes and first.crashes == again.crashes
    assert all(b"\x00" in crash.data for crash in first.crashes)
    assert first.crashes[0] == Crash("fragile", first.crashes[0].data, "KeyError: 'found'")
    assert 0 < first.taken < first.executions == 2000
    assert fuzz(target, 2, 10, until=0.0).executions == 1  # the seed, always


def test_inputs_differ_and_stay_small() -> None:
    dice = random.Random(3)
    made = {mutated(dice, (b"x" * 100, b"y" * 19_990)) for _ in range(500)}
    assert len(made) > 400
    assert max(map(len, made)) <= 20_000
