# SPDX-License-Identifier: Apache-2.0
"""The way through Compose files: their types are checked, variables put in, short forms made long, files laid over each
other; and what comes out is a draft.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from queenright.sources.compose import merging, objects, service
from queenright.sources.compose.interpolate import interpolated
from queenright.sources.compose.loading import Surroundings
from queenright.sources.compose.loading import service as load_service
from queenright.sources.compose.schema import FILE, FORBIDDEN, SECTIONS
from queenright.sources.draft import Draft, SourceError

Loaded = dict[str, Any]
_DEEPEST = 40
_VERSION = re.compile(r"3(?:\.([0-9]|1[0-3]))?", re.ASCII)


def read(
    name: str,
    documents: Sequence[Mapping[str, Any]],
    *,
    variables: Mapping[str, str],
    files: Mapping[str, bytes],
) -> Draft:
    """The stack of that name. ``documents``: the parsed files, later ones laid over earlier ones; ``files``: the
    contents of those that they name, by path. Raises SourceError.
    """
    if not documents:
        raise SourceError("", "no Compose file is given")
    around = Surroundings(variables, files)
    _check_versions(documents)
    loaded = [_file(document, around) for document in documents]
    whole = loaded[0]
    for over in loaded[1:]:
        whole = {
            section: (merging.services if section == "services" else merging.objects)(whole[section], over[section])
            for section in SECTIONS
        }
    used = [key for one in whole["services"].values() for key in service.networks_of(one)]
    services = [service.draft(name, key, one, whole) for key, one in whole["services"].items()]
    networks = objects.networks(whole["networks"], used, name)
    data = [one for kind in ("secret", "config") for one in objects.data(kind, whole[f"{kind}s"], name, around)]
    return Draft(name, "compose", tuple(services), tuple(networks), tuple(data), tuple(dict.fromkeys(around.warnings)))


def needs(documents: Sequence[Mapping[str, Any]], variables: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The files that the documents name, as they name them; with ``variables``, those in their paths are put in."""
    found: list[str] = []
    for document in documents:
        _check_plain(document, "")
        given = interpolated(document, variables) if variables is not None else document
        found.extend(_named(given))
    return tuple(dict.fromkeys(found))


def _named(document: Mapping[str, Any]) -> Iterator[str]:
    for section in ("secrets", "configs"):
        for one in _objects(document.get(section)):
            if isinstance(one.get("file"), str) and one["file"] and not one.get("external"):
                yield one["file"]
    for one in _objects(document.get("services")):
        listed = one.get("env_file")
        yield from (text for text in (listed if isinstance(listed, list) else [listed]) if isinstance(text, str))


def _objects(section: Any) -> list[dict[str, Any]]:
    return [one for one in section.values() if isinstance(one, dict)] if isinstance(section, dict) else []


# -- one file


def _file(document: Mapping[str, Any], around: Surroundings) -> dict[str, dict[str, Loaded]]:
    _forbid(document)
    given = interpolated(document, around.variables)
    FILE.check(given, "")
    found: dict[str, dict[str, Loaded]] = {
        section: {key: objects.entry(key, one, f"{section}.{key}") for key, one in given.get(section, {}).items()}
        for section in SECTIONS[1:]
    }
    found["services"] = {
        key: load_service(one, f"services.{key}", around) for key, one in given.get("services", {}).items()
    }
    return found


def _forbid(document: Mapping[str, Any]) -> None:
    services = document.get("services")
    for key, one in services.items() if isinstance(services, dict) else ():
        for word in FORBIDDEN:
            if isinstance(one, dict) and word in one:
                raise SourceError(f"services.{key}.{word}", f"is not for a swarm: {FORBIDDEN[word]}")


def _check_versions(documents: Sequence[Mapping[str, Any]]) -> None:
    versions = []
    for document in documents:
        _check_plain(document, "")
        version = document.get("version", "")
        if not isinstance(version, str):
            raise SourceError("version", f"expected a text such as '3.8', got {version!r}: put it in quotes")
        if version and _VERSION.fullmatch(version) is None:
            raise SourceError("version", f"{version!r} is not taken: 3 to 3.13 are, or none at all")
        versions.append(version)
    if len(set(versions)) > 1:
        told = " and ".join(repr(one) for one in dict.fromkeys(versions))
        raise SourceError("version", f"the files are of different versions: {told}")


def _check_plain(value: object, path: str, depth: int = 0) -> None:
    """Refuse what no JSON can say: dates, keys that are no texts."""
    if depth > _DEEPEST:
        raise SourceError(path, "is nested too deeply")
    if isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str):
                raise SourceError(path, f"the key {key!r} is no text: put it in quotes")
            _check_text(key, path)
            _check_plain(one, f"{path}.{key}" if path else key, depth + 1)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            _check_plain(one, f"{path}[{number}]", depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise SourceError(path, f"{value} is no number")
    elif isinstance(value, str):
        _check_text(value, path)
    elif value is not None and not isinstance(value, bool | int):
        raise SourceError(path, f"a {type(value).__name__} is no value here: put it in quotes")


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SourceError(path, "has half of a character in it") from None
