# SPDX-License-Identifier: Apache-2.0
"""Which prefixes share an address."""

from __future__ import annotations

import pytest

from queenright.lib.prefixes import overlap, prefix


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("10.0.1.0/24", "10.0.1.128/25", True),
        ("10.0.0.0/8", "10.0.1.0/24", True),
        ("10.0.1.0/24", "10.0.2.0/24", False),
        ("10.0.1.7/24", "10.0.1.0/32", True),
        ("fd00::/48", "fd00:0:0:1::/64", True),
        ("fd00::/64", "fd00:0:0:1::/64", False),
        ("0.0.0.0/0", "::/0", False),
    ],
)
def test_prefixes_overlap_if_an_address_is_in_both(one: str, other: str, shared: bool) -> None:
    assert overlap(one, other) is overlap(other, one) is shared


def test_what_is_no_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        prefix("nonsense")
