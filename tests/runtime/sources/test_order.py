# SPDX-License-Identifier: Apache-2.0
"""Waves of services that await each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.model.stack import Dependency
from queenright.sources.draft import DraftService, SourceError
from queenright.sources.order import waves
from queenright.spec.service import ServiceSpec

KEYS = "abcdefg"


def services(**after: str) -> list[DraftService]:
    return [
        DraftService(key, ServiceSpec(), tuple(Dependency(key=other) for other in others))
        for key, others in after.items()
    ]


def test_a_service_comes_after_all_that_it_awaits() -> None:
    assert waves(services(web="ad", api="d", a="", d="", batch="api web".split())) == (  # type: ignore[arg-type]
        ("a", "d"),
        ("web", "api"),
        ("batch",),
    )
    assert waves([]) == ()


def test_a_service_that_is_not_there_cannot_be_awaited() -> None:
    with pytest.raises(SourceError, match=r"services\.a\.depends_on: there is no service b"):
        waves(services(a="b"))


def test_a_circle_is_told_as_one() -> None:
    with pytest.raises(SourceError, match=r"services\.b\.depends_on: b -> c -> b is a circle"):
        waves(services(a="b", b="c", c="b", d=""))
    with pytest.raises(SourceError, match="a -> a is a circle"):
        waves(services(a="a"))


@given(st.dictionaries(st.sampled_from(KEYS), st.sets(st.sampled_from(KEYS))))
def test_the_order_is_right_or_refused(after: dict[str, set[str]]) -> None:
    try:
        found = waves(services(**{key: "".join(sorted(others)) for key, others in after.items()}))
    except SourceError:
        return
    place = {key: number for number, wave in enumerate(found) for key in wave}
    assert sorted(place) == sorted(after)
    assert all(place[other] < place[key] for key, others in after.items() for other in others)
