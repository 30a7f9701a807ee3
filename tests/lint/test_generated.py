# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated messages are what the proto files say, and the field numbers are what they were."""

from __future__ import annotations

import proto
from lint import house


def test_generated_messages_are_fresh() -> None:
    assert proto.stale() == [], "run scripts/proto"


def test_every_proto_file_lives_in_the_package_that_is_generated() -> None:
    assert sorted(proto.SOURCES.glob("*.proto")), "no proto files found"
    for name in proto.generate():
        assert (house.GENERATED / name).exists()
