# SPDX-License-Identifier: Apache-2.0
"""Which registry an image comes from, and one name for each registry however it is written."""

from __future__ import annotations

import re

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_SERVER = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)


def server_name(text: str) -> str:
    """The registry meant by an address as people write it: ``https://index.docker.io/v1/`` is ``docker.io``,
    ``HTTPS://R.example.com:5000/`` is ``r.example.com:5000``. Raises ValueError for what is no address.
    """
    server = text.strip().lower()
    for scheme in ("https://", "http://"):
        server = server.removeprefix(scheme)
    server = server.partition("/")[0]
    if server in _HUB_NAMES:
        return DOCKER_HUB
    if _SERVER.fullmatch(server) is None:
        raise ValueError("the address of a registry is HOST or HOST:PORT, such as registry.example.com:5000")
    return server


def image_server(image: str) -> str:
    """The registry of an image reference: ``nginx:1.27`` comes from ``docker.io``."""
    first, slash, _ = image.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return server_name(first) if named else DOCKER_HUB
