# SPDX-License-Identifier: Apache-2.0
"""The room as the manager sees it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from queenright.edge.pki.errors import PkiError
from queenright.edge.pki.keys import key_digest, make_csr, make_key
from queenright.edge.pki.maker import Maker, PeerReader, moment, nanoseconds
from queenright.edge.pki.peer import verify
from queenright.manager.ports import CertificateMaker
from queenright.model.errors import InvalidArgument

NOW = 1_772_600_760_123_456_789
HOUR = 3600 * 10**9
NODE, CLUSTER = "n" * 25, "c" * 25


def test_what_it_issues_is_verified_and_read_back_as_a_peer() -> None:
    maker: CertificateMaker = Maker()
    root = maker.make_root(NOW)
    key = make_key()
    issued = maker.issue(
        root, make_csr(key), node_id=NODE, role="manager", cluster_id=CLUSTER, validity=90 * 24 * HOUR, now=NOW
    )
    identity = verify(root.certificate.encode(), issued.chain.encode(), moment(NOW), key_pem=key)
    peer = PeerReader()(issued.chain.encode())
    assert (peer.node_id, peer.cluster_id, peer.role) == (NODE, CLUSTER, "manager")
    assert peer.serial == issued.serial == identity.serial
    assert peer.not_after == issued.not_after == nanoseconds(identity.not_after)
    assert 0 <= NOW + 90 * 24 * HOUR - issued.not_after < 60 * 10**9
    assert maker.root_digest(root.certificate) == "sha256:" + hashlib.sha256(root.certificate.encode()).hexdigest()
    assert maker.key_digest(make_csr(key)) == key_digest(key)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"csr": b"junk"}, "not one PEM block"),
        ({"role": "king"}, "'king' is no role"),
        ({"validity": HOUR - 1000}, "at least 1:00:00"),
    ],
)
def test_what_cannot_be_issued_is_an_invalid_argument(change: dict[str, object], says: str) -> None:
    maker = Maker()
    good: dict[str, object] = {
        "csr": make_csr(make_key()),
        "node_id": NODE,
        "role": "worker",
        "cluster_id": CLUSTER,
        "validity": HOUR,
        "now": NOW,
    }
    with pytest.raises(InvalidArgument, match=says):
        maker.issue(maker.make_root(NOW), **{**good, **change})  # type: ignore[arg-type]


def test_a_request_that_cannot_be_read_has_no_key_digest() -> None:
    with pytest.raises(InvalidArgument, match="not one PEM block"):
        Maker().key_digest(b"junk")


def test_a_peer_without_a_nodes_certificate_is_refused() -> None:
    with pytest.raises(PkiError, match="not of a node"):
        PeerReader()(Maker().make_root(NOW).certificate.encode())


@pytest.mark.parametrize("time", [0, 1000, NOW // 1000 * 1000, 4 * 10**18])
def test_times_of_the_store_read_back(time: int) -> None:
    assert nanoseconds(moment(time)) == time
    assert moment(0) == datetime(1970, 1, 1, tzinfo=UTC)
