# SPDX-License-Identifier: Apache-2.0
"""YAML that is written is read back as what it was."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from queenright.lib.yaml_text import Expression, dump


class Loader(yaml.SafeLoader):
    """Reads ``!unsafe`` as Ansible does, as text."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def read(text: str) -> Any:
    return yaml.load(text, Loader)


TEXT = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.text(alphabet=" \n\ta-:#{}%'\"\\|>&*!?@0,[]=~"),
    st.sampled_from(
        ["yes", "0x1f", "1e3", "12:30:45", "2026-01-01", "~", "<<", "=", "- a", "a: b", "a #b", "", ".5", "_"]
    ),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_is_written_is_read_back(value: Any) -> None:
    assert read(dump(value)) == value


def test_text_with_marks_of_templates_is_unsafe_and_an_expression_is_not() -> None:
    assert (
        dump({"a": "{{.Node.Hostname}}", "b": Expression("{{ b }}")})
        == 'a: !unsafe "{{.Node.Hostname}}"\nb: "{{ b }}"\n'
    )


def test_text_of_several_lines_stands_as_it_is() -> None:
    value = {"a": "one\n\ntwo: 2\n", "b": ["x\n{% y %}"]}
    assert dump(value) == "a: |\n  one\n\n  two: 2\nb:\n  - !unsafe |-\n    x\n    {% y %}\n"
    assert read(dump(value)) == value


@pytest.mark.parametrize("text", ["nginx:1.27", "node.role == worker", "/usr/bin/x", "web", "a b", "A=1"])
def test_common_texts_have_no_quotes(text: str) -> None:
    assert dump(text) == f"{text}\n"
