# SPDX-License-Identifier: Apache-2.0
"""Compose files by dice: of each key some values that both Docker's client and we take, one or two files laid over each
other. What the dice have a seed for, they find again.
"""

from __future__ import annotations

import random
from typing import Any

VALUES: dict[str, list[Any]] = {
    "cap_add": [["kill"], ["net_admin", "CHOWN"], ["ALL"]],
    "cap_drop": [["kill"], ["all"]],
    "command": ["run it", 'a \'b c\' "d\\"e" f\\ g # h', ["x", "$A"], []],
    "entrypoint": ["/x", ["/y", "z"]],
    "configs": [["conf"], [{"source": "conf", "target": "/c", "mode": 256}]],
    "secrets": [["key", "other"], [{"source": "key", "uid": "1", "gid": "2"}]],
    "depends_on": [["db"]],
    "dns": ["8.8.8.8", ["1.1.1.1", "::1"]],
    "dns_search": ["a.example", ["b.example", "c.example"]],
    "environment": [{"A": 1, "B": "x", "C": None}, ["A=2", "D", "E="], {"F": 0.5, "B": ""}],
    "env_file": ["one.env", ["two.env", "one.env"]],
    "extra_hosts": [["a:1.2.3.4"], {"b": "1.2.3.5", "a": "::1"}],
    "healthcheck": [{"disable": True}, {"interval": "1m", "retries": 2}, {"interval": "2s", "timeout": "1.5s"}],
    "hostname": ["h", "{{.Node.Hostname}}"],
    "init": [True, False],
    "labels": [{"a": 1, "b": "x"}, ["a=2", "c"], {"d": None}],
    "logging": [
        {"driver": "json-file", "options": {"max-size": "1m"}},
        {"driver": "syslog", "options": {"a": 1, "b": None}},
    ],
    "networks": [["back"], {"back": {"aliases": ["x"]}, "front": None}, {"front": {"driver_opts": {"o": 1}}}],
    "ports": [
        ["80"],
        ["8080:80", "53:53/udp"],
        [{"target": 1, "published": 2, "mode": "host"}],
        ["7000-7002:70-72"],
        [9],
    ],
    "read_only": [True, False],
    "restart": ["always", "no", "on-failure:4"],
    "stdin_open": [True],
    "stop_grace_period": ["10s", "1h2m3s", "0.5s"],
    "stop_signal": ["SIGINT"],
    "sysctls": [{"a.b": 1}, ["a.b=2", "c.d=x"]],
    "tty": [True, False],
    "ulimits": [{"nofile": 5}, {"nofile": {"soft": 1, "hard": 2}, "nproc": 7}],
    "user": ["u", "1:2"],
    "volumes": [["/a", "data:/d:ro"], ["/b:/b:rslave", "data:/e:nocopy"], [{"type": "tmpfs", "target": "/t"}]],
    "working_dir": ["/w"],
}
DEPLOY: dict[str, list[Any]] = {
    "endpoint_mode": ["vip", "dnsrr"],
    "labels": [{"a": 1}, ["b=2", "a=3"]],
    "placement": [
        {"constraints": ["a==b"]},
        {"preferences": [{"spread": "node.labels.x"}], "max_replicas_per_node": 2},
    ],
    "replicas": [0, 1, 5],
    "resources": [
        {"limits": {"cpus": "0.5", "memory": "10M"}},
        {"reservations": {"cpus": "0.25", "memory": "5m"}, "limits": {"pids": 9}},
        {"limits": {"memory": "1g"}},
    ],
    "restart_policy": [{"condition": "none"}, {"delay": "1s", "max_attempts": 0, "window": "5s"}, {"max_attempts": 3}],
    "rollback_config": [{"parallelism": 0}, {"failure_action": "pause", "max_failure_ratio": 0.1}],
    "update_config": [{"parallelism": 2, "delay": "3s"}, {"order": "start-first", "monitor": "1m"}, {}],
}
SECTIONS: dict[str, Any] = {
    "networks": {"back": {"internal": True}, "front": None},
    "volumes": {"data": {"driver": "local", "driver_opts": {"o": 1}}},
    "secrets": {"key": {"file": "./key.txt"}, "other": {"external": True, "name": "theirs"}},
    "configs": {"conf": {"file": "conf/app.conf", "template_driver": "golang"}},
}
APART = {"restart", "logging", "ports", "healthcheck"}
"""Keys that only one of two files says: laid over each other they are read better than by the client (DIFFERENT)."""


def files(seed: int, *, modern: bool) -> list[dict[str, Any]]:
    """One or two files; one alone, of what they know, for clients before version 25."""
    dice = random.Random(seed)
    first = _service(dice, set())
    found = [{"services": {"web": first, "db": {"image": "db:1"}}, **SECTIONS}]
    if not modern:
        if any((one or {}).get("driver_opts") for one in _networks(first).values()):
            del first["networks"]
    elif dice.random() < 0.5:
        found.append({"services": {"web": _service(dice, APART & first.keys())}})
    return found


def _networks(service: dict[str, Any]) -> dict[str, Any]:
    named = service.get("networks")
    return named if isinstance(named, dict) else {}


def _service(dice: random.Random, without: set[str]) -> dict[str, Any]:
    keys = dice.sample(sorted(VALUES.keys() - without), dice.randrange(1, 9))
    service = {"image": f"web:{dice.randrange(9)}"} | {key: dice.choice(VALUES[key]) for key in keys}
    if dice.random() < 0.6:
        service["deploy"] = {key: dice.choice(DEPLOY[key]) for key in dice.sample(sorted(DEPLOY), dice.randrange(1, 5))}
    return service
