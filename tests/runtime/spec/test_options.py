# SPDX-License-Identifier: Apache-2.0
"""Every option: where it lands, how it comes back, how it is cleared, and what is said of a wrong value."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from runtime.spec.options import CHOICES, EXAMPLES, FREE, SHOWN, SINCE, Example, mentioned, put

from queenright.spec import fields
from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.fields import SpecError
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec

each_option = pytest.mark.parametrize("example", EXAMPLES, ids=str)
records = pytest.mark.parametrize("record", [ServiceSpec, SwarmSpec, NodeSpec, NetworkSpec])


def bare(record: type) -> Any:
    """An object of which nothing was said (a service but for its image)."""
    return fields.merge(record, None, {"image": "before"} if record is ServiceSpec else {})


def said(example: Example) -> Any:
    return fields.merge(example.record, bare(example.record), example.options)


def declared(arguments: dict[str, Any], path: str = "") -> Iterator[str]:
    """Dotted names of all options and suboptions that have none below them."""
    for name, item in arguments.items():
        where = f"{path}.{name}" if path else name
        if "options" in item:
            yield from declared(item["options"], where)
        else:
            yield where


def argument(record: type, option: str) -> dict[str, Any]:
    """The argument_spec of one option, by its dotted name."""
    level: dict[str, Any] = {"options": fields.argument_spec(record)}
    for name in option.split("."):
        level = level["options"][name]
    return level


@records
def test_there_is_an_example_of_every_option_and_no_other_option(record: type) -> None:
    shown = {name for each in EXAMPLES if each.record is record for name in mentioned(each.said, each.option)}
    if record is ServiceSpec:
        shown |= {"mode", "max_concurrent", "total_completions"}  # see test_modes
    assert set(declared(fields.argument_spec(record))) == shown


@records
def test_what_was_never_said_is_shown_as_docker_shows_it(record: type) -> None:
    assert fields.encode(bare(record)) == SHOWN[record]
    assert fields.decode(record, SHOWN[record]) == bare(record)


@each_option
def test_an_option_changes_its_place_in_the_engines_json_and_no_other(example: Example) -> None:
    shown = put(SHOWN[example.record], example.path, example.value)
    for config in ("UpdateConfig", "RollbackConfig"):
        if config in shown:  # Go's clients read a number that is missing as zero, and would send that back
            shown[config].setdefault("Parallelism", 1)
    assert fields.encode(said(example)) == shown


@each_option
def test_a_client_of_the_engine_api_says_the_same(example: Example) -> None:
    assert fields.decode(example.record, put(SHOWN[example.record], example.path, example.value)) == said(example)


@each_option
def test_an_object_tells_the_option_that_would_make_it(example: Example) -> None:
    options = fields.options_of(said(example))
    assert fields.merge(example.record, None, options) == said(example)
    plain = {"image": "before"} if example.record is ServiceSpec and example.option != "image" else {}
    one = example.option.partition(".")[0]
    assert set(options) - {"mode", "replicas"} == {one, *plain} - {"replicas"}


@each_option
def test_saying_an_option_again_changes_nothing(example: Example) -> None:
    assert fields.merge(example.record, said(example), example.options) == said(example)


@each_option
def test_null_takes_an_option_back(example: Example) -> None:
    cleared = fields.merge(example.record, said(example), put({}, example.option, None))
    if example.option == "image":
        assert cleared.task.container.image is None
    else:
        assert cleared == bare(example.record)


@each_option
def test_null_in_the_engines_json_is_as_good_as_nothing(example: Example) -> None:
    body = put(SHOWN[example.record], example.path, None)
    expected = fields.merge(ServiceSpec, None, {}) if example.option == "image" else bare(example.record)
    assert fields.decode(example.record, body) == expected


@each_option
def test_the_engines_keys_count_whatever_their_case(example: Example) -> None:
    assert fields.decode(example.record, _swapped(example.body, example.value)) == fields.decode(
        example.record, example.body
    )


def _swapped(body: dict[str, Any], leave: Any) -> dict[str, Any]:
    """The same object with the case of its keys turned round; a user's own map is left."""
    return {
        key.swapcase(): _swapped(item, leave) if isinstance(item, dict) and item != leave else item
        for key, item in body.items()
    }


WRONG: dict[type, tuple[Any, ...]] = {
    str: (5, True, ["x"], {"x": "y"}),
    int: ("5", 1.5, True, False, [5]),
    float: ("0.5", False, [0.5]),
    bool: ("yes", 1, 0, [True]),
    list: ("one", 5, {"x": "y"}),
    dict: ("one", 5, ["x"]),
}
"""Values that JSON has for none of a type's own."""


@each_option
def test_a_value_of_the_wrong_type_is_refused_by_the_name_of_its_key(example: Example) -> None:
    for wrong in WRONG[type(example.value)]:
        with pytest.raises(SpecError, match="expected") as refused:
            fields.decode(example.record, put(SHOWN[example.record], example.path, wrong))
        assert refused.value.path == example.path, wrong
        assert str(refused.value).startswith(f"{example.path}: ")


@each_option
def test_something_else_than_an_object_on_the_way_is_refused_where_it_stands(example: Example) -> None:
    *way, _ = example.path.split(".")
    for length in range(1, len(way) + 1):
        above = ".".join(way[:length])
        for wrong in ("text", 5, ["list"]):
            with pytest.raises(SpecError) as refused:
                fields.decode(example.record, put({}, above, wrong))
            assert refused.value.path == above


SENSELESS: dict[str, tuple[Any, ...]] = {
    "str": (["x"], {"x": 1}, 2.5j),
    "int": ("5", True, [5]),
    "float": ("much", None, [1]),
    "bool": ("yes", 1),
    "dict": ("one", 5, ["x"]),
    "list": ("one", 5, {"x": 1}),
    "raw": ("A=1", 5, [5]),
}
"""Values that no option of a type takes. (Ansible turns "5" into 5 before, where it may.)"""


@each_option
def test_a_senseless_value_is_refused_by_the_name_of_its_option(example: Example) -> None:
    for wrong in SENSELESS[argument(example.record, example.option)["type"]]:
        if wrong is not None:
            with pytest.raises(SpecError) as refused:
                fields.merge(example.record, None, put({}, example.option, wrong))
            assert refused.value.path == example.option, wrong


@each_option
def test_an_option_that_does_not_exist_is_refused_with_those_that_do(example: Example) -> None:
    misspelt = example.option + "z"
    with pytest.raises(SpecError, match="there is no such option; known are ") as refused:
        fields.merge(example.record, None, put({}, misspelt, example.said))
    assert refused.value.path == misspelt
    assert example.option.rpartition(".")[2] in refused.value.reason.partition("known are ")[2].split(", ")


@pytest.mark.parametrize("option", CHOICES)
def test_an_option_of_words_takes_each_of_them_and_no_other(option: str) -> None:
    example = next(each for each in EXAMPLES if each.option == option)
    words = CHOICES[option]
    for word in words:
        decoded = fields.decode(example.record, put(SHOWN[example.record], example.path, word))
        assert decoded == fields.merge(example.record, bare(example.record), put({}, option, word))
    unsaid = fields.decode(example.record, put(SHOWN[example.record], example.path, ""))
    assert unsaid == bare(example.record), "Go's clients say so of a choice that was not made"
    for wrong in (words[0].upper(), f" {words[0]}", "sideways"):
        for error_path, attempt in (
            (example.path, lambda wrong=wrong: fields.decode(example.record, put({}, example.path, wrong))),
            (option, lambda wrong=wrong: fields.merge(example.record, None, put({}, option, wrong))),
        ):
            with pytest.raises(SpecError, match=f"{wrong!r} is none of {', '.join(words)}") as refused:
                attempt()
            assert refused.value.path == error_path


@records
def test_no_other_option_is_one_of_words(record: type) -> None:
    with_choices = {name for name in declared(fields.argument_spec(record)) if argument(record, name).get("choices")}
    of_items = {"mode", "publish.protocol", "publish.mode", "mounts.type", "mounts.bind.propagation"}
    of_items.add("mounts.bind.relabel")
    known = {each.option for each in EXAMPLES if each.record is record and each.option in CHOICES}
    assert with_choices == known | (of_items if record is ServiceSpec else set())


@pytest.mark.parametrize("option", SINCE)
def test_what_an_older_client_cannot_mean_is_dropped(option: str) -> None:
    example = next(each for each in EXAMPLES if each.option == option)
    body = put(SHOWN[ServiceSpec], example.path, example.value)
    major, minor = SINCE[option]
    assert fields.decode(ServiceSpec, body, version=(major, minor - 1)) == bare(ServiceSpec)
    assert fields.decode(ServiceSpec, body, version=(major, minor)) == said(example)


def test_all_else_was_there_in_the_oldest_version_that_is_served() -> None:
    for example in EXAMPLES:
        if example.option not in SINCE and example.option != "mounts":
            body = put(SHOWN[example.record], example.path, example.value)
            assert fields.decode(example.record, body, version=(1, 24)) == said(example), example.option


@records
def test_ansible_takes_what_the_examples_say(record: type) -> None:
    validator = ArgumentSpecValidator(fields.argument_spec(record))
    for example in EXAMPLES:
        if example.record is record:
            result = validator.validate(copy.deepcopy(example.options))
            assert result.error_messages == [], example.option
            given = _present(result.validated_parameters)
            assert fields.merge(record, bare(record), given) == said(example), example.option


def _present(parameters: dict[str, Any]) -> dict[str, Any]:
    """Without the nulls that Ansible adds for what was not said."""
    out = {}
    for key, item in parameters.items():
        if isinstance(item, dict) and key not in FREE:
            item = _present(item)
        elif isinstance(item, list):
            item = [_present(one) if isinstance(one, dict) else one for one in item]
        if item is not None:
            out[key] = item
    return out


@records
def test_ansible_refuses_a_word_that_is_no_choice(record: type) -> None:
    validator = ArgumentSpecValidator(fields.argument_spec(record))
    for example in EXAMPLES:
        if example.record is record and example.option in CHOICES:
            (message,) = validator.validate(put({}, example.option, "sideways")).error_messages
            assert "value of" in message and ", ".join(CHOICES[example.option]) in message


REQUIRED = {
    "publish": ("target_port", {"published_port": 8080}),
    "mounts": ("target", {"source": "vol"}),
    "networks": ("name", {"aliases": ["db"]}),
    "placement.preferences": ("spread", {}),
    "ulimits": ("name", {"soft": 1, "hard": 2}),
    "secrets": ("secret_name", {"secret_id": "s1"}),
    "configs": ("config_name", {"config_id": "c1"}),
    "reservations.generic_resources": ("kind", {"value": 1}),
}


@pytest.mark.parametrize("option", REQUIRED)
def test_an_item_of_a_list_without_what_it_needs_is_refused_by_its_number(option: str) -> None:
    missing, item = REQUIRED[option]
    example = next(each for each in EXAMPLES if each.option == option)
    whole = example.said[0]
    with pytest.raises(SpecError, match="is required") as refused:
        fields.merge(ServiceSpec, None, put({}, option, [whole, item]))
    assert refused.value.path == f"{option}[1].{missing}"
    (message,) = (
        ArgumentSpecValidator(fields.argument_spec(ServiceSpec)).validate(put({}, option, [whole, item])).error_messages
    )
    assert "missing required arguments" in message and missing in message


def test_nothing_else_is_required() -> None:
    def required(arguments: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, item in arguments.items():
            where = f"{path}.{name}" if path else name
            if item.get("required"):
                yield where
            yield from required(item.get("options", {}), where)

    expected = {f"{option}.{missing}" for option, (missing, _) in REQUIRED.items()}
    expected |= {"ulimits.soft", "ulimits.hard", "reservations.generic_resources.value"}
    assert set(required(fields.argument_spec(ServiceSpec))) == expected
    assert set(required(fields.argument_spec(SwarmSpec))) == set(required(fields.argument_spec(NodeSpec))) == set()


@pytest.mark.parametrize(
    ("record", "body", "path", "says"),
    [
        (ServiceSpec, {"TaskTemplate": {"PluginSpec": {"Name": "x"}}}, "TaskTemplate.PluginSpec", "plugin services"),
        (
            ServiceSpec,
            {"TaskTemplate": {"networkattachmentspec": {"ContainerID": "x"}}},
            "TaskTemplate.NetworkAttachmentSpec",
            "attachment",
        ),
        (
            ServiceSpec,
            {"TaskTemplate": {"ContainerSpec": {"Privileges": {"CredentialSpec": {"File": "x"}}}}},
            "TaskTemplate.ContainerSpec.Privileges.CredentialSpec",
            "Windows",
        ),
        (SwarmSpec, {"TaskDefaults": {"LogDriver": {"Name": "x"}}}, "TaskDefaults", "defaults of tasks"),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_reason_and_never_dropped(
    record: type, body: dict[str, Any], path: str, says: str
) -> None:
    with pytest.raises(SpecError, match=says) as refused:
        fields.decode(record, body)
    assert refused.value.path == path
    for nothing in (None, {}):
        assert fields.decode(record, put({}, path, nothing)) == fields.decode(record, {})


def test_authorities_outside_are_read_and_shown_as_docker_does() -> None:
    body = {"Protocol": "cfssl", "URL": "https://ca:8888/api/v1/cfssl/sign", "Options": {"a": "b"}, "CACert": "PEM"}
    spec = fields.decode(SwarmSpec, {"CAConfig": {"ExternalCAs": [body], "SigningCACert": "PEM2"}})
    assert fields.encode(spec)["CAConfig"] == {"ExternalCAs": [body], "SigningCACert": "PEM2"}
    with pytest.raises(SpecError, match="none of cfssl") as refused:
        fields.decode(SwarmSpec, {"CAConfig": {"ExternalCAs": [body | {"Protocol": "scep"}]}})
    assert refused.value.path == "CAConfig.ExternalCAs[0].Protocol"


def test_the_key_of_a_root_is_never_held_by_a_specification() -> None:
    spec = fields.decode(SwarmSpec, {"CAConfig": {"SigningCACert": "PEM", "SigningCAKey": "hush-hush"}})
    assert "hush-hush" not in f"{spec!r}{fields.encode(spec)}"
