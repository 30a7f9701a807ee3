# SPDX-License-Identifier: Apache-2.0
"""Placeholders in a service's containers: ``{{.Service.Name}}``, ``{{.Node.Hostname}}``, ``{{.Task.Slot}}`` and so on.

Go's text/template as far as services use it. Refused with a clear error: define, template, block, js, call, range
over anything but labels, rare directives of printf, and whatever Go refuses.
Writing a group such as ``.Service`` whole is an error, not a guess.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from queenright.model import template_functions
from queenright.model.objects import NodeDescription, Task
from queenright.model.template_eval import Evaluation, Group, Value
from queenright.model.template_parse import parse
from queenright.model.template_words import MissingTargetError, TemplateError
from queenright.spec.container import ContainerSpec, Mount, VolumeDriver, VolumeOptions
from queenright.spec.service import ServiceSpec

__all__ = [
    "FIELDS",
    "Context",
    "MissingTargetError",
    "TemplateError",
    "context_of",
    "expand",
    "expand_container",
    "validate_templates",
]
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


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What placeholders stand for. ``fields`` maps ``.Task.Slot`` to its text; labels are apart. ``functions`` are
    those besides ``join`` and ``index``; each takes one text.
    """

    fields: Mapping[str, str]
    labels: Mapping[str, str]
    functions: Mapping[str, Callable[[str], str]] = dataclasses.field(default_factory=dict)
    trial: bool = False  # the values are made up: look at fields in branches that they do not take, too


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
    template = parse(text, template_functions.NAMES | context.functions.keys())
    known = "known are " + ", ".join(FIELDS)
    return Evaluation(_root(context), context.functions, known, context.trial).run(template)


def _root(context: Context) -> Group:
    """The values as what ``.`` is: groups by their first names."""
    tree: dict[str, dict[str, Value]] = {"Service": {}, "Node": {}, "Task": {}}
    platform: dict[str, Value] = {}
    for field, value in context.fields.items():
        first, _, last = field[1:].partition(".")
        if last.startswith("Platform."):
            platform[last.removeprefix("Platform.")] = value
        else:
            tree[first][last] = value
    tree["Service"]["Labels"] = context.labels
    tree["Node"]["Platform"] = Group(".Node.Platform", platform)
    return Group(".", {name: Group(f".{name}", values) for name, values in tree.items()})


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
    fields = {field: "1" for field in FIELDS if not field.startswith(_LABELS)}
    expand_container(spec.task.container, Context(fields=fields, labels=spec.labels, trial=True))


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
