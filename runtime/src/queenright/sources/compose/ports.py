# SPDX-License-Identifier: Apache-2.0
"""Ports in their short form: ``80``, ``8080:80``, ``8080-8090:80-90/udp``, ``127.0.0.1:8080:80``."""

from __future__ import annotations

import dataclasses
import ipaddress
import re

from queenright.sources.draft import SourceError

_RANGE = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", re.ASCII)
PROTOCOLS = ("tcp", "udp", "sctp")
LAST = 65535
INGRESS, TCP = "ingress", "tcp"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Port:
    """``published`` 0: any that is free. Without a protocol or mode, the swarm's own apply."""

    published: int
    target: int
    protocol: str = "tcp"
    mode: str = INGRESS


def ports(text: str, path: str, warnings: list[str]) -> list[Port]:
    """The ports that the short form means. Raises SourceError."""
    spec, _, protocol = text.rpartition("/") if "/" in text else (text, "", TCP)
    if protocol.lower() not in PROTOCOLS:
        raise SourceError(path, f"{protocol!r} is none of {', '.join(PROTOCOLS)}")
    outer, _, target = spec.rpartition(":")
    address, colon, published = outer.rpartition(":")
    first, last = _range(target, text, path)
    if not first:
        raise SourceError(path, f"{text!r} is no port: containers have none of number 0")
    if colon:
        _check_address(address, text, path)
        warnings.append(f"{path}: the address {address} is ignored: the port answers at all addresses")
    if not published:
        return sorted(Port(0, number, protocol.lower()) for number in range(first, last + 1))
    begin, end = _range(published, text, path)
    if first == last:
        return [Port(number, first, protocol.lower()) for number in range(begin, end + 1)]
    if end - begin != last - first:
        raise SourceError(path, f"{text!r} has ranges of different lengths")
    return [Port(begin + step, first + step, protocol.lower()) for step in range(last - first + 1)]


def _range(text: str, whole: str, path: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise SourceError(path, f"{whole!r} is no port: write it as 80, 8080:80 or 8080-8090:80-90/udp")
    first = int(match[1])
    last = int(match[2]) if match[2] else first
    if last < first or last > LAST:
        raise SourceError(path, f"{whole!r} is no port: {text} is no range of 1 to 65535")
    return first, last


def _check_address(text: str, whole: str, path: str) -> None:
    if not text:
        return
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise SourceError(path, f"{whole!r} is no port: {text!r} is no address") from None
