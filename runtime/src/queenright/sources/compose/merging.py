# SPDX-License-Identifier: Apache-2.0
"""Files laid over each other: what the later one says goes before what the earlier one says, lists are joined, and
some of them by what their items are of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from queenright.model.stack import Dependency
from queenright.sources.compose.ports import TCP, Port

Loaded = dict[str, Any]
REPLACED = ("command", "entrypoint")
SCALARS = ("replicas", "parallelism", "max_attempts", "retries")
"""Numbers of which 0 says something; of all others 0 is as if nothing was said."""


def services(base: Mapping[str, Loaded], over: Mapping[str, Loaded]) -> dict[str, Loaded]:
    """The services of both files."""
    found = dict(base)
    for key, one in over.items():
        found[key] = _service(found[key], one) if key in found else one
    return found


def objects(base: Mapping[str, Loaded], over: Mapping[str, Loaded]) -> dict[str, Loaded]:
    """Networks, volumes, secrets or configs: an entry of the later file replaces one of the earlier."""
    return {**base, **over}


def _service(base: Loaded, over: Loaded) -> Loaded:
    return {key: _field(key, base.get(key), over.get(key)) for key in {**base, **over}}


def _field(key: str, base: Any, over: Any) -> Any:
    special = _SPECIAL.get(key)
    if base is None:
        return over
    if special is not None:
        return special(base, over)
    if over is None:
        return base
    return _value(key, base, over)


def _value(key: str, base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {name: _nested(name, base.get(name), over.get(name)) for name in {**base, **over}}
    if isinstance(base, list | tuple):
        return [*base, *over]
    return over if over or key in SCALARS else base


def _nested(key: str, base: Any, over: Any) -> Any:
    if base is None or over is None or key == "test":
        return base if over is None else over
    if key in ("labels", "options"):
        return {**base, **over}
    return _value(key, base, over)


# -- fields with ways of their own


def _pairs(base: dict[str, str], over: dict[str, str] | None) -> dict[str, str]:
    return {**base, **(over or {})}


def _environment(base: dict[str, str | None], over: dict[str, str | None] | None) -> dict[str, str | None]:
    """A value that is empty does not take one away."""
    found = dict(base)
    for key, value in (over or {}).items():
        if value or not found.get(key):
            found[key] = value
    return found


def _replaced(base: Any, over: Any) -> Any:
    return over or base


def _by(name: str) -> Callable[[list[Loaded], list[Loaded] | None], list[Loaded]]:
    def joined(base: list[Loaded], over: list[Loaded] | None) -> list[Loaded]:
        found = {one.get(name, ""): one for one in [*base, *(over or ())]}
        return [found[key] for key in sorted(found)]

    return joined


def _ports(base: list[Port], over: list[Port] | None) -> list[Port]:
    """A port that the later file publishes as the same goes before that of the earlier file."""
    taken = {(one.published, one.protocol or TCP) for one in over or () if one.published}
    kept = {one for one in base if (one.published, one.protocol or TCP) not in taken}
    return sorted({*kept, *(over or ())})


def _networks(base: dict[str, Loaded | None], over: dict[str, Loaded | None] | None) -> dict[str, Loaded | None]:
    """Aliases of the later file replace those of the earlier."""
    found = dict(base)
    for key, one in (over or {}).items():
        held = found.get(key)
        found[key] = held if one is None else one if held is None else {**held, "aliases": one.get("aliases") or []}
    return found


def _logging(base: Loaded, over: Loaded | None) -> Loaded:
    """Options are joined if both are of one driver."""
    if over is None:
        return base
    if base["driver"] and over["driver"] and base["driver"] != over["driver"]:
        return over
    found = {"driver": base["driver"] or over["driver"]}
    if "options" in base or "options" in over:
        found["options"] = {**base.get("options", {}), **over.get("options", {})}
    return found


def _awaited(base: Sequence[Dependency], over: Sequence[Dependency] | None) -> tuple[Dependency, ...]:
    return tuple({one.key: one for one in [*base, *(over or ())]}.values())


_SPECIAL: dict[str, Callable[[Any, Any], Any]] = {
    "command": _replaced,
    "depends_on": _awaited,
    "entrypoint": _replaced,
    "environment": _environment,
    "labels": _pairs,
    "sysctls": _pairs,
    "secrets": _by("source"),
    "configs": _by("source"),
    "volumes": _by("target"),
    "ports": _ports,
    "networks": _networks,
    "logging": _logging,
    "ulimits": _pairs,
}
