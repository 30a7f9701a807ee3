# SPDX-License-Identifier: Apache-2.0
"""Founding a swarm, and the options that are decided by it for good."""

from __future__ import annotations

from typing import Any

import pytest
from runtime.manager.kit import World

from queenright.manager.founding import settings_of
from queenright.manager.ports import InitOptions
from queenright.manager.swarm_spec import DEFAULT, with_defaults
from queenright.model.errors import InvalidArgument, Refusal, Unimplemented
from queenright.model.ids import is_id
from queenright.model.tokens import parse_join_secret
from queenright.spec.cluster import SwarmSpec


def test_a_founded_swarm_has_root_tokens_and_one_manager() -> None:
    world = World.make()
    cluster = world.context.cluster
    assert is_id(cluster.id)
    assert cluster.spec == DEFAULT
    root = cluster.root_certificate.encode()
    tokens = [parse_join_secret(text) for text in (cluster.worker_token, cluster.manager_token)]
    assert all(token.pins(root) for token in tokens)
    assert tokens[0].secret != tokens[1].secret
    queen = world.store.nodes.get(world.manager_id)
    assert queen is not None
    assert (queen.role, queen.spec.role, queen.availability) == ("manager", "manager", "active")
    assert queen.manager_addr == "192.0.2.1:2377"
    assert queen.serial == "1"
    assert world.certificates.issued[0] == {
        "node_id": queen.id,
        "role": "manager",
        "cluster_id": cluster.id,
        "validity": 2160 * 3600 * 10**9,
    }


def test_no_key_and_no_token_shows_in_a_repr() -> None:
    cluster = World.make().context.cluster
    for secret in (cluster.root_key, cluster.worker_token, cluster.manager_token):
        assert secret not in repr(cluster)


def test_what_init_says_is_kept() -> None:
    world = World.make(
        InitOptions(
            default_addr_pool=("10.20.0.0/16", "10.21.0.0/16"),
            subnet_size=26,
            data_path_port=7000,
            availability="drain",
            spec={"Orchestration": {"TaskHistoryRetentionLimit": 2}, "Labels": {"a": "b"}},
        )
    )
    cluster = world.context.cluster
    assert cluster.default_addr_pool == ("10.20.0.0/16", "10.21.0.0/16")
    assert (cluster.subnet_size, cluster.data_path_port) == (26, 7000)
    assert cluster.spec.orchestration.task_history_limit == 2
    assert cluster.spec.labels == {"a": "b"}
    assert cluster.spec.raft == DEFAULT.raft
    assert world.store.node("queen").availability == "drain"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"default_addr_pool": ("nonsense",)}, "invalid default address pool 'nonsense'"),
        ({"default_addr_pool": ("10.0.0.1/8",)}, "invalid default address pool"),
        ({"default_addr_pool": ("2001:db8::/32",)}, "only IPv4 is supported"),
        ({"default_addr_pool": ("10.0.0.0/8", "10.1.0.0/16")}, "overlap"),
        ({"subnet_size": 30}, "invalid subnet size 30"),
        ({"subnet_size": 7}, "invalid subnet size 7"),
        ({"data_path_port": 1023}, "Datapath port must be between 1024 and 49151"),
        ({"data_path_port": 49152}, "Datapath port must be between 1024 and 49151"),
        ({"availability": "asleep"}, 'invalid Availability: "asleep"'),
        ({"spec": {"Name": "mine"}}, 'swarm spec must be named "default"'),
        ({"spec": {"CAConfig": {"NodeCertExpiry": 1}}}, "minimum certificate expiry time is: 30m0s"),
        ({"spec": {"Dispatcher": {"HeartbeatPeriod": 1}}}, "minimum heartbeat time period"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_is_made(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words.replace("(", r"\(")):
        settings_of(InitOptions(**values))


def test_what_a_later_version_brings_is_said_clearly() -> None:
    with pytest.raises(Unimplemented, match="found the swarm first"):
        settings_of(InitOptions(spec={"CAConfig": {"SigningCACert": "PEM"}}))
    assert issubclass(Unimplemented, Refusal)


def test_a_swarm_is_founded_with_an_unlock_key_where_its_managers_are_locked() -> None:
    for wanted in (True, False):
        cluster = World.make(InitOptions(spec={"EncryptionConfig": {"AutoLockManagers": wanted}})).context.cluster
        assert cluster.unlock_key.startswith("SWMKEY-1-") is wanted
        assert bool(cluster.unlock_key) is wanted
        assert not wanted or cluster.unlock_key not in repr(cluster)


def test_defaults_fill_only_what_is_unset() -> None:
    assert with_defaults(SwarmSpec()) == DEFAULT
    assert with_defaults(DEFAULT) is not None
    given = SwarmSpec(labels={"a": "b"})
    assert with_defaults(given).labels == {"a": "b"}
    assert with_defaults(with_defaults(given)) == with_defaults(given)
