# SPDX-License-Identifier: Apache-2.0
"""Stacks are written down without repeating what did not change from one revision to the next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from laws.builders import spec

from queenright.model.stack import Dependency, Revision, Stack, StackService, packed, unpacked

services = st.builds(
    lambda key, image, after: StackService(key=key, spec=spec(f"shop_{key}", image=image), after=after),
    st.sampled_from("abc"),
    st.sampled_from(["i:1", "i:2"]),
    st.sampled_from([(), (Dependency(key="c"),)]),
)
revisions = st.lists(services, unique_by=lambda one: one.key).map(
    lambda parts: Revision(number=1, services=tuple(parts))
)
stacks = st.builds(
    lambda revision, history: Stack(id="k", revision=revision, history=tuple(history)),
    revisions,
    st.lists(revisions, max_size=4),
)


@given(stacks)
def test_what_was_packed_is_unpacked_as_it_was(stack: Stack) -> None:
    assert unpacked(packed(stack)) == stack
    assert unpacked(stack) == stack


def test_a_service_that_did_not_change_is_there_once() -> None:
    web, other = (StackService(key="web", spec=spec("shop_web", image=image)) for image in ("i:1", "i:2"))
    same, changed = Revision(number=1, services=(web,)), Revision(number=2, services=(other,))
    stack = Stack(id="k", revision=same, history=(same, same, changed, same))
    short = packed(stack)
    assert [one.services[0].spec.name for one in short.history] == [None, None, "shop_web", "shop_web"]
    assert short.revision == same
    whole = unpacked(short)
    assert whole == stack
    assert whole.history[1].services[0] is whole.revision.services[0]


def test_a_stack_without_a_history_is_as_it_is() -> None:
    stack = Stack(id="k", revision=Revision(number=1))
    assert packed(stack) is stack and unpacked(stack) is stack
