# SPDX-License-Identifier: Apache-2.0
"""Things inside a stack: what they are called there, and what the stack says itself of them. Pure functions.

What the labels of Swarm's clients say is left out where the stack says it itself: to whom things belong, under which
name a service is reached, and which image was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queenright.app.exported_options import Json
from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.spec.network import PREDEFINED

_OWN = (IMAGE_LABEL, NAMESPACE_LABEL)


class Keys:
    """The keys of networks, secrets and configs inside a stack, by kind and full name."""

    def __init__(self, stack: str, declared: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """``declared``: those that there are, full names to keys; what is no part of them keeps its name. Without it,
        each is given one.
        """
        self._stack = stack
        self._fixed = declared is not None
        self.used: dict[str, dict[str, str]] = {
            kind: dict((declared or {}).get(kind, {})) for kind in ("network", "secret", "config")
        }

    def of(self, kind: str, full: str) -> str:
        known = self.used[kind]
        if full not in known:
            if self._fixed:
                return full
            short = key_of(self._stack, full)
            known[full] = full if short in known.values() else short
        return known[full]


def service_inside(stack: str, key: str, options: Json, keys: Keys) -> Json:
    """A service's options inside the stack, which says itself what its labels say."""
    found = dict(options)
    labels = {name: value for name, value in found.pop("labels", {}).items() if name not in _OWN}
    containers = {name: value for name, value in found.pop("container_labels", {}).items() if name != NAMESPACE_LABEL}
    found.pop("resolve_image", None)
    attached = [_attachment(key, one, keys) for one in found.pop("networks", ())]
    more = {"labels": labels, "container_labels": containers, "networks": attached}
    found |= {option: value for option, value in more.items() if value}
    for kind in ("secret", "config"):
        if f"{kind}s" in found:
            option = f"{kind}_name"
            found[f"{kind}s"] = [{**one, option: keys.of(kind, one[option])} for one in found[f"{kind}s"]]
    return found


def _attachment(key: str, one: Json, keys: Keys) -> Json:
    aliases = list(one.get("aliases", ()))
    if aliases[-1:] == [key]:  # the stack adds it there
        aliases.pop()
    kept = {option: value for option, value in one.items() if option != "aliases"}
    name = one["name"] if one["name"] in PREDEFINED else keys.of("network", one["name"])
    return {**kept, "name": name, **({"aliases": aliases} if aliases else {})}


def key_of(stack: str, full: str) -> str:
    return (full.removeprefix(f"{stack}_") if stack else full) or full


def inside(stack: str, full: str, options: Json) -> Json:
    """What is declared of something inside the stack; its name, if it is not that of the stack and the key."""
    found = dict(options)
    labels = {name: value for name, value in found.pop("labels", {}).items() if name != NAMESPACE_LABEL}
    named = {} if full.startswith(f"{stack}_") else {"name": full}
    return {**named, **found, **({"labels": labels} if labels else {})}


def external(used: Mapping[str, str], held: Mapping[str, Any]) -> dict[str, Json]:
    """What services of the stack use and is not the stack's."""
    return {key: {"external": True, "name": full} for full, key in used.items() if full not in held}
