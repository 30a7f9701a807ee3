# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The module swarm_manage_firewall: finds the host's firewall, settles it, and keeps nftables' rules for later."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._files import Files
from ansible_collections.queenright.swarm.plugins.module_utils._firewall import (
    FirewallError,
    choose,
    settle,
    wanted_of,
)
from ansible_collections.queenright.swarm.plugins.module_utils._firewall_firewalld import Firewalld
from ansible_collections.queenright.swarm.plugins.module_utils._firewall_nftables import Nftables, iptables_chains
from ansible_collections.queenright.swarm.plugins.module_utils._firewall_ufw import Ufw

UNIT = "swarm-firewall.service"
UNIT_FILE = "/etc/systemd/system/" + UNIT
RULES_FILE = "/etc/swarm-firewall.nft"
SYSTEMD = "/run/systemd/system"

_UNIT = """# Made by queenright.swarm.swarm_manage_firewall.
[Unit]
Description=Let the nodes of the swarm reach this host
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service
Before=queenright.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={nft} -f {rules}
ExecReload={nft} -f {rules}

[Install]
WantedBy=multi-user.target nftables.service
"""


def manage(module: AnsibleModule) -> None:
    """Settle the host's firewall and end the module."""
    try:
        module.exit_json(**_settled(module))
    except FirewallError as error:
        module.fail_json(msg=str(error))


def _settled(module: AnsibleModule) -> t.Dict[str, t.Any]:
    def run(arguments: t.List[str], data: t.Optional[str] = None) -> t.Tuple[int, str, str]:
        path = module.get_bin_path(arguments[0])
        if path is None:
            return 127, "", "%s is not installed" % arguments[0]
        code, out, err = module.run_command([path, *arguments[1:]], data=data, environ_update={"LC_ALL": "C"})
        return code, out, err

    params = module.params
    wanted = wanted_of(params)
    nftables = Nftables(run)
    firewall = choose([Firewalld(run, params["zone"] or ""), Ufw(run), nftables], params["backend"])
    if firewall is None:
        return {"changed": False, "backend": "", "rules": [], "actions": []}
    if firewall is nftables and wanted:
        for chain in iptables_chains(nftables):
            module.warn("the chain %s of iptables drops what it does not know: open the ports there too" % chain)
    files = Files(module.check_mode)
    closed = nftables.script(wanted) if firewall is nftables and wanted else ""
    result = settle(firewall, wanted, module.check_mode)
    keep = closed if params["persistent"] and os.path.isdir(SYSTEMD) else ""
    if _keep(module, files, run, keep):
        result["changed"] = True
        result["actions"].append("keep the rules by %s" % UNIT if keep else "remove %s" % UNIT)
    result["diff"] = [result["diff"], *files.diffs]
    return result


def _keep(module: AnsibleModule, files: Files, run: t.Callable[..., t.Any], script: str) -> bool:
    """Make a unit that loads the rules at each start, or take it away; whether that was a change."""
    if not script:
        if not os.path.exists(UNIT_FILE):
            return False
        if not module.check_mode:
            run(["systemctl", "disable", UNIT])
        changed = [files.remove(UNIT_FILE), files.remove(RULES_FILE)]
        if not module.check_mode:
            run(["systemctl", "daemon-reload"])
        return any(changed)
    nft = module.get_bin_path("nft") or "/usr/sbin/nft"
    changed = [
        files.write(RULES_FILE, script, 0o600),
        files.write(UNIT_FILE, _UNIT.format(nft=nft, rules=RULES_FILE), 0o644),
    ]
    if any(changed) and not module.check_mode:
        for command in (["systemctl", "daemon-reload"], ["systemctl", "enable", UNIT]):
            code, _out, err = run(command)
            if code:
                raise FirewallError("%s: %s" % (" ".join(command), err.strip()))
    return any(changed)
