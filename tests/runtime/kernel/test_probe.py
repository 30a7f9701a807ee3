# SPDX-License-Identifier: Apache-2.0
"""The probe's words, with a kernel that refuses what the test wants it to."""

from __future__ import annotations

import pytest

from queenright.edge.kernel import probe as room
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.probe import Finding, examine, probe
from queenright.spec import kernel as features


class FakeNft:
    """Refuses texts in which ``lacking`` occurs."""

    lacking = ""

    def run(self, text: str) -> str:
        if self.lacking and self.lacking in text:
            raise KernelError("nftables refused: Error: Could not process rule: No such file or directory")
        return ""

    def close(self) -> None:
        pass


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> type[FakeNft]:
    monkeypatch.setattr(room.namespaces, "enter_new", lambda: None)
    monkeypatch.setattr(room, "_links", lambda: [Finding("links of kind vxlan")])
    monkeypatch.setattr(room, "_conntrack", lambda: Finding("cutting connections"))
    monkeypatch.setattr(room, "open_nft", FakeNft)
    monkeypatch.setattr(FakeNft, "lacking", "")
    monkeypatch.setattr(room.underlay, "mtu", lambda: 1500)
    monkeypatch.setattr(room.underlay, "prefixes", lambda: ("192.0.2.0/24",))
    return FakeNft


def test_a_kernel_that_can_do_all_of_it_balances(kernel: type[FakeNft]) -> None:
    answer = examine("nftables")
    assert (answer.mesh, answer.error, answer.mtu, answer.prefixes) == ("nftables", "", 1500, ("192.0.2.0/24",))
    assert len(probe()) == len(features.EXPRESSIONS) + 2


@pytest.mark.parametrize(
    ("lacking", "option"),
    [
        ("numgen", "CONFIG_NFT_NUMGEN"),
        ("jhash", "CONFIG_NFT_HASH"),
        ("fib daddr", "CONFIG_NFT_FIB_INET"),
        ("masquerade", "CONFIG_NFT_MASQ"),
        ("ct status", "CONFIG_NFT_CT"),
    ],
)
def test_a_missing_expression_is_named_with_its_kernel_option(kernel: type[FakeNft], lacking: str, option: str) -> None:
    kernel.lacking = lacking
    answer = examine("nftables")
    assert answer.mesh == ""
    assert option in answer.error
    assert "service addresses and published ports are not available on this node" in answer.error
    [missing] = [finding for finding in probe() if finding.error]
    assert "No such file or directory" in missing.error


def test_a_host_without_nftables_is_told_to_install_it(kernel: type[FakeNft], monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> FakeNft:
        raise KernelError("no library")

    monkeypatch.setattr(room, "open_nft", absent)
    assert "install the package nftables" in examine("nftables").error


def test_ipvs_is_looked_for_only_where_it_is_wished(kernel: type[FakeNft], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_ipvs", lambda: Finding("IPVS", features.NO_IPVS))
    assert examine("nftables").mesh == "nftables"
    answer = examine("ipvs")
    assert answer.mesh == ""
    assert "CONFIG_IP_VS" in answer.error
    assert "mesh_backend=nftables" in answer.error


def test_a_kernel_that_cannot_cut_connections_balances_nevertheless(
    kernel: type[FakeNft], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_conntrack", lambda: Finding("cutting connections", features.NO_CONNTRACK, fatal=False))
    assert examine("nftables").mesh == "nftables"
    assert [finding.name for finding in probe() if finding.error] == ["cutting connections"]


def test_without_root_nothing_else_is_tried(kernel: type[FakeNft], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise KernelError("a network namespace cannot be made (Operation not permitted)")

    monkeypatch.setattr(room.namespaces, "enter_new", refuse)
    [only] = probe()
    assert "run as root" in only.error
    assert examine().mesh == ""
