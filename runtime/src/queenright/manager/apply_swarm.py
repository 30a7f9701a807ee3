# SPDX-License-Identifier: Apache-2.0
"""What was decided when the swarm was founded: asked for again it must be the same, else it is an error."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from queenright.lib.addresses import AddressError, parse
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Cluster

CONTROL_PORT = 2377
HERE = "here"  # key of the context: {"advertise_addr": ..., "listen_addr": ...} of the manager that was asked


def refuse_immutable(cluster: Cluster, asked: Mapping[str, Any]) -> None:
    """Raise InvalidArgument if ``asked`` names an immutable option with another value than the swarm has."""
    here = asked.get(HERE)
    wrong = []
    for name, value, normal in (
        ("default_addr_pool", list(cluster.default_addr_pool), _pools),
        ("subnet_size", cluster.subnet_size, _same),
        ("data_path_port", cluster.data_path_port, _same),
    ):
        if asked.get(name) is not None and normal(asked[name]) != value:
            wrong.append(f"{name}: it is {_words(value)}, asked {_words(asked[name])}")
    for name, held in (here if isinstance(here, dict) else {}).items():
        if asked.get(name) is not None and not _same_address(asked[name], held):
            wrong.append(f"{name}: it is {held}, asked {asked[name]}")
    if wrong:
        raise InvalidArgument(f"cannot be changed on a live swarm: {'; '.join(wrong)}", plain=True)


def without_immutable(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a live swarm can change."""
    immutable = {"default_addr_pool", "subnet_size", "data_path_port", "advertise_addr", "listen_addr"}
    return {name: value for name, value in options.items() if name not in immutable}


def _same(value: Any) -> Any:
    return value


def _pools(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    try:
        return [str(ip_network(text)) for text in value]
    except (ValueError, TypeError):
        return value


def _same_address(asked: Any, held: str) -> bool:
    """Whether ``asked`` means the same host and, where it names one, the same port.

    Names of hosts and interfaces mean what they meant when the swarm was founded: they are not compared.
    """
    try:
        present = parse(held, CONTROL_PORT)
        wanted = parse(asked, present.port) if isinstance(asked, str) else None
    except AddressError:
        return False
    return wanted is not None and (wanted.kind not in ("v4", "v6") or str(wanted) == str(present))


def _words(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)
