# SPDX-License-Identifier: Apache-2.0
"""Who a certificate says that its holder is."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from queenright.model.identity import CA_SERVER_NAME, ROLE_OF_UNIT, UNIT_OF_ROLE, Identity

WHO = Identity("n" * 25, "c" * 25, "worker", "0a", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


def test_units_are_those_that_other_swarm_managers_know() -> None:
    assert UNIT_OF_ROLE == {"worker": "swarm-worker", "manager": "swarm-manager"}
    assert {UNIT_OF_ROLE[role]: role for role in UNIT_OF_ROLE} == ROLE_OF_UNIT


def test_no_role_is_taken_for_the_listener_that_joiners_ask() -> None:
    assert CA_SERVER_NAME not in ROLE_OF_UNIT, "a worker's certificate must not open the join port"


@pytest.mark.parametrize("unit", ["", "manager", "swarm-ca", "SWARM-MANAGER", "swarm-manager "])
def test_another_unit_has_no_role(unit: str) -> None:
    assert unit not in ROLE_OF_UNIT


def test_an_identity_is_what_was_certified() -> None:
    assert dataclasses.replace(WHO) == WHO
    assert dataclasses.replace(WHO, role="manager") != WHO, "a role is not changed by asking for the same name"
    with pytest.raises(dataclasses.FrozenInstanceError):
        WHO.role = "manager"  # type: ignore[misc]
