# SPDX-License-Identifier: Apache-2.0
"""What agents say of their machines is cleaned and bounded, and left alone where it is sound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.manager import description as room
from queenright.manager.description import cleaned, cleaned_address
from queenright.model.objects import GenericResource, NodeDescription

SOUND = NodeDescription(
    hostname="node-1.example",
    architecture="x86_64",
    os="linux",
    nano_cpus=64 * 10**9,
    memory_bytes=1 << 40,
    engine_version="20.10.24",
    engine_labels={"storage": "ssd", "übung": "ja"},
    plugins=("Network/overlay", "Volume/local"),
    trust_root="-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    issuer_subject="c3ViamVjdA==",
    issuer_public_key="a2V5",
    runtime_version="0.2.0",
    generic_resources=(GenericResource("ssd", 3), GenericResource("gpu", name="uuid1")),
)


def test_a_sound_description_is_left_as_it_is() -> None:
    assert cleaned(SOUND) == SOUND


def test_texts_are_one_line_without_what_terminals_act_on() -> None:
    said = NodeDescription(hostname="a\r\n\x1b]0;x\x07b", plugins=("Volume/\u202elocal",), engine_labels={"k\n": "v\0"})
    kept = cleaned(said)
    assert (kept.hostname, kept.plugins, kept.engine_labels) == ("a]0;xb", ("Volume/local",), {"k": "v"})


@given(
    st.builds(
        NodeDescription,
        hostname=st.text(max_size=400),
        nano_cpus=st.integers(-(1 << 63), (1 << 63) - 1),
        memory_bytes=st.integers(-(1 << 63), (1 << 63) - 1),
        engine_labels=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=400),
        plugins=st.lists(st.text(max_size=9), max_size=400).map(tuple),
        trust_root=st.text(max_size=9),
        generic_resources=st.lists(
            st.builds(GenericResource, st.text(max_size=9), st.integers(-5, 1 << 62), st.text(max_size=9)), max_size=400
        ).map(tuple),
    )
)
def test_every_part_is_within_its_bounds_and_cleaning_again_changes_nothing(said: NodeDescription) -> None:
    kept = cleaned(said)
    assert len(kept.hostname) <= room.MOST_NAME
    assert kept.hostname == "" or kept.hostname.isprintable()
    assert 0 <= kept.nano_cpus <= room.MOST_CPUS * 10**9
    assert 0 <= kept.memory_bytes <= room.MOST_MEMORY
    assert len(kept.engine_labels) <= room.MOST_ITEMS
    assert len(kept.plugins) <= room.MOST_ITEMS
    assert len(kept.generic_resources) <= room.MOST_ITEMS
    assert all(one.kind and bool(one.name) != bool(one.value) for one in kept.generic_resources)
    assert cleaned(kept) == kept


@pytest.mark.parametrize("said", ["", "10.0.0.1", "fe80::1%eth0", "node-1.example"])
def test_an_address_is_left_as_it_is(said: str) -> None:
    assert cleaned_address(said) == said


@pytest.mark.parametrize("said", ["a b", "a\n", "x" * 300, "\x1b[m"])
def test_what_can_be_no_address_is_none(said: str) -> None:
    assert cleaned_address(said) == ""
