# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The module swarm_preflight_info: every check there is, on a host with or without a runtime."""

from __future__ import annotations

import ipaddress
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils import _standing
from ansible_collections.queenright.swarm.plugins.module_utils._checkup import (
    commands,
    engine,
    host,
    overlays,
    tunnel,
)
from ansible_collections.queenright.swarm.plugins.module_utils._checkup.finding import ERROR, WARNING, Finding, Host
from ansible_collections.queenright.swarm.plugins.module_utils._spec import kernel as features


def preflight(module: AnsibleModule) -> None:
    """Look, and end the module; what is found fails it only where the task says so."""
    params = module.params
    for name in ("peers", "own_addr"):
        for address in params[name] if name == "peers" else filter(None, [params[name]]):
            _require_address(module, name, address)
    findings = list(examine(params, Host()))
    wrong = [finding for finding in findings if finding.state == ERROR]
    result = {
        "changed": False,
        "fit": not wrong,
        "findings": [finding.shown() for finding in findings],
        "problems": ["%s: %s: %s" % (f.check, f.text, f.fix) for f in wrong],
    }
    for finding in findings:
        if finding.state == WARNING:
            module.warn("%s: %s: %s" % (finding.check, finding.text, finding.fix))
    if wrong and params["fail_on_error"]:
        module.fail_json(msg="this host is not fit for a swarm: " + "; ".join(result["problems"]), **result)
    module.exit_json(**result)


def _require_address(module: AnsibleModule, name: str, address: str) -> None:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        module.fail_json(msg="%s: %r is no address; names cannot be used" % (name, address))


def examine(params: t.Dict[str, t.Any], machine: Host) -> t.Iterator[Finding]:
    """Everything that is looked at, in order."""
    control, data_path, peers = params["control_port"], params["data_path_port"], params["peers"]
    member = os.path.exists(os.path.join(_standing.STATE_DIR, "state.json"))
    said = "%d/tcp, %d/tcp and %d/udp" % (control, control + 1, data_path)
    parts = [
        host.ports(machine, control, data_path, member),
        host.mtu(machine, peers),
        host.clock(host.synchronised()),
        engine.engine(machine, params["docker_socket"]),
        host.firewall(machine, said),
        commands.kernel(machine, features, params["backend"]),
        overlays.overlays(machine),
    ]
    if peers:
        own = params["own_addr"] or host.link_to(machine, peers[0])[2]
        own = _among(own, peers, machine)
        parts.append(tunnel.tunnels(machine, own, peers, data_path, params["wait"]))
    for part in parts:
        yield from part


def _among(own: str, peers: t.Sequence[str], machine: Host) -> str:
    """The host's own address as the list of all hosts has it: the way to itself may not tell."""
    if own in peers:
        return own
    for peer in peers:
        if host.link_to(machine, peer)[0] == "lo":
            return peer
    return own
