# SPDX-License-Identifier: Apache-2.0
"""Parsers of what declares stacks: Compose files (parsed already) and bundles."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from queenright.sources import bundle, compose
from queenright.sources.draft import Draft, SourceError
from queenright.spec.fields import encode

from .fuzzer import Target

DIGEST = "@sha256:" + "ab" * 32
FILES = {"web.env": b"A=1\n", "key": b"k"}
COMPOSE: list[dict[str, Any]] = [
    {
        "version": "3.8",
        "services": {
            "web": {
                "image": "web:${TAG:-1}",
                "command": "serve 'a b' $A",
                "environment": {"A": "${A-x}", "B": 1.5, "C": None},
                "env_file": ["web.env"],
                "ports": ["8080-8082:80-82/udp", "127.0.0.1:53:53", {"target": 1, "published": 2, "mode": "host"}],
                "volumes": ["data:/d:ro", {"type": "tmpfs", "target": "/t", "tmpfs": {"size": 10}}],
                "networks": {"back": {"aliases": ["w"]}},
                "secrets": [{"source": "k", "mode": 256}],
                "healthcheck": {"test": "true", "interval": "1m30s"},
                "ulimits": {"nofile": {"soft": 1, "hard": 2}},
                "depends_on": {"db": {"condition": "service_healthy"}},
                "deploy": {
                    "replicas": 3,
                    "resources": {"limits": {"cpus": "0.5", "memory": "1.5g"}},
                    "restart_policy": {"delay": "1s"},
                    "update_config": {"order": "start-first", "max_failure_ratio": 0.1},
                },
            },
            "db": {"image": "db:1", "cap_add": ["kill"], "restart": "on-failure:3", "logging": {"driver": "x"}},
        },
        "networks": {"back": {"driver_opts": {"a": 1}, "ipam": {"config": [{"subnet": "10.1.0.0/24"}]}}},
        "volumes": {"data": {"driver": "local"}},
        "secrets": {"k": {"file": "key"}},
    },
    {"services": {"web": {"image": "w", "ports": ["80"], "environment": ["A"], "extra_hosts": ["a:::1"]}}},
]
BUNDLE: dict[str, Any] = {
    "Version": "0.1",
    "Services": {
        "web": {
            "Image": f"web{DIGEST}",
            "Args": ["a"],
            "Env": ["A=1"],
            "Ports": [{"Protocol": "tcp", "Port": 80}],
            "Networks": ["back"],
            "WorkingDir": None,
        }
    },
}


class _NotReadError(Exception):
    """Refused before it is any parser of ours."""


def targets() -> Iterator[Target]:
    """All of them."""
    seeds = tuple(json.dumps(one).encode() for one in COMPOSE)
    yield Target("Compose file", seeds, _compose, (SourceError, _NotReadError))
    seeds = tuple(json.dumps([one, COMPOSE[1]]).encode() for one in COMPOSE)
    yield Target("Compose files", seeds, _composes, (SourceError, _NotReadError))
    env = tuple(base64.b64encode(one) for one in (b"A=1\nB\n# c\n\nD=e f\r\n", b"\xef\xbb\xbfA=b=c"))
    yield Target("file of an environment", (b"A=1\nB\n# c\n\nD=e f\r\n", *env), _environment, (SourceError,))
    texts = (json.dumps(BUNDLE).encode(), json.dumps(BUNDLE, indent=1).encode())
    yield Target("bundle", texts, _bundle, (SourceError,))


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _NotReadError from error


def _compose(data: bytes) -> object:
    document = _parsed(data)
    if not isinstance(document, dict):
        raise _NotReadError
    return _whole(compose.read("fuzz", [document], variables={"A": "1"}, files=FILES))


def _composes(data: bytes) -> object:
    documents = _parsed(data)
    if not isinstance(documents, list) or not all(isinstance(one, dict) for one in documents):
        raise _NotReadError
    return _whole(compose.read("fuzz", documents, variables={}, files=FILES))


def _environment(data: bytes) -> object:
    document = {"services": {"web": {"image": "w", "env_file": "e"}}}
    return _whole(compose.read("fuzz", [document], variables={}, files={"e": data}))


def _bundle(data: bytes) -> object:
    """What is taken can be written, and is the same when it is read again."""
    draft = bundle.read("fuzz", bundle.parse(data.decode("utf-8", "replace")))
    assert bundle.read("fuzz", bundle.write(draft)) == draft
    return _whole(draft)


def _whole(draft: Draft) -> Draft:
    """It can be sent on."""
    for one in draft.services:
        json.dumps(encode(one.spec)).encode()
    for network in draft.networks:
        json.dumps(encode(network.spec)).encode()
    return draft
