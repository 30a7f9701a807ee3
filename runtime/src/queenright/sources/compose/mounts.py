# SPDX-License-Identifier: Apache-2.0
"""Volumes of a service: their short form, and what they are as mounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queenright.model.stack import NAMESPACE_LABEL
from queenright.sources.draft import SourceError

BIND, VOLUME, TMPFS = "bind", "volume", "tmpfs"
_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")


def short(text: str, path: str) -> dict[str, Any]:
    """``[source:]target[:options]`` as the long form."""
    if not text:
        raise SourceError(path, "an empty text is no volume")
    parts = text.split(":")
    if "" in parts:
        raise SourceError(path, f"{text!r} has an empty section between colons")
    if len(parts) > 3:
        raise SourceError(path, f"{text!r} has too many colons")
    if len(parts) == 1:
        return {"type": VOLUME, "target": text}
    source, target = parts[:2]
    kind = BIND if source[0] in "./~" else VOLUME
    volume: dict[str, Any] = {"type": kind, "source": source, "target": target}
    for option in parts[2].split(",") if len(parts) == 3 else ():
        if option in ("ro", "rw"):
            volume["read_only"] = option == "ro"
        elif option == "nocopy":
            volume["volume"] = {"nocopy": True}
        elif option in _PROPAGATIONS:
            volume["bind"] = {"propagation": option}
    return volume


def resolved(volume: dict[str, Any], path: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """The long form with the source of a bind as an absolute path."""
    if volume["type"] != BIND:
        return volume
    source = volume.get("source") or ""
    if not source:
        raise SourceError(f"{path}.source", "a bind needs the path of what is bound")
    if source.startswith("~") and variables.get("HOME"):
        source = source.replace("~", variables["HOME"], 1)
    if not source.startswith("/"):
        raise SourceError(path, f"{source!r} is relative to a directory that nodes do not have: write an absolute path")
    return {**volume, "source": source}


def mount(volume: dict[str, Any], path: str, volumes: Mapping[str, Any], stack: str) -> dict[str, Any]:
    """A mount as the Engine's JSON has it."""
    kind = volume.get("type") or VOLUME
    for other in (BIND, VOLUME, TMPFS):
        if other in volume and other != kind:
            raise SourceError(f"{path}.{other}", f"options of {other} do not go with a volume of type {kind}")
    if not volume.get("target"):
        raise SourceError(f"{path}.target", "is required")
    found: dict[str, Any] = {"Type": kind, "Target": volume["target"]}
    if volume.get("source"):
        found["Source"] = volume["source"]
    if volume.get("read_only"):
        found["ReadOnly"] = True
    if kind == VOLUME:
        return _named(found, volume, path, volumes, stack)
    if kind == BIND:
        if volume.get("bind", {}).get("propagation"):
            found["BindOptions"] = {"Propagation": volume["bind"]["propagation"]}
    elif kind == TMPFS:
        if volume.get("source"):
            raise SourceError(f"{path}.source", "a tmpfs has no source")
        if volume.get("tmpfs", {}).get("size"):
            found["TmpfsOptions"] = {"SizeBytes": int(volume["tmpfs"]["size"])}
    else:
        raise SourceError(f"{path}.type", f"volumes of type {kind} are not supported; there are bind, volume, tmpfs")
    return found


def _named(
    found: dict[str, Any], volume: dict[str, Any], path: str, volumes: Mapping[str, Any], stack: str
) -> dict[str, Any]:
    """A volume as the file's own entry has it; one without a name is the container's own."""
    key = volume.get("source")
    if not key:
        return found
    if key not in volumes:
        raise SourceError(path, f"there is no volume {key} in the volumes of the file")
    entry = volumes[key]
    found["Source"] = entry["name"] or f"{stack}_{key}"
    options: dict[str, Any] = {}
    if volume.get("volume", {}).get("nocopy"):
        options["NoCopy"] = True
    if not entry["external"]:
        options["Labels"] = {**(entry["labels"] or {}), NAMESPACE_LABEL: stack}
        if entry["driver"] or entry["driver_opts"] is not None:
            options["DriverConfig"] = {"Name": entry["driver"], "Options": entry["driver_opts"] or {}}
    return {**found, "VolumeOptions": options}
