# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""swarm_secret, swarm_config, swarm_registry and the modules that show them, each on one host."""

from __future__ import annotations

import base64
import importlib
import json

import pytest
from ansible_collections.queenright.swarm.plugins.modules import (
    swarm_config,
    swarm_config_info,
    swarm_registry,
    swarm_registry_info,
    swarm_secret,
    swarm_secret_info,
    swarm_service,
)

HUSH = "h4rd-to-guess"
KINDS = ("secret", "config")
NOWHERE = "/run/queenright-of-no-host/e.sock"


def module_of(kind):
    return importlib.import_module(f"ansible_collections.queenright.swarm.plugins.modules.swarm_{kind}")


def sent(manager) -> bytes:
    """The data of the last wish."""
    return base64.b64decode(manager.called("/queenright/v1/apply")[-1]["context"]["data"])


@pytest.mark.parametrize("kind", KINDS)
def test_data_is_stored_changed_and_removed_once(manager, triple, kind) -> None:
    where = {"socket": manager.socket, "name": "app"}
    done, _again = triple(module_of(kind), data="one", labels={"a": "b"}, **where)
    assert (done["actions"], done[kind]["Labels"], done["services"]) == ([f"create {kind} app"], {"a": "b"}, [])
    assert sent(manager) == b"one"
    done, _again = triple(module_of(kind), data="two", **where)
    assert done["changes"] == {"Data": {"before": "(not shown)", "after": "(not shown)"}}
    done, again = triple(module_of(kind), state="absent", **where)
    assert (done[kind], again["actions"]) == ({}, [])


@pytest.mark.parametrize("kind", KINDS)
def test_options_that_are_not_mentioned_are_not_sent(manager, run_module, kind) -> None:
    run_module(module_of(kind), socket=manager.socket, name="app", data="x")
    body = manager.called("/queenright/v1/apply")[-1]
    assert (body["kind"], body["options"]) == (kind, {})
    run_module(module_of(kind), socket=manager.socket, name="app", labels=None, template_driver="golang", roll=False)
    body = manager.called("/queenright/v1/apply")[-1]
    assert body["options"] == {"labels": {}, "template_driver": "golang"} or body["options"] == {
        "labels": None,
        "template_driver": "golang",
    }
    assert body["context"] == {"roll": False, "versions_to_keep": 2}


@pytest.mark.parametrize("data", ["line\n", " spaces ", "grün", "{{ braces }}", ""])
def test_text_is_sent_byte_for_byte(manager, run_module, data) -> None:
    run_module(swarm_config, socket=manager.socket, name="app", data=data)
    assert sent(manager) == data.encode()


def test_base64_is_sent_as_the_bytes_it_means(manager, run_module) -> None:
    text = base64.encodebytes(bytes(range(256))).decode()
    run_module(swarm_secret, socket=manager.socket, name="app", data=text, data_is_b64=True)
    assert sent(manager) == bytes(range(256))
    refused = run_module(swarm_secret, socket=manager.socket, name="app", data=HUSH + "!", data_is_b64=True)
    assert refused["failed"]
    assert refused["msg"] == "data: with data_is_b64 it must be base64"


def test_a_secret_is_in_no_result(manager, run_module) -> None:
    for check in (True, False):
        options = {"socket": manager.socket, "name": "app", "data": HUSH}
        result = run_module(swarm_secret, check=check, **options)
        assert HUSH not in json.dumps(result)
        assert base64.b64encode(HUSH.encode()).decode() not in json.dumps(result)
    manager.refuse("/queenright/v1/apply", 400, "rpc error: something about it")
    assert HUSH not in json.dumps(run_module(swarm_secret, **options))


def test_services_that_were_moved_are_waited_for(manager, run_module) -> None:
    where = {"socket": manager.socket, "name": "app"}
    run_module(swarm_secret, data="one", **where)
    manager.swarm.data.users["secret", "app"] = ["api", "web"]
    result = run_module(swarm_secret, data="two", **where)
    assert result["services"] == ["api", "web"]
    assert [call[2]["id"] for call in manager.calls if call[1] == "/queenright/v1/wait"] == ["id-api", "id-web"]
    manager.waits = [{"converged": False, "state": "paused", "reasons": ["task api.1: exited with 1"]}]
    failed = run_module(swarm_secret, data="three", **where)
    assert failed["failed"]
    assert failed["msg"] == "service api: the update is paused: task api.1: exited with 1"
    before = len(manager.calls)
    assert run_module(swarm_secret, data="four", wait=False, **where)["changed"]
    assert run_module(swarm_secret, check=True, data="five", **where)["services"] == ["api", "web"]
    assert not [call for call in manager.calls[before:] if call[1] == "/queenright/v1/wait"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_nobody_needs_is_pruned_also_without_a_name(manager, run_module, kind) -> None:
    for name in ("one", "two"):
        run_module(module_of(kind), socket=manager.socket, name=name, data="x")
    options = {"socket": manager.socket, "prune": True, "prune_filters": {"labels": ["a=b"], "until": "24h"}}
    foreseen = run_module(module_of(kind), check=True, **options)
    done = run_module(module_of(kind), **options)
    again = run_module(module_of(kind), **options)
    assert foreseen["pruned"] == done["pruned"] == ["one", "two"]
    assert (foreseen["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert done["diff"] == {"before": {"Unused": ["one", "two"]}, "after": {"Unused": []}}
    query = [call[2] for call in manager.calls if call[1].endswith("/prune")][-1]
    assert json.loads(query["filters"]) == {"label": ["a=b"], "until": ["24h"]}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("given", [[], [""]])
@pytest.mark.parametrize("name", ["labels", "without_labels"])
def test_an_empty_filter_does_not_prune_everything(manager, run_module, name, given, check) -> None:
    run_module(swarm_secret, socket=manager.socket, name="one", data="x")
    options = {"prune": True, "prune_filters": {name: given, "until": "24h"}}
    result = run_module(swarm_secret, check=check, socket=manager.socket, **options)
    assert result["failed"]
    assert f"prune_filters: {name} is empty" in result["msg"]
    assert not [call for call in manager.calls if call[1].endswith("/prune")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_declared_is_not_pruned_by_the_same_task(manager, run_module, kind) -> None:
    run_module(module_of(kind), socket=manager.socket, name="old", data="x")
    options = {"socket": manager.socket, "name": "app", "prune": True}
    done = run_module(module_of(kind), data="x", **options)
    again = run_module(module_of(kind), data="x", **options)
    assert (done["pruned"], again["pruned"], again["changed"]) == (["old"], [], False)
    run_module(module_of(kind), check=True, data="y", **options)
    run_module(module_of(kind), state="absent", **options)
    said = [call[2].get("spare") for call in manager.calls if call[1].endswith("/prune")]
    assert said == ["app", "app", None, None]


def test_a_name_is_needed_unless_all_is_pruned(manager, run_module) -> None:
    result = run_module(swarm_secret, socket=manager.socket, data="x")
    assert result["failed"]
    assert "name" in result["msg"]
    result = run_module(swarm_secret, socket=manager.socket, name="a", data="@@", src="/x")
    assert "mutually exclusive" in result["msg"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_foreseen_where_there_is_no_swarm(runtime, run_module, kind) -> None:
    for socket in (NOWHERE, runtime.socket):
        result = run_module(module_of(kind), check=True, socket=socket, name="app", data=HUSH)
        assert (result["changed"], result["foreseen"], result["needs_manager"]) == (True, True, True)
        assert result[kind] == {"Name": "app", "Labels": {}, "Data": "(not shown)"}
        for options in ({"name": "app", "state": "absent"}, {"prune": True}):
            assert not run_module(module_of(kind), check=True, socket=socket, **options)["changed"]


def test_who_is_no_manager_says_what_to_do(worker, run_module) -> None:
    for module, options in (
        (swarm_secret, {"name": "a", "data": "x"}),
        (swarm_config_info, {}),
        (swarm_registry, {"server": "docker.io", "state": "absent"}),
        (swarm_registry_info, {}),
    ):
        result = run_module(module, socket=worker.socket, **options)
        assert result["failed"]
        assert result["needs_manager"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_shows_all_its_versions(manager, run_module, kind) -> None:
    where = {"socket": manager.socket}
    for name, data in (("app", "1"), ("app", "2"), ("db", "1")):
        run_module(module_of(kind), name=name, data=data, **where)
    info = swarm_secret_info if kind == "secret" else swarm_config_info

    def names(**options):
        return [one["Spec"]["Name"] for one in run_module(info, **where, **options)[f"{kind}s"]]

    assert names() == ["app", "app.v2", "db"]
    assert names(name=["app"]) == ["app", "app.v2"]
    assert names(name=["app.v2", "nosuch"]) == ["app.v2"]
    assert run_module(info, check=True, socket=NOWHERE)[f"{kind}s"] == []


def test_credentials_are_stored_once_and_not_shown(manager, triple, run_module) -> None:
    options = {"socket": manager.socket, "server": "r.example.com", "username": "bob", "password": HUSH}
    done, again = triple(swarm_registry, **options)
    assert HUSH not in json.dumps([done, again])
    assert json.loads(sent(manager)) == {"username": "bob", "password": HUSH, "serveraddress": "r.example.com"}
    assert manager.called("/queenright/v1/apply")[-1]["options"] == {"username": "bob"}
    shown = run_module(swarm_registry_info, socket=manager.socket)["registries"]
    assert [one["Spec"] for one in shown] == [{"Server": "r.example.com", "Username": "bob"}]
    triple(swarm_registry, socket=manager.socket, server="r.example.com", state="absent")


def test_an_identity_token_may_take_the_place_of_a_password(manager, run_module) -> None:
    run_module(swarm_registry, socket=manager.socket, server="r.io", identity_token=HUSH)
    assert json.loads(sent(manager)) == {"identitytoken": HUSH, "serveraddress": "r.io"}
    for options in (
        {"password": "x"},
        {"username": "bob"},
        {"username": "bob", "password": "x", "identity_token": "y"},
    ):
        assert run_module(swarm_registry, socket=manager.socket, server="r.io", **options)["failed"]


def test_a_user_may_be_named_where_credentials_are_removed(manager, run_module) -> None:
    options = {"socket": manager.socket, "server": "r.io", "username": "bob"}
    run_module(swarm_registry, password=HUSH, **options)
    assert "password" in run_module(swarm_registry, **options)["msg"]
    assert run_module(swarm_registry, state="absent", **options)["changed"]


def test_credentials_are_foreseen_where_there_is_no_swarm(runtime, run_module) -> None:
    options = {"server": "r.io", "username": "bob", "password": HUSH}
    result = run_module(swarm_registry, check=True, socket=runtime.socket, **options)
    assert (result["changed"], result["foreseen"]) == (True, True)
    assert result["registry"] == {"Username": "bob", "Server": "r.io", "Credentials": "(not shown)"}
    gone = run_module(swarm_registry, check=True, socket=runtime.socket, server="r.io", state="absent")
    assert not gone["changed"]


def test_a_service_names_its_secrets_and_configs(manager, run_module) -> None:
    result = run_module(
        swarm_service,
        socket=manager.socket,
        name="web",
        image="a",
        secrets=[{"secret_name": "key", "filename": "tls.key", "uid": "33", "mode": "0400"}],
        configs=[{"config_name": "conf"}],
    )
    assert not result.get("failed"), result
    options = manager.called("/queenright/v1/apply")[-1]["options"]
    assert options["secrets"] == [{"secret_name": "key", "filename": "tls.key", "uid": "33", "mode": "0400"}]
    assert options["configs"] == [{"config_name": "conf"}]
    container = result["service"]["TaskTemplate"]["ContainerSpec"]
    assert container["Secrets"][0]["File"] == {"Name": "tls.key", "UID": "33", "GID": "0", "Mode": 0o400}
    assert "no_log" not in json.dumps(result.get("warnings", []))
