# SPDX-License-Identifier: Apache-2.0
"""Compose files are read as Docker's own client reads them, and refused by path.

``golden.json`` is what that client creates; ``tests/compat/compose`` compares it with the real one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from runtime.sources.compose.cases import FILES, HOME, OVER, parsed, service
from runtime.sources.compose.cases import VALID as SINGLE
from runtime.sources.compose.cases_over import LAID
from runtime.sources.compose.cases_refused import DIFFERENT, REFUSED, STRICTER
from runtime.sources.compose.forms import of_draft

from queenright.model.stack import COMPLETED, HEALTHY, STARTED, Dependency
from queenright.sources import compose
from queenright.sources.draft import Draft, SourceError
from queenright.spec.fields import encode

VALID = SINGLE | LAID
GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
REPLICAS = "Mode.Replicated.Replicas"


def read(text: str, files: dict[str, bytes] = FILES) -> Draft:
    documents, variables = parsed(text)
    return compose.read("shop", documents, variables=variables, files=files)


def error(text: str, files: dict[str, bytes] = FILES) -> str:
    with pytest.raises(SourceError) as caught:
        read(text, files)
    assert str(caught.value) == f"{caught.value.path}: {caught.value.reason}"
    return str(caught.value)


def test_each_case_has_what_docker_makes_of_it() -> None:
    assert list(GOLDEN) == sorted(VALID)


@pytest.mark.parametrize("name", VALID)
def test_the_same_is_made_as_by_docker(name: str) -> None:
    assert of_draft(read(VALID[name])) == GOLDEN[name]


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_is_better_than_in_docker(name: str) -> None:
    text, path, expected = DIFFERENT[name]
    found: Any = encode(read(text).services[0].spec)
    for key in path.split("."):
        found = found[key]
    if path.endswith("Ports"):
        found = [(one.get("PublishedPort", 0), one["TargetPort"], one["Protocol"]) for one in found]
    assert found == expected


@pytest.mark.parametrize("name", REFUSED)
def test_what_docker_refuses_is_refused_by_its_path(name: str) -> None:
    text, begins = REFUSED[name]
    assert error(text).startswith(begins)


@pytest.mark.parametrize("name", STRICTER)
def test_what_a_swarm_cannot_do_is_refused_by_its_path(name: str) -> None:
    text, begins = STRICTER[name]
    assert error(text).startswith(begins)


def test_errors_tell_the_file_of_which_the_stack_is_by_path_only() -> None:
    assert error(service("env_file: x"), {"x": b"=secret\n"}) == (
        "services.web.env_file (x): line 1 has no name of a variable before its ="
    )
    assert error(service("env_file: [x]"), {"x": b"A=1\n\xff\n"}) == "services.web.env_file[0] (x): is no text in UTF-8"
    assert "secret" not in error(service("env_file: x"), {"x": b"a b=secret\n"})


def test_what_is_ignored_is_told_by_path() -> None:
    assert read(service("container_name: x\npid: host")).warnings == (
        "services.web.container_name: is ignored: containers of services are named after their tasks",
        "services.web.pid: is ignored in a swarm",
    )
    assert read(service("networks: {a: {ipv4_address: 10.0.0.1}}", networks="a:")).warnings == (
        "services.web.networks.a.ipv4_address: is ignored: the swarm gives addresses",
    )
    assert read(service("ports: ['127.0.0.1:80:80']")).warnings == (
        "services.web.ports[0]: the address 127.0.0.1 is ignored: the port answers at all addresses",
    )


def test_a_tmpfs_of_the_short_form_is_told_to_be_ignored() -> None:
    assert read(service("tmpfs: [/run, /tmp]")).warnings == (
        "services.web.tmpfs: is ignored: write a volume of type tmpfs",
    )


def test_services_await_those_they_depend_on() -> None:
    text = "services: {a: {image: 'a:1', depends_on: %s}, b: {image: 'b:1'}, c: {image: 'c:1'}}"
    mapped = "{b: {condition: service_healthy}, c: {condition: service_completed_successfully}}"
    assert read(text % "[c, b]").services[0].after == (
        Dependency(key="c", condition=STARTED),
        Dependency(key="b", condition=STARTED),
    )
    assert read(text % mapped).services[0].after == (
        Dependency(key="b", condition=HEALTHY),
        Dependency(key="c", condition=COMPLETED),
    )
    over = "services: {a: {depends_on: {b: {condition: healthy}}}}"
    assert read(text % "[c, b]" + OVER + over).services[0].after == (
        Dependency(key="c", condition=STARTED),
        Dependency(key="b", condition=HEALTHY),
    )


def test_what_operators_set_by_hand_is_noted_where_it_is_said() -> None:
    assert read(service("deploy: {replicas: 2}")).services[0].said == (REPLICAS,)
    assert read(service("deploy: {replicas: 0}")).services[0].said == (REPLICAS,)
    assert read(service("")).services[0].said == ()
    assert read(service("deploy: {mode: global}")).services[0].said == ()


def test_images_are_kept_as_they_are_written() -> None:
    found = read(service("image: reg.example:5000/a").replace("    image: w:1\n", "")).services[0]
    assert (found.image, found.key) == ("reg.example:5000/a", "web")
    assert found.spec.labels["com.docker.stack.image"] == "reg.example:5000/a"


def test_networks_that_no_service_uses_are_left_out_and_those_of_each_node_too() -> None:
    text = service("networks: [h, e]", networks="h: {external: true, name: host}\ne: {external: true}\nunused: {}")
    found = read(text)
    assert [(one.key, one.name, one.external) for one in found.networks] == [("e", "e", True)]
    assert [(one.target, one.aliases) for one in found.services[0].spec.task.networks] == [
        ("e", ("web",)),
        ("host", ()),
    ]


def test_secrets_and_configs_are_data_of_the_stack() -> None:
    found = read(service("", secrets="k: {file: ./key.txt}\ne: {external: true}", configs="c: {file: conf/app.conf}"))
    assert [(one.kind, one.key, one.name, one.external, one.data) for one in found.data] == [
        ("secret", "k", "shop_k", False, b"geheim"),
        ("secret", "e", "e", True, None),
        ("config", "c", "shop_c", False, b"a=b\n"),
    ]
    assert "geheim" not in repr(found)


def test_the_files_that_are_needed_are_named() -> None:
    text = service(
        "env_file: [one.env, $E]", secrets="k: {file: ./key.txt}\ne: {external: true}", configs="c: {file: '${C}'}"
    )
    documents = [yaml.safe_load(text), yaml.safe_load(service("env_file: one.env"))]
    assert compose.needs(documents) == ("./key.txt", "${C}", "one.env", "$E")
    assert compose.needs(documents, {"C": "x", "E": "y"}) == ("./key.txt", "x", "one.env", "y")


def test_no_document_is_no_stack_and_depth_has_an_end() -> None:
    with pytest.raises(SourceError, match="no Compose file"):
        compose.read("shop", [], variables={}, files={})
    deep: Any = "x"
    for _ in range(2000):
        deep = {"a": deep}
    with pytest.raises(SourceError, match="nested too deeply"):
        compose.read("shop", [{"x-deep": deep}], variables={}, files={})
    with pytest.raises(SourceError, match=r"x-a\[0\]: nan is no number"):
        compose.read("shop", [{"x-a": [float("nan")]}], variables=HOME, files={})


def test_documents_are_left_as_they_were() -> None:
    documents, variables = parsed(VALID["over: deploy"])
    before = json.dumps(documents)
    compose.read("shop", documents, variables=variables, files=FILES)
    assert json.dumps(documents) == before
