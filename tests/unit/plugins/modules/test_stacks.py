# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_stack, swarm_bundle, swarm_stack_info and swarm_apply as modules: what they ask for, and what they tell."""

from __future__ import annotations

import ast
import base64
import json
import pathlib

import pytest
from ansible_collections.queenright.swarm.plugins.modules import (
    swarm_apply,
    swarm_bundle,
    swarm_stack,
    swarm_stack_info,
)

COMPOSE = [{"services": {"web": {"image": "a"}}}]
SERVICES = {"web": {"image": "a"}}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_stack_is_made_once_and_the_diff_has_the_plan_in_words(manager, triple) -> None:
    done, again = triple(swarm_stack, socket=manager.socket, name="shop", services=SERVICES)
    assert (done["revision"], again["revision"]) == (1, 1)
    assert done["plan"]["order"] == [["db"], ["web"]]
    assert done["diff"]["prepared"] == "order: db -> web\n"
    assert done["progress"]["state"] == "converged"
    assert "prepared" not in again["diff"]


def test_what_is_sent_of_a_stack_is_what_was_said(manager, run_module) -> None:
    run_module(
        swarm_stack,
        socket=manager.socket,
        name="shop",
        compose=COMPOSE,
        variables={"TAG": 4, "ON": True, "NOTHING": None},
        contents={"file:./db.txt": encoded("hush")},
        keep=2,
        on_failure="pause",
        timeout="90s",
        prune=False,
        registries=[{"server": "r.io", "username": "bob", "password": "s3cr3t"}],
        note="it is spring",
        git_revision="abc",
        user="ada",
        playbook="site.yml",
    )
    [wish] = manager.swarm.stacks.wishes
    assert (wish["kind"], wish["name"], wish["state"]) == ("stack", "shop", "present")
    assert wish["options"] == {
        "compose": COMPOSE,
        "keep": 2,
        "on_failure": "pause",
        "timeout": "90s",
        "prune": False,
    }
    context = wish["context"]
    assert context.pop("registry_auth") == {
        "r.io": json.dumps({"password": "s3cr3t", "serveraddress": "r.io", "username": "bob"})
    }
    assert context == {
        "files": {"./db.txt": encoded("hush")},
        "variables": {"TAG": "4", "ON": "true", "NOTHING": ""},
        "resolve_image": "changed",
        "user": "ada",
        "playbook": "site.yml",
        "git_revision": "abc",
        "message": "it is spring",
    }


def test_data_goes_to_its_place_and_is_shown_nowhere(manager, run_module) -> None:
    result = run_module(
        swarm_stack,
        socket=manager.socket,
        name="shop",
        services=SERVICES,
        secrets={"db": {"labels": {"a": "b"}}, "other": {"external": True}},
        configs={"conf": None},
        contents={"secrets:db": encoded("hush"), "configs:conf": encoded("quiet")},
    )
    [wish] = manager.swarm.stacks.wishes
    assert wish["options"]["secrets"] == {
        "db": {"labels": {"a": "b"}, "data": encoded("hush")},
        "other": {"external": True},
    }
    assert wish["options"]["configs"] == {"conf": {"data": encoded("quiet")}}
    assert encoded("hush") not in str(result) and encoded("quiet") not in str(result)


def test_a_stack_is_rolled_back_and_removed(manager, run_module) -> None:
    for image in ("a", "b"):
        run_module(swarm_stack, socket=manager.socket, name="shop", services={"web": {"image": image}})
    run_module(swarm_stack, socket=manager.socket, name="shop", state="rolled_back")
    run_module(swarm_stack, socket=manager.socket, name="shop", state="rolled_back", revision=2)
    gone = run_module(swarm_stack, socket=manager.socket, name="shop", state="absent")
    assert [wish["options"] for wish in manager.swarm.stacks.wishes[2:]] == [
        {"rollback": True},
        {"rollback_to": 2},
        {},
    ]
    assert gone["changed"] and gone["stack"] == {}
    assert not run_module(swarm_stack, socket=manager.socket, name="shop", state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "needs a source"),
        ({"state": "absent", "services": SERVICES}, "said with state present only"),
        ({"services": SERVICES, "revision": 3}, "it is for state rolled_back"),
        ({"services": SERVICES, "compose": COMPOSE}, "mutually exclusive"),
        ({"services": SERVICES, "variables": {"a": "b"}}, "required by 'variables'"),
    ],
)
def test_what_contradicts_itself_is_refused(manager, run_module, options, words) -> None:
    result = run_module(swarm_stack, socket=manager.socket, name="shop", **options)
    assert result["failed"] and words in result["msg"]
    assert manager.swarm.stacks.wishes == []


def test_a_stack_that_was_taken_back_fails_the_task_and_says_why(manager, run_module) -> None:
    why = "service shop_web: task shop_web.1: No such image"
    back = {
        "state": "rolled_back",
        "running": 1,
        "desired": 1,
        "reasons": [why],
        "update": {"message": "revision 2 failed"},
    }
    manager.waits = [back]
    result = run_module(swarm_stack, socket=manager.socket, name="shop", services=SERVICES)
    assert result["failed"] and result["reasons"] == [why]
    assert "stack shop: the update was rolled back: revision 2 failed" in result["msg"]
    manager.waits = [back]
    assert not run_module(swarm_stack, socket=manager.socket, name="shop", services=SERVICES).get("failed")


def test_a_bundle_is_sent_as_it_is_or_as_the_dictionary_that_it_is(manager, run_module) -> None:
    run_module(swarm_bundle, socket=manager.socket, name="shop", content='{"Version": "0.1"}')
    run_module(swarm_bundle, socket=manager.socket, name="shop", content={"Version": "0.1"}, tags=True)
    first, second = manager.swarm.stacks.wishes
    assert first["options"] == second["options"] == {"bundle": '{"Version": "0.1"}'}
    assert (first["context"]["tags"], second["context"]["tags"]) == (False, True)


def test_stacks_are_listed_and_one_is_shown_whole(manager, run_module) -> None:
    run_module(swarm_stack, socket=manager.socket, name="shop", services=SERVICES)
    assert [one["Name"] for one in run_module(swarm_stack_info, socket=manager.socket)["stacks"]] == ["shop"]
    [shop] = run_module(swarm_stack_info, socket=manager.socket, name="shop", revision=1)["stacks"]
    assert (shop["Drift"], shop["Asked"]) == ([], "1")
    assert run_module(swarm_stack_info, socket=manager.socket, name="none")["stacks"] == []
    assert "which the option name names" in run_module(swarm_stack_info, socket=manager.socket, revision=1)["msg"]


def test_a_whole_swarm_is_one_call_in_which_what_is_used_comes_first(manager, run_module) -> None:
    result = run_module(
        swarm_apply,
        socket=manager.socket,
        swarm={"task_history_retention_limit": 9},
        services=[{"name": "former", "state": "absent"}, {"name": "web", "image": "a", "resolve_image": "never"}],
        secrets=[{"name": "db", "roll": False}],
        networks=[{"name": "old", "state": "absent"}, {"name": "back"}],
        registries=[{"server": "r.io", "username": "bob"}],
        stacks=[{"name": "shop", "services": SERVICES, "secrets": {"key": None}}],
        contents={
            "secret:db": encoded("hush"),
            "registry:r.io": encoded("s3cr3t"),
            "stack:shop:secrets:key": encoded("quiet"),
        },
        user="ada",
    )
    [body] = manager.called("/queenright/v1/apply_all")
    wishes = body["wishes"]
    assert [(one["kind"], one["name"], one["state"]) for one in wishes] == [
        ("swarm", "", "present"),
        ("registry", "r.io", "present"),
        ("network", "back", "present"),
        ("secret", "db", "present"),
        ("service", "web", "present"),
        ("stack", "shop", "present"),
        ("service", "former", "absent"),
        ("network", "old", "absent"),
    ]
    said = {one["kind"]: one for one in wishes[:6]}
    assert said["secret"]["context"] == {"roll": False, "data": encoded("hush")}
    assert said["service"]["options"] == {"image": "a"} and said["service"]["context"] == {"resolve_image": "never"}
    assert said["stack"]["options"]["secrets"] == {"key": {"data": encoded("quiet")}}
    assert said["stack"]["context"] == {"user": "ada"}
    assert json.loads(base64.b64decode(said["registry"]["context"]["data"]))["password"] == "s3cr3t"
    assert {one["kind"] for one in result["objects"]} == {"swarm", "registry", "network", "secret", "service", "stack"}
    assert not any(encoded(word) in str(result) for word in ("hush", "s3cr3t", "quiet"))


def test_where_nothing_changes_one_call_is_all(manager, run_module) -> None:
    options = {"services": [{"name": f"s{number}", "image": "a"} for number in range(50)]}
    assert run_module(swarm_apply, socket=manager.socket, **options)["changed"]
    calls = len(manager.calls)
    again = run_module(swarm_apply, socket=manager.socket, **options)
    assert not again["changed"] and again["objects"] == []
    assert len(manager.calls) == calls + 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"services": [{"image": "a"}]}, "services[0]: name is missing"),
        ({"services": [{"name": "a", "state": "gone"}]}, "neither present nor absent"),
        ({"services": [{"name": "a", "registry": {}}]}, "said once for all services, in registries"),
    ],
)
def test_an_item_that_cannot_be_taken_is_named(manager, run_module, options, words) -> None:
    assert words in run_module(swarm_apply, socket=manager.socket, **options)["msg"]


def test_the_tables_of_options_are_not_loaded_for_a_whole_swarm() -> None:
    """What is loaded is paid by every run: the module asks the manager instead."""
    root = pathlib.Path(swarm_apply.__file__).parents[1]
    seen, left = set(), [root / "modules/swarm_apply.py"]
    while left:
        for node in ast.walk(ast.parse(left.pop().read_text())):
            name = node.module if isinstance(node, ast.ImportFrom) and node.module else ""
            path = root.joinpath(*name.split(".")[4:]).with_suffix(".py")
            if ".plugins.module_utils." in name and path not in seen:
                seen.add(path)
                left.append(path)
    assert [path.name for path in seen if path.parent.name == "_spec"] == ["errors.py"]
    assert root / "module_utils/_resource.py" in seen
