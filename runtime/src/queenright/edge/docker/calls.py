# SPDX-License-Identifier: Apache-2.0
"""The calls that concern one container, made on a thread: what the engine's refusals mean for each is said here."""

from __future__ import annotations

from typing import Any

from docker.api.client import APIClient
from docker.errors import APIError, NotFound

from queenright.agent.ports import TemporaryError
from queenright.edge.docker.client import translate

CONFLICT = 409

Inspected = dict[str, Any]


def labels(inspected: Inspected) -> dict[str, str]:
    """The labels of an inspected container."""
    return inspected.get("Config", {}).get("Labels") or {}


def inspect(client: APIClient, reference: str) -> Inspected | None:
    """What the engine knows of a container by id or name; None if there is none."""
    try:
        inspected: Inspected = client.inspect_container(reference)
    except NotFound:
        return None
    return inspected


def create(client: APIClient, name: str, body: dict[str, Any]) -> str | None:
    """The container's id; None if the name is taken."""
    try:
        return str(client.create_container_from_config(body, name=name)["Id"])
    except APIError as error:
        if error.status_code == CONFLICT:
            return None
        raise


def start(client: APIClient, container_id: str) -> Inspected | None:
    """Start it and ask for process id, ports and probe; None if it is gone."""
    try:
        client.start(container_id)
    except NotFound as error:
        if "no such container" in str(error.explanation).lower():
            return None
        raise  # a network or a device that is missing is also "not found"
    return inspect(client, container_id)


def kill(client: APIClient, container_id: str, signal: str) -> bool:
    """Whether there was something to signal."""
    try:
        client.kill(container_id, signal)
    except NotFound:
        return False
    except APIError as error:
        if error.status_code == CONFLICT or "is not running" in str(error.explanation):
            return False
        raise TemporaryError(str(translate(error))) from error
    return True


def remove(client: APIClient, container_id: str) -> None:
    """Remove it and its anonymous volumes, running or not."""
    try:
        client.remove_container(container_id, v=True, force=True)
    except NotFound:
        return
    except APIError as error:
        if error.status_code != CONFLICT:  # conflict: its removal is already under way
            raise TemporaryError(str(translate(error))) from error
