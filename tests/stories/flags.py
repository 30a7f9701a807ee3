# SPDX-License-Identifier: Apache-2.0
"""What the flags of ``create`` and ``update``, and the words of ``machine``, mean in stories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from laws.builders import GIB, SECOND

from queenright.model.objects import GenericResource

DURATIONS = {"delay": "Delay", "monitor": "Monitor", "window": "Window", "timeout": "Timeout"}
KEYS = {
    "parallelism": "Parallelism",
    "action": "FailureAction",
    "ratio": "MaxFailureRatio",
    "order": "Order",
    "gate": "Gate",
    "condition": "Condition",
    "attempts": "MaxAttempts",
}


def pairs(text: str) -> dict[str, Any]:
    """``parallelism=2,delay=5s`` as Engine JSON."""
    out: dict[str, Any] = {}
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key in DURATIONS:
            out[DURATIONS[key]] = int(float(value.removesuffix("s")) * SECOND)
        else:
            out[KEYS[key]] = value if value.replace("-", "").isalpha() else float(value) if "." in value else int(value)
    return out


def task_template(held: Mapping[str, Any]) -> dict[str, Any]:
    """The TaskTemplate of Engine JSON that a service's flags ask for, but for its image."""
    task: dict[str, Any] = {"Placement": _placement(held), "Resources": {"Reservations": _reservations(held)}}
    if "--restart" in held:
        task["RestartPolicy"] = pairs(held["--restart"])
    if "--force" in held:
        task["ForceUpdate"] = int(held["--force"])
    if "--log" in held:
        task["LogDriver"] = {"Name": held["--log"]}
    if "--network" in held:
        task["Networks"] = [{"Target": name} for name in held["--network"].split(",")]
    return {key: value for key, value in task.items() if value not in ({}, {"Reservations": {}})}


def machine(words: Iterable[str]) -> dict[str, Any]:
    """``cpus=2 memory=4 gpu=a+b fpga=2 arch=aarch64 plugins=Log/gelf+Network/host`` as facts of a node; memory in
    GiB, and ``routes=10.0.0.0/16`` what it routes itself.

    Every other word is a generic resource: a number, or names.
    """
    facts: dict[str, Any] = {}
    generic: list[GenericResource] = []
    for word in words:
        key, _, value = word.partition("=")
        if key == "cpus":
            facts["nano_cpus"] = int(float(value) * 1e9)
        elif key == "memory":
            facts["memory_bytes"] = int(value) * GIB
        elif key == "arch":
            facts["architecture"] = value
        elif key == "routes":
            facts["prefixes"] = tuple(value.split("+"))
        elif key == "plugins":
            facts["plugins"] = tuple(value.split("+"))
        elif value.isdigit():
            generic.append(GenericResource(kind=key, value=int(value)))
        else:
            generic.extend(GenericResource(kind=key, name=name) for name in value.split("+"))
    return {**facts, "generic_resources": tuple(generic)} if generic else facts


def published(text: str) -> list[tuple[int, int]]:
    """``8080:80,0:81`` as pairs of a port on all nodes (0: any) and one of the containers."""
    return [(int(outer), int(inner)) for outer, _, inner in (pair.partition(":") for pair in text.split(","))]


def _placement(held: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "--constraint" in held:
        out["Constraints"] = held["--constraint"].split(" and ")
    if "--spread" in held:
        out["Preferences"] = [{"Spread": {"SpreadDescriptor": label}} for label in held["--spread"].split(",")]
    if "--max-per-node" in held:
        out["MaxReplicas"] = int(held["--max-per-node"])
    if "--platform" in held:
        out["Platforms"] = [{"OS": "linux", "Architecture": held["--platform"]}]
    return out


def _reservations(held: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if "--cpus" in held:
        out["NanoCPUs"] = int(float(held["--cpus"]) * 1e9)
    if "--memory" in held:
        out["MemoryBytes"] = int(held["--memory"]) * GIB
    if "--gpu" in held:
        out["GenericResources"] = [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": int(held["--gpu"])}}]
    return out
