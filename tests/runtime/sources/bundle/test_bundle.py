# SPDX-License-Identifier: Apache-2.0
"""Bundles of version 0.1: what Docker 1.12 takes is taken as it takes it, and what is wrong is refused by path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.sources import bundle, compose
from queenright.sources.draft import Draft, SourceError
from queenright.spec.fields import encode

TWO_TIER = Path(__file__).with_name("two-tier.dab").read_text()
DIGEST = "@sha256:" + "0123456789abcdef" * 4
STACK = {"com.docker.stack.namespace": "vote"}


def document(**service: Any) -> dict[str, Any]:
    return {"Version": "0.1", "Services": {"web": {"Image": f"web{DIGEST}", **service}}}


def read(value: Any, **options: bool) -> Draft:
    return bundle.read("vote", value, **options)


# -- reading


def test_the_two_tiers_of_the_announcement_are_read() -> None:
    found = read(bundle.parse(TWO_TIER))
    db, web = found.services
    assert (found.name, found.source, found.data, found.warnings) == ("vote", "bundle", (), ())
    assert [(one.key, one.name, one.external) for one in found.networks] == [
        ("back", "vote_back", False),
        ("front", "vote_front", False),
    ]
    assert encode(found.networks[0].spec)["Labels"] == STACK
    assert encode(found.networks[0].spec)["Driver"] == "overlay"
    image = json.loads(TWO_TIER)["Services"]["web"]["Image"]
    spec = encode(web.spec)
    assert (web.key, web.image, web.after, web.said) == ("web", image, (), ())
    assert spec["Name"] == "vote_web"
    assert spec["Labels"] == {"tier": "front", "com.docker.stack.image": image, **STACK}
    container = spec["TaskTemplate"]["ContainerSpec"]
    assert {key: container[key] for key in ("Image", "Command", "Args", "Env", "Dir", "User", "Labels")} == {
        "Image": image,
        "Command": ["/usr/bin/env"],
        "Args": ["python", "app.py"],
        "Env": ["OPTION_A=Cats", "OPTION_B=Dogs"],
        "Dir": "/app",
        "User": "nobody",
        "Labels": STACK,
    }
    assert spec["TaskTemplate"]["Networks"] == [
        {"Target": "vote_back", "Aliases": ["web"]},
        {"Target": "vote_front", "Aliases": ["web"]},
    ]
    assert spec["EndpointSpec"]["Ports"] == [
        {"TargetPort": 80, "Protocol": "tcp"},
        {"TargetPort": 53, "Protocol": "udp"},
    ]
    assert spec["Mode"] == {"Replicated": {"Replicas": 1}}
    assert encode(db.spec)["TaskTemplate"]["ContainerSpec"]["Env"] == ["POSTGRES_DB=vote"]


def test_keys_are_taken_in_any_letter_case_and_null_is_nothing() -> None:
    lower = {
        "version": "0.1",
        "SERVICES": {"web": {"image": f"web{DIGEST}", "workingDIR": None, "ports": [{"port": 80}]}},
    }
    assert read(lower) == read(
        document(Ports=[{"Port": 80, "Protocol": "tcp"}], WorkingDir=None, User=None, Networks=None)
    )


def test_names_of_services_keep_their_letter_case() -> None:
    assert [one.key for one in read({"Version": "0.1", "Services": {"A": {"Image": f"a{DIGEST}"}}}).services] == ["A"]


def test_a_service_without_networks_is_in_none_and_a_network_named_twice_is_one() -> None:
    assert read(document()).services[0].spec.task.networks == ()
    found = read(document(Networks=["a", "a"]))
    assert len(found.networks) == len(found.services[0].spec.task.networks) == 1


def test_networks_of_each_node_are_nobodys_to_make() -> None:
    found = read(document(Networks=["host"]))
    assert found.networks == ()
    assert [(one.target, one.aliases) for one in found.services[0].spec.task.networks] == [("host", ())]


def test_tags_are_taken_where_that_is_said() -> None:
    tagged = {"Version": "0.1", "Services": {"web": {"Image": "web:1"}}}
    assert read(tagged, tags=True).services[0].image == "web:1"
    with pytest.raises(SourceError, match=r"Services.web.Image: 'web:1' has no digest"):
        read(tagged)


REFUSED: dict[str, tuple[Any, str]] = {
    "no version": ({"Services": {}}, "Version: is required: there is 0.1"),
    "version": ({"version": "0.2", "Services": {}}, "version: '0.2' is not taken: there is 0.1"),
    "version as number": ({"Version": 0.1, "Services": {}}, "Version: expected a text, got 0.1"),
    "no services": ({"Version": "0.1"}, "Services: is required"),
    "services null": ({"Version": "0.1", "Services": None}, "Services: is required"),
    "services list": ({"Version": "0.1", "Services": []}, "Services: expected an object, got a list"),
    "unknown key": (
        {"Version": "0.1", "Services": {}, "Networks": []},
        "Networks: there is no such key; known are Version",
    ),
    "unknown in service": (document(Replicas=2), "Services.web.Replicas: there is no such key; known are Image, "),
    "service null": ({"Version": "0.1", "Services": {"a": None}}, "Services.a: expected an object, got null"),
    "name": ({"Version": "0.1", "Services": {"a b": {}}}, "Services.a b: 'a b' is no name: "),
    "no image": ({"Version": "0.1", "Services": {"a": {}}}, "Services.a.Image: is required"),
    "image empty": ({"Version": "0.1", "Services": {"a": {"image": ""}}}, "Services.a.image: is required"),
    "image type": ({"Version": "0.1", "Services": {"a": {"Image": 1}}}, "Services.a.Image: expected a text, got 1"),
    "digest short": (
        {"Version": "0.1", "Services": {"a": {"Image": "a@sha256:12"}}},
        "Services.a.Image: 'a@sha256:12' has no",
    ),
    "twice": ({"Version": "0.1", "version": "0.1", "Services": {}}, "version: stands there twice, as Version too"),
    "command text": (document(Command="a b"), "Services.web.Command: expected a list, got a text"),
    "args item": (document(args=["a", 1]), "Services.web.args[1]: expected a text, got 1"),
    "env object": (document(Env={"a": "b"}), "Services.web.Env: expected a list, got an object"),
    "label": (document(Labels={"a": True}), "Services.web.Labels.a: expected a text, got true"),
    "labels list": (document(Labels=["a=b"]), "Services.web.Labels: expected an object, got a list"),
    "port text": (document(Ports=["80"]), "Services.web.Ports[0]: expected an object, got a text"),
    "port none": (document(Ports=[{"Protocol": "tcp"}]), "Services.web.Ports[0].Port: is required"),
    "port truth": (document(Ports=[{"Port": True}]), "Services.web.Ports[0].Port: expected a whole number, got true"),
    "port part": (document(Ports=[{"Port": 80.5}]), "Services.web.Ports[0].Port: expected a whole number, got 80.5"),
    "port large": (document(Ports=[{"Port": 65536}]), "Services.web.Ports[0].Port: 65536 is no port: 1 to 65535 are"),
    "port zero": (document(Ports=[{"Port": 0}]), "Services.web.Ports[0].Port: 0 is no port"),
    "protocol": (
        document(Ports=[{"Port": 1, "protocol": "x"}]),
        "Services.web.Ports[0].protocol: 'x' is none of tcp, udp",
    ),
    "port key": (
        document(Ports=[{"Port": 1, "Published": 2}]),
        "Services.web.Ports[0].Published: there is no such key",
    ),
    "network name": (document(Networks=["a/b"]), "Services.web.Networks[0]: 'a/b' is no name"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_told_by_its_path(name: str) -> None:
    value, begins = REFUSED[name]
    with pytest.raises(SourceError) as caught:
        read(bundle.parse(json.dumps(value)))
    assert str(caught.value).startswith(begins)


# -- the text

NO_JSON = {
    "": "line 1, column 1: this is no JSON: Expecting value",
    "{": "line 1, column 2: this is no JSON: ",
    '{\n "a": 1,\n}': "line 3, column 1: this is no JSON: ",
    '{"a": NaN}': "this is no JSON: NaN is no number",
    "[]": "expected an object, got a list",
    "null": "expected an object, got null",
    '{"Services": {"a": {"Image": "x", "Image": "y"}}}': "Services.a.Image: stands there twice",
    '{"a": 1, "a": 1}': "a: stands there twice",
    '{"a": ["\\ud800"]}': "a[0]: has half of a character in it",
    "[" * 100_000: "the document is nested too deeply",
    '{"a": ' + "9" * 5000 + "}": "this is no JSON: ",
}


@pytest.mark.parametrize("text", NO_JSON, ids=range(len(NO_JSON)))
def test_what_is_no_json_is_told_by_line_and_column(text: str) -> None:
    with pytest.raises(SourceError) as caught:
        bundle.parse(text)
    assert str(caught.value).startswith(NO_JSON[text])


def test_a_mark_of_byte_order_is_passed_over() -> None:
    assert bundle.parse("\ufeff{}") == {}


# -- writing, and back

NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SERVICES = st.fixed_dictionaries(
    {"Image": NAMES.map(lambda name: f"{name}{DIGEST}")},
    optional={
        "Command": st.lists(TEXTS, min_size=1, max_size=3),
        "Args": st.lists(TEXTS, min_size=1, max_size=3),
        "Env": st.lists(TEXTS, min_size=1, max_size=3),
        "Labels": st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=3),
        "Ports": st.lists(
            st.fixed_dictionaries({"Protocol": st.sampled_from(["tcp", "udp"]), "Port": st.integers(1, 65535)}),
            min_size=1,
            max_size=3,
        ),
        "WorkingDir": TEXTS.filter(bool),
        "User": TEXTS.filter(bool),
        "Networks": st.lists(
            NAMES.filter(lambda one: one not in ("host", "bridge")), min_size=1, max_size=3, unique=True
        ),
    },
)


@given(st.dictionaries(NAMES, SERVICES, max_size=3))
def test_what_is_read_is_written_as_it_was(services: dict[str, Any]) -> None:
    value = {"Version": "0.1", "Services": services}
    draft = read(bundle.parse(json.dumps(value)))
    assert bundle.write(draft) == value
    assert read(bundle.write(draft)) == draft


def test_the_announcements_bundle_is_written_as_it_was() -> None:
    assert bundle.write(read(bundle.parse(TWO_TIER))) == json.loads(TWO_TIER)


def composed(**service: Any) -> Draft:
    networks = service.pop("networks_", {})
    top = service.pop("top", {})
    one = {"image": f"web{DIGEST}", **service}
    return compose.read(
        "vote", [{"services": {"web": one}, "networks": networks, **top}], variables={}, files={"f": b""}
    )


def test_a_compose_file_is_written() -> None:
    draft = composed(
        entrypoint="/x",
        command="a 'b c'",
        environment={"A": "1"},
        user="u",
        working_dir="/w",
        ports=["80", "53/udp"],
        deploy={"labels": {"a": "b"}},
        networks=["back"],
        networks_={"back": None},
        expose=[80],
    )
    assert bundle.write(draft)["Services"]["web"] == {
        "Image": f"web{DIGEST}",
        "Command": ["/x"],
        "Args": ["a", "b c"],
        "Env": ["A=1"],
        "Labels": {"a": "b"},
        "Ports": [{"Protocol": "udp", "Port": 53}, {"Protocol": "tcp", "Port": 80}],
        "WorkingDir": "/w",
        "User": "u",
        "Networks": ["back"],
    }
    assert bundle.write(composed())["Services"]["web"]["Networks"] == ["default"]


CANNOT: dict[str, tuple[dict[str, Any], str]] = {
    "published": ({"ports": ["8080:80"]}, "services.web.ports: a bundle says ports of containers (tcp or udp)"),
    "host port": ({"ports": [{"target": 80, "mode": "host"}]}, "services.web.ports: "),
    "sctp": ({"ports": ["80/sctp"]}, "services.web.ports: "),
    "volumes": ({"volumes": ["/a:/a"]}, "services.web.volumes: a bundle of version 0.1 cannot say it"),
    "healthcheck": ({"healthcheck": {"test": "x"}}, "services.web.healthcheck: "),
    "replicas": ({"deploy": {"replicas": 1}}, "services.web.deploy.replicas: "),
    "mode": ({"deploy": {"mode": "global"}}, "services.web.deploy: "),
    "limits": ({"deploy": {"resources": {"limits": {"cpus": "1"}}}}, "services.web.deploy.resources: "),
    "update": ({"deploy": {"update_config": {"parallelism": 2}}}, "services.web.deploy.update_config: "),
    "container labels": ({"labels": {"a": "b"}}, "services.web.labels: a bundle has no labels of containers"),
    "hostname": ({"hostname": "h"}, "services.web.hostname: "),
    "dns": ({"dns": "1.1.1.1"}, "services.web.dns: "),
    "aliases": (
        {"networks": {"a": {"aliases": ["x"]}}, "networks_": {"a": None}},
        "services.web.networks: a bundle says",
    ),
    "external": ({"networks": ["a"], "networks_": {"a": {"external": True}}}, "services.web.networks: "),
    "internal": ({"networks": ["a"], "networks_": {"a": {"internal": True}}}, "networks.a.internal: "),
    "driver_opts": ({"networks": ["a"], "networks_": {"a": {"driver_opts": {"x": "y"}}}}, "networks.a.driver_opts: "),
    "tag": ({"image": "web:1"}, "services.web.image: 'web:1' has no digest"),
    "configs": ({"top": {"configs": {"c": {"file": "f"}}}}, "configs.c: "),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_a_bundle_cannot_say_is_refused_by_path(name: str) -> None:
    service, begins = CANNOT[name]
    with pytest.raises(SourceError) as caught:
        bundle.write(composed(**service))
    assert str(caught.value).startswith(begins)


def test_dependencies_are_refused_and_tags_are_kept_where_that_is_said() -> None:
    services = {"a": {"image": "a:1", "depends_on": ["b"]}, "b": {"image": "b:1"}}
    draft = compose.read("vote", [{"services": services}], variables={}, files={})
    with pytest.raises(SourceError, match=r"services.a.depends_on: a bundle of version 0.1 cannot say it"):
        bundle.write(draft, tags=True)
    assert bundle.write(composed(image="web:1"), tags=True)["Services"]["web"]["Image"] == "web:1"
