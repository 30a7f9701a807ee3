# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How a host gets into a swarm: found, join, go on alone."""

from __future__ import annotations

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._authority import (
    EXTERNAL_CAS_ARGUMENTS,
    add,
    external_cas,
)
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._managers import await_own_role, lost_quorum
from ansible_collections.queenright.swarm.plugins.module_utils._resource import (
    Result,
    WaitError,
    apply,
    persistently,
    said,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import ACTIVE as TAKES_TASKS
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import (
    DRAIN,
    MANAGER,
    PAUSE,
    NodeSpec,
    SwarmSpec,
)
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import encode, merge, option_names
from ansible_collections.queenright.swarm.plugins.module_utils._standing import (
    ACTIVE,
    PENDING,
    Standing,
    require_health,
    settled,
    standing,
)

LIFE_TIMEOUT = 120.0  # seconds for founding and joining
LOOK_EVERY = 0.5  # seconds between two looks
GOES_ON = "will continue in the background"  # the Engine's words for a join that is not at its end

ADDRESS_ARGUMENTS = {
    "advertise_addr": {"type": "str"},
    "listen_addr": {"type": "str"},
    "data_path_addr": {"type": "str"},
    "availability": {"type": "str", "choices": [TAKES_TASKS, PAUSE, DRAIN]},
}
RETURN_ARGUMENTS = {
    "change_role": {"type": "bool", "default": False},
    "replace": {"type": "bool", "default": False},
}
FOUNDING_ARGUMENTS = {
    "data_path_port": {"type": "int"},
    "default_addr_pool": {"type": "list", "elements": "str"},
    "subnet_size": {"type": "int"},
    "first_manager": {
        "type": "dict",
        "options": {
            "key": {"type": "str", "required": True, "no_log": True},
            "certificate": {"type": "str", "required": True},
            "root_certificate": {"type": "str", "required": True},
        },
    },
}
FOUNDING_ARGUMENTS.update(EXTERNAL_CAS_ARGUMENTS)
INSTALL_ARGUMENTS = {
    "install_runtime": {"type": "bool", "default": True},
    "runtime_options": {"type": "dict", "default": {}},
}
SETTLED = ("advertise_addr", "listen_addr", "data_path_port", "default_addr_pool", "subnet_size")
"""Options of a founding that a live swarm cannot change: asked for again, the runtime compares them."""

_ENGINE_KEYS = {
    "advertise_addr": "AdvertiseAddr",
    "listen_addr": "ListenAddr",
    "data_path_addr": "DataPathAddr",
    "data_path_port": "DataPathPort",
    "default_addr_pool": "DefaultAddrPool",
    "subnet_size": "SubnetSize",
    "availability": "Availability",
}


def found(module: AnsibleModule, engine: Engine) -> Result:
    """Found a swarm with this host as its manager, or bring the swarm it manages to what is declared."""
    here = settled(engine)
    if module.params["force_new_cluster"]:
        return _go_on_alone(module, engine, here)
    require_health(here)
    if here.manager:
        return _declare(module, engine, here)
    if not here.outside:
        raise EngineError(
            "this host is a worker of swarm %s: promote it with queenright.swarm.swarm_node (role: manager), or let it "
            "leave with queenright.swarm.swarm_leave before it founds another" % here.cluster_id
        )
    spec = encode(merge(SwarmSpec, None, said(module, option_names(SwarmSpec))))
    cas = [_external_ca(one) for one in module.params["external_cas"] or []]
    if cas:
        spec["CAConfig"] = dict(spec.get("CAConfig") or {}, ExternalCAs=cas)
    body = dict(_addresses(module.params), Spec=spec)
    result = {
        "changed": True,
        "actions": ["found a swarm"],
        "changes": {},
        "diff": {"before": {}, "after": body},
        "swarm": spec,
    }
    if module.check_mode:
        return dict(here.facts(), foreseen=True, **result)
    engine.post("/swarm/init", dict(body, **_first_manager(module.params)), timeout=LIFE_TIMEOUT)
    result["swarm"] = engine.get("/swarm")["Spec"]
    return dict(standing(engine).facts(), foreseen=False, **result)


def _go_on_alone(module: AnsibleModule, engine: Engine, here: Standing) -> Result:
    """Make this manager the only one of its swarm, with all data, if the majority is lost; else only declare."""
    _refuse_to_go_on(here)
    if not lost_quorum(engine):
        return _declare(module, engine, standing(engine))
    managers = here.facts()["managers"]
    alone = {
        "changed": True,
        "actions": ["go on with this manager alone"],
        "diff": {
            "before": {"managers": managers},
            "after": {"managers": [one for one in managers if one["node_id"] == here.node_id]},
        },
    }
    if module.check_mode:
        return dict(here.facts(), foreseen=True, changes={}, swarm={}, **alone)
    body = dict(_addresses(module.params), ForceNewCluster=True)
    engine.post("/swarm/init", body, timeout=LIFE_TIMEOUT)
    declared = persistently(lambda: _declare(module, engine, standing(engine)))
    alone["actions"] = [*alone["actions"], *declared["actions"]]
    return dict(declared, **dict(alone, **standing(engine).facts()))


def _refuse_to_go_on(here: Standing) -> None:
    if here.outside:
        raise EngineError("force_new_cluster: this host is in no swarm, so there is nothing that it could go on with")
    if here.role == "worker":
        raise EngineError(
            "force_new_cluster: this host is a worker of swarm %s and has none of its state: do it on a manager that "
            "is left" % here.cluster_id
        )


def _declare(module: AnsibleModule, engine: Engine, here: Standing) -> Result:
    options = said(module, option_names(SwarmSpec))
    options.update({name: module.params[name] for name in SETTLED if module.params[name] is not None})
    result = apply(module, engine, "swarm", here.cluster_id, options).result("swarm")
    del result["id"]
    add(result, external_cas(module, engine))
    if result["changed"] and not module.check_mode:
        result["swarm"] = engine.get("/swarm")["Spec"]
    return dict(here.facts(), foreseen=False, **result)


def join(module: AnsibleModule, engine: Engine) -> Result:
    """Join with a token or ticket; without one, answer the digest of the key that a ticket would be bound to."""
    here = settled(engine)
    if here.state == PENDING and module.params["wait"] and not module.check_mode:
        here = _arrived(module, engine)
    require_health(here)
    role = module.params["role"]
    if here.state == ACTIVE:
        return _already(here, role)
    actions = ["join a swarm as %s" % role]
    body = _addresses(module.params)
    result = {"changed": True, "actions": actions, "diff": {"before": {}, "after": body}}
    if module.check_mode:
        return dict(here.facts(), foreseen=True, **result)
    if not module.params["join_token"]:
        answer = engine.post("/queenright/v1/join/key")
        return dict(here.facts(), changed=False, actions=[], foreseen=False, key_digest=answer["key_digest"])
    body = dict(body, JoinToken=module.params["join_token"], RemoteAddrs=module.params["remote_addrs"])
    there = _joined(module, engine, body)
    if there.state == PENDING:
        return dict(there.facts(), foreseen=False, **result)
    if there.role != role:
        raise EngineError(
            "this host joined swarm %s as %s, and role %s was asked: the join token was one for %ss"
            % (there.cluster_id, there.role, role, there.role)
        )
    if role == MANAGER and module.params["wait"]:
        there = await_own_role(engine, MANAGER, module.params["wait_timeout"])
    return dict(there.facts(), foreseen=False, **result)


def _joined(module: AnsibleModule, engine: Engine, body: t.Dict[str, t.Any]) -> Standing:
    """Where the host stands after the join; it may be pending, as an external CA that shall sign does not answer."""
    try:
        engine.post("/swarm/join", body, timeout=LIFE_TIMEOUT)
    except EngineError as error:
        if GOES_ON not in str(error) or standing(engine).outside:
            raise
        return _arrived(module, engine)
    return settled(engine)


def _arrived(module: AnsibleModule, engine: Engine) -> Standing:
    """Wait until a join that goes on has come to its end, or only look. Raises EngineError or WaitError."""
    deadline = time.monotonic() + module.params["wait_timeout"]
    while True:
        here = standing(engine)
        if here.outside and here.error:
            raise EngineError("this host could not join: %s" % here.error)
        if here.state != PENDING or not module.params["wait"]:
            return here
        if time.monotonic() >= deadline:
            raise WaitError(
                "this host is still on its way into the swarm after %d s, and goes on trying: %s"
                % (module.params["wait_timeout"], here.error or "no reason is known"),
                {"reasons": [here.error] if here.error else [], "state": here.state},
            )
        time.sleep(LOOK_EVERY)


def _already(here: Standing, role: str) -> Result:
    if here.role != role:
        change = "promote" if role == "manager" else "demote"
        error = EngineError(
            "this host is a %s of swarm %s already, and role %s was asked: %s it with queenright.swarm.swarm_node "
            "(role: %s), or set change_role" % (here.role, here.cluster_id, role, change, role)
        )
        error.more = dict(here.facts(), other_role=True)
        raise error
    return dict(here.facts(), changed=False, actions=[], foreseen=False, diff={"before": {}, "after": {}})


def ticket(module: AnsibleModule, engine: Engine) -> Result:
    """A one-time ticket of this manager for one joiner's key."""
    wish = {name: module.params[name] for name in ("role", "key_digest", "availability")}
    if module.params["labels"]:
        wish["labels"] = merge(NodeSpec, None, {"labels": module.params["labels"]}).labels  # all values as text
    if module.check_mode:
        here = standing(engine)
        if not here.manager:
            engine.get("/swarm")  # refuses in the Engine's words
        return {"changed": True, "ticket": "", "root_digest": "", "managers": [], "cluster_id": here.cluster_id}
    answer = engine.post("/queenright/v1/tickets", {key: value for key, value in wish.items() if value is not None})
    return {
        "changed": True,
        "ticket": answer["ticket"],
        "root_digest": answer["root_digest"],
        "managers": answer["managers"],
        "cluster_id": standing(engine).cluster_id,
    }


def _external_ca(said_of: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    keys = {"protocol": "Protocol", "url": "URL", "ca_cert": "CACert"}
    return {keys[name]: value for name, value in said_of.items() if value is not None}


def _first_manager(params: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    """Who the founder is, for a swarm whose certificates an external CA signs. It is in no result."""
    first = params["first_manager"]
    if not first:
        return {}
    keys = {"key": "Key", "certificate": "Certificate", "root_certificate": "RootCertificate"}
    return {"FirstManager": {keys[name]: value for name, value in first.items()}}


def _addresses(params: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    return {key: params[name] for name, key in _ENGINE_KEYS.items() if params.get(name) is not None}
