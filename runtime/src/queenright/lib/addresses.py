# SPDX-License-Identifier: Apache-2.0
"""The one parser of addresses: ``host``, ``host:port``, ``[v6]:port``, bare v6, an interface's name, a DNS name.

And the two choices that need the host's interfaces: which address an interface stands for, and which one a node
advertises when nobody said. The interfaces are handed in (``lib.interfaces`` reads them).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

Kind = Literal["v4", "v6", "interface", "dns"]

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_DOCKER_BRIDGE = re.compile(r"docker\d+|docker_gwbridge|br-[0-9a-f]{12}|veth.*", re.ASCII)


class AddressError(ValueError):
    """The text is no address, or none can be chosen; the message quotes the text and says what would do."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port; ``host`` has no brackets, IP addresses are in their shortest form, DNS names lower case."""

    host: str
    port: int
    kind: Kind

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.kind == "v6" else f"{self.host}:{self.port}"

    def with_port(self, port: int) -> Address:
        """The same host with another port. Raises AddressError when it is not within 1-65535."""
        if not 1 <= port <= 65535:
            raise AddressError(f"port {port} of {self.host} is not within 1-65535")
        return replace(self, port=port)

    @property
    def is_unspecified(self) -> bool:
        """Whether it stands for all addresses of a host (0.0.0.0 or ::)."""
        return self.kind in ("v4", "v6") and ipaddress.ip_address(self.host).is_unspecified


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of this host with the addresses it has."""

    name: str
    addresses: tuple[IPv4Address | IPv6Address, ...] = ()
    loopback: bool = False
    up: bool = True


def parse(text: str, default_port: int, *, interfaces: Collection[str] = ()) -> Address:
    """Read an address; a missing port is ``default_port``. A host in ``interfaces`` is an interface's name.

    Raises AddressError for anything else than one host with at most one port.
    """
    if not text or text != text.strip():
        raise AddressError(f"{text!r} is not an address: HOST or HOST:PORT is expected")
    if "://" in text or "/" in text:
        raise AddressError(f"{text!r} is not an address: give HOST or HOST:PORT, without scheme, path or mask")
    host, port_text = _split(text)
    port = default_port if port_text is None else _port(port_text, text)
    if host in interfaces:
        return Address(host, port, "interface")
    return _address(host, port, text)


def _split(text: str) -> tuple[str, str | None]:
    """Host and port text, without brackets. A text with several colons and no brackets is a bare IPv6 address."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise AddressError(f"{text!r} is not an address: [IPV6] or [IPV6]:PORT is expected")
        if _ip(host) is None or ":" not in host:
            raise AddressError(f"{text!r} is not an address: only an IPv6 address stands in brackets")
        return host, rest[1:] if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def _port(port: str, text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) is None or not 1 <= int(port) <= 65535:
        raise AddressError(f"{text!r} has no valid port: a number within 1-65535 is expected after the colon")
    return int(port)


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _address(host: str, port: int, text: str) -> Address:
    if not host:
        raise AddressError(f"{text!r} has no host before the port")
    if "%" in host:
        raise AddressError(f"{text!r} is bound to a zone of this host, other hosts cannot use it: give another address")
    ip = _ip(host)
    if ip is not None:
        return Address(str(ip), port, "v4" if ip.version == 4 else "v6")
    if ":" in host:
        raise AddressError(f"{text!r} is not an address: with a port, an IPv6 address stands in brackets")
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressError(f"{text!r} is neither an IP address, an interface of this host nor a DNS name")
    if labels[-1].isdigit():
        raise AddressError(f"{text!r} is not a valid IPv4 address")
    return Address(name, port, "dns")


def interface_address(name: str, interfaces: Sequence[Interface]) -> str:
    """The IP address an interface's name stands for: its only IPv4 address, else its only IPv6 one.

    Link-local IPv6 addresses do not count. Raises AddressError when there is no such interface, no address or no
    single one.
    """
    found = [interface for interface in interfaces if interface.name == name]
    if not found:
        raise AddressError(f"this host has no network interface {name!r}")
    addresses = [ip for interface in found for ip in interface.addresses]
    for version in (4, 6):
        usable = [ip for ip in addresses if ip.version == version and not (version == 6 and ip.is_link_local)]
        if len(usable) > 1:
            listed = ", ".join(str(ip) for ip in usable)
            raise AddressError(f"interface {name} has several IPv{version} addresses ({listed}): give one of them")
        if usable:
            return str(usable[0])
    raise AddressError(f"interface {name} has no IP address")


def resolve(address: Address, interfaces: Sequence[Interface]) -> Address:
    """The address itself, or with the interface's IP address in the place of the interface's name."""
    if address.kind != "interface":
        return address
    host = interface_address(address.host, interfaces)
    return Address(host, address.port, "v6" if ":" in host else "v4")


def default_advertise(interfaces: Sequence[Interface], *, ignore: Collection[str] = ()) -> str:
    """The address a node advertises when nobody said: the only one that is neither loopback nor Docker's.

    IPv4 before IPv6; bridges and pairs made by Docker and interfaces named in ``ignore`` do not count. Raises
    AddressError, naming the candidates, when there is no such address or more than one.
    """
    candidates = [
        (interface.name, ip)
        for interface in interfaces
        if interface.up and not interface.loopback and interface.name not in ignore
        if _DOCKER_BRIDGE.fullmatch(interface.name) is None
        for ip in interface.addresses
        if not (ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast)
    ]
    for version in (4, 6):
        usable = [(name, ip) for name, ip in candidates if ip.version == version]
        if len(usable) == 1:
            return str(usable[0][1])
        if usable:
            listed = ", ".join(f"{ip} on {name}" for name, ip in usable)
            raise AddressError(
                f"could not choose an IP address to advertise since this system has multiple addresses ({listed}): "
                "specify one with advertise_addr (--advertise-addr)"
            )
    raise AddressError(
        "could not choose an IP address to advertise since this system has none but loopback and Docker's own: "
        "specify one with advertise_addr (--advertise-addr)"
    )
