# SPDX-License-Identifier: Apache-2.0
"""Images and registries: the same registry has one name."""

from __future__ import annotations

import pytest

from queenright.model.registries import image_server, server_name


@pytest.mark.parametrize(
    ("image", "server"),
    [
        ("nginx", "docker.io"),
        ("nginx:1.27", "docker.io"),
        ("library/nginx", "docker.io"),
        ("bob/app@sha256:" + "a" * 64, "docker.io"),
        ("docker.io/bob/app", "docker.io"),
        ("index.docker.io/bob/app", "docker.io"),
        ("localhost/app", "localhost"),
        ("localhost:5000/app:1", "localhost:5000"),
        ("R.example.com/team/app:1", "r.example.com"),
        ("registry:5000/app", "registry:5000"),
        ("[::1]:5000/app", "[::1]:5000"),
    ],
)
def test_an_image_comes_from_the_registry_that_it_names(image: str, server: str) -> None:
    assert image_server(image) == server


@pytest.mark.parametrize(
    "text", ["", "docker.io", "https://index.docker.io/v1/", "Registry-1.docker.io", " docker.io "]
)
def test_docker_hub_has_one_name(text: str) -> None:
    assert server_name(text) == "docker.io"


def test_scheme_path_and_case_do_not_matter() -> None:
    assert server_name("HTTPS://R.Example.com:5000/v2/") == "r.example.com:5000"


@pytest.mark.parametrize("text", ["two words", "a..b c", "-x", "host:port", "user:pw@host", "host:123456"])
def test_what_is_no_address_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(ValueError, match="address of a registry") as caught:
        server_name(text)
    assert text not in str(caught.value)
