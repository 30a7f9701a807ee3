# SPDX-License-Identifier: Apache-2.0
"""Times, sizes, CPUs, maps and lists as people write them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.spec import codecs
from queenright.spec.fields import Codec, SpecError
from queenright.spec.service import GenericResource

CENTURY = 100 * 365 * 86400 * 10**9


def taken(codec: Codec, value: Any) -> Any:
    """A playbook's value as the record holds it."""
    return codec.from_option(value, "here", None)


@given(st.integers(min_value=0, max_value=CENTURY))
def test_a_duration_is_written_so_that_it_reads_back_to_the_nanosecond(nanoseconds: int) -> None:
    assert codecs.duration(codecs.duration_text(nanoseconds)) == nanoseconds


@given(st.integers(min_value=0, max_value=1 << 62))
def test_a_size_is_written_so_that_it_reads_back_to_the_byte(count: int) -> None:
    assert codecs.size(codecs.size_text(count)) == count


@given(st.integers(min_value=0, max_value=10**13))
def test_cpus_are_shown_so_that_they_read_back_to_the_billionth(nano: int) -> None:
    assert taken(codecs.CPUS, codecs.CPUS.to_option(nano)) == nano


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1us500ns"),
        (10**9, "1s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h"),
        (2160 * 3600 * 10**9, "2160h"),
        (3_661_001_000_000, "1h1m1s1ms"),
    ],
)
def test_durations_are_shown_shortly(nanoseconds: int, text: str) -> None:
    assert codecs.duration_text(nanoseconds) == text


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("0.5s", 5 * 10**8),
        (" 10s ", 10**10),
        ("1d12h", 36 * 3600 * 10**9),
        ("2h45m30s500ms", 9930 * 10**9 + 5 * 10**8),
        ("1us", 1000),
        ("1.5", 15 * 10**8),
        (0.29, 29 * 10**7),
        (1.1, 11 * 10**8),
        ("0.29", 29 * 10**7),
        ("0.1ns", 0),
        ("36500d1ns", 36500 * 86400 * 10**9 + 1),
    ],
)
def test_durations_are_what_they_say(text: Any, nanoseconds: int) -> None:
    assert codecs.duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", " ", "s", "10 s", "1m 30s", "10sec", "1w", "1H", "-1s", "1.s", ".5s", "1e3", "1h30", "10s!", "٣s"]
)
def test_what_is_no_duration_is_quoted_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text.strip()) + " is no duration: write it as 10s, 1m30s")):
        codecs.duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("1", 1),
        ("1b", 1),
        ("10k", 10 << 10),
        ("10 kb", 10 << 10),
        ("10KiB", 10 << 10),
        ("1.5m", 3 << 19),
        ("0.5g", 1 << 29),
        ("2T", 2 << 40),
        (" 7M ", 7 << 20),
        ("9007199254740993", 9007199254740993),
        ("0.1K", 102),
    ],
)
def test_sizes_are_what_they_say(text: str, count: int) -> None:
    assert codecs.size(text) == count


@pytest.mark.parametrize("text", ["", "M", "-1M", "1,5G", "10 M B", "1P", "64Mi B", "1e6", "0x10", "10KBB"])
def test_what_is_no_size_is_quoted_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is no size: write it as 64M")):
        codecs.size(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (1, "1"), (1023, "1023"), (1024, "1K"), (1536, "1536"), (3 << 29, "1536M"), (1 << 40, "1T")],
)
def test_sizes_are_shown_in_the_largest_unit_that_is_exact(count: int, text: str) -> None:
    assert codecs.size_text(count) == text


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        (codecs.DURATION, True),
        (codecs.DURATION, ["1s"]),
        (codecs.DURATION, float("inf")),
        (codecs.DURATION, float("nan")),
        (codecs.SIZE, True),
        (codecs.SIZE, 1.5),
        (codecs.CPUS, "many"),
        (codecs.CPUS, []),
        (codecs.CPUS, float("inf")),
        (codecs.CPUS, float("nan")),
    ],
)
def test_a_quantity_that_is_none_is_an_error_at_its_option(codec: Codec, value: Any) -> None:
    with pytest.raises(SpecError) as refused:
        taken(codec, value)
    assert refused.value.path == "here"


@pytest.mark.parametrize(
    ("said", "nano"), [(1, 10**9), (0.5, 5 * 10**8), ("0.25", 25 * 10**7), (0.1, 10**8), (0.29, 29 * 10**7)]
)
def test_cpus_are_counted_in_billionths(said: Any, nano: int) -> None:
    assert taken(codecs.CPUS, said) == nano


def test_an_environment_is_a_map_in_any_order_or_a_list_in_its_own() -> None:
    assert taken(codecs.ENV, {"B": 1, "A": "x=y", "C": True}) == ("A=x=y", "B=1", "C=true")
    assert taken(codecs.ENV, ["B=1", "A=2", "B=3"]) == ("B=1", "A=2", "B=3")
    assert taken(codecs.ENV, {}) == taken(codecs.ENV, []) == ()


@pytest.mark.parametrize("value", [{"A": {"b": 1}}, {"A": ["b"]}, ["A=1", 2], "A=1", 5, None])
def test_an_environment_of_something_else_is_refused(value: Any) -> None:
    with pytest.raises(SpecError):
        taken(codecs.ENV, value)


def test_labels_of_numbers_and_truths_are_texts_as_in_yaml() -> None:
    assert taken(codecs.LABELS, {"n": 1, "f": 1.5, "t": True, "o": False, "z": None, 5: "five"}) == {
        "n": "1",
        "f": "1.5",
        "t": "true",
        "o": "false",
        "z": "",
        "5": "five",
    }


def test_the_engines_own_labels_are_texts_already() -> None:
    for body in ({"n": 1}, {"t": True}, {"z": None}, {"m": {}}):
        with pytest.raises(SpecError, match="Labels: expected a string"):
            codecs.LABELS.from_api(body, "Labels", None)


def test_an_empty_value_is_never_shared_between_records() -> None:
    first, second = codecs.LABELS.absent(), codecs.LABELS.absent()
    first["a"] = "b"
    assert second == {}


@given(st.lists(st.text(), max_size=5).map(tuple))
def test_lists_of_texts_go_to_the_engine_and_back_as_they_are(texts: tuple[str, ...]) -> None:
    for codec in (codecs.STR_LIST, codecs.ARGV, codecs.ENV):
        shown = codec.to_api(texts)
        assert isinstance(shown, list)
        assert codec.from_api(shown, "", None) == texts
        assert taken(codec, codec.to_option(texts)) == texts


@pytest.mark.parametrize(("said", "held"), [("-1", -1), (-1, -1), ("64M", 64 << 20), (0, 0), ("0", 0)])
def test_swap_is_a_size_or_no_limit(said: Any, held: int) -> None:
    assert taken(codecs.SWAP, said) == held
    assert taken(codecs.SWAP, codecs.SWAP.to_option(held)) == held


@pytest.mark.parametrize(
    ("said", "held"), [("0440", 0o440), ("440", 0o440), ("0o440", 0o440), (0o440, 0o440), (288, 0o440), ("0", 0)]
)
def test_permissions_are_octal_digits_as_text_or_a_number(said: Any, held: int) -> None:
    assert taken(codecs.PERMISSIONS, said) == held


@pytest.mark.parametrize("said", ["0999", "rw-r--r--", "", "77777", "-1", 1.5, True, ["0440"]])
def test_what_are_no_permissions_is_refused(said: Any) -> None:
    with pytest.raises(SpecError, match=r"permissions|expected an integer"):
        taken(codecs.PERMISSIONS, said)


def test_options_of_a_mount_are_pairs_in_the_engine_and_texts_in_a_playbook() -> None:
    api = [["noexec"], ["uid", "7"], ["x", "a=b"]]
    held = codecs.FLAGS.from_api(api, "here", None)
    assert held == taken(codecs.FLAGS, ["noexec", "uid=7", "x=a=b"])
    assert codecs.FLAGS.to_api(held) == api
    for wrong in ([[]], [["a", "b", "c"]], [[""]], ["noexec"], [[5]], "noexec"):
        with pytest.raises(SpecError):
            codecs.FLAGS.from_api(wrong, "here", None)


def test_an_empty_object_says_something_by_being_there() -> None:
    assert codecs.PRESENCE.from_api({}, "here", None) is True
    assert codecs.PRESENCE.to_api(True) == {}
    with pytest.raises(SpecError, match="expected an object"):
        codecs.PRESENCE.from_api(True, "here", None)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "expected DiscreteResourceSpec or NamedResourceSpec"),
        ({"DiscreteResourceSpec": 5}, "expected an object, got int"),
        ({"DiscreteResourceSpec": {"Value": 5}}, "must name its kind"),
        ({"DiscreteResourceSpec": {"Kind": "gpu", "Value": "5"}}, "'5' is no value"),
        ({"DiscreteResourceSpec": {"Kind": "gpu", "Value": True}}, "True is no value"),
        ({"NamedResourceSpec": {"Kind": "gpu", "Value": 5}}, "5 is no value"),
    ],
)
def test_a_generic_resource_that_is_none_is_refused(body: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        GenericResource.from_api(body, "here", None)


def test_a_generic_resource_is_a_number_or_a_name() -> None:
    for body, held in (
        ({"discreteresourcespec": {"kind": "gpu", "value": 2}}, GenericResource("gpu", 2)),
        ({"NamedResourceSpec": {"Kind": "gpu", "Value": "uuid1"}}, GenericResource("gpu", name="uuid1")),
    ):
        assert GenericResource.from_api(body, "here", None) == held
        assert GenericResource.from_api(held.to_api(), "here", None) == held
