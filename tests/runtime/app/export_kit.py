# SPDX-License-Identifier: Apache-2.0
"""Swarms to be exported, in this process and as they might be read, and what Ansible makes of a playbook."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import jinja2
import yaml
from compat import wide
from runtime.api.kit import Api
from runtime.manager.kit import World

from queenright.app.ask import AskError
from queenright.app.export import OVERLAYS, read
from queenright.app.exported import Picture
from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL

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
        return environment.from_string(value).render(omit=OMIT, **variables)
    return value


async def declare(api: Api, text: str, **variables: Any) -> list[str]:
    """Run a playbook, as the modules would; gives the names of the modules that changed something."""
    changed = []
    for module, arguments in read_tasks(text, **variables):
        kind = "swarm" if module == "swarm_init" else module.removeprefix("swarm_")
        name = arguments.pop("server" if kind == "registry" else "name", "")
        context = {key: arguments.pop(key) for key in ("resolve_image",) if key in arguments}
        if kind == "stack":
            context, arguments = {**context, "resolve_image": "never"}, as_sent(arguments)
        for beside in ("wait", "install_runtime"):
            arguments.pop(beside, None)
        if "data" in arguments:
            data, encoded = arguments.pop("data"), arguments.pop("data_is_b64", False)
            context["data"] = data if encoded else base64.b64encode(data.encode()).decode()
        if kind == "registry" and "password" in arguments:
            text = json.dumps({"username": arguments["username"], "password": arguments.pop("password")})
            context["data"] = base64.b64encode(text.encode()).decode()
        changed += [module] if await applied(api, kind, name, arguments, context) else []
    return changed


def as_sent(options: dict[str, Any]) -> dict[str, Any]:
    """A stack's options as the module sends them: data in base64."""
    sections = {
        section: {key: _row_as_sent(row) for key, row in options[section].items()}
        for section in ("secrets", "configs")
        if section in options
    }
    return {**options, **sections}


def _row_as_sent(row: dict[str, Any]) -> dict[str, Any]:
    found = dict(row)
    encoded = found.pop("data_is_b64", False)
    if "data" in found and not encoded:
        found["data"] = base64.b64encode(found["data"].encode()).decode()
    return found


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


def bare(**more: Any) -> Picture:
    return dataclasses.replace(Picture(), **more)


def service(name: str = "web", **more: Any) -> dict[str, Any]:
    spec = {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "a@sha256:" + "0" * 64}}, "Mode": {"Global": {}}}
    return {"ID": name, "Spec": spec | more}


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
