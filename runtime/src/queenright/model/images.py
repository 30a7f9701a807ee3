# SPDX-License-Identifier: Apache-2.0
"""References of images as far as managers and agents read them: which registry one is in, whether it is pinned; and how
pull credentials are written.
"""

from __future__ import annotations

import base64
import binascii
import re

DOCKER_HUB = "docker.io"
HUB_ADDRESS = "https://index.docker.io/v1/"  # the one name of it under which every engine takes its credentials
_HUB_NAMES = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_ID = re.compile(r"(sha256:)?[0-9a-f]{64}")


def domain_of(image: str) -> str:
    """The registry that an image is in, ``host`` or ``host:port``: ``docker.io`` unless its reference names one."""
    first, slash, _ = image.partition("/")
    named = bool(slash) and (first == "localhost" or "." in first or ":" in first or first != first.lower())
    return registry_of(first) if named else DOCKER_HUB


def registry_of(server: str) -> str:
    """The one name of a registry however its address is written: ``https://index.docker.io/v1/`` is ``docker.io``,
    ``HTTPS://R.example.com:5000/`` is ``r.example.com:5000``.
    """
    host = server.strip().lower()
    for scheme in ("https://", "http://"):
        host = host.removeprefix(scheme)
    host = host.partition("/")[0]
    return DOCKER_HUB if host in _HUB_NAMES else host


def address_of(server: str) -> str:
    """What credentials for that registry name as their ``serveraddress``, as ``docker login`` writes it."""
    name = registry_of(server)
    return HUB_ADDRESS if name == DOCKER_HUB else name


def is_id(image: str) -> bool:
    """Whether the reference is an image's id, which no registry knows."""
    return _ID.fullmatch(image) is not None


def is_pinned(image: str) -> bool:
    """Whether the reference means one image for ever: it carries a digest, or is an image's id."""
    return "@" in image or is_id(image)


def without_digest(image: str) -> str:
    """``app:1`` of ``app:1@sha256:...``."""
    return image.partition("@")[0]


def with_digest(image: str, digest: str) -> str:
    """``app:1@sha256:...`` of ``app:1``, and ``app:latest@sha256:...`` of ``app``: the tag stays readable."""
    tagged = ":" in image.rpartition("/")[2]
    return f"{image}@{digest}" if tagged else f"{image}:latest@{digest}"


def same_tag(one: str, other: str) -> bool:
    """Whether both mean the same tag of the same repository, digests aside."""
    return _tagged(without_digest(one)) == _tagged(without_digest(other))


def _tagged(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def decoded_auth(header: str) -> bytes:
    """The JSON that ``X-Registry-Auth`` carries. What cannot be decoded is given as it is: whoever uses it says so."""
    try:
        return base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))
    except (binascii.Error, ValueError):
        return header.encode()


def encoded_auth(document: bytes) -> str:
    """The value of ``X-Registry-Auth`` for a JSON document."""
    return base64.urlsafe_b64encode(document).decode("ascii")
