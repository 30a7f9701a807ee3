# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import pytest

from queenright.model.objects import NodeDescription, Task
from queenright.model.templates import (
    FIELDS,
    TemplateError,
    context_of,
    expand,
    expand_container,
    validate_templates,
)
from queenright.spec.container import ContainerSpec, Mount, VolumeDriver, VolumeOptions
from queenright.spec.service import ServiceSpec, TaskSpec

TASK = Task(
    id="tid",
    service_id="sid",
    service_name="web",
    service_labels={"tier": "front", "com.example.zone": "a"},
    slot=3,
    node_id="nid",
    spec=TaskSpec(),
)
NODE = NodeDescription(hostname="h1", architecture="x86_64", os="linux")
CONTEXT = context_of(TASK, NODE)

EXPANDED = [
    ("plain", "plain"),
    ("", ""),
    ("} } { {", "} } { {"),
    ("{{.Service.ID}}", "sid"),
    ("{{.Service.Name}}", "web"),
    ("{{.Service.Labels.tier}}", "front"),
    ("{{.Node.ID}}", "nid"),
    ("{{.Node.Hostname}}", "h1"),
    ("{{.Node.Platform.Architecture}}", "x86_64"),
    ("{{.Node.Platform.OS}}", "linux"),
    ("{{.Task.ID}}", "tid"),
    ("{{.Task.Name}}", "web.3.tid"),
    ("{{.Task.Slot}}", "3"),
    ("{{ .Task.Slot }}", "3"),
    ("a-{{.Task.Slot}}-{{.Node.Hostname}}-z", "a-3-h1-z"),
    ('{{index .Service.Labels "com.example.zone"}}', "a"),
    ('{{index .Service.Labels "absent"}}', ""),
    ('{{join "-" .Service.Name .Task.Slot "x"}}', "web-3-x"),
    ("{{join `:` .Service.Name}}", "web"),
    ('{{"{{"}}', "{{"),
    ('{{"a\\"b"}}', 'a"b'),
    ("a{{/* nothing to see */}}b", "ab"),
    ("a {{- .Task.Slot -}} b", "a3b"),
    ("a {{ .Task.Slot }} b", "a 3 b"),
]


@pytest.mark.parametrize(("text", "expected"), EXPANDED)
def test_placeholders_are_replaced(text: str, expected: str) -> None:
    assert expand(text, CONTEXT) == expected


REFUSED = [
    ("{{.Service.Nmae}}", "there is no .Service.Nmae"),
    ("{{.Service}}", "there is no .Service"),
    ("{{.}}", "there is no ."),
    ("{{.Service.Labels.absent}}", "the service has no label 'absent'"),
    ("{{.Service.Labels.com.example.zone}}", "the service has no label"),
    ("{{.Task.Slot", "is not closed"),
    ("{{}}", "an empty placeholder"),
    ("{{ }}", "an empty placeholder"),
    ("{{.Task.Slot .Task.ID}}", "one value was expected"),
    ("{{.Task.Slot | .Task.ID}}", "a function has to follow"),
    ('{{env "HOME"}}', "one value was expected|no function 'env'"),
    ("{{printf}}", "printf takes a text with directives first"),
    ('{{printf "%d" "a"}}', "%d does not print a value of this kind"),
    ('{{printf "%s"}}', "there is no value for %s"),
    ('{{printf "%s" "a" "b"}}', "1 of its values have no directive"),
    ('{{printf "%101s" "a"}}', "at most 100"),
    ('{{printf "%U" 1}}', "not '%U'"),
    ('{{printf "100%"}}', "not '%'"),
    ("{{join}}", "join needs a separator"),
    ('{{index .Node.Hostname "a"}}', "write it as"),
    ('{{"open}}', "is not supported"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_whatever_is_not_known_is_an_error_that_quotes_it(text: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        expand(text, CONTEXT)


def test_a_global_task_has_its_node_as_slot_as_in_its_name() -> None:
    task = dataclasses.replace(TASK, slot=0)
    assert expand("{{.Task.Slot}} {{.Task.Name}}", context_of(task, NODE)) == "nid web.nid.tid"


def test_the_options_that_are_expanded_are_and_all_others_are_left() -> None:
    spec = ContainerSpec(
        image="{{.Task.Slot}}",
        labels={"traefik": "{{ something of traefik }}"},
        args=("{{.Task.Slot}}",),
        hostname="{{.Service.Name}}",
        env=("{{.Task.Slot}}=name", "SLOT={{.Task.Slot}}", "INHERITED"),
        mounts=(
            Mount(
                source="data-{{.Task.Slot}}",
                target="/{{.Service.Name}}",
                volume=VolumeOptions(
                    labels={"slot": "{{.Task.Slot}}"},
                    driver=VolumeDriver(name="local", options={"device": "/srv/{{.Task.Slot}}"}),
                ),
            ),
        ),
    )
    done = expand_container(spec, CONTEXT)
    assert (done.image, done.labels, done.args) == (spec.image, spec.labels, spec.args)
    assert done.hostname == "web"
    assert done.env == ("{{.Task.Slot}}=name", "SLOT=3", "INHERITED")
    (mount,) = done.mounts
    assert (mount.source, mount.target) == ("data-3", "/web")
    assert mount.volume == VolumeOptions(
        labels={"slot": "3"}, driver=VolumeDriver(name="local", options={"device": "/srv/3"})
    )


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"hostname": "{{.X}}"}, "Hostname"),
        ({"env": ("A=1", "B={{.X}}")}, "Env B"),
        ({"mounts": (Mount(source="{{.X}}", target="/x"),)}, "Mount source"),
        ({"mounts": (Mount(target="/{{.X}}"),)}, "Mount target"),
        ({"mounts": (Mount(target="/x", volume=VolumeOptions(labels={"l": "{{.X}}"})),)}, "Volume label l"),
        (
            {"mounts": (Mount(target="/x", volume=VolumeOptions(driver=VolumeDriver(options={"o": "{{.X}}"}))),)},
            "Volume option o",
        ),
    ],
)
def test_a_service_with_a_wrong_placeholder_is_refused_by_option(changes: dict[str, object], option: str) -> None:
    spec = ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="a", **changes)))  # type: ignore[arg-type]
    with pytest.raises(TemplateError, match=rf"^{option}: \{{\{{\.X\}}\}}: there is no \.X"):
        validate_templates(spec)


def test_a_service_whose_placeholders_can_be_filled_is_taken() -> None:
    every = " ".join(f"{{{{{field}}}}}" for field in FIELDS if "KEY" not in field) + "{{.Service.Labels.tier}}"
    validate_templates(
        ServiceSpec(
            name="web", labels={"tier": "x"}, task=TaskSpec(container=ContainerSpec(image="a", env=(f"A={every}",)))
        )
    )
