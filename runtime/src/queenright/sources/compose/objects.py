# SPDX-License-Identifier: Apache-2.0
"""Networks, volumes, secrets and configs of a Compose file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from queenright.model.stack import NAMESPACE_LABEL
from queenright.sources.compose import values
from queenright.sources.compose.loading import Surroundings
from queenright.sources.draft import DraftData, DraftNetwork, SourceError
from queenright.spec.data import GOLANG
from queenright.spec.fields import SpecError, decode
from queenright.spec.network import OVERLAY, PREDEFINED, NetworkSpec

Loaded = dict[str, Any]
DEFAULT = "default"


def entry(key: str, given: Mapping[str, Any] | None, path: str) -> Loaded:
    """One of them as a file says it: its name if it says one, and whether it is there without the stack."""
    found = dict(given or {})
    external = found.get("external", False)
    name = found.get("name", "")
    if isinstance(external, dict):
        if external.get("name") and name:
            raise SourceError(f"{path}.external.name", "is said beside a name: leave it out")
        name, external = external.get("name", "") or name, True
    for option in ("labels", "driver_opts"):
        found[option] = values.pairs(found.get(option))
    if external:
        name = name or key
        for option in ("driver", "driver_opts", "labels", "file", "template_driver", "ipam"):
            if found.get(option) and (option != "file"):
                raise SourceError(f"{path}.{option}", "does not go with external: it is as it is")
    return {"driver": "", **found, "name": name, "external": external}


# -- networks


def networks(entries: Mapping[str, Loaded], used: Iterable[str], stack: str) -> list[DraftNetwork]:
    """Those that services use; each node's own networks are nobody's to declare."""
    found = []
    for key in dict.fromkeys(used):
        one = entries.get(key) or entry(key, None, "")
        path = f"networks.{key}"
        if not one["external"]:
            found.append(_network(key, one, path, stack))
        elif one["name"] not in PREDEFINED:
            found.append(DraftNetwork(key, one["name"], external=True))
    return found


def network_name(key: str, entries: Mapping[str, Loaded], stack: str) -> str:
    return (entries[key]["name"] if key in entries else "") or f"{stack}_{key}"


def _network(key: str, one: Loaded, path: str, stack: str) -> DraftNetwork:
    if one["driver"] not in ("", OVERLAY):
        raise SourceError(f"{path}.driver", f"{one['driver']!r} is no driver of a swarm's network; there is {OVERLAY}")
    name = one["name"] or f"{stack}_{key}"
    ipam = one.get("ipam") or {}
    pools = [{"Subnet": pool["subnet"]} for pool in ipam.get("config", ())]
    document = {
        "Name": name,
        "Labels": {**(one["labels"] or {}), NAMESPACE_LABEL: stack},
        "Driver": OVERLAY,
        "Options": one["driver_opts"] or {},
        "Internal": one.get("internal") or None,
        "Attachable": one.get("attachable") or None,
        "IPAM": {"Driver": ipam.get("driver", ""), "Config": pools},
    }
    try:
        return DraftNetwork(key, name, spec=decode(NetworkSpec, document))
    except SpecError as error:
        raise SourceError(f"{path}.{error.path}", error.reason) from None


# -- secrets and configs


def data(kind: str, entries: Mapping[str, Loaded], stack: str, around: Surroundings) -> list[DraftData]:
    """All of that kind; the content of their files is read here."""
    return [_data(kind, key, one, f"{kind}s.{key}", stack, around) for key, one in entries.items()]


def _data(kind: str, key: str, one: Loaded, path: str, stack: str, around: Surroundings) -> DraftData:
    if one["external"]:
        return DraftData(key, kind, one["name"], external=True)
    if one["driver"]:
        raise SourceError(f"{path}.driver", "secret drivers are plugins, which queenright does not run")
    if not one.get("file"):
        raise SourceError(f"{path}.file", "is required: what has no file is external")
    driver = one.get("template_driver", "")
    if driver not in ("", GOLANG):
        raise SourceError(f"{path}.template_driver", f"there is no {driver!r}; there is {GOLANG}")
    return DraftData(
        key,
        kind,
        one["name"] or f"{stack}_{key}",
        data=around.file(one["file"], f"{path}.file"),
        labels={**(one["labels"] or {}), NAMESPACE_LABEL: stack},
        template_driver=driver,
    )
