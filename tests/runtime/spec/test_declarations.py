# SPDX-License-Identifier: Apache-2.0
"""What Ansible is told of the options: the argument_spec, the documentation, and that both tell the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from queenright.spec import fields
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec

RECORDS = [ServiceSpec, SwarmSpec, NodeSpec, NetworkSpec]
records = pytest.mark.parametrize("record", RECORDS)
TYPES = {"str", "int", "float", "bool", "list", "dict", "raw"}
_MACRO = re.compile(r"\b([A-Z])\(([^)]*)\)")


def walk(options: dict[str, Any], below: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(dotted name, declaration) of every option and suboption."""
    for name, item in options.items():
        yield name, item
        for sub, declared in walk(item.get(below, {}), below):
            yield f"{name}.{sub}", declared


def arguments(record: type) -> dict[str, dict[str, Any]]:
    return dict(walk(fields.argument_spec(record), "options"))


def documented(record: type) -> dict[str, dict[str, Any]]:
    return dict(walk(fields.documentation(record), "suboptions"))


@records
def test_documentation_and_arguments_agree_down_to_the_last_suboption(record: type) -> None:
    told, meant = documented(record), arguments(record)
    assert list(told) == list(meant), "in the same order"
    for name, item in meant.items():
        for what in ("type", "elements", "choices", "required", "default"):
            assert told[name].get(what) == item.get(what), f"{what} of {name}"
        assert ("suboptions" in told[name]) == ("options" in item), name


@records
def test_every_declaration_has_a_form_that_ansible_knows(record: type) -> None:
    known = {"type", "elements", "choices", "required", "options", "no_log"}
    for name, item in arguments(record).items():
        assert set(item) <= known, name
        assert item["type"] in TYPES, name
        assert (item["type"] == "list") == ("elements" in item), name
        assert item.get("elements", "str") in TYPES, name
        assert not ("options" in item and item["type"] == "list" and item["elements"] != "dict"), name
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name.rpartition(".")[2]), name


@records
def test_no_option_has_a_default_because_absent_means_leave_it(record: type) -> None:
    assert not [name for name, item in arguments(record).items() if "default" in item]
    needed = [name for name, item in arguments(record).items() if item.get("required") and "." not in name]
    assert needed == []
    result = ArgumentSpecValidator(fields.argument_spec(record)).validate({})
    assert result.error_messages == []
    assert set(result.validated_parameters.values()) == {None}


@records
def test_every_option_is_described_in_sentences(record: type) -> None:
    for name, item in documented(record).items():
        for line in item["description"]:
            assert line.endswith("."), name
            assert line == line.strip() and "  " not in line and "\n" not in line, name
        assert item["description"][0][0].isupper() or item["description"][0].startswith("V("), name


@records
def test_what_a_description_names_is_there(record: type) -> None:
    names = set(documented(record))
    for name, item in documented(record).items():
        for line in item["description"]:
            for macro, what in _MACRO.findall(line):
                assert macro in "VOM", f"{macro}() in {name}"
                if macro == "O":
                    assert what.replace("[]", "") in names, f"{name} speaks of {what}"
    assert any("O(replicas)" in line for line in documented(ServiceSpec)["mode"]["description"])


@records
def test_words_that_a_description_gives_are_choices(record: type) -> None:
    for name, item in documented(record).items():
        first = item["description"][0]
        if "choices" in item and first.startswith("V("):
            assert {what for macro, what in _MACRO.findall(first) if macro == "V"} == set(item["choices"]), name


@records
def test_a_default_that_is_documented_can_be_said(record: type) -> None:
    applies = re.compile(r"If it was never set, V\((?P<word>[^)]*)\) applies\.")
    found = 0
    for name, item in documented(record).items():
        for line in item["description"]:
            match = applies.fullmatch(line)
            if match is None:
                continue
            found += 1
            word: Any = match["word"]
            if item["type"] in ("int", "float", "bool"):
                word = {"true": True, "false": False}.get(word, word) if item["type"] == "bool" else float(word)
                word = int(word) if item["type"] == "int" else word
            options: Any = word
            for key in reversed(name.split(".")):
                options = {key: options}
            if "publish" in options or "mounts" in options:
                assert word in item["choices"], name
            else:
                fields.merge(record, None, options)
    assert found or record in (NodeSpec, NetworkSpec)


def test_a_value_that_was_never_set_is_documented_once_and_last() -> None:
    description = fields.documentation(ServiceSpec)["restart_policy"]["suboptions"]["delay"]["description"]
    assert description[-1] == "If it was never set, 5s applies."
    assert sum("never set" in line for line in description) == 1


def test_options_that_the_runtime_keeps_to_itself_are_not_offered() -> None:
    hidden = {
        "name",
        "runtime",
        "isolation",
        "force_rotate",
        "task_defaults",
        "task",
        "container",
        "dns_config",
    }
    for record in RECORDS:
        assert not hidden & set(fields.option_names(record))
        for name in hidden:
            with pytest.raises(fields.SpecError, match="there is no such option"):
                fields.merge(record, None, {name: "x"})


def test_options_of_records_within_stand_side_by_side() -> None:
    names = fields.option_names(ServiceSpec)
    assert len(names) == len(set(names)), "no two options share a name"
    assert {"image", "limits", "mode", "endpoint_mode", "dns", "placement"} <= set(names)
    assert set(names) == set(fields.argument_spec(ServiceSpec))


def test_options_of_several_modules_can_stand_in_one_play() -> None:
    """A variable such as ``labels`` means the same wherever it is taken."""
    specs = [fields.argument_spec(record) for record in RECORDS]
    for name in {name for spec in specs for name in spec}:
        first, *others = [spec[name] for spec in specs if name in spec]
        assert all(other == first for other in others), name
