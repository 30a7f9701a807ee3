# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a manager is asked of the swarm's networks."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine
from ansible_collections.queenright.swarm.plugins.module_utils._resource import Result, apply, foreseen, said
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import encode, merge, option_names
from ansible_collections.queenright.swarm.plugins.module_utils._spec.network import NetworkSpec
from ansible_collections.queenright.swarm.plugins.module_utils._standing import standing


def network(module: AnsibleModule, engine: Engine) -> Result:
    """Bring a network to what is declared."""
    name, state = module.params["name"], module.params["state"]
    options = said(module, option_names(NetworkSpec)) if state == "present" else {}
    if module.check_mode and standing(engine).outside:
        if state == "absent":
            return dict(foreseen("network", {}, ""), changed=False, actions=[], needs_manager=True)
        spec = dict(encode(merge(NetworkSpec, None, options)), Name=name)
        return dict(foreseen("network", spec, "create network %s" % name), needs_manager=True)
    return apply(module, engine, "network", name, options, state=state).result("network")


def networks(module: AnsibleModule, engine: Engine) -> Result:
    """The swarm's networks as the Engine API shows them."""
    names = module.params["name"]
    if module.check_mode and standing(engine).outside:
        return {"changed": False, "networks": [], "needs_manager": True}
    found = engine.get("/queenright/v1/networks")
    if names is not None:
        found = [one for one in found if one["Id"] in names or one["Name"] in names]
    return {"changed": False, "networks": found, "stale": engine.stale}
