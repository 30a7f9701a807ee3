# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_unlock, and what the other modules say of a manager that is locked."""

from __future__ import annotations

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _standing
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import SwarmSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import merge
from ansible_collections.queenright.swarm.plugins.modules import (
    swarm_info,
    swarm_init,
    swarm_unlock,
)

KEY = "SWMKEY-1-s3cr3tkey"


@pytest.fixture
def locked(manager):
    """A manager that was started anew."""
    manager.swarm.spec = merge(SwarmSpec, manager.swarm.spec, {"autolock": True})
    manager.swarm.unlock_key = KEY
    manager.locked = True
    return manager


def test_a_locked_manager_is_unlocked_once(locked, triple) -> None:
    done, again = triple(swarm_unlock, socket=locked.socket, unlock_key=KEY)
    assert done["actions"] == ["unlock this host"]
    assert (done["state"], again["state"]) == ("active", "active")
    assert again["actions"] == []
    assert locked.called("/swarm/unlock") == [{"UnlockKey": KEY}]


def test_a_wrong_key_and_none_are_errors_that_say_what_to_do(locked, run_module) -> None:
    wrong = run_module(swarm_unlock, socket=locked.socket, unlock_key="SWMKEY-1-wrong")
    assert wrong["failed"]
    assert "swarm could not be unlocked: invalid key provided" in wrong["msg"]
    none = run_module(swarm_unlock, socket=locked.socket)
    assert none["failed"]
    assert "this host is a manager that is locked" in none["msg"]
    for way in ("swarm_unlock with return_unlock_key", "docker swarm unlock-key", "manager_unlock_key"):
        assert way in none["msg"]
    assert not none.get("needs_manager")
    assert locked.locked


def test_what_is_not_locked_stays_as_it_is(manager, runtime, run_module) -> None:
    for host in (manager, runtime):
        result = run_module(swarm_unlock, socket=host.socket, unlock_key=KEY)
        assert (result["changed"], result["actions"]) == (False, [])
        assert not host.called("/swarm/unlock")


def test_the_key_is_rotated_each_time_and_shown_if_asked_for(locked, run_module) -> None:
    locked.locked = False
    where = {"socket": locked.socket, "rotate": True}
    foreseen = run_module(swarm_unlock, check=True, **where)
    assert (foreseen["changed"], foreseen["actions"]) == (True, ["rotate the unlock key"])
    assert locked.swarm.unlock_key == KEY
    assert "unlock_key" not in run_module(swarm_unlock, **where)
    shown = run_module(swarm_unlock, return_unlock_key=True, **where)
    assert shown["unlock_key"] == locked.swarm.unlock_key == "SWMKEY-1-of-version-9"
    assert "SWMKEY" not in str({name: value for name, value in shown.items() if name != "unlock_key"})


def test_a_rotation_without_autolock_is_refused_in_check_mode_too(manager, run_module) -> None:
    for check in (True, False):
        result = run_module(swarm_unlock, check=check, socket=manager.socket, rotate=True)
        assert result["failed"]
        assert "autolock is not turned on" in result["msg"]


def test_unlocking_and_rotating_go_together(locked, run_module) -> None:
    where = {"socket": locked.socket, "unlock_key": KEY, "rotate": True, "return_unlock_key": True}
    foreseen = run_module(swarm_unlock, check=True, **where)
    assert (foreseen["actions"], foreseen["unlock_key"]) == (["unlock this host", "rotate the unlock key"], "")
    assert locked.locked
    done = run_module(swarm_unlock, **where)
    assert done["actions"] == foreseen["actions"]
    assert done["unlock_key"] == "SWMKEY-1-of-version-8"
    again = run_module(swarm_unlock, socket=locked.socket, unlock_key=done["unlock_key"], return_unlock_key=True)
    assert not again["changed"]
    assert "of-version" not in again["unlock_key"], "what was given is not repeated"


def test_other_modules_name_the_lock_and_the_way_out(locked, run_module) -> None:
    assert run_module(swarm_info, socket=locked.socket)["state"] == "locked"
    refused = run_module(swarm_init, socket=locked.socket, autolock=True, install_runtime=False)
    assert refused["failed"]
    assert refused["msg"] == _standing.LOCKED_WORDS


def test_autolock_is_an_option_of_the_swarm(manager, triple) -> None:
    done, again = triple(swarm_init, socket=manager.socket, autolock=True, install_runtime=False)
    assert list(done["changes"]) == ["EncryptionConfig.AutoLockManagers"]
    assert again["actions"] == []
