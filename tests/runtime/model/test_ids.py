# SPDX-License-Identifier: Apache-2.0
"""Identifiers: always 25 digits, and only those."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.model.ids import ID_BYTES, IdSource, base36, check_id, is_id, new_id


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES))
def test_every_id_is_an_id_and_ignores_the_top_bit_of_its_bytes(raw: bytes) -> None:
    made = new_id(raw)
    assert is_id(made)
    assert new_id(bytes([raw[0] | 0x80]) + raw[1:]) == made


def test_an_id_is_made_of_digits_two_to_twenty_six_of_the_number() -> None:
    raw = bytes(range(ID_BYTES))
    number = int.from_bytes(bytes([0x80]) + raw[1:], "big")
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    assert new_id(raw) == digits[1:26]


def test_different_bytes_give_different_ids() -> None:
    assert (
        len({new_id(number.to_bytes(16, "big").rjust(ID_BYTES, b"\x80")) for number in range(0, 36 * 500, 36)}) == 500
    )


@pytest.mark.parametrize("size", [0, 16, 18])
def test_another_number_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="17 random bytes"):
        new_id(bytes(size))


def test_a_source_asks_for_as_many_bytes_as_an_id_needs() -> None:
    asked: list[int] = []

    def dice(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    source = IdSource(dice)
    assert source() == new_id(bytes(ID_BYTES))
    assert source.bytes(16) == bytes(16)
    assert asked == [ID_BYTES, 16]


@pytest.mark.parametrize(
    "text",
    ["", "a" * 24, "a" * 26, "A" * 25, "a" * 24 + "-", "a" * 24 + "ä", "a" * 24 + "\n", "a" * 25 + "\n", "٣" * 25],
)
def test_what_is_no_id_is_named_in_the_error(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(ValueError, match="the node id"):
        check_id(text, "the node id")


def test_an_id_passes_the_check_unchanged() -> None:
    assert check_id("0" * 25) == "0" * 25


@given(st.integers(min_value=0, max_value=36**10 - 1))
def test_base36_reads_back(number: int) -> None:
    text = base36(number, 10)
    assert len(text) == 10
    assert int(text, 36) == number


def test_base36_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="room for 2"):
        base36(36**2, 2)
    with pytest.raises(ValueError, match="negative"):
        base36(-1, 2)
