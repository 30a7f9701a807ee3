# SPDX-License-Identifier: Apache-2.0
"""Secrets and configs as files of one task: where each goes, whose it is, and what stands in a templated one."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable, Mapping, Sequence

from queenright.model.objects import Config, NodeDescription, Secret, Task
from queenright.model.templates import Context, MissingTargetError, TemplateError, context_of, expand, expand_container
from queenright.spec.container import ContainerSpec, FileTarget

SECRET, CONFIG = "secret", "config"
FOLDERS = {SECRET: "/run/secrets", CONFIG: "/"}
LIMITS = {SECRET: 500 * 1024, CONFIG: 1000 * 1024}  # bytes that an expanded one has to stay below
MOST_ID = (1 << 32) - 2  # of users and groups; the one above means none
MODE = 0o444
MODES = 0o1777  # a file that is mounted nosuid has no use for the others
TEMPLATING = "golang"


class PayloadError(ValueError):
    """A secret or config that cannot become a file. The text names it, and holds nothing of what is in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Payload:
    """One file. ``target`` is its name as referenced, ``path`` where it is in the container."""

    kind: str
    name: str
    target: str
    path: str
    uid: int = 0
    gid: int = 0
    mode: int = MODE
    templating: str = ""
    data: bytes = dataclasses.field(default=b"", repr=False)


def wanted(container: ContainerSpec) -> tuple[set[str], set[str]]:
    """(ids of the secrets, ids of the configs) that a container refers to."""
    secrets = {ref.secret_id for ref in container.secrets if ref.secret_id}
    configs = {ref.config_id for ref in container.configs if ref.config_id}
    return secrets, configs


def missing(container: ContainerSpec, secrets: Mapping[str, Secret], configs: Mapping[str, Config]) -> str:
    """The first secret or config that is not among those given, as ``secret 'db'``; "" if all are."""
    for ref in container.secrets:
        if (ref.secret_id or "") not in secrets:
            return f"secret {ref.secret_name or ref.secret_id!r}"
    for config in container.configs:
        if (config.config_id or "") not in configs:
            return f"config {config.config_name or config.config_id!r}"
    return ""


def payloads_of(
    container: ContainerSpec, secrets: Mapping[str, Secret], configs: Mapping[str, Config]
) -> tuple[Payload, ...]:
    """The files of a container, templates not expanded; all that it refers to has to be given. Raises PayloadError."""
    found = [
        _payload(SECRET, ref.secret_name or "", ref.file, secrets[ref.secret_id or ""]) for ref in container.secrets
    ]
    found += [
        _payload(CONFIG, ref.config_name or "", ref.file, configs[ref.config_id or ""])
        for ref in container.configs
        if not ref.runtime
    ]
    seen: dict[str, Payload] = {}
    for item in found:
        other = seen.setdefault(item.path, item)
        if other is not item:
            raise PayloadError(f"{_title(item)} and {_title(other)} would be the same file {item.path}")
    return tuple(found)


def rendered(payloads: Sequence[Payload], task: Task, node: NodeDescription) -> tuple[Payload, ...]:
    """The same files with their templates expanded for a task on its node. Raises PayloadError.

    ``{{secret "target"}}`` and ``{{config "target"}}`` give what another file of the task holds, as it was stored;
    ``{{env "NAME"}}`` a variable of the container, or nothing where there is none.
    """
    if not any(item.templating for item in payloads):
        return tuple(payloads)
    context = context_of(task, node)
    try:
        env = expand_container(task.spec.container, context).env
    except TemplateError as error:
        raise PayloadError(str(error)) from None
    variables: dict[str, str] = {}
    for name, equals, value in (item.partition("=") for item in env):
        if equals:
            variables.setdefault(name, value)
    functions = {
        "secret": lambda target: _text(_named(payloads, SECRET, target)),
        "config": lambda target: _text(_named(payloads, CONFIG, target)),
        "env": lambda name: variables.get(name, ""),
    }
    context = dataclasses.replace(context, functions=functions)
    return tuple(_rendered(item, context) for item in payloads)


def _payload(kind: str, name: str, file: FileTarget, source: Secret | Config) -> Payload:
    name = name or source.spec.name or source.id
    target = file.name or name
    path = posixpath.normpath(posixpath.join(FOLDERS[kind], target))
    inside = target.startswith("/") or path.startswith(FOLDERS[kind].rstrip("/") + "/")
    if path in ("/", FOLDERS[kind]) or not inside or "\0" in path:
        raise PayloadError(f"{kind} {name!r}: {target!r} is no name of a file below {FOLDERS[kind]}, nor a path")
    driver = source.spec.templating.name or ""
    if driver not in ("", TEMPLATING):
        raise PayloadError(f"{kind} {name!r}: unrecognized template type {driver!r}; known is {TEMPLATING}")
    return Payload(
        kind=kind,
        name=name,
        target=target,
        path=path,
        uid=_number(kind, name, "UID", file.uid),
        gid=_number(kind, name, "GID", file.gid),
        mode=(MODE if file.mode is None else file.mode) & MODES,
        templating=driver,
        data=source.data,
    )


def _number(kind: str, name: str, what: str, text: str | None) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or int(text) > MOST_ID:
        raise PayloadError(f"{kind} {name!r}: {what} {text!r} is not a number; names of users mean nothing on a node")
    return int(text)


def _named(payloads: Iterable[Payload], kind: str, target: str) -> Payload:
    for item in payloads:
        if item.kind == kind and item.target == target:
            return item
    raise MissingTargetError(f"{kind} target {target} not found")


def _rendered(item: Payload, context: Context) -> Payload:
    if not item.templating:
        return item
    text = _text(item)
    try:
        data = _bytes(expand(text, context))
    except TemplateError as error:
        raise PayloadError(f"{_title(item)}, line {_line(text, error.at)}: {_reason(item, error)}") from None
    if len(data) >= LIMITS[item.kind]:
        raise PayloadError(f"{_title(item)}: {len(data)} bytes once expanded; it has to stay below {LIMITS[item.kind]}")
    return dataclasses.replace(item, data=data)


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _reason(item: Payload, error: TemplateError) -> str:
    """What is wrong with a placeholder; of a secret nothing is quoted, the line says enough."""
    if item.kind == SECRET:
        return "a placeholder that cannot be expanded"
    return str(error)


def _text(item: Payload) -> str:
    """What a file holds; bytes that are no text cross unchanged."""
    return item.data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _title(item: Payload) -> str:
    return f"{item.kind} {item.name!r}"
