# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_network and swarm_network_info, each on one host."""

from __future__ import annotations

from ansible_collections.queenright.swarm.plugins.modules import swarm_network, swarm_network_info

NOWHERE = "/run/queenright-of-no-host/e.sock"


def test_a_network_is_made_changed_and_removed_once(manager, triple) -> None:
    where = {"socket": manager.socket, "name": "mynet"}
    done, _again = triple(swarm_network, internal=True, ipam_config=[{"subnet": "10.7.0.0/24"}], **where)
    assert done["actions"] == ["create network mynet"]
    assert done["network"]["IPAM"] == {"Config": [{"Subnet": "10.7.0.0/24"}]}
    options = {"internal": True, "ipam_config": [{"subnet": "10.7.0.0/24"}]}
    assert manager.called("/queenright/v1/apply")[0]["options"] == options, "what is not mentioned is not sent"
    done, _again = triple(swarm_network, labels={"a": "b"}, **where)
    assert done["changes"] == {"Labels.a": {"before": None, "after": "b"}}
    done, again = triple(swarm_network, state="absent", **where)
    assert (done["network"], again["actions"]) == ({}, [])


def test_networks_are_shown_by_name_or_id(manager, run_module) -> None:
    where = {"socket": manager.socket}
    for name in ("one", "two"):
        run_module(swarm_network, name=name, **where)

    def names(**options):
        return [one["Name"] for one in run_module(swarm_network_info, **where, **options)["networks"]]

    assert names() == ["one", "two"]
    assert names(name=["two", "nosuch"]) == ["two"]
    assert names(name=["id-one"]) == ["one"]


def test_where_there_is_no_swarm_yet_it_is_foreseen(run_module) -> None:
    result = run_module(swarm_network, check=True, socket=NOWHERE, name="mynet", enable_ipv6=True)
    assert (result["changed"], result["foreseen"]) == (True, True)
    assert result["network"] == {"Name": "mynet", "Labels": {}, "Driver": "overlay", "EnableIPv6": True}
    assert not run_module(swarm_network, check=True, socket=NOWHERE, name="mynet", state="absent")["changed"]
    assert run_module(swarm_network_info, check=True, socket=NOWHERE)["networks"] == []


def test_who_is_no_manager_says_what_to_do(worker, run_module) -> None:
    for module, options in ((swarm_network, {"name": "mynet"}), (swarm_network_info, {})):
        result = run_module(module, socket=worker.socket, **options)
        assert result["failed"]
        assert result["needs_manager"]
