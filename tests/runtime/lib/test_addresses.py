# SPDX-License-Identifier: Apache-2.0
"""The address parser and the choices that need the host's interfaces."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.lib import addresses
from queenright.lib.addresses import Address, AddressError, Interface
from queenright.lib.interfaces import host_interfaces

INTERFACES = ("eth0", "eth0.100", "br-lan")


def interface(name: str, *ips: str, loopback: bool = False, up: bool = True) -> Interface:
    return Interface(name, tuple(ip_address(ip) for ip in ips), loopback=loopback, up=up)


@pytest.mark.parametrize(
    ("text", "host", "port", "kind"),
    [
        ("10.0.0.1", "10.0.0.1", 2377, "v4"),
        ("10.0.0.1:99", "10.0.0.1", 99, "v4"),
        ("0.0.0.0:2377", "0.0.0.0", 2377, "v4"),
        ("::", "::", 2377, "v6"),
        ("fd00::1", "fd00::1", 2377, "v6"),
        ("FD00:0:0::1", "fd00::1", 2377, "v6"),
        ("fd00::1:2378", "fd00::1:2378", 2377, "v6"),
        ("[fd00::1]", "fd00::1", 2377, "v6"),
        ("[fd00::1]:99", "fd00::1", 99, "v6"),
        ("eth0", "eth0", 2377, "interface"),
        ("eth0:99", "eth0", 99, "interface"),
        ("eth0.100", "eth0.100", 2377, "interface"),
        ("eth1", "eth1", 2377, "dns"),
        ("manager1", "manager1", 2377, "dns"),
        ("Manager1.Example.ORG.", "manager1.example.org", 2377, "dns"),
        ("manager_1:65535", "manager_1", 65535, "dns"),
        ("3com.example", "3com.example", 2377, "dns"),
    ],
)
def test_one_parser_reads_every_form(text: str, host: str, port: int, kind: str) -> None:
    address = addresses.parse(text, 2377, interfaces=INTERFACES)
    assert (address.host, address.port, address.kind) == (host, port, kind)
    assert addresses.parse(str(address), 1, interfaces=INTERFACES) == address


@given(st.ip_addresses(), st.integers(min_value=1, max_value=65535))
def test_every_ip_address_reads_back_from_its_own_text(ip: object, port: int) -> None:
    address = addresses.parse(str(ip), port)
    assert addresses.parse(str(address), 1) == address
    assert ip_address(address.host) == ip


@given(st.text(alphabet="[]:%.-_/ 0129afgz\n", max_size=30) | st.text(max_size=30))
def test_whatever_is_written_is_read_the_same_twice_or_refused(text: str) -> None:
    try:
        address = addresses.parse(text, 2377)
    except AddressError:
        return
    assert 1 <= address.port <= 65535
    assert addresses.parse(str(address), 1) == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not an address"),
        (" 10.0.0.1", "not an address"),
        ("10.0.0.1\n", "not an address"),
        (":2377", "no host"),
        ("10.0.0.1:", "no valid port"),
        ("10.0.0.1:0", "no valid port"),
        ("10.0.0.1:65536", "no valid port"),
        ("10.0.0.1:+1", "no valid port"),
        ("10.0.0.1:http", "no valid port"),
        ("10.0.0.1:٣", "no valid port"),
        ("[fd00::1]:", "no valid port"),
        ("[fd00::1", r"\[IPV6\]"),
        ("[fd00::1]99", r"\[IPV6\]"),
        ("[10.0.0.1]:99", "only an IPv6"),
        ("[manager]:99", "only an IPv6"),
        ("[]:99", "only an IPv6"),
        ("fd00::1::2", "stands in brackets"),
        ("host:1:2", "stands in brackets"),
        ("fe80::1%eth0", "zone"),
        ("[fe80::1%eth0]:99", "zone"),
        ("tcp://10.0.0.1:2377", "without scheme"),
        ("10.0.0.0/8", "without scheme, path or mask"),
        ("10.0.0.256", "not a valid IPv4"),
        ("10.0.1", "not a valid IPv4"),
        ("010.0.0.1", "not a valid IPv4"),
        ("a..b", "neither"),
        ("-a", "neither"),
        ("a b", "neither"),
        ("bücher", "neither"),
        ("a" * 64, "neither"),
        (".".join(["a" * 60] * 5), "neither"),
    ],
)
def test_anything_else_is_refused_with_its_reason(text: str, says: str) -> None:
    with pytest.raises(AddressError, match=says):
        addresses.parse(text, 2377)


def test_another_port_is_checked_too() -> None:
    address = addresses.parse("manager:65535", 2377)
    assert str(address.with_port(2378)) == "manager:2378"
    with pytest.raises(AddressError, match="65536 of manager"):
        address.with_port(address.port + 1)


@pytest.mark.parametrize(("text", "expected"), [("0.0.0.0", True), ("[::]:1", True), ("10.0.0.1", False), ("h", False)])
def test_an_unspecified_address_knows_it(text: str, expected: bool) -> None:
    assert addresses.parse(text, 2377).is_unspecified is expected


@pytest.mark.parametrize(
    ("ips", "expected"),
    [
        (("10.0.0.1",), "10.0.0.1"),
        (("fd00::1", "10.0.0.1", "fd00::2"), "10.0.0.1"),
        (("fe80::1", "fd00::1"), "fd00::1"),
    ],
)
def test_an_interface_stands_for_its_only_address_v4_first(ips: tuple[str, ...], expected: str) -> None:
    assert addresses.interface_address("eth0", [interface("lo", "127.0.0.1"), interface("eth0", *ips)]) == expected


@pytest.mark.parametrize(
    ("interfaces", "says"),
    [
        ([interface("eth1", "10.0.0.1")], "no network interface 'eth0'"),
        ([interface("eth0")], "no IP address"),
        ([interface("eth0", "fe80::1")], "no IP address"),
        ([interface("eth0", "10.0.0.1", "10.0.0.2", "fd00::1")], r"several IPv4 addresses \(10.0.0.1, 10.0.0.2\)"),
        ([interface("eth0", "fd00::1", "fd00::2")], "several IPv6 addresses"),
    ],
)
def test_an_interface_without_one_address_is_refused(interfaces: list[Interface], says: str) -> None:
    with pytest.raises(AddressError, match=says):
        addresses.interface_address("eth0", interfaces)


def test_only_an_interface_is_resolved() -> None:
    known = [interface("eth0", "fd00::1")]
    resolved = addresses.resolve(addresses.parse("eth0:99", 2377, interfaces=["eth0"]), known)
    assert resolved == Address("fd00::1", 99, "v6")
    name = addresses.parse("manager", 2377)
    assert addresses.resolve(name, known) is name


LOOPBACK = interface("lo", "127.0.0.1", "::1", loopback=True)
DOCKER = (
    interface("docker0", "172.17.0.1"),
    interface("docker_gwbridge", "172.18.0.1"),
    interface("br-0123456789ab", "172.19.0.1"),
    interface("veth12ab", "169.254.1.1"),
)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ((interface("eth0", "10.0.0.1", "fd00::1", "fe80::1"),), "10.0.0.1"),
        ((interface("eth0", "fd00::1", "fe80::1"),), "fd00::1"),
        ((interface("eth0", "10.0.0.1"), interface("eth1", "10.1.0.1", up=False)), "10.0.0.1"),
        ((interface("br-lan", "10.0.0.1"), interface("qr0", "10.9.0.1")), "10.0.0.1"),
        ((interface("eth0", "10.0.0.1"), interface("eth1", "169.254.7.7")), "10.0.0.1"),
    ],
)
def test_the_only_address_that_is_not_loopback_or_dockers_is_advertised(
    own: tuple[Interface, ...], expected: str
) -> None:
    assert addresses.default_advertise([LOOPBACK, *DOCKER, *own], ignore=["qr0"]) == expected


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ((), "has none but loopback"),
        ((interface("eth0", "10.0.0.1", "10.0.0.2"),), "10.0.0.1 on eth0, 10.0.0.2 on eth0"),
        ((interface("eth0", "10.0.0.1"), interface("eth1", "10.1.0.1")), "10.0.0.1 on eth0, 10.1.0.1 on eth1"),
    ],
)
def test_no_single_address_asks_for_advertise_addr(own: tuple[Interface, ...], says: str) -> None:
    with pytest.raises(AddressError, match=says) as caught:
        addresses.default_advertise([LOOPBACK, *DOCKER, *own])
    assert "advertise_addr" in str(caught.value)


def test_the_loopback_interface_of_this_host_is_found() -> None:
    loopback = next(one for one in host_interfaces() if one.name == "lo")
    assert loopback.loopback
    assert ip_address("127.0.0.1") in loopback.addresses


def test_ipv6_addresses_come_from_the_kernels_table(tmp_path: Path) -> None:
    table = tmp_path / "if_inet6"
    table.write_text("fd000000000000000000000000000002 02 40 00 80       lo\n")
    loopback = next(one for one in host_interfaces(table) if one.name == "lo")
    assert [str(ip) for ip in loopback.addresses if ip.version == 6] == ["fd00::2"]


def test_a_kernel_without_ipv6_has_no_ipv6_addresses(tmp_path: Path) -> None:
    found = host_interfaces(tmp_path / "absent")
    assert found
    assert all(ip.version == 4 for one in found for ip in one.addresses)
