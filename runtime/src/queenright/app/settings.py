# SPDX-License-Identifier: Apache-2.0
"""The daemon's settings: flags before ``QUEENRIGHT_*`` before ``/etc/queenright/config.toml`` before defaults.

An unknown key, a value of the wrong kind and a file that is no TOML are errors that name the file and the line.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CONFIG = Path("/etc/queenright/config.toml")
ENV_PREFIX = "QUEENRIGHT_"
LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """A setting that cannot be taken; the text says where it stands and what would do."""


def _setting(default: Any, doc: str, check: Callable[[Any], Any]) -> Any:
    return dataclasses.field(default=default, metadata={"doc": doc, "check": check})


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path) or not str(value).startswith("/"):
        raise ValueError(f"must be an absolute path, not {value!r}")
    return Path(value)


def _optional_path(value: Any) -> Path | None:
    return None if value in ("", None) else _path(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be a text that is not empty, not {value!r}")
    return value


def _any_text(value: Any) -> str:
    return "" if value in ("", None) else _text(value)


def _level(value: Any) -> str:
    if value not in LEVELS:
        raise ValueError(f"must be one of {', '.join(LEVELS)}, not {value!r}")
    return str(value)


def _flag(value: Any) -> bool:
    """TOML has truth values; flags and variables are texts."""
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError(f"must be true or false, not {value!r}")
    return bool(value == "true")


def _positive(value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.isdigit() else value
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"must be a whole number above 0, not {value!r}")
    return number


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All settings; each has a flag (``--state-dir``), a variable (``QUEENRIGHT_STATE_DIR``) and a key
    (``state_dir``).
    """

    state_dir: Path = _setting(Path("/var/lib/queenright"), "where keys, log and tasks are kept", _path)
    socket: Path = _setting(Path("/run/queenright/engine.sock"), "the host socket that clients use", _path)
    socket_group: str = _setting("docker", "the group that may use the host socket", _text)
    docker_socket: Path = _setting(Path("/var/run/docker.sock"), "where the Docker Engine listens", _path)
    prefer_local_images: bool = _setting(False, "use images that the node has without asking their registry", _flag)
    log_level: str = _setting("info", "debug, info, warning or error", _level)
    log_file: Path | None = _setting(None, "log file instead of standard error (reopened on SIGHUP)", _optional_path)
    listen_addr: str = _setting("", "where a manager listens from now on, instead of what init or join said", _any_text)
    advertise_addr: str = _setting(
        "", "where the others reach this node from now on, instead of what init or join said", _any_text
    )
    snapshot_entries: int = _setting(10_000, "log entries between two snapshots", _positive)
    stop_timeout: int = _setting(10, "seconds in which the daemon has to be gone after SIGTERM", _positive)
    idle_timeout: int = _setting(
        30, "seconds without a client after which a daemon in no swarm, started by its socket, ends", _positive
    )

    @property
    def data_root(self) -> Path:
        """Where the secrets and configs of the node's tasks are mounted, each task's in memory of its own."""
        return self.socket.parent / "task-files"

    def shown(self) -> dict[str, Any]:
        """For people and JSON."""
        return {
            field.name: str(value) if isinstance(value := getattr(self, field.name), Path) else value
            for field in dataclasses.fields(self)
        }


FIELDS: dict[str, Mapping[str, Any]] = {field.name: field.metadata for field in dataclasses.fields(Settings)}


def load(flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None = None) -> Settings:
    """The settings in force. ``flags`` hold only what was given. Raises SettingsError."""
    path = config or Path(environment.get(ENV_PREFIX + "CONFIG", str(CONFIG)))
    values = _from_file(path, must_exist=config is not None or ENV_PREFIX + "CONFIG" in environment)
    for name in FIELDS:
        variable = ENV_PREFIX + name.upper()
        if variable in environment:
            values[name] = _checked(name, environment[variable], f"the environment variable {variable}")
        if flags.get(name) is not None:
            values[name] = _checked(name, flags[name], f"the flag --{name.replace('_', '-')}")
    unknown = [key for key in environment if key.startswith(ENV_PREFIX) and not _known_variable(key)]
    if unknown:
        raise SettingsError(f"there is no setting for the environment variable {unknown[0]}; known are {_names()}")
    return Settings(**values)


def _known_variable(key: str) -> bool:
    name = key.removeprefix(ENV_PREFIX).lower()
    return name in FIELDS or name == "config"


def _from_file(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if must_exist:
            raise SettingsError(f"{path}: there is no such file") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: {error}") from error
    values = {}
    for key, value in table.items():
        where = f"{path}, line {_line_of(text, key)}"
        if key not in FIELDS:
            raise SettingsError(f"{where}: there is no setting {key!r}; known are {_names()}")
        values[key] = _checked(key, value, where)
    return values


def _line_of(text: str, key: str) -> int:
    pattern = re.compile(rf"^\s*\[?\s*[\"']?{re.escape(key)}[\"']?\s*[.=\]]")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _checked(name: str, value: Any, where: str) -> Any:
    try:
        return FIELDS[name]["check"](value)
    except ValueError as error:
        raise SettingsError(f"{where}: {name} {error}") from error


def _names() -> str:
    return ", ".join(sorted(FIELDS))
