# SPDX-License-Identifier: Apache-2.0
"""A swarm that is exported and declared again is the same swarm: managers in this process, asked as playbooks do."""

from __future__ import annotations

import base64
import dataclasses
import pathlib
from typing import Any

import pytest
from compat import wide
from hypothesis import given
from hypothesis import strategies as st
from runtime.api.kit import Api
from runtime.app.export_kit import (
    bare,
    declare,
    picture_of,
    read_tasks,
    service,
    shop,
    wide_api,
    without_ids,
)
from runtime.app.test_cli import Socket, answer, run, server
from runtime.manager.kit import World

from queenright.app import exported_bundle, exported_text
from queenright.app.ask import ask
from queenright.app.export import OVERLAYS, read
from queenright.app.exported import Picture
from queenright.app.exported_stacks import exported
from queenright.spec.fields import decode, encode, merge
from queenright.spec.service import ServiceSpec

__all__ = ("server",)


# -- whole swarms


async def test_declared_again_nothing_changes_and_the_export_is_the_same() -> None:
    api = await wide_api()
    found = exported(await picture_of(api))
    assert found.notes == ()
    text = exported_text.playbook(found)
    assert await declare(api, text) == []
    assert await declare(api, text, secret_key="open sesame 7413") == []
    assert exported_text.playbook(exported(await picture_of(api))) == text


async def test_declared_elsewhere_it_is_the_same_swarm() -> None:
    here, there = await wide_api(), Api.manager(World.make())
    text = exported_text.playbook(exported(await picture_of(here)))
    await declare(there, text, secret_key="open sesame 7413", secret_cert="x")
    before, after = await picture_of(here), await picture_of(there)
    assert without_ids(after)[0] == without_ids(before)[0]
    assert without_ids(after) == without_ids(before)
    assert exported_text.playbook(exported(after)) == text
    assert await declare(there, text) == []


async def test_a_secret_that_is_not_given_is_refused_elsewhere() -> None:
    text = exported_text.playbook(exported(await picture_of(await wide_api())))
    with pytest.raises(AssertionError, match="secret cert does not exist yet: give its data"):
        await declare(Api.manager(World.make()), text)


async def test_no_data_of_a_secret_is_in_the_text_and_each_has_a_variable() -> None:
    found = exported(await picture_of(await wide_api()))
    assert [one.variable for one in found.missing] == ["secret_cert", "secret_key"]
    text = exported_text.playbook(found)
    assert "# What could not be read. Without these variables, what the swarm holds stays:\n#   - secret_cert: " in text
    for _name, data, _labels in wide.SECRETS:
        assert data.decode("latin-1") not in text
        assert base64.b64encode(data).decode() not in text


async def test_one_task_for_all_says_the_same() -> None:
    found = exported(await picture_of(await wide_api()))
    ((module, wishes),) = read_tasks(exported_text.apply(found))
    assert module == "swarm_apply"
    single = read_tasks(exported_text.playbook(found))
    for kind, plural in (
        ("service", "services"),
        ("network", "networks"),
        ("config", "configs"),
        ("secret", "secrets"),
    ):
        assert wishes[plural] == [arguments for name, arguments in single if name == f"swarm_{kind}"]


async def test_settings_nodes_and_registries_are_exported_as_far_as_they_are_their_own() -> None:
    world = World.make()
    node = world.worker("node1")
    api = Api.manager(world)
    cluster = await api.get("/swarm")
    spec = cluster["Spec"] | {"Orchestration": {"TaskHistoryRetentionLimit": 2}}
    spec["CAConfig"] = spec["CAConfig"] | {"NodeCertExpiry": 3600 * 10**9, "ForceRotate": 0}
    assert (await api.call("POST", f"/swarm/update?version={cluster['Version']['Index']}", spec))[0] == 200
    body = {"Labels": {"zone": "a"}, "Role": "worker", "Availability": "drain"}
    assert (await api.call("POST", f"/nodes/{node.id}/update?version={node.version}", body))[0] == 200
    credentials = base64.b64encode(b'{"username": "o\'hara", "password": "secret"}').decode()
    wish = {
        "kind": "registry",
        "name": "example.com",
        "options": {"username": "o'hara"},
        "context": {"data": credentials},
    }
    assert (await api.call("POST", "/queenright/v1/apply", wish | {"state": "present"}))[0] == 200
    text = exported_text.playbook(exported(await picture_of(api)))
    assert read_tasks(text, registry_password_example_com="secret") == [
        ("swarm_init", {"task_history_retention_limit": 2, "node_cert_expiry": "1h", "install_runtime": False}),
        ("swarm_registry", {"server": "example.com", "username": "o'hara", "password": "secret"}),
        ("swarm_node", {"name": "node1", "labels": {"zone": "a"}, "availability": "drain", "wait": False}),
    ]
    assert read_tasks(text)[1] == ("swarm_registry", {"server": "example.com"})
    assert await declare(api, text) == []
    assert await declare(api, text, registry_password_example_com="secret") == []


async def test_later_versions_are_exported_under_the_name_that_all_have() -> None:
    api = Api.manager(World.make())
    text = """
- hosts: swarm_managers
  run_once: true
  tasks:
    - name: One
      queenright.swarm.swarm_config: {name: app, data: DATA}
"""
    await declare(api, text.replace("DATA", "first"))
    await declare(api, text.replace("DATA", "second"))
    spec = {"image": "a", "configs": [{"config_name": "app", "filename": "/x"}], "mode": "global"}
    body = {
        "kind": "service",
        "name": "web",
        "state": "present",
        "options": spec,
        "context": {"resolve_image": "never"},
    }
    assert (await api.call("POST", "/queenright/v1/apply", body))[0] == 200
    text = exported_text.playbook(exported(await picture_of(api)))
    (config, data), (service, declared) = read_tasks(text)
    assert (config, data, service) == ("swarm_config", {"name": "app", "data": "second"}, "swarm_service")
    assert declared["configs"] == [{"config_name": "app", "filename": "/x"}]
    assert await declare(api, text) == []


# -- what cannot be declared


@pytest.mark.parametrize(
    ("template", "note"),
    [
        (
            {"ContainerSpec": {"Image": "a", "Shiny": {"Deep": 1}}},
            "service web: TaskTemplate.ContainerSpec.Shiny is not known here, and left out",
        ),
        (
            {"ContainerSpec": {"Image": "a", "Mounts": [{"Type": "npipe", "Source": "a", "Target": "/b"}]}},
            "service web: TaskTemplate.ContainerSpec.Mounts[0].Type is left out: 'npipe' is none of bind, volume, "
            "tmpfs",
        ),
        (
            {"ContainerSpec": {"Image": "a", "Isolation": "hyperv"}},
            "service web: TaskTemplate.ContainerSpec.Isolation cannot be declared, and left out: it is 'hyperv'",
        ),
        (
            {"ContainerSpec": {"Image": "a", "Privileges": {"CredentialSpec": {"File": "x"}}}},
            "service web: TaskTemplate.ContainerSpec.Privileges.CredentialSpec is left out: is for Windows containers, "
            "which queenright does not run",
        ),
        (
            {"ContainerSpec": {"Image": "a"}, "Networks": [{"Target": "gone"}]},
            "service web: its network gone is not there",
        ),
        (
            {"PluginSpec": {"Name": "x"}, "Runtime": "plugin"},
            "service web: left out, as it runs no containers (it is of runtime 'plugin')",
        ),
    ],
)
def test_what_no_option_can_say_is_told(template: dict[str, Any], note: str) -> None:
    found = exported(bare(services=(service(TaskTemplate=template),)))
    assert found.notes == (note,)
    assert f"#   - {note}\n" in exported_text.playbook(found)


def test_what_the_first_versions_of_the_api_said_of_networks_is_understood() -> None:
    network = {"Id": "n1", "Name": "mynet", "Driver": "overlay", "IPAM": {"Config": []}}
    found = exported(bare(services=(service(Networks=[{"Target": "n1"}]),), networks=(network,)))
    assert found.notes == ()
    assert found.items[1].options["networks"] == [{"name": "mynet"}]


def test_an_encrypted_network_keeps_that_and_is_told_of() -> None:
    network = {"Id": "n1", "Name": "mynet", "Driver": "overlay", "Options": {"encrypted": ""}, "IPAM": {"Config": []}}
    found = exported(bare(networks=(network,)))
    assert found.items[0].options == {"driver_options": {"encrypted": ""}}
    assert "network mynet: it is encrypted" in found.notes[0]


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
ARGUMENTS = st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3)


@given(TEXTS, ARGUMENTS, st.dictionaries(TEXTS, TEXTS, max_size=3), st.integers(0, 10**12))
def test_whatever_is_in_a_service_comes_through(name: str, args: list[str], labels: dict[str, str], delay: int) -> None:
    container = {"Image": "a", "Args": args, "Labels": labels, "StopGracePeriod": delay}
    raw = service(name, TaskTemplate={"ContainerSpec": container}, Labels=labels)
    ((_module, arguments),) = read_tasks(exported_text.playbook(exported(bare(services=(raw,)))))
    assert arguments.pop("name") == name
    assert arguments.pop("resolve_image") == "never"
    declared = encode(dataclasses.replace(merge(ServiceSpec, None, arguments), name=name))
    assert declared == encode(decode(ServiceSpec, raw["Spec"]))


# -- the command


def fill(server: Socket, picture: Picture) -> None:
    for path, value in (
        ("/services", picture.services),
        (f"/networks?filters={OVERLAYS}", picture.networks),
        ("/secrets", picture.secrets),
        ("/configs", picture.configs),
        ("/nodes", picture.nodes),
        ("/swarm", picture.swarm),
    ):
        answer(server, path, value)


def test_the_command_writes_to_a_file_that_is_its_own(
    server: Socket, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(server, shop())
    out = tmp_path / "swarm.yml"
    assert run(server, "export", "-o", str(out)) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "queenright: the data of secret shop_key cannot be read: give it in the variable secret_shop_key\n"
    )
    assert out.read_text() == exported_text.playbook(exported(shop()))
    assert out.stat().st_mode & 0o777 == 0o600
    assert run(server, "export", "--from", f"unix://{server.path}") == 0
    assert capsys.readouterr().out == out.read_text()
    assert run(server, "export", "--format=bundle", "--stack=shop") == 0
    assert capsys.readouterr().out == exported_bundle.text(exported_bundle.bundle(shop(), "shop"))
    assert run(server, "export", "-o", str(tmp_path / "no/such/folder")) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_the_command_says_what_is_wrong(server: Socket, capsys: pytest.CaptureFixture[str]) -> None:
    answer(server, "/services", {"message": "This node is not a swarm manager."}, 503)
    for words, told in (
        ((), "This node is not a swarm manager."),
        (("--from", "tcp://host:2375"), "expected unix:///PATH"),
        (("--from", "unix:///no/such/socket"), "/no/such/socket does not exist"),
    ):
        assert run(server, "export", *words) == 1
        assert told in capsys.readouterr().err
    fill(server, shop())
    assert run(server, "export", "--stack", "other") == 1
    assert "there is no stack other" in capsys.readouterr().err


def test_networks_that_every_node_has_are_found_by_their_id_and_not_declared(server: Socket) -> None:
    fill(
        server,
        bare(services=(service(TaskTemplate={"ContainerSpec": {"Image": "a"}, "Networks": [{"Target": "h1"}]}),)),
    )
    answer(server, "/networks/h1?scope=swarm", {"Name": "host", "Id": "h1", "Driver": "host"})
    found = exported(read(lambda target: ask(server.path, "GET", target)))
    assert [(item.kind, item.options.get("networks")) for item in found.items] == [("service", [{"name": "host"}])]
    assert found.notes == ()


def test_an_empty_swarm_is_an_empty_playbook() -> None:
    assert read_tasks(exported_text.playbook(exported(bare()))) == []
    assert read_tasks(exported_text.apply(exported(bare()))) == []
