# SPDX-License-Identifier: Apache-2.0
"""In which order the services of a stack start: waves, each of which awaits services of those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from queenright.model.stack import COMPLETED, CONDITIONS, HEALTHY, STARTED, Dependency
from queenright.sources.draft import SourceError

_WORDS = {
    **{word: word for word in CONDITIONS},
    "service_started": STARTED,
    "service_healthy": HEALTHY,
    "service_completed_successfully": COMPLETED,
}


class Ordered(Protocol):
    """What is put in order: a service of a draft or of a revision."""

    @property
    def key(self) -> str: ...

    @property
    def after(self) -> tuple[Dependency, ...]: ...


def dependencies(value: object, path: str) -> tuple[Dependency, ...]:
    """``depends_on`` as it is written: a list of keys, or an object of them with conditions. Raises SourceError."""
    if value is None:
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for number, key in enumerate(value):
            if not isinstance(key, str):
                raise SourceError(f"{path}[{number}]", "expected the key of a service")
        return tuple(Dependency(key=key, condition=STARTED) for key in dict.fromkeys(value))
    if not isinstance(value, Mapping):
        raise SourceError(path, "expected a list of services, or an object of services and conditions")
    return tuple(Dependency(key=str(key), condition=_condition(one, f"{path}.{key}")) for key, one in value.items())


def _condition(value: object, path: str) -> str:
    if value is None:
        return STARTED
    if not isinstance(value, Mapping):
        raise SourceError(path, f"expected an object with a condition: {', '.join(CONDITIONS)}")
    unknown = sorted(str(key) for key in value if key not in ("condition", "required", "restart"))
    if unknown:
        raise SourceError(f"{path}.{unknown[0]}", "there is no such option; there is condition")
    word = value.get("condition", STARTED)
    if not isinstance(word, str) or word not in _WORDS:
        raise SourceError(f"{path}.condition", f"{word!r} is none of {', '.join(CONDITIONS)}")
    return _WORDS[word]


def waves(services: Sequence[Ordered]) -> tuple[tuple[str, ...], ...]:
    """The keys in the order in which they may start: all of a wave at once. Raises SourceError if one awaits a service
    that is not there, or in a circle itself.
    """
    rest = {one.key: {dependency.key for dependency in one.after} for one in services}
    for key, after in rest.items():
        for other in sorted(after - rest.keys()):
            raise SourceError(f"services.{key}.depends_on", f"there is no service {other}")
    found: list[tuple[str, ...]] = []
    while rest:
        ready = tuple(key for key, after in rest.items() if not after & rest.keys())
        if not ready:
            circle = _circle(rest)
            raise SourceError(f"services.{circle[0]}.depends_on", f"{' -> '.join(circle)} is a circle")
        found.append(ready)
        for key in ready:
            del rest[key]
    return tuple(found)


def _circle(rest: Mapping[str, set[str]]) -> list[str]:
    """A way from a service back to itself; each of ``rest`` awaits another one of them."""
    way = [min(rest)]
    while way[-1] not in way[:-1]:
        way.append(min(rest[way[-1]] & rest.keys()))
    return way[way.index(way[-1]) :]
