# SPDX-License-Identifier: Apache-2.0
"""A swarm that is exported and declared again is the same swarm: managers in this process, asked as playbooks do."""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
from typing import Any

import jinja2
import pytest
import yaml
from compat import wide
from hypothesis import given
from hypothesis import strategies as st
from runtime.api.kit import Api
from runtime.app.test_cli import Socket, answer, run, server
from runtime.manager.kit import World

from queenright.app import exported_bundle, exported_text
from queenright.app.ask import AskError, ask
from queenright.app.export import OVERLAYS, read
from queenright.app.exported import Picture
from queenright.app.exported_stacks import exported
from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.sources import options as options_source
from queenright.spec.fields import decode, encode, merge
from queenright.spec.service import ServiceSpec

__all__ = ("server",)
OMIT = "(omitted)"
PATHS = (
    "/services",
    "/swarm",
    "/secrets",
    "/configs",
    "/nodes",
    f"/networks?filters={OVERLAYS}",
    "/queenright/v1/status",
    "/queenright/v1/registries",
)


class Unsafe(yaml.SafeLoader):
    """Reads what is unsafe for templates as text, as Ansible does; templates as such."""


class Text(str):
    """What Ansible leaves alone."""


Unsafe.add_constructor("!unsafe", lambda loader, node: Text(loader.construct_scalar(node)))


async def wide_api() -> Api:
    """A manager of a swarm with something of everything."""
    world = World.make()
    world.worker("node1")
    api = Api.manager(world)
    ids = {one["Name"]: await made(api, "/networks/create", one) for one in wide.NETWORKS}
    for kind, values in (("secrets", wide.SECRETS), ("configs", wide.CONFIGS)):
        for name, data, labels in values:
            ids[name] = await made(api, f"/{kind}/create", wide.data_body(name, data, labels))
    for spec in wide.services(ids):
        await made(api, "/services/create", spec)
    return api


async def made(api: Api, path: str, body: Any) -> str:
    status, document = await api.call("POST", path, body)
    assert status == 201, document
    return str(document.get("ID") or document["Id"])


async def picture_of(api: Api) -> Picture:
    known = {path: await api.get(path, version=None) for path in PATHS}

    def get(path: str) -> Any:
        if path not in known:
            raise AskError(path)
        return known[path]

    return read(get)


def read_tasks(text: str, **variables: Any) -> list[tuple[str, dict[str, Any]]]:
    """The modules and arguments of a playbook, as Ansible would hand them over."""
    (play,) = yaml.load(text, Unsafe)
    assert (play["hosts"], play["run_once"]) == ("swarm_managers", True)
    found = []
    for task in play["tasks"]:
        (module,) = set(task) - {"name"}
        found.append((module.rpartition(".")[2], evaluated(task[module], variables)))
    return found


def evaluated(value: Any, variables: dict[str, Any]) -> Any:
    """What Ansible makes of arguments: templates are filled in, what is to be omitted is not there."""
    if isinstance(value, dict):
        items = {key: evaluated(item, variables) for key, item in value.items()}
        return {key: item for key, item in items.items() if item != OMIT}
    if isinstance(value, list):
        return [evaluated(item, variables) for item in value]
    if isinstance(value, str) and not isinstance(value, Text) and "{{" in value:
        environment = jinja2.Environment(autoescape=False)
        environment.filters["b64encode"] = lambda text: base64.b64encode(text.encode()).decode()
        return environment.from_string(value).render(omit=OMIT, **variables)
    return value


async def declare(api: Api, text: str, **variables: Any) -> list[str]:
    """Run a playbook, as the modules would; gives the names of the modules that changed something."""
    changed = []
    for module, arguments in read_tasks(text, **variables):
        kind = "swarm" if module == "swarm_init" else module.removeprefix("swarm_")
        name = arguments.pop("server" if kind == "registry" else "name", "")
        context = {key: arguments.pop(key) for key in ("resolve_image",) if key in arguments}
        context |= {"resolve_image": "never"} if kind == "stack" else {}
        arguments.pop("wait", None)
        if "data" in arguments:
            data, encoded = arguments.pop("data"), arguments.pop("data_is_b64", False)
            context["data"] = data if encoded else base64.b64encode(data.encode()).decode()
        if kind == "registry" and "password" in arguments:
            text = json.dumps({"username": arguments["username"], "password": arguments.pop("password")})
            context["data"] = base64.b64encode(text.encode()).decode()
        changed += [module] if await applied(api, kind, name, arguments, context) else []
    return changed


async def applied(api: Api, kind: str, name: str, options: dict[str, Any], context: dict[str, Any]) -> bool:
    """Whether a wish changed something."""
    body = {"kind": kind, "name": name, "state": "present", "options": options, "context": context}
    status, document = await api.call("POST", "/queenright/v1/apply", body)
    assert status == 200, (kind, name, document)
    return bool(document["changed"])


def without_ids(picture: Picture) -> Any:
    """What was said of everything, with names for ids."""
    names = {raw["Id"]: raw["Name"] for raw in picture.networks}
    services = {raw["Spec"]["Name"]: json.loads(json.dumps(raw["Spec"])) for raw in picture.services}
    for spec in services.values():
        for one in spec["TaskTemplate"].get("Networks") or ():
            one["Target"] = names[one["Target"]]
        for kind in ("Secret", "Config"):
            for one in spec["TaskTemplate"]["ContainerSpec"].get(f"{kind}s") or ():
                del one[f"{kind}ID"]
    networks = {raw["Name"]: {**raw, "Id": "", "Created": ""} for raw in picture.networks}
    for raw in networks.values():
        raw["Options"] = {key: value for key, value in raw["Options"].items() if not key.endswith(".vxlanid_list")}
    data = [
        sorted((raw["Spec"]["Name"], str(raw["Spec"])) for raw in one) for one in (picture.secrets, picture.configs)
    ]
    return services, networks, data, picture.swarm["Spec"]


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
        ("swarm_init", {"task_history_retention_limit": 2, "node_cert_expiry": "1h"}),
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


def bare(**more: Any) -> Picture:
    return dataclasses.replace(Picture(), **more)


def service(name: str = "web", **more: Any) -> dict[str, Any]:
    spec = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "a@sha256:" + "0" * 64}}, "Mode": {"Global": {}}}
    return {"ID": name, "Spec": spec | more}


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


# -- stacks


def labelled(name: str, **more: str) -> dict[str, str]:
    return {NAMESPACE_LABEL: name, **more}


def shop() -> Picture:
    """A stack as docker stack deploy makes it, and a service beside."""
    digest = "redis:7@sha256:" + "1" * 64

    def file(name: str) -> dict[str, Any]:
        return {"Name": name, "UID": "0", "GID": "0", "Mode": 292}

    web = {
        "ContainerSpec": {
            "Image": "web:4",
            "Labels": labelled("shop"),
            "Secrets": [
                {
                    "SecretID": "s1",
                    "SecretName": "shop_key",
                    "File": file("key"),
                }
            ],
            "Configs": [{"ConfigID": "c1", "ConfigName": "all", "File": file("all")}],
        },
        "Networks": [{"Target": "n1", "Aliases": ["web"]}, {"Target": "n2", "Aliases": ["www", "web"]}],
    }
    store = {
        "ContainerSpec": {"Image": digest, "Labels": labelled("shop")},
        "Networks": [{"Target": "n1", "Aliases": ["store"]}],
    }
    pool = {"Config": [{"Subnet": "10.0.9.0/24", "Gateway": "10.0.9.1"}]}
    return Picture(
        services=(
            service("shop_web", TaskTemplate=web, Labels=labelled("shop", **{IMAGE_LABEL: "web:4", "own": "x"})),
            service("shop_store", TaskTemplate=store, Labels=labelled("shop", **{IMAGE_LABEL: "redis:7"})),
            service("alone"),
        ),
        networks=(
            {"Id": "n1", "Name": "shop_default", "Driver": "overlay", "Labels": labelled("shop"), "IPAM": pool},
            {"Id": "n2", "Name": "outer", "Driver": "overlay", "Labels": {}, "IPAM": {"Config": []}},
        ),
        secrets=({"ID": "s1", "Spec": {"Name": "shop_key", "Labels": labelled("shop")}},),
        configs=({"ID": "c1", "Spec": {"Name": "all", "Labels": {}, "Data": "eA=="}},),
    )


def as_living(options: dict[str, Any]) -> dict[str, Any]:
    """What a stack's options come to: the services' specs by name."""
    sections = {key: value for key, value in options.items() if key in options_source.SECTIONS}
    draft = options_source.read("shop", sections)
    return {one.spec.name or "": encode(one.spec) for one in draft.services}


def living(picture: Picture) -> dict[str, Any]:
    """The same of what runs."""
    names = {raw["Id"]: raw["Name"] for raw in picture.networks}
    found = {}
    for raw in picture.services:
        spec = json.loads(json.dumps(raw["Spec"]))
        for one in spec["TaskTemplate"].get("Networks") or ():
            one["Target"] = names[one["Target"]]
        for kind in ("Secret", "Config"):
            for one in spec["TaskTemplate"]["ContainerSpec"].get(f"{kind}s") or ():
                del one[f"{kind}ID"]
        found[spec["Name"]] = encode(decode(ServiceSpec, spec))
    return found


def test_what_docker_stack_deploy_made_stays_as_it_is() -> None:
    found = exported(shop())
    tasks = [(item.kind, item.name) for item in found.items]
    assert tasks == [
        ("network", "outer"),
        ("network", "shop_default"),
        ("secret", "shop_key"),
        ("config", "all"),
        ("service", "alone"),
        ("service", "shop_store"),
        ("service", "shop_web"),
    ]
    assert found.items[-1].options["labels"] == labelled("shop", **{IMAGE_LABEL: "web:4", "own": "x"})


def test_it_can_be_adopted_as_a_stack_of_the_swarm() -> None:
    picture = shop()
    found = exported(picture, adopt=True)
    assert [(item.kind, item.name) for item in found.items] == [
        ("network", "outer"),
        ("config", "all"),
        ("service", "alone"),
        ("stack", "shop"),
    ]
    options = evaluated(json.loads(json.dumps(found.items[-1].options)), {})
    assert options["networks"] == {
        "default": {"ipam_config": [{"subnet": "10.0.9.0/24", "gateway": "10.0.9.1"}]},
        "outer": {"external": True, "name": "outer"},
    }
    assert options["secrets"] == {"key": {}}
    assert options["configs"] == {"all": {"external": True, "name": "all"}}
    assert options["services"]["web"]["networks"] == [{"name": "default"}, {"name": "outer", "aliases": ["www"]}]
    specs, now = as_living(options), living(picture)
    assert specs["shop_web"] == now["shop_web"]
    assert specs["shop_store"]["TaskTemplate"] == now["shop_store"]["TaskTemplate"], "pinned as it runs"


STACK = {
    "labels": {"team": "blue"},
    "keep": 3,
    "timeout": "5m",
    "on_failure": "pause",
    "networks": {
        "back": {"internal": True, "labels": {"tier": "back"}},
        "outer": {"external": True},
        "mine": {"name": "n"},
    },
    "secrets": {"key": {"data": base64.b64encode(b"open").decode(), "labels": {"a": "b"}}, "all": {"external": True}},
    "configs": {"page": {"data": "eA==", "template_driver": "golang"}},
    "services": {
        "store": {
            "image": "redis:7",
            "mode": "global",
            "networks": [{"name": "back", "aliases": ["db"]}],
            "env": ["A={{.Node.Hostname}}"],
        },
        "web": {
            "image": "web:4",
            "labels": {"own": "x"},
            "networks": [{"name": "back"}, {"name": "outer"}, {"name": "mine"}],
            "secrets": [{"secret_name": "key", "filename": "tls"}, {"secret_name": "all"}],
            "configs": [{"config_name": "page"}],
            "depends_on": {"store": {"condition": "healthy"}},
            "publish": [{"target_port": 80, "published_port": 8080}],
        },
    },
}


async def shop_api() -> Api:
    """A manager of a swarm with a stack of its own, and what that uses."""
    api = Api.manager(World.make())
    await made(api, "/networks/create", {"Name": "outer", "Driver": "overlay"})
    await made(api, "/secrets/create", wide.data_body("all", b"x", {}))
    assert await applied(api, "stack", "shop", STACK, {"resolve_image": "never"})
    return api


async def with_stacks(api: Api) -> Picture:
    rows = await api.get("/queenright/v1/stacks")
    stacks = [await api.get(f"/queenright/v1/stacks/{row['Name']}") for row in rows if row["Managed"]]
    return dataclasses.replace(await picture_of(api), stacks=tuple(stacks))


async def revision(api: Api) -> int:
    return int((await api.get("/queenright/v1/stacks/shop"))["Revision"])


async def test_a_stack_of_the_swarm_declared_again_is_no_new_revision() -> None:
    api = await shop_api()
    found = exported(await with_stacks(api))
    assert found.notes == ()
    assert [(item.kind, item.name) for item in found.items] == [
        ("network", "ingress"),
        ("network", "outer"),
        ("secret", "all"),
        ("stack", "shop"),
    ]
    text = exported_text.playbook(found)
    assert "replicas" not in text
    for variables in ({}, {"secret_shop_key": "open"}):
        assert await declare(api, text, **variables) == []
        assert await revision(api) == 1
    assert await declare(api, text, secret_shop_key="other") == ["swarm_stack"]
    assert exported_text.playbook(exported(await with_stacks(api))) == text


async def test_a_stack_of_the_swarm_declared_elsewhere_is_the_same() -> None:
    here, there = await shop_api(), Api.manager(World.make())
    text = exported_text.playbook(exported(await with_stacks(here)))
    await declare(there, text, secret_shop_key="open", secret_all="x")
    before, after = await with_stacks(here), await with_stacks(there)
    assert without_ids(after)[0] == without_ids(before)[0]
    for key in ("Declared", "OnFailure", "Keep", "Timeout", "Labels"):
        assert after.stacks[0][key] == before.stacks[0][key]
    assert exported_text.playbook(exported(after)) == text


async def test_what_was_changed_by_hand_in_a_stack_is_told_and_exported_as_it_is() -> None:
    api = await shop_api()
    (service,) = [one for one in await api.get("/services") if one["Spec"]["Name"] == "shop_web"]
    spec = service["Spec"] | {"Mode": {"Replicated": {"Replicas": 7}}}
    spec["TaskTemplate"]["ContainerSpec"] |= {"Hostname": "by-hand", "Image": "web:5"}
    path = f"/services/{service['ID']}/update?version={service['Version']['Index']}"
    assert (await api.call("POST", path, spec))[0] == 200
    found = exported(await with_stacks(api))
    assert found.notes[0] == "service shop_web: its stack does not say replicas, which is 7 now, and stays what it is"
    assert any(
        note.startswith("stack shop: service shop_web: TaskTemplate.ContainerSpec.Hostname") for note in found.notes
    )
    web = found.items[-1].options["services"]["web"]
    assert (web["hostname"], web["image"], "replicas" in web) == ("by-hand", "web:5", False)


def test_one_stack_alone() -> None:
    found = exported(shop(), only="shop")
    assert {item.name for item in found.items} == {"shop_default", "shop_key", "shop_store", "shop_web"}
    with pytest.raises(LookupError):
        exported(shop(), only="other")


# -- bundles


def test_a_stack_as_a_bundle_with_notes_on_what_a_bundle_cannot_say() -> None:
    found = exported_bundle.bundle(shop(), "shop")
    assert json.loads(exported_bundle.text(found)) == {
        "Version": "0.1",
        "Services": {
            "store": {"Image": "redis:7@sha256:" + "1" * 64, "Networks": ["default"]},
            "web": {"Image": "web:4", "Labels": {"own": "x"}, "Networks": ["default", "outer"]},
        },
    }
    assert found.notes == (
        "service store: a bundle cannot say mode",
        "service web: its image web:4 has no digest, which a bundle must have",
        "service web: a bundle cannot say aliases of its network outer",
        "service web: a bundle cannot say configs, mode, secrets",
        "network default: a bundle says nothing of it but its name",
        "network outer: a bundle says nothing of it but its name",
    )


def test_services_of_no_stack_as_a_bundle_have_all_that_a_bundle_says() -> None:
    container = {
        "Image": "a@sha256:" + "2" * 64,
        "Command": ["x"],
        "Args": ["y"],
        "Env": ["A=1"],
        "Dir": "/d",
        "User": "u",
    }
    ports = [{"Protocol": "udp", "TargetPort": 53, "PublishMode": "ingress"}, {"TargetPort": 80, "PublishedPort": 8080}]
    one = {"Replicated": {"Replicas": 1}}
    raw = service(TaskTemplate={"ContainerSpec": container}, EndpointSpec={"Ports": ports}, Mode=one)
    found = exported_bundle.bundle(bare(services=(raw,)), None)
    assert found.items[0].options["Services"] == {
        "web": {
            "Image": "a@sha256:" + "2" * 64,
            "Command": ["x"],
            "Args": ["y"],
            "Env": ["A=1"],
            "WorkingDir": "/d",
            "User": "u",
            "Ports": [{"Protocol": "udp", "Port": 53}, {"Protocol": "tcp", "Port": 80}],
        }
    }
    assert found.notes == ("service web: a bundle cannot say where port 80 is published; one is chosen",)


def test_a_bundle_of_nothing_is_refused() -> None:
    for picture, stack in ((bare(), None), (shop(), "other")):
        with pytest.raises(LookupError):
            exported_bundle.bundle(picture, stack)


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
