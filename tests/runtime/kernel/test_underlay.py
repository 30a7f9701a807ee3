# SPDX-License-Identifier: Apache-2.0
"""What the host itself routes, read from tables as the kernel prints them."""

from __future__ import annotations

from pathlib import Path

import pytest

from queenright.edge.kernel import underlay

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
DEFAULT = "eth0 00000000 010200C0 0003 0 0 100 00000000 0 0 0"
DEFAULT_WORSE = "wlan0 00000000 010200C0 0003 0 0 600 00000000 0 0 0"
ETH = "eth0 000200C0 00000000 0001 0 0 100 00FFFFFF 0 0 0"
DOCKER = "docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0"
OURS = "sw-0123456789 0001000A 00000000 0001 0 0 0 00FFFFFF 0 0 0"
UNREACHABLE = "* 0000000B 00000000 0201 0 0 0 000000FF 0 0 0"
ZEROCONF = "eth0 0000FEA9 00000000 0001 0 0 1000 0000FFFF 0 0 0"
SIX = (
    "20010db8000000000000000000000000 40 " + "0" * 32 + " 00 " + "0" * 32 + " 00000100 00000001 00000000 00000001 eth0"
)
SIX_LOCAL = SIX.replace("20010db8", "fe800000")
SIX_LOOP = SIX.replace("eth0", "lo")


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    known = {"eth0": 1500, "wlan0": 1400, "docker0": 1200, "eth1": 9000}
    monkeypatch.setattr(underlay, "_mtu_of", lambda link: known.get(link, 0))
    return known


def tables(folder: Path, *four: str, six: tuple[str, ...] = ()) -> Path:
    (folder / "route").write_text("\n".join([HEAD, *(row.replace(" ", "\t") for row in four)]) + "\n")
    (folder / "ipv6_route").write_text("\n".join(six) + "\n" if six else "")
    return folder


def test_prefixes_are_what_the_host_routes_and_not_what_the_swarm_does(tmp_path: Path) -> None:
    net = tables(tmp_path, DEFAULT, ETH, DOCKER, OURS, UNREACHABLE, ZEROCONF, six=(SIX, SIX_LOCAL, SIX_LOOP))
    assert underlay.prefixes(net) == ("172.17.0.0/16", "192.0.2.0/24", "2001:db8::/64")


def test_a_host_without_a_family_has_no_routes_of_it(tmp_path: Path) -> None:
    assert underlay.prefixes(tmp_path) == ()


def test_the_mtu_is_that_of_the_best_default_route(tmp_path: Path, sizes: dict[str, int]) -> None:
    assert underlay.mtu(tables(tmp_path, DEFAULT_WORSE, DEFAULT, ETH, DOCKER)) == 1500


def test_without_a_default_route_the_mtu_is_the_smallest_that_leads_outside(
    tmp_path: Path, sizes: dict[str, int]
) -> None:
    net = tables(tmp_path, ETH, ETH.replace("eth0", "eth1"), DOCKER, OURS)
    assert underlay.mtu(net) == 1500
    sizes["eth1"] = 1300
    assert underlay.mtu(net) == 1300


def test_a_host_with_no_way_out_has_no_mtu(tmp_path: Path, sizes: dict[str, int]) -> None:
    assert underlay.mtu(tables(tmp_path, DOCKER)) == 0


def test_the_loopback_link_has_an_mtu_of_its_own() -> None:
    assert underlay._mtu_of("lo") >= 1500
    assert underlay._mtu_of("nosuchlink0") == 0
