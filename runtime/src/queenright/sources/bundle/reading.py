# SPDX-License-Identifier: Apache-2.0
"""A bundle as the draft of a stack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from queenright.model.images import is_id
from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.sources.bundle.text import Keyed
from queenright.sources.draft import Draft, DraftNetwork, DraftService, SourceError
from queenright.spec.container import ContainerSpec
from queenright.spec.network import OVERLAY, PREDEFINED, NetworkSpec
from queenright.spec.service import EndpointSpec, NetworkAttachment, Port, ServiceSpec, TaskSpec

VERSION = "0.1"
KEYS = ("Image", "Command", "Args", "Env", "Labels", "Ports", "WorkingDir", "User", "Networks")
PROTOCOLS = ("tcp", "udp")
_DIGEST = re.compile(r".+@sha256:[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*", re.ASCII)
_LAST_PORT = 65535


def read(name: str, document: Mapping[str, Any], *, tags: bool = False) -> Draft:
    """The stack of that name. ``tags``: images need no digests. Raises SourceError, with the path in the document."""
    top = Keyed(document, "", ("Version", "Services"))
    version = top.text("Version")
    if version != VERSION:
        told = "is required" if not version else f"{version!r} is not taken"
        raise SourceError(top.path("Version"), f"{told}: there is {VERSION}")
    services = top.objects("Services")
    if services is None:
        raise SourceError("Services", "is required")
    found, used = [], dict[str, None]()
    for key, given in services.items():
        _check_name(key, f"{top.path('Services')}.{key}")
        one = Keyed(given, f"{top.path('Services')}.{key}", KEYS)
        found.append(_service(name, key, one, tags))
        used |= dict.fromkeys(_networks(one))
    networks = tuple(_network(name, key) for key in used if key not in PREDEFINED)
    return Draft(name, "bundle", tuple(found), networks)


def _service(stack: str, key: str, one: Keyed, tags: bool) -> DraftService:
    image = one.text("Image") or ""
    if not image:
        raise SourceError(one.path("Image"), "is required")
    if not tags:
        check_digest(image, one.path("Image"))
    container = ContainerSpec(
        image=image,
        labels={NAMESPACE_LABEL: stack},
        command=one.texts("Command"),
        args=one.texts("Args"),
        env=one.texts("Env"),
        working_dir=one.text("WorkingDir") or None,
        user=one.text("User") or None,
    )
    spec = ServiceSpec(
        name=f"{stack}_{key}",
        labels={**one.labels("Labels"), IMAGE_LABEL: image, NAMESPACE_LABEL: stack},
        task=TaskSpec(container=container, networks=tuple(_attached(stack, key, name) for name in _networks(one))),
        endpoint=EndpointSpec(ports=_ports(one)),
    )
    return DraftService(key, spec, image=image)


def check_digest(image: str, path: str) -> None:
    """Refuse an image that may be another one tomorrow."""
    if not (is_id(image) or _DIGEST.fullmatch(image)):
        raise SourceError(
            path, f"{image!r} has no digest: write it as name@sha256:..., or say that tags shall be taken"
        )


def _networks(one: Keyed) -> tuple[str, ...]:
    names = one.texts("Networks")
    for number, name in enumerate(names):
        _check_name(name, f"{one.path('Networks')}[{number}]")
    return tuple(dict.fromkeys(names))


def _attached(stack: str, key: str, name: str) -> NetworkAttachment:
    if name in PREDEFINED:
        return NetworkAttachment(target=name)
    return NetworkAttachment(target=f"{stack}_{name}", aliases=(key,))


def _network(stack: str, key: str) -> DraftNetwork:
    name = f"{stack}_{key}"
    return DraftNetwork(key, name, spec=NetworkSpec(name=name, labels={NAMESPACE_LABEL: stack}, driver=OVERLAY))


def _ports(one: Keyed) -> tuple[Port, ...]:
    """Published on all nodes, where the swarm chooses."""
    found = []
    for number, given in enumerate(one.items("Ports")):
        port = Keyed(given, f"{one.path('Ports')}[{number}]", ("Protocol", "Port"))
        protocol = port.text("Protocol") or PROTOCOLS[0]
        if protocol not in PROTOCOLS:
            raise SourceError(port.path("Protocol"), f"{protocol!r} is none of {', '.join(PROTOCOLS)}")
        target = port.number("Port")
        if not 1 <= target <= _LAST_PORT:
            raise SourceError(port.path("Port"), f"{target} is no port: 1 to {_LAST_PORT} are")
        found.append(Port(target_port=target, protocol=protocol))
    return tuple(found)


def _check_name(name: str, path: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise SourceError(path, f"{name!r} is no name: letters, digits, -, _ and . are, a letter or digit first")
