# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in a Compose file where something else belongs: it is taken, or refused in words, by its path."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.sources.compose.cases import FILES, VALID, parsed
from runtime.sources.compose.cases_over import LAID

from queenright.sources import compose
from queenright.sources.compose import values
from queenright.sources.draft import SourceError
from queenright.spec.fields import encode

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 1e300, 10**30, 65536, "", " ", "x", "0", "-", ":", "::", "/", "$", "${", "${A:?}"),
    *(
        "a=b",
        "=",
        "=x",
        "\x00",
        "\ud800",
        "1h-",
        "9" * 400,
        "1/0",
        "1e99",
        "é",
        "./x",
        "~",
        "{{.Node.Hostname}}",
        "80:80:80:80",
    ),
    *([], {}, [None], [[]], [{}], {"": ""}, {"x": None}, {"x-y": []}, {"a": {"b": {}}}, [1, 1], ["a", "a"], [True]),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*at, key))


def put(value: Any, at: tuple[Any, ...], odd: Any) -> None:
    for key in at[:-1]:
        value = value[key]
    value[at[-1]] = odd


@pytest.mark.parametrize("name", [*VALID, *LAID])
def test_odd_values_are_taken_or_refused(name: str) -> None:
    dice = random.Random(name)
    documents, variables = parsed({**VALID, **LAID}[name])
    for at in places(documents):
        if len(at) < 2:
            continue
        for odd in dice.sample(ODD, 12):
            changed = copy.deepcopy(documents)
            put(changed, at, copy.deepcopy(odd))
            try:
                draft = compose.read("shop", changed, variables=variables, files=FILES)
            except SourceError as error:
                assert error.reason
                continue
            for one in draft.services:
                json.dumps(encode(one.spec)).encode()


@given(st.text())
def test_command_lines_are_split_or_refused(text: str) -> None:
    try:
        words = values.split(text, "p")
    except SourceError:
        return
    assert all(isinstance(word, str) for word in words)


@given(st.lists(st.text(st.characters(exclude_characters="'", exclude_categories=["Cs"]))))
def test_quoted_words_are_what_they_were(words: list[str]) -> None:
    assert values.split(" ".join(f"'{word}'" for word in words), "p") == words


@given(st.integers(0, 10**16))
def test_durations_and_sizes_are_exact(number: int) -> None:
    assert values.duration(f"{number}ns", "p") == number
    assert values.size(f"{number}b", "p") == values.size(str(number), "p") == number
    assert values.duration(f"{number // 10**9}.{number % 10**9:09}s", "p") == number
