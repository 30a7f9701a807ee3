# SPDX-License-Identifier: Apache-2.0
"""What the containers of a service must be: image, mounts, probe, environment."""

from __future__ import annotations

import re

from queenright.manager.check_data import check_references
from queenright.manager.check_mounts import check_mounts
from queenright.model.errors import InvalidArgument
from queenright.spec.container import ContainerSpec, Healthcheck

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])"
_PATH = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}(?::[0-9]+)?/)?{_PATH}(?:/{_PATH})*)"
    r"(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127})?"
    r"(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)
_HEX_ID = re.compile(r"[a-f0-9]{64}", re.ASCII)
MOST_REFERENCE = 1024
MOST_NAME = 255


def negative(what: str, value: float | None) -> None:
    """Refuse a number below zero."""
    if value is not None and value < 0:
        raise InvalidArgument(f"{what} cannot be negative")


def check_container(container: ContainerSpec) -> None:
    """Refuse a container that no engine would make. Raises InvalidArgument."""
    check_image(container.image or "")
    negative("ContainerSpec: StopGracePeriod", container.stop_grace_period)
    check_mounts(container.mounts)
    check_healthcheck(container.healthcheck)
    for entry in container.env:
        if not entry.partition("=")[0]:
            raise InvalidArgument(f"ContainerSpec: invalid environment variable: {entry}")
    for limit in container.ulimits:
        if not limit.name:
            raise InvalidArgument("ContainerSpec: a ulimit must have a name")
    check_references(container)


def check_image(image: str) -> None:
    if not image:
        raise InvalidArgument("ContainerSpec: image reference must be provided")
    match = _REFERENCE.fullmatch(image) if len(image) <= MOST_REFERENCE else None
    if match is None or len(match["name"]) > MOST_NAME or _HEX_ID.fullmatch(image):
        raise InvalidArgument(f'ContainerSpec: "{image[:MOST_REFERENCE]}" is not a valid repository/tag')


def check_healthcheck(probe: Healthcheck | None) -> None:
    if probe is None:
        return
    for name, value in (
        ("Interval", probe.interval),
        ("Timeout", probe.timeout),
        ("Retries", probe.retries),
        ("StartPeriod", probe.start_period),
        ("StartInterval", probe.start_interval),
    ):
        negative(f"ContainerSpec: {name} in HealthConfig", value)
    if probe.test and probe.test[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise InvalidArgument(
            f"ContainerSpec: Test in HealthConfig begins with NONE, CMD or CMD-SHELL, not with {probe.test[0]}"
        )
