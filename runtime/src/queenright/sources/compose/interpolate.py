# SPDX-License-Identifier: Apache-2.0
"""Variables in the values of a Compose file: ``$NAME``, ``${NAME}``, with defaults (``:-``, ``-``) or demands (``:?``,
``?``); ``$$`` is a dollar. Where the schema wants a number or a truth value, what a variable gives is made one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from queenright.sources.draft import SourceError

_EXPRESSION = r"[_a-z][_a-z0-9]*(?::?[-?][^}]*)?"
_PATTERN = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<named>{_EXPRESSION})|\{{(?P<braced>{_EXPRESSION})\}}|(?P<invalid>))",
    re.IGNORECASE | re.ASCII,
)
_TRUE, _FALSE = ("y", "yes", "true", "on"), ("n", "no", "false", "off")
_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_ANY, _EACH = "*", "[]"

Path = tuple[str, ...]


def interpolated(document: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """The document with its variables put in; keys stay as they are. Raises SourceError."""
    return {key: _walk(value, key, (key,), variables) for key, value in document.items()}


def _walk(value: Any, path: str, place: Path, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(one, f"{path}.{key}", (*place, key), variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_walk(one, f"{path}[{number}]", (*place, _EACH), variables) for number, one in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value
    text = substituted(value, path, variables)
    cast = _cast(place) if text != value else None
    if cast is None:
        return text
    try:
        return cast(text)
    except ValueError as error:
        raise SourceError(path, str(error)) from None


def substituted(text: str, path: str, variables: Mapping[str, str]) -> str:
    """The text with its variables put in. Raises SourceError."""

    def replaced(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        expression = match["named"] or match["braced"]
        if not expression:
            raise SourceError(path, "a $ begins no variable there: write $$ for a dollar")
        return _value(expression, path, variables)

    return _PATTERN.sub(replaced, text)


def _value(expression: str, path: str, variables: Mapping[str, str]) -> str:
    for separator in (":-", "-", ":?", "?"):
        name, found, rest = expression.partition(separator)
        if not found:
            continue
        value = variables.get(name)
        if value is not None and (value or not separator.startswith(":")):
            return value
        if separator.endswith("-"):
            return rest
        raise SourceError(path, f"the variable {name} is required" + (f": {rest}" if rest else ""))
    return variables.get(expression, "")


# -- casts


def _whole(text: str) -> int:
    if _WHOLE.fullmatch(text) is None or len(text) > 20:
        raise ValueError(f"expected a whole number, got {text!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"expected a number, got {text!r}") from None


def _truth(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(f"expected true or false, got {text!r}")
    return text.lower() in _TRUE


_SERVICE: dict[Path, Callable[[str], object]] = {
    ("configs", _EACH, "mode"): _whole,
    ("secrets", _EACH, "mode"): _whole,
    ("healthcheck", "retries"): _whole,
    ("healthcheck", "disable"): _truth,
    ("deploy", "replicas"): _whole,
    ("deploy", "update_config", "parallelism"): _whole,
    ("deploy", "update_config", "max_failure_ratio"): _number,
    ("deploy", "rollback_config", "parallelism"): _whole,
    ("deploy", "rollback_config", "max_failure_ratio"): _number,
    ("deploy", "restart_policy", "max_attempts"): _whole,
    ("deploy", "placement", "max_replicas_per_node"): _whole,
    ("ports", _EACH, "target"): _whole,
    ("ports", _EACH, "published"): _whole,
    ("ulimits", _ANY): _whole,
    ("ulimits", _ANY, "hard"): _whole,
    ("ulimits", _ANY, "soft"): _whole,
    ("privileged",): _truth,
    ("read_only",): _truth,
    ("stdin_open",): _truth,
    ("tty",): _truth,
    ("volumes", _EACH, "read_only"): _truth,
    ("volumes", _EACH, "volume", "nocopy"): _truth,
}
_OTHERS: dict[Path, Callable[[str], object]] = {
    (section, _ANY, key): _truth
    for section, keys in {
        "networks": ("external", "internal", "attachable"),
        "volumes": ("external",),
        "secrets": ("external",),
        "configs": ("external",),
    }.items()
    for key in keys
}


def _cast(place: Path) -> Callable[[str], object] | None:
    if place[0] != "services":
        return _OTHERS.get((place[0], _ANY, *place[2:])) if len(place) > 2 else None
    rest = place[2:]
    if len(rest) > 1 and rest[0] == "ulimits":
        rest = (rest[0], _ANY, *rest[2:])
    return _SERVICE.get(rest)
