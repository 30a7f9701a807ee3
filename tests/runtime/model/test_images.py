# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from queenright.model.images import (
    decoded_auth,
    domain_of,
    encoded_auth,
    is_id,
    is_pinned,
    registry_of,
    same_tag,
    with_digest,
    without_digest,
)

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "domain"),
    [
        ("nginx", "docker.io"),
        ("nginx:1.27", "docker.io"),
        ("library/nginx", "docker.io"),
        ("docker.io/library/nginx:1", "docker.io"),
        ("index.docker.io/library/nginx:1", "docker.io"),
        ("localhost/app", "localhost"),
        ("localhost:5000/app:1", "localhost:5000"),
        ("R.Example.com/app", "r.example.com"),
        ("registry.example.com:5000/team/app@" + DIGEST, "registry.example.com:5000"),
        ("[::1]:5000/app", "[::1]:5000"),
        ("", "docker.io"),
    ],
)
def test_the_registry_of_an_image_is_its_first_part_if_that_is_a_host(image: str, domain: str) -> None:
    assert domain_of(image) == domain


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("", "docker.io"),
        ("HTTPS://R.example.com:5000/", "r.example.com:5000"),
        ("http://localhost:5000", "localhost:5000"),
        (" r.example.com/v2/ ", "r.example.com"),
    ],
)
def test_a_registry_has_one_name_however_it_is_written(server: str, name: str) -> None:
    assert registry_of(server) == name


def test_what_is_pinned_needs_no_registry_to_say_which_image_it_is() -> None:
    assert is_pinned(f"app@{DIGEST}") and is_pinned(f"app:1@{DIGEST}") and is_pinned(DIGEST) and is_pinned("b" * 64)
    assert not is_pinned("app:1") and not is_pinned("app") and not is_id(f"app@{DIGEST}")


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("app", f"app:latest@{DIGEST}"),
        ("app:1", f"app:1@{DIGEST}"),
        ("r:5000/app", f"r:5000/app:latest@{DIGEST}"),
        ("r:5000/app:2", f"r:5000/app:2@{DIGEST}"),
    ],
)
def test_a_pinned_image_still_shows_its_tag(image: str, pinned: str) -> None:
    assert with_digest(image, DIGEST) == pinned
    assert same_tag(image, pinned)
    assert same_tag(without_digest(pinned), image)


def test_another_tag_is_another_image() -> None:
    assert not same_tag("app:1", "app:2")
    assert not same_tag("app", "app:1")
    assert same_tag("app", "app:latest")


@pytest.mark.parametrize("padding", [True, False])
def test_credentials_are_decoded_with_and_without_padding(padding: bool) -> None:
    header = encoded_auth(b'{"username": "joe?>"}')
    assert decoded_auth(header if padding else header.rstrip("=")) == b'{"username": "joe?>"}'


def test_what_cannot_be_decoded_is_left_for_its_user_to_complain_of() -> None:
    assert decoded_auth("a") == b"a"
