# SPDX-License-Identifier: Apache-2.0
"""Placeholders in a service's containers: ``{{.Service.Name}}``, ``{{.Node.Hostname}}``, ``{{.Task.Slot}}`` and so on.

The part of Go's template language that services use, and nothing beyond: fields, string literals, ``index`` on labels,
``join``, comments and the trimming ``{{-`` and ``-}}``. Whatever else stands between braces is an error, not a guess.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Mapping

from queenright.model.objects import NodeDescription, Task
from queenright.spec.container import ContainerSpec, Mount, VolumeDriver, VolumeOptions
from queenright.spec.service import ServiceSpec

_TOKEN = re.compile(r'\s*(?:(?P<field>\.[\w.]*)|(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<word>\w+))')
FIELDS = (
    ".Service.ID",
    ".Service.Name",
    ".Service.Labels.KEY",
    ".Node.ID",
    ".Node.Hostname",
    ".Node.Platform.Architecture",
    ".Node.Platform.OS",
    ".Task.ID",
    ".Task.Name",
    ".Task.Slot",
)
_LABELS = ".Service.Labels"


class TemplateError(ValueError):
    """A placeholder that cannot be expanded. The text quotes it and names what there is; ``at`` is where it begins."""

    at = 0


class MissingTargetError(TemplateError):
    """A placeholder names a file that the task does not have. The text says no more than that."""


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What placeholders stand for. ``fields`` maps ``.Task.Slot`` to its text; labels are apart. ``functions`` are
    those besides ``join`` and ``index``; each takes one text.
    """

    fields: Mapping[str, str]
    labels: Mapping[str, str]
    functions: Mapping[str, Callable[[str], str]] = dataclasses.field(default_factory=dict)


def context_of(task: Task, node: NodeDescription) -> Context:
    """The values for one task on one node."""
    return Context(
        fields={
            ".Service.ID": task.service_id,
            ".Service.Name": task.service_name,
            ".Node.ID": task.node_id,
            ".Node.Hostname": node.hostname,
            ".Node.Platform.Architecture": node.architecture,
            ".Node.Platform.OS": node.os,
            ".Task.ID": task.id,
            ".Task.Name": task.name,
            ".Task.Slot": str(task.slot or task.node_id),
        },
        labels=task.service_labels,
    )


def expand(text: str, context: Context) -> str:
    """The text with its placeholders replaced. Raises TemplateError."""
    if "{{" not in text:
        return text
    out: list[str] = []
    position = 0
    trim = False
    while (start := text.find("{{", position)) >= 0 and (end := text.find("}}", start + 2)) >= 0:
        before, body = text[position:start], text[start + 2 : end]
        if body[:1] == "-" and body[1:2].isspace():
            before, body = before.rstrip(), body[1:]
        out.append(_literal(before, trim))
        trim = body[-1:] == "-" and body[-2:-1].isspace()
        try:
            out.append(_evaluate(body[:-1] if trim else body, text[start : end + 2], context))
        except TemplateError as error:
            error.at = start
            raise
        position = end + 2
    try:
        out.append(_literal(text[position:], trim))
    except TemplateError as error:
        error.at = text.find("{{", position)
        raise
    return "".join(out)


def expand_container(spec: ContainerSpec, context: Context) -> ContainerSpec:
    """A container specification with host name, values of the environment and mounts expanded.

    Raises TemplateError, naming the option.
    """
    return dataclasses.replace(
        spec,
        hostname=_named("Hostname", spec.hostname, context),
        env=tuple(_expand_variable(item, context) for item in spec.env),
        mounts=tuple(_expand_mount(mount, context) for mount in spec.mounts),
    )


def validate_templates(spec: ServiceSpec) -> None:
    """Whether all placeholders of a service can be expanded, tried with made-up values. Raises TemplateError."""
    fields = {field: "x" for field in FIELDS if not field.startswith(_LABELS)}
    expand_container(spec.task.container, Context(fields=fields, labels=spec.labels))


def _literal(text: str, trim: bool) -> str:
    if "{{" in text:
        raise TemplateError(f"{text.strip()[:200]!r}: the placeholder is not closed by }}}}")
    return text.lstrip() if trim else text


def _evaluate(body: str, action: str, context: Context) -> str:
    """The value of what stands between the braces."""
    if body.startswith("/*") and body.endswith("*/"):
        return ""
    words = list(_tokens(body, action))
    if not words:
        raise TemplateError(f"{action}: an empty placeholder")
    (kind, head), rest = words[0], words[1:]
    if kind == "word" and head == "join":
        values = [_operand(word, action, context) for word in rest]
        if not values:
            raise TemplateError(f"{action}: join needs a separator")
        return values[0].join(values[1:])
    if kind == "word" and head == "index":
        if [kind for kind, _ in rest] != ["field", "text"] or rest[0][1] != _LABELS:
            raise TemplateError(f'{action}: write it as {{{{index .Service.Labels "key"}}}}')
        return context.labels.get(rest[1][1], "")
    if kind == "word" and head in context.functions:
        if [kind for kind, _ in rest] not in (["field"], ["text"]):
            raise TemplateError(f'{action}: write it as {{{{{head} "name"}}}}')
        return context.functions[head](_operand(rest[0], action, context))
    if rest:
        raise TemplateError(f"{action}: one value was expected")
    return _operand(words[0], action, context)


def _tokens(body: str, action: str) -> Iterator[tuple[str, str]]:
    """(field | text | word, value) of each token; literals are unquoted."""
    position = 0
    end = len(body.rstrip())
    while position < end:
        match = _TOKEN.match(body, position)
        if match is None or match.lastgroup is None:
            raise TemplateError(f"{action}: {body[position:].strip()!r} is not supported; {_known()}")
        value = match[match.lastgroup]
        if match.lastgroup == "text":
            value = _unquote(value, action)
        yield match.lastgroup, value
        position = match.end()


def _unquote(literal: str, action: str) -> str:
    if literal.startswith("`"):
        return literal[1:-1]
    try:
        return str(json.loads(literal))
    except ValueError:
        raise TemplateError(f"{action}: {literal} is no string") from None


def _operand(word: tuple[str, str], action: str, context: Context) -> str:
    kind, value = word
    if kind == "text":
        return value
    if kind == "word":
        raise TemplateError(f"{action}: there is no function {value!r}; known are {_functions(context)}")
    if value in context.fields:
        return context.fields[value]
    if value.startswith(_LABELS + "."):
        key = value[len(_LABELS) + 1 :]
        if key in context.labels and "." not in key:
            return context.labels[key]
        raise TemplateError(f"{action}: the service has no label {key!r}")
    raise TemplateError(f"{action}: there is no {value}; {_known()}")


def _functions(context: Context) -> str:
    return ", ".join((*sorted(context.functions), "join")) + " and index" if context.functions else "join and index"


def _known() -> str:
    return "known are " + ", ".join(FIELDS)


def _named(option: str, text: str | None, context: Context) -> str | None:
    if text is None:
        return None
    try:
        return expand(text, context)
    except TemplateError as error:
        raise TemplateError(f"{option}: {error}") from None


def _expand_variable(item: str, context: Context) -> str:
    name, equals, value = item.partition("=")
    return f"{name}{equals}{_named(f'Env {name}', value, context)}"


def _expand_map(option: str, values: Mapping[str, str], context: Context) -> dict[str, str]:
    return {key: _named(f"{option} {key}", value, context) or "" for key, value in values.items()}


def _expand_mount(mount: Mount, context: Context) -> Mount:
    volume = mount.volume
    if volume is not None:
        volume = _expand_volume(volume, context)
    return dataclasses.replace(
        mount,
        source=_named("Mount source", mount.source, context),
        target=_named("Mount target", mount.target, context),
        volume=volume,
    )


def _expand_volume(volume: VolumeOptions, context: Context) -> VolumeOptions:
    driver: VolumeDriver | None = volume.driver
    if driver is not None:
        driver = dataclasses.replace(driver, options=_expand_map("Volume option", driver.options, context))
    return dataclasses.replace(volume, labels=_expand_map("Volume label", volume.labels, context), driver=driver)
