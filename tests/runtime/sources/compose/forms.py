# SPDX-License-Identifier: Apache-2.0
"""One form for what Docker's client creates and for what is drafted."""

from __future__ import annotations

import base64
from typing import Any

from queenright.sources.draft import Draft
from queenright.spec.fields import decode, encode
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec


def of_client(created: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What the client created."""
    services = {one["Name"]: _service(decode(ServiceSpec, one)) for one in created.get("services", ())}
    networks = {one["Name"]: encode(decode(NetworkSpec, one)) for one in created.get("networks", ())}
    found: dict[str, Any] = {"services": services, "networks": {key: _shown(one) for key, one in networks.items()}}
    for kind in ("secrets", "configs"):
        rows = created.get(kind, ())
        found[kind] = {
            row["Name"]: {
                "Labels": row["Labels"],
                "Data": row.get("Data") or "",
                "Templating": (row.get("Templating") or {}).get("Name", ""),
            }
            for row in rows
        }
    return found


def of_draft(draft: Draft) -> dict[str, Any]:
    """What is drafted."""
    found: dict[str, Any] = {
        "services": {one.spec.name: _service(one.spec) for one in draft.services},
        "networks": {one.name: _shown(encode(one.spec)) for one in draft.networks if not one.external},
    }
    for kind in ("secret", "config"):
        found[f"{kind}s"] = {
            one.name: {
                "Labels": one.labels,
                "Data": base64.b64encode(one.data or b"").decode(),
                "Templating": one.template_driver,
            }
            for one in draft.data
            if one.kind == kind and not one.external
        }
    return found


def _shown(network: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value for key, value in network.items() if value not in (False, {}, {"Driver": ""}, {"Driver": "default"})
    }


def _service(spec: ServiceSpec) -> dict[str, Any]:
    found = encode(spec)
    container = found["TaskTemplate"]["ContainerSpec"]
    container.pop("Privileges", None)
    for option in ("ReadOnly", "TTY", "OpenStdin"):
        if container.get(option) is False:
            del container[option]
    for kind in ("Secrets", "Configs"):
        for row in container.get(kind, ()):
            row.pop(kind.removesuffix("s") + "ID", None)
        if kind in container:
            container[kind].sort(key=repr)  # the client has one that is named twice in any order
    if "EndpointSpec" in found and "Ports" in found["EndpointSpec"]:
        found["EndpointSpec"]["Ports"].sort(key=repr)
        for port in found["EndpointSpec"]["Ports"]:
            port.setdefault("PublishedPort", 0)
    return found
