# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.model.objects import NodeDescription, Task
from queenright.model.templates import TemplateError, context_of, expand, validate_templates
from queenright.spec.container import ContainerSpec
from queenright.spec.service import ServiceSpec, TaskSpec

TASK = Task(
    id="tid",
    service_id="sid",
    service_name="web",
    service_labels={"b": "2", "a": "1"},
    slot=3,
    node_id="n",
    spec=TaskSpec(),
)
CONTEXT = context_of(TASK, NodeDescription(hostname="h1", architecture="x86_64", os="linux"))
WORKED_OUT = [
    ('{{if eq .Task.Slot "3"}}A{{else}}B{{end}}', "A"),
    ('{{if eq .Task.Slot "1" "2"}}A{{else if eq .Task.Slot "1" "3"}}B{{else}}C{{end}}', "B"),
    ('{{if ""}}A{{end}}{{if 0}}B{{end}}{{if false}}C{{end}}{{if 0.0}}D{{else}}E{{end}}', "E"),
    ("{{range $k, $v := .Service.Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
    ("{{range .Service.Labels}}{{.}}{{end}}", "12"),
    ("{{range .Service.Labels}}{{$.Task.Slot}}{{break}}{{end}}", "3"),
    ('{{range $k, $v := .Service.Labels}}{{if eq $k "a"}}{{continue}}{{end}}{{$k}}{{end}}', "b"),
    ('{{with .Service}}{{.Name}}{{end}}{{with ""}}x{{else}}y{{end}}', "weby"),
    ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
    ("{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"),
    ('{{.Service.Name | join "-" "a"}}', "a-web"),
    ("{{(.Service).Name}}{{len (print .Service.Name 1)}}", "web4"),
    ('{{or "" .Task.Slot .Nope}} {{and 0 .Nope}} {{not 1}}', "3 0 false"),
    ('{{lt 1 2}}{{le 2 2}}{{gt 1.5 2.5}}{{ge "b" "a"}}{{ne 1 2}}', "truetruefalsetruetrue"),
    ('{{slice .Node.Platform.OS 1 3}}{{slice "abc" 1}}', "inbc"),
    ('{{print 1 2 "a" 3}}{{println 1 "a"}}', "1 2a31 a\n"),
    (
        '{{printf "%s-%03d|%-4s|%4s|%q|%x|%v|%t|%.2f|%%" "a" 7 "b" "c" "d" 255 nil true 1.5}}',
        'a-007|b   |   c|"d"|ff|<nil>|true|1.50|%',
    ),
    ('{{printf "%+d %.1s %x" 5 "xyz" "hi"}}{{"w" | printf "<%s>"}}', "+5 x 6869<w>"),
    ('{{html "<a>"}}{{urlquery "a b&"}}', "&lt;a&gt;a+b%26"),
    ("{{.Service.Labels}}{{len .Service.Labels}}", "map[a:1 b:2]2"),
    ("{{\"}}\"}}{{0x1F}}{{'a'}}{{-1}}", "}}3197-1"),
    ("a {{- /* no }} word */ -}} b", "ab"),
]


@pytest.mark.parametrize(("text", "expected"), WORKED_OUT)
def test_a_template_writes_what_the_rules_of_go_say(text: str, expected: str) -> None:
    assert expand(text, CONTEXT) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{{define "x"}}{{end}}', "define is not supported"),
        ('{{template "x"}}', "template is not supported"),
        ('{{block "x" .}}{{end}}', "block is not supported"),
        ("{{if 1}}", "no {{end}}"),
        ("{{end}}", "end without"),
        ("{{if 1}}{{else}}{{else}}{{end}}", "a second else"),
        ("{{$x}}", "no variable"),
        ("{{if false}}{{nope}}{{end}}", "no function 'nope'"),
        ("{{eq .Task.Slot 3}}", "cannot be compared"),
        ("{{range .Task.Slot}}{{end}}", "over labels only"),
        ("{{break}}", "outside of range"),
        ('{{slice "abc" 1 9}}', "outside of the text"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "more than 100"),
        ("{{if 1}}" * 5000 + "{{end}}" * 5000, "more than 50"),
        ('{{$x := "xxxx"}}' + "{{$x = print $x $x}}" * 60, "more than 16 Mi"),
        ("{{range $.Service.Labels}}" * 20 + "{{end}}" * 20, "more than 100000 steps"),
    ],
)
def test_what_is_refused_says_why(text: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        expand(text, CONTEXT)


def service(value: str) -> ServiceSpec:
    return ServiceSpec(name="web", task=TaskSpec(container=ContainerSpec(image="a", env=(f"A={value}",))))


def test_a_wrong_field_in_a_branch_not_taken_is_found_at_create() -> None:
    with pytest.raises(TemplateError, match=r"no \.Task\.Slto"):
        validate_templates(service("{{if false}}{{.Task.Slto}}{{end}}"))


def test_a_label_behind_its_guard_and_a_cut_of_a_made_up_value_are_taken_at_create() -> None:
    validate_templates(
        service('{{if index .Service.Labels "x"}}{{.Service.Labels.x}}{{end}}{{slice .Node.Hostname 0 3}}')
    )


WORDS = st.sampled_from(
    '{{ }} {{- -}} if else end with range $x := = | ( ) . .Task.Slot .Service.Labels "a" 1 -1 1e3 0x \' print and eq '
    "len slice index break nil true , /* */ é".split(" ")
)


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.lists(WORDS, max_size=25).map("".join))
def test_any_garbage_is_written_or_refused_and_nothing_else(text: str) -> None:
    try:
        assert isinstance(expand(text, CONTEXT), str)
    except TemplateError as error:
        assert str(error)
