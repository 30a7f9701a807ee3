# SPDX-License-Identifier: Apache-2.0
"""The native form of a stack: what modules say of services and networks, by key."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.model.stack import COMPLETED, HEALTHY, STARTED, Dependency
from queenright.sources import options
from queenright.sources.draft import Draft, SourceError

SHOP: dict[str, Any] = {
    "services": {
        "web": {
            "image": "web:1",
            "replicas": 3,
            "networks": [{"name": "back", "aliases": ["www"]}, {"name": "edge"}, {"name": "other"}],
            "secrets": [{"secret_name": "key"}, {"secret_name": "theirs", "filename": "t"}],
            "configs": [{"config_name": "conf"}],
            "labels": {"a": "b"},
            "depends_on": {"db": {"condition": "healthy"}},
        },
        "db": {"image": "db:1", "networks": [{"name": "back"}], "depends_on": ["init"]},
        "init": {"image": "init:1", "mode": "replicated-job", "networks": [{"name": "host"}]},
    },
    "networks": {"back": {"internal": True, "labels": {"x": "y"}}, "edge": {"external": True, "name": "frontier"}},
    "secrets": {
        "key": {"data": base64.b64encode(b"geheim").decode(), "labels": {"l": 1}},
        "theirs": {"external": True},
    },
    "configs": {"conf": {"name": "plain", "template_driver": "golang"}},
}
STACK = {"com.docker.stack.namespace": "shop"}


def read(**sections: Any) -> Draft:
    return options.read("shop", {**SHOP, **sections})


def test_services_get_full_names_labels_and_references() -> None:
    web, db, init = read().services
    assert [one.key for one in (web, db, init)] == ["web", "db", "init"]
    assert (web.spec.name, web.image, web.spec.mode.replicas) == ("shop_web", "web:1", 3)
    assert web.spec.labels == {"a": "b", "com.docker.stack.image": "web:1", **STACK}
    container = web.spec.task.container
    assert container.labels == STACK
    assert [(one.secret_name, one.file.name) for one in container.secrets] == [("shop_key", "key"), ("theirs", "t")]
    assert [(one.config_name, one.file.name) for one in container.configs] == [("plain", "conf")]
    assert [(one.target, one.aliases) for one in web.spec.task.networks] == [
        ("shop_back", ("www", "web")),
        ("frontier", ("web",)),
        ("other", ("web",)),
    ]
    assert [(one.target, one.aliases) for one in init.spec.task.networks] == [("host", ())]


def test_what_operators_set_by_hand_is_noted_where_it_is_said() -> None:
    web, db, _ = read().services
    assert web.said == ("Mode.Replicated.Replicas",)
    assert db.said == ()


def test_what_services_use_gets_full_names_unless_it_has_its_own() -> None:
    found = read()
    back, edge = found.networks
    assert (back.name, back.external, back.spec.internal) == ("shop_back", False, True)
    assert back.spec.labels == {"x": "y", **STACK} and back.spec.name == "shop_back"
    assert (edge.name, edge.external) == ("frontier", True)
    key, theirs, conf = found.data
    assert (key.kind, key.name, key.data, key.labels) == ("secret", "shop_key", b"geheim", {"l": "1", **STACK})
    assert (theirs.name, theirs.external, theirs.data) == ("theirs", True, None)
    assert (conf.kind, conf.name, conf.data, conf.template_driver) == ("config", "plain", None, "golang")


def test_dependencies_are_lists_or_objects_with_conditions() -> None:
    web, db, _ = read().services
    assert web.after == (Dependency(key="db", condition=HEALTHY),)
    assert db.after == (Dependency(key="init", condition=STARTED),)
    both = {"a": {"condition": "service_completed_successfully"}, "b": None}
    found = options.read("s", {"services": {"c": {"image": "i", "depends_on": both}}})
    assert [one.condition for one in found.services[0].after] == [COMPLETED, STARTED]


@pytest.mark.parametrize(
    ("sections", "text"),
    [
        ({"services": ["web"]}, "services: expected an object"),
        ({"services": {"web": "x"}}, "services.web: expected an object"),
        ({"services": {"web": {}}}, "services.web.image: is required"),
        ({"services": {"web": {"image": "i", "imag": 1}}}, "services.web.imag: there is no such option"),
        ({"services": {"web": {"image": "i", "replicas": "x"}}}, "services.web.replicas: "),
        ({"services": {"web": {"image": "i", "mode": "global", "replicas": 2}}}, "services.web.replicas: a global"),
        ({"services": {"web": {"image": "i", "depends_on": "db"}}}, "services.web.depends_on: expected a list"),
        ({"services": {"web": {"image": "i", "depends_on": {"a": {"condition": "x"}}}}}, "depends_on.a.condition: 'x'"),
        ({"services": {"web": {"image": "i", "depends_on": {"a": {"if": 1}}}}}, "depends_on.a.if: there is no such"),
        ({"networks": {"n": {"external": True, "internal": True}}}, "networks.n.internal: an external network"),
        ({"networks": {"n": {"external": "maybe"}}}, "networks.n.external: expected true or false"),
        ({"networks": {"n": {"name": 3}}}, "networks.n.name: expected a name"),
        ({"secrets": {"k": {"data": "%"}}}, "secrets.k.data: expected the base64"),
        ({"secrets": {"k": {"file": "x"}}}, "secrets.k.file: there is no such option"),
        ({"secrets": {"k": {"labels": []}}}, "secrets.k.labels: expected an object"),
        ({"configs": {"k": {"template_driver": "perl"}}}, "configs.k.template_driver: there is no 'perl'"),
    ],
)
def test_what_is_wrong_is_told_by_its_path(sections: dict[str, Any], text: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(**sections)
    assert text in str(caught.value)


def test_data_is_in_no_text() -> None:
    assert "geheim" not in repr(read())
    with pytest.raises(SourceError) as caught:
        options.read("s", {"secrets": {"k": {"data": "geheim!"}}})
    assert "geheim" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["image", "web", "services", "networks", "name", "data", "depends_on", "labels", "external"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(options.SECTIONS), JSON))
def test_whatever_is_said_is_read_or_refused(sections: dict[str, Any]) -> None:
    try:
        options.read("s", sections)
    except SourceError as error:
        assert str(error)
