# SPDX-License-Identifier: Apache-2.0
"""What a service must be before it is taken: each check raises InvalidArgument in Swarm's words.

The form of values (types, choices) was checked when the spec was decoded; here is what needs a look at more than one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from queenright.manager.check_container import check_container, negative
from queenright.model import constraints
from queenright.model.errors import InvalidArgument
from queenright.model.templates import TemplateError, validate_templates
from queenright.spec.fields import encode
from queenright.spec.service import (
    EndpointSpec,
    GenericResource,
    Placement,
    Port,
    Resources,
    RestartPolicy,
    RollbackConfig,
    ServiceSpec,
    UpdateConfig,
)

MOST_NAME = 63
MOST_SPEC = 256 * 1024  # bytes of JSON: a log entry holds two specs, an assignment many tasks
LEAST_CPUS = 1_000_000
LEAST_MEMORY = 4 << 20
MOST_SWAPPINESS = 100
MOST_DRAIN = 600 * 1_000_000_000

_NAME = re.compile(r"[a-zA-Z0-9](?:[-_a-zA-Z0-9]*[a-zA-Z0-9])?", re.ASCII)
_KIND = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_INT64 = 1 << 63


def check_service(spec: ServiceSpec) -> None:
    """Refuse a spec that could not run. Raises InvalidArgument with the first thing that is wrong."""
    document = encode(spec)
    check_values(document)
    if len(json.dumps(document)) > MOST_SPEC:
        raise InvalidArgument(f"the service spec is larger than {MOST_SPEC >> 10} KiB")
    check_name(spec.name or "")
    check_resources(spec.task.resources)
    check_restart(spec.task.restart_policy)
    check_placement(spec.task.placement)
    check_container(spec.task.container)
    check_update(spec.update_config)
    check_update(spec.rollback_config)
    check_endpoint(spec.endpoint)
    check_job(spec)
    try:
        validate_templates(spec)
    except TemplateError as error:
        raise InvalidArgument(f"ContainerSpec: {error}") from error


def check_job(spec: ServiceSpec) -> None:
    """Refuse configurations of updates in a job, which is not updated but run again."""
    if not spec.mode.is_job:
        return
    for name, config in (("UpdateConfig", spec.update_config), ("RollbackConfig", spec.rollback_config)):
        if config is not None:
            raise InvalidArgument(f"{name} is not supported for jobs: each change of a job runs it again")


def check_values(document: Any) -> None:
    """Refuse numbers and texts that no store, log or engine can carry, wherever they stand."""
    for value in _leaves(document):
        if isinstance(value, str):
            if "\0" in value:
                raise InvalidArgument("a text in the spec holds a NUL character")
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidArgument("a text in the spec is not valid Unicode") from None
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgument("a number in the spec is not finite")
        elif isinstance(value, int) and not -_INT64 <= value < _INT64:
            raise InvalidArgument(f"the number {value} in the spec is out of range")


def check_labels(labels: dict[str, str]) -> None:
    """Refuse a label without a key, and texts that cannot be stored."""
    if "" in labels:
        raise InvalidArgument("a label must have a key")
    check_values(labels)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def check_name(name: str) -> None:
    if not name:
        raise InvalidArgument("name must be provided")
    if _NAME.fullmatch(name) is None:
        raise InvalidArgument("name must be valid as a DNS name component")
    if len(name) > MOST_NAME:
        raise InvalidArgument(f"name must be {MOST_NAME} characters or fewer")


def check_resources(resources: Resources) -> None:
    for part in (resources.limits, resources.reservations):
        if part is None:
            continue
        if part.cpus and part.cpus < LEAST_CPUS:
            raise InvalidArgument(f"invalid cpu value {part.cpus / 1e9:g}: Must be at least {LEAST_CPUS / 1e9:g}")
        if part.memory and part.memory < LEAST_MEMORY:
            raise InvalidArgument(f"invalid memory value {part.memory}: Must be at least 4MiB")
    if resources.limits is not None and (resources.limits.pids or 0) < 0:
        raise InvalidArgument("invalid pids limit: Must not be negative")
    _check_swap(resources)
    if resources.reservations is not None:
        _check_generic(resources.reservations.generic)


def _check_swap(resources: Resources) -> None:
    if resources.swap_bytes is not None:
        if resources.swap_bytes < -1:
            raise InvalidArgument(
                f"invalid swap value {resources.swap_bytes}: Must not be negative, or -1 for no limit"
            )
        if resources.limits is None or not resources.limits.memory:
            raise InvalidArgument("invalid swap value: a limit of swap needs a limit of memory")
    swappiness = resources.memory_swappiness
    if swappiness is not None and not -1 <= swappiness <= MOST_SWAPPINESS:
        raise InvalidArgument(f"invalid memory swappiness {swappiness}: Must be within 0-100, or -1 for the node's own")


def _check_generic(wanted: tuple[GenericResource, ...]) -> None:
    kinds: set[str] = set()
    for one in wanted:
        if one.name:
            raise InvalidArgument(f"invalid argument for resource {one.kind}: a number is reserved, not a name")
        if _KIND.fullmatch(one.kind) is None:
            raise InvalidArgument(
                f"{one.kind!r} is no kind of a generic resource: use letters, digits, '-', '_' and '.'"
            )
        if one.value < 1:
            raise InvalidArgument(f"invalid value {one.value} for resource {one.kind}: Must be at least 1")
        if one.kind in kinds:
            raise InvalidArgument(f"resource {one.kind} is reserved twice")
        kinds.add(one.kind)


def check_restart(policy: RestartPolicy | None) -> None:
    if policy is None:
        return
    negative("TaskSpec: restart-delay", policy.delay)
    negative("TaskSpec: restart-window", policy.window)
    negative("TaskSpec: restart-max-attempts", policy.max_attempts)


def check_placement(placement: Placement | None) -> None:
    if placement is None:
        return
    constraints.parse_all(placement.constraints)
    negative("TaskSpec: max-replicas", placement.max_replicas)


def check_update(config: UpdateConfig | None) -> None:
    if config is None:
        return
    word = "rollback" if isinstance(config, RollbackConfig) else "update"
    negative(f"TaskSpec: {word}-delay", config.delay)
    negative(f"TaskSpec: {word}-monitor", config.monitor)
    negative(f"TaskSpec: {word}-parallelism", config.parallelism)
    negative(f"TaskSpec: {word}-timeout", config.timeout)
    if not 0 <= (config.max_failure_ratio or 0) <= 1:
        raise InvalidArgument(f"TaskSpec: {word}-maxfailureratio cannot be less than 0 or bigger than 1")


def check_endpoint(endpoint: EndpointSpec) -> None:
    published: set[tuple[str, int]] = set()
    for port in endpoint.ports:
        _check_port(port)
        if port.published_port:
            key = (port.protocol or "tcp", port.published_port)
            if key in published:
                raise InvalidArgument("EndpointSpec: duplicate published ports provided")
            published.add(key)
    ingress = [port for port in endpoint.ports if port.mode != "host"]
    if ingress and endpoint.mode == "dnsrr":
        raise InvalidArgument("EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
    for port in endpoint.ports:
        if port.local_first and port.mode == "host":
            raise InvalidArgument(
                f"EndpointSpec: local_first is for ports of mode ingress: port {port.target_port} is of mode host, and "
                "always its own node's"
            )
    negative("EndpointSpec: drain", endpoint.drain)
    if (endpoint.drain or 0) > MOST_DRAIN:
        raise InvalidArgument("EndpointSpec: drain is not within 0s-10m: it delays the end of each task")


def _check_port(port: Port) -> None:
    if not 1 <= (port.target_port or 0) <= 65535:
        raise InvalidArgument(f"EndpointSpec: target port {port.target_port or 0} is not within 1-65535")
    if not 0 <= (port.published_port or 0) <= 65535:
        raise InvalidArgument(f"EndpointSpec: published port {port.published_port} is not within 0-65535")
