# SPDX-License-Identifier: Apache-2.0
"""A service of one file with its short forms made long, so that files can be laid over each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from queenright.model.stack import Dependency
from queenright.sources.compose import mounts, ports, values
from queenright.sources.compose.schema import IGNORED
from queenright.sources.draft import SourceError
from queenright.sources.order import dependencies

_PLAIN = (
    *("cap_add", "cap_drop", "hostname", "image", "init", "isolation", "logging", "oom_score_adj"),
    *("read_only", "restart", "stdin_open", "stop_signal", "tty", "user", "working_dir", "credential_spec"),
)
_VARIABLE = re.compile(r"[^=\s]+")

Loaded = dict[str, Any]


class Surroundings:
    """What a file is read with, and the warnings of reading it."""

    def __init__(self, variables: Mapping[str, str], files: Mapping[str, bytes]) -> None:
        self.variables = variables
        self.files = files
        self.warnings: list[str] = []

    def file(self, named: str, path: str) -> bytes:
        """The content of a file that the documents name."""
        if named not in self.files:
            raise SourceError(path, f"the file {named!r} is not there")
        return self.files[named]


def service(given: Mapping[str, Any], path: str, around: Surroundings) -> Loaded:
    """The service as one file says it, after its types were checked. Raises SourceError."""
    _warn(given, path, around.warnings)
    found: Loaded = {key: given[key] for key in _PLAIN if given.get(key) is not None}
    found |= {
        "command": values.command(given.get("command"), f"{path}.command"),
        "entrypoint": values.command(given.get("entrypoint"), f"{path}.entrypoint"),
        "configs": _files(given.get("configs")),
        "secrets": _files(given.get("secrets")),
        "depends_on": depends_on(given.get("depends_on"), f"{path}.depends_on"),
        "dns": values.texts(given.get("dns")),
        "dns_search": values.texts(given.get("dns_search")),
        "environment": _environment(given, path, around),
        "extra_hosts": values.hosts(given.get("extra_hosts")),
        "labels": values.pairs(given.get("labels")),
        "sysctls": values.pairs(given.get("sysctls")),
        "networks": _networks(given.get("networks"), path, around.warnings),
        "ports": _ports(given.get("ports"), path, around.warnings),
        "volumes": _volumes(given.get("volumes"), path, around),
        "ulimits": _ulimits(given.get("ulimits")),
        "healthcheck": _healthcheck(given.get("healthcheck"), f"{path}.healthcheck"),
        "deploy": _deploy(given.get("deploy") or {}, f"{path}.deploy"),
    }
    if "logging" in found:
        found["logging"] = _logging(found["logging"])
    if given.get("stop_grace_period") is not None:
        found["stop_grace_period"] = values.duration(given["stop_grace_period"], f"{path}.stop_grace_period")
    return {key: value for key, value in found.items() if value is not None}


def _warn(given: Mapping[str, Any], path: str, warnings: list[str]) -> None:
    for key in sorted(given.keys() & IGNORED.keys()):
        reason = IGNORED[key]
        warnings.append(f"{path}.{key}: is ignored" + (f": {reason}" if reason else " in a swarm"))


def depends_on(value: Any, path: str) -> tuple[Dependency, ...] | None:
    return None if value is None else dependencies(value, path)


def _files(value: Any) -> list[Loaded] | None:
    """Secrets or configs of a service."""
    if value is None:
        return None
    return [{"source": one} if isinstance(one, str) else dict(one) for one in value]


def _environment(given: Mapping[str, Any], path: str, around: Surroundings) -> dict[str, str | None]:
    """Of the files first, then of the service itself; what has no value there has that of the caller's variables."""
    found: dict[str, str | None] = {}
    listed = values.texts(given.get("env_file")) or []
    for number, named in enumerate(listed):
        where = f"{path}.env_file" + (f"[{number}]" if isinstance(given["env_file"], list) else "")
        found |= env_file(around.file(named, where), f"{where} ({named})")
    found = {key: _from_caller(key, value, around) for key, value in found.items()}
    found = {key: value for key, value in found.items() if value is not None}
    own = values.optional_pairs(given.get("environment")) or {}
    for key in own:
        if not key:
            raise SourceError(f"{path}.environment", "a variable has no name")
    return found | {key: _from_caller(key, value, around) for key, value in own.items()}


def _from_caller(key: str, value: str | None, around: Surroundings) -> str | None:
    return value or around.variables.get(key, value)


def env_file(content: bytes, path: str) -> dict[str, str | None]:
    """Lines of ``NAME=value`` and ``NAME``; others that are not empty and no comments are refused. Raises SourceError,
    which quotes nothing of the file.
    """
    try:
        lines = content.removeprefix(b"\xef\xbb\xbf").decode().split("\n")
    except UnicodeDecodeError:
        raise SourceError(path, "is no text in UTF-8") from None
    found: dict[str, str | None] = {}
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        name = name.strip() if not sign else name
        if _VARIABLE.fullmatch(name) is None:
            raise SourceError(path, f"line {number} has no name of a variable before its =")
        found[name] = value if sign else None
    return found


def _networks(value: Any, path: str, warnings: list[str]) -> dict[str, Loaded | None] | None:
    if value is None:
        return None
    if isinstance(value, list):
        return dict.fromkeys(value)
    for key, one in value.items():
        for name in ("ipv4_address", "ipv6_address"):
            if one and name in one:
                warnings.append(f"{path}.networks.{key}.{name}: is ignored: the swarm gives addresses")
    return {
        key: None if one is None else {**one, "driver_opts": values.pairs(one.get("driver_opts"))}
        for key, one in value.items()
    }


def _ports(value: Any, path: str, warnings: list[str]) -> list[ports.Port] | None:
    if value is None:
        return None
    found: list[ports.Port] = []
    for number, one in enumerate(value):
        where = f"{path}.ports[{number}]"
        if not isinstance(one, dict):
            found += ports.ports(values.as_text(one), where, warnings)
            continue
        for key, least in (("target", 1), ("published", 0)):
            if not least <= one.get(key, least) <= ports.LAST:
                raise SourceError(f"{where}.{key}", f"{one[key]} is no port")
        mode, protocol = one.get("mode") or "", one.get("protocol") or ""
        found.append(ports.Port(int(one.get("published", 0)), int(one["target"]), protocol, mode))
    return found


def _volumes(value: Any, path: str, around: Surroundings) -> list[Loaded] | None:
    if value is None:
        return None
    found = []
    for number, one in enumerate(value):
        where = f"{path}.volumes[{number}]"
        volume = mounts.short(one, where) if isinstance(one, str) else dict(one)
        for key in ("create_host_path",):
            if key in volume.get("bind", {}):
                around.warnings.append(f"{where}.bind.{key}: is ignored")
        found.append(mounts.resolved(volume, where, around.variables))
    return found


def _ulimits(value: Any) -> dict[str, tuple[int, int]] | None:
    if value is None:
        return None
    return {
        key: (int(one["soft"]), int(one["hard"])) if isinstance(one, dict) else (int(one), int(one))
        for key, one in value.items()
    }


def _logging(value: Mapping[str, Any]) -> Loaded:
    found: Loaded = {"driver": value.get("driver") or ""}
    if value.get("options") is not None:
        found["options"] = values.pairs(value["options"])
    return found


def _healthcheck(value: Any, path: str) -> Loaded | None:
    if value is None:
        return None
    found = _durations(value, ("interval", "timeout", "start_period", "start_interval"), path)
    if isinstance(found.get("test"), str):
        found["test"] = ["CMD-SHELL", found["test"]]
    return found


def _deploy(value: Mapping[str, Any], path: str) -> Loaded:
    found = dict(value)
    if "labels" in found:
        found["labels"] = values.pairs(found["labels"])
    for key in ("update_config", "rollback_config"):
        if key in found:
            found[key] = _durations(found[key], ("delay", "monitor"), f"{path}.{key}")
    if "restart_policy" in found:
        found["restart_policy"] = _durations(found["restart_policy"], ("delay", "window"), f"{path}.restart_policy")
    if "resources" in found:
        found["resources"] = {key: _amounts(one, f"{path}.resources.{key}") for key, one in found["resources"].items()}
    return found


def _durations(value: Mapping[str, Any], keys: tuple[str, ...], path: str) -> Loaded:
    return {key: values.duration(one, f"{path}.{key}") if key in keys else one for key, one in value.items()}


def _amounts(value: Mapping[str, Any], path: str) -> Loaded:
    found = dict(value)
    if "cpus" in found:
        found["cpus"] = values.cpus(found["cpus"], f"{path}.cpus") if found["cpus"] else 0
    if "memory" in found:
        found["memory"] = values.size(found["memory"], f"{path}.memory")
    return found
