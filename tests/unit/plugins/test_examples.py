# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of the documentation are run, and the samples of returned values are held against real results."""

from __future__ import annotations

import ast
import importlib
import pathlib
import typing as t

import pytest
import yaml
from ansible_collections.queenright.swarm.plugins.module_utils import _resource
from ansible_collections.queenright.swarm.plugins.module_utils._spec.cluster import SwarmSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import merge
from ansible_collections.queenright.swarm.tests.unit.plugins.action.conftest import CHECKOUT, Fleet, fleet
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_runtime import FakeRuntime, FakeSwarm

__all__ = ["fleet"]

MODULES = sorted(path.stem for path in (CHECKOUT / "plugins/modules").glob("swarm_*.py"))
OF_THE_HOST = {
    "swarm_runtime",
    "swarm_manage_firewall",
    "swarm_preflight_info",
}  # their examples are about the host itself
STANDING = {
    "swarm_init": ("outside", "outside", "outside", "cut off", "manager", "outside", "manager"),
    "swarm_join": ("outside", "outside", "outside", "outside"),
    "swarm_leave": ("worker", "manager", "manager"),
}
VARIABLES = {
    "vault_join_token": "SWMTKN-1-root-workersecret0",
    "vault_registry_password": "s3cr3t",
    "vault_db_password": "s3cr3t",
    "vault_house_key": "s3cr3t",
    "vault_unlock_key": "SWMKEY-1-of-the-house",
    "house_certificates": "-----BEGIN-HOUSE-----",
    "vault_first_manager_key": "s3cr3t",
    "first_manager_certificate": "-----BEGIN-FIRST-----",
    "outside_root": "-----BEGIN-OUTSIDE-----",
}


def block(module: str, name: str) -> t.Any:
    """A documentation block of a module, as data."""
    tree = ast.parse((CHECKOUT / "plugins/modules" / f"{module}.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:  # type: ignore[attr-defined]
            return yaml.safe_load(ast.literal_eval(node.value))
    raise AssertionError(f"{module} has no {name}")


def _play(tasks: list, hosts: str = "all") -> str:
    return yaml.safe_dump([{"hosts": hosts, "gather_facts": False, "vars": VARIABLES, "tasks": tasks}], sort_keys=False)


def test_every_example_is_correct_playbook_syntax(fleet: Fleet, tmp_path: pathlib.Path) -> None:
    playbook = tmp_path / "examples.yml"
    playbook.write_text("".join(_play(block(module, "EXAMPLES")) for module in MODULES))
    done = fleet.ansible_playbook("-i", "localhost,", "--syntax-check", str(playbook))
    assert done.code == 0, done.output


def test_every_task_of_an_example_has_a_name_and_a_full_module_name() -> None:
    for module in MODULES:
        for task in block(module, "EXAMPLES"):
            keys = [key for key in task if "." in key]
            assert task["name"][0].isupper(), task
            assert len(keys) == 1 and keys[0].count(".") == 2, task


def _stand(fleet: Fleet, standing: str) -> None:
    """Put worker1 and manager1 where an example begins."""
    fleet.manager("manager1")
    fleet.worker("worker1")
    swarm = FakeSwarm("6qxtjhmpnq5gb1gdsvklqz4ra")
    if standing == "worker":
        swarm.spec = merge(SwarmSpec, swarm.spec, {"autolock": True})
    FakeRuntime.known[swarm.cluster_id] = swarm
    fleet.hosts["manager1"].become(swarm, "manager")
    if standing in ("manager", "cut off"):
        fleet.hosts["worker1"].become(swarm, "manager")
        for host in fleet.hosts.values():
            host.cut = standing == "cut off"
    elif standing == "worker":
        fleet.hosts["worker1"].become(swarm, "worker")
    swarm.nodes["gone"] = swarm.nodes["nodemanager1"]
    swarm.hostnames["gone"] = "worker7"
    swarm.down.add("gone")


@pytest.mark.parametrize("module", sorted(set(MODULES) - OF_THE_HOST - STANDING.keys()))
def test_examples_of_managers_run_on_a_worker(fleet: Fleet, tmp_path: pathlib.Path, module: str) -> None:
    standing = "manager" if module == "swarm_ticket" else "worker"
    _stand(fleet, standing)
    tasks = _at_home(block(module, "EXAMPLES"), tmp_path)
    played = fleet.play(yaml.safe_dump(tasks, sort_keys=False), "--limit", "worker1", *_variables())
    assert played.code == 0, played.output
    assert played.recap("worker1")["ok"] == len([task for task in tasks if "when" not in task]) + _met(tasks)


@pytest.mark.parametrize(
    ("module", "number", "standing"),
    [(module, number, standing) for module, all_ in STANDING.items() for number, standing in enumerate(all_)],
)
def test_examples_of_membership_run(
    fleet: Fleet, tmp_path: pathlib.Path, module: str, number: int, standing: str
) -> None:
    _stand(fleet, standing)
    examples = block(module, "EXAMPLES")
    assert len(examples) == len(STANDING[module])
    task = _at_home([examples[number]], tmp_path)[0]
    key = f"queenright.swarm.{module}"
    if module != "swarm_leave":
        task[key] = {**(task[key] or {}), "install_runtime": False}
    played = fleet.play(yaml.safe_dump([task], sort_keys=False), "--limit", "worker1", *_variables())
    assert played.code == 0, played.output
    assert played.recap("worker1")["changed"] == 1


def _at_home(tasks: list, folder: pathlib.Path) -> list:
    """Examples that write files write them elsewhere, and those that read files find them."""
    for task in tasks:
        if "ansible.builtin.copy" in task:
            task["ansible.builtin.copy"]["dest"] = str(folder / "written")
        for module in ("swarm_secret", "swarm_config", "swarm_bundle"):
            source = (task.get(f"queenright.swarm.{module}") or {}).get("src")
            if source:
                (folder / "files").mkdir(exist_ok=True)
                (folder / "files" / source).write_bytes(b"{}" if module == "swarm_bundle" else b"\x00\xff")
        if "compose" in (task.get("queenright.swarm.swarm_stack") or {}):
            (folder / "files").mkdir(exist_ok=True)
            (folder / "files/compose.yml").write_text("services: {web: {image: a}}\n")
    return tasks


def _met(tasks: list) -> int:
    return len([task for task in tasks if "when" in task])


def _variables() -> list[str]:
    return [part for name, value in VARIABLES.items() for part in ("-e", f"{name}={value}")]


def _results(run_module: t.Callable, manager: FakeRuntime, joiner: FakeRuntime) -> dict[str, list[dict]]:
    """What each module returns, in all the situations its documentation speaks of."""
    FakeRuntime.known["swarm1"] = manager.swarm
    where = {"socket": manager.socket}
    token = manager.swarm.tokens["Worker"]
    calls = {
        "swarm_init": [where, {**where, "task_history_retention_limit": 3}],
        "swarm_join": [
            {"socket": joiner.socket},
            {"socket": joiner.socket, "join_token": token, "remote_addrs": ["h1"]},
        ],
        "swarm_leave": [{"socket": joiner.socket}],
        "swarm_node": [{**where, "name": "h1", "labels": {"a": "b"}}],
        "swarm_service": [{**where, "name": "web", "image": "a"}],
        "swarm_ca": [{**where, "return_join_tokens": True}],
        "swarm_unlock": [{**where, "return_unlock_key": True}],
        "swarm_info": [where],
        "swarm_node_info": [where],
        "swarm_service_info": [where],
        "swarm_ticket": [{**where, "key_digest": "sha256:h3"}],
        "swarm_secret": [{**where, "name": "app", "data": "x", "prune": True}],
        "swarm_config": [{**where, "name": "app", "data": "x", "prune": True}],
        "swarm_registry": [{**where, "server": "docker.io", "username": "bob", "password": "s3cr3t"}],
        "swarm_network": [{**where, "name": "mynet", "internal": True}],
        "swarm_network_info": [where],
        "swarm_stack": [{**where, "name": "shop", "services": {"web": {"image": "a"}}}],
        "swarm_bundle": [{**where, "name": "shop", "content": "{}"}],
        "swarm_stack_info": [where],
        "swarm_apply": [{**where, "services": [{"name": "web", "image": "a"}]}],
        "swarm_secret_info": [where],
        "swarm_config_info": [where],
        "swarm_registry_info": [where],
    }
    return {name: [_run(run_module, name, options) for options in each] for name, each in calls.items()}


def _run(run_module: t.Callable, name: str, options: dict) -> dict:
    module = importlib.import_module(f"ansible_collections.queenright.swarm.plugins.modules.{name}")
    return run_module(module, **options)


def test_every_returned_value_is_documented_with_a_sample_of_its_kind(run_module, manager, new_runtime) -> None:
    unspoken = {"changed", "diff", "invocation", "needs_manager"}
    kinds = {"str": str, "dict": dict, "list": list, "bool": bool, "int": int, "float": float}
    for name, results in _results(run_module, manager, new_runtime("h2")).items():
        documented = block(name, "RETURN")
        returned = {key: value for result in results for key, value in result.items() if key not in unspoken}
        assert set(returned) <= set(documented), (name, set(returned) - set(documented))
        by_action = {"manager", "foreseen", "reasons", "forecast"}  # the last where tasks change
        assert set(documented) - set(returned) <= by_action, (name, set(documented) - set(returned))
        for key, value in documented.items():
            assert "sample" in value, (name, key)
            assert isinstance(value["sample"], kinds[value["type"]]), (name, key)
            if key in returned:
                assert isinstance(returned[key], kinds[value["type"]]), (name, key, returned[key])


def test_the_default_socket_is_the_same_in_documentation_and_code() -> None:
    fragment = (CHECKOUT / "plugins/doc_fragments/socket.py").read_text()
    assert f"default: {_resource.DEFAULT_SOCKET}\n" in fragment
