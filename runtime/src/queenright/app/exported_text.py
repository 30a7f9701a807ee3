# SPDX-License-Identifier: Apache-2.0
"""What was exported as text: a playbook of one task for each thing, or of one task for all. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from queenright import __version__
from queenright.app.exported import KINDS, Exported, Item
from queenright.lib.yaml_text import dump

COLLECTION = "queenright.swarm"
MODULES = {"swarm": "swarm_init"}
TITLES = {
    "swarm": "Declare the swarm's settings",
    "registry": "Declare the credentials for registry {}",
    "node": "Declare what node {} is for",
}
BESIDE: dict[str, dict[str, Any]] = {"swarm": {"install_runtime": False}, "node": {"wait": False}}
"""Options of tasks, that nothing happens but what is declared: no installation, no waiting for a node that is off."""
LISTS = {"registry": "registries"}
PLAY: dict[str, Any] = {
    "name": "Declare what the swarm has",
    "hosts": "swarm_managers",
    "gather_facts": False,
    "run_once": True,
}


def playbook(exported: Exported) -> str:
    """One task for each thing."""
    return _play(exported, "\n".join(_task(item) for item in exported.items))


def apply(exported: Exported) -> str:
    """One task for all of it, which one call does."""
    wishes: dict[str, Any] = {}
    for kind in KINDS:
        found = [item for item in exported.items if item.kind == kind]
        if kind == "swarm" and found:
            wishes["swarm"] = found[0].options
        elif found:
            wishes[LISTS.get(kind, f"{kind}s")] = [{item.key: item.name, **item.options} for item in found]
    task = {"name": "Declare all of it in one call", f"{COLLECTION}.swarm_apply": wishes}
    return _play(exported, dump([task])) if wishes else _play(exported, "")


def _play(exported: Exported, tasks: str) -> str:
    head = [f"# A swarm as it was found by queenright {__version__}. Declared again, nothing of it changes."]
    head += _listed("What could not be read. Without these variables, what the swarm holds stays:", _told(exported))
    head += _listed("What is not as it was:", exported.notes)
    play = dump([PLAY])
    if not tasks:
        return "\n".join([*head, "---", play + "  tasks: []\n"])
    body = "".join(f"    {line}\n" if line else "\n" for line in tasks.removesuffix("\n").split("\n"))
    return "\n".join([*head, "---", f"{play}  tasks:\n{body}"])


def _told(exported: Exported) -> list[str]:
    return [f"{one.variable}: {one.what}" for one in exported.missing]


def _listed(title: str, lines: Iterable[str]) -> list[str]:
    found = ["#   - " + " ".join(line.split()) for line in lines]
    return [f"# {title}", *found] if found else []


def _task(item: Item) -> str:
    module = MODULES.get(item.kind, f"swarm_{item.kind}")
    title = TITLES.get(item.kind, "Declare {kind} {}").format(item.name, kind=item.kind)
    given = {item.key: item.name, **item.options} if item.key else dict(item.options)
    given |= BESIDE.get(item.kind, {})
    comment = "".join(f"# {line}\n" for line in item.comment)
    return comment + dump([{"name": title, f"{COLLECTION}.{module}": given}])
