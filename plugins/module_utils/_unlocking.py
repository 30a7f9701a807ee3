# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How a locked manager goes on, and how the unlock key is made anew or asked for."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._managers import await_own_role
from ansible_collections.queenright.swarm.plugins.module_utils._resource import Result, update_swarm
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import MANAGER
from ansible_collections.queenright.swarm.plugins.module_utils._standing import (
    LOCKED,
    LOCKED_WORDS,
    Standing,
    settled,
    standing,
)

UNLOCK_TIMEOUT = 120.0  # seconds: the log is read, the ports are opened


def unlock(module: AnsibleModule, engine: Engine) -> Result:
    """Unlock this host if it is locked; then rotate the key and show it, if that is asked for."""
    params = module.params
    here = settled(engine)
    before, actions = here.facts(), []  # type: t.Dict[str, t.Any], t.List[str]
    if here.state == LOCKED:
        if not params["unlock_key"]:
            raise EngineError(LOCKED_WORDS)
        actions.append("unlock this host")
        if not module.check_mode:
            here = _open(module, engine, params["unlock_key"])
    if params["rotate"]:
        actions.append("rotate the unlock key")
        if not module.check_mode:
            update_swarm(engine, {"rotateManagerUnlockKey": "true"})
        elif here.state != LOCKED:
            _require_autolock(engine)
    result = {
        "changed": bool(actions),
        "actions": actions,
        "diff": {"before": {"state": before["state"]}, "after": {"state": "active" if actions else before["state"]}},
    }  # type: Result
    if params["return_unlock_key"]:
        locked = module.check_mode and here.state == LOCKED
        result["unlock_key"] = "" if locked else engine.get("/swarm/unlockkey")["UnlockKey"]
    return dict(here.facts(), **result)


def _open(module: AnsibleModule, engine: Engine, key: str) -> Standing:
    engine.post("/swarm/unlock", {"UnlockKey": key}, timeout=UNLOCK_TIMEOUT)
    if module.params["wait"]:
        return await_own_role(engine, MANAGER, module.params["wait_timeout"])
    return standing(engine)


def _require_autolock(engine: Engine) -> None:
    """What a rotation would be refused for."""
    if not engine.get("/swarm")["Spec"].get("EncryptionConfig", {}).get("AutoLockManagers"):
        raise EngineError("cannot rotate the unlock key because autolock is not turned on")
