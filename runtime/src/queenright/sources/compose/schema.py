# SPDX-License-Identifier: Apache-2.0
"""What may stand in a Compose file of version 3: one table for all of its versions up to 3.13."""

from __future__ import annotations

import re

from queenright.sources.compose.kinds import (
    BOOL,
    NULL,
    NUMBER,
    SIGNED,
    TEXT,
    WHOLE,
    Anything,
    Items,
    Kind,
    Named,
    Plain,
    Table,
    Whole,
    choice,
    either,
)

IGNORED = {
    "build": "images are built elsewhere",
    "cgroup_parent": "",
    "cgroupns_mode": "",
    "container_name": "containers of services are named after their tasks",
    "devices": "",
    "domainname": "",
    "expose": "containers of a network reach each other's ports anyway",
    "external_links": "",
    "ipc": "",
    "links": "services reach each other by their names",
    "mac_address": "",
    "network_mode": "",
    "pid": "",
    "privileged": "",
    "security_opt": "",
    "shm_size": "",
    "tmpfs": "write a volume of type tmpfs",
    "userns_mode": "",
}
"""Keys of a service that ``docker stack deploy`` ignores, and why, where that is not plain."""

FORBIDDEN = {
    "cpu_quota": "write deploy.resources.limits.cpus",
    "cpu_shares": "write deploy.resources.limits.cpus",
    "cpuset": "write deploy.resources.limits.cpus",
    "extends": "give the other file beside this one",
    "mem_limit": "write deploy.resources.limits.memory",
    "memswap_limit": "write deploy.resources.limits.memory",
    "volume_driver": "write a driver in the volume's own entry, in the volumes of the file",
    "volumes_from": "give both services the same volume",
}
"""Keys of a service that ``docker stack deploy`` refuses, and what to do instead."""

TEXTS = Items(TEXT)
UNIQUE = Items(TEXT, unique=True)
TEXT_OR_LIST = either(TEXT, UNIQUE)
ARGV = either(TEXT, TEXTS)
PAIRS = either(Named(either(TEXT, NUMBER, NULL), pattern=None), UNIQUE)
OPTIONS = Named(either(TEXT, NUMBER), pattern=None)

_FILE = Table({"source": TEXT, "target": TEXT, "uid": TEXT, "gid": TEXT, "mode": WHOLE}, required=("source",))
_FILES = Items(either(TEXT, _FILE))
_PORT = Table(
    {
        "mode": choice("ingress", "host"),
        "target": Whole(),
        "published": Whole(),
        "protocol": choice("tcp", "udp", "sctp"),
    },
    required=("target",),
)
_PROPAGATION = choice("private", "rprivate", "shared", "rshared", "slave", "rslave")
_VOLUME = Table(
    {
        "type": choice("volume", "bind", "tmpfs", "npipe", "cluster"),
        "source": TEXT,
        "target": TEXT,
        "read_only": BOOL,
        "consistency": TEXT,
        "bind": Table({"propagation": _PROPAGATION, "create_host_path": BOOL}),
        "volume": Table({"nocopy": BOOL}),
        "tmpfs": Table({"size": WHOLE}),
    },
    required=("type",),
)
_NETWORK = Table({"aliases": UNIQUE, "driver_opts": OPTIONS, "ipv4_address": TEXT, "ipv6_address": TEXT})
_ULIMIT = either(SIGNED, Table({"soft": SIGNED, "hard": SIGNED}, required=("soft", "hard")))
_LOGGING = Table({"driver": TEXT, "options": Named(either(TEXT, NUMBER, NULL), pattern=None)})
_CREDENTIALS = Table({"config": TEXT, "file": TEXT, "registry": TEXT})
_HEALTHCHECK = Table(
    {
        "disable": BOOL,
        "interval": TEXT,
        "retries": WHOLE,
        "test": ARGV,
        "timeout": TEXT,
        "start_period": TEXT,
        "start_interval": TEXT,
    }
)
_DEPENDS = either(UNIQUE, Named(either(NULL, Named(Plain("a plain value", (str, bool)), pattern=None))))


def _update(*actions: str) -> Table:
    return Table(
        {
            "parallelism": WHOLE,
            "delay": TEXT,
            "failure_action": choice(*actions),
            "monitor": TEXT,
            "max_failure_ratio": NUMBER,
            "order": choice("start-first", "stop-first"),
        }
    )


_GENERIC = Table({"discrete_resource_spec": Table({"kind": TEXT, "value": WHOLE}, required=("kind", "value"))})
_DEPLOY = Table(
    {
        "mode": choice("replicated", "global", "replicated-job", "global-job"),
        "endpoint_mode": TEXT,
        "replicas": WHOLE,
        "labels": PAIRS,
        "update_config": _update("pause", "continue", "rollback"),
        "rollback_config": _update("pause", "continue"),
        "resources": Table(
            {
                "limits": Table({"cpus": TEXT, "memory": TEXT, "pids": WHOLE}),
                "reservations": Table({"cpus": TEXT, "memory": TEXT, "generic_resources": Items(_GENERIC)}),
            }
        ),
        "restart_policy": Table(
            {
                "condition": choice("none", "on-failure", "any"),
                "delay": TEXT,
                "max_attempts": WHOLE,
                "window": TEXT,
            }
        ),
        "placement": Table(
            {
                "constraints": TEXTS,
                "preferences": Items(Table({"spread": TEXT}, required=("spread",))),
                "max_replicas_per_node": WHOLE,
            }
        ),
    }
)

_TAKEN: dict[str, Kind] = {
    "cap_add": UNIQUE,
    "cap_drop": UNIQUE,
    "command": ARGV,
    "configs": _FILES,
    "credential_spec": _CREDENTIALS,
    "depends_on": _DEPENDS,
    "deploy": either(_DEPLOY, NULL),
    "dns": TEXT_OR_LIST,
    "dns_search": TEXT_OR_LIST,
    "entrypoint": ARGV,
    "env_file": TEXT_OR_LIST,
    "environment": PAIRS,
    "extra_hosts": PAIRS,
    "healthcheck": _HEALTHCHECK,
    "hostname": TEXT,
    "image": TEXT,
    "init": BOOL,
    "isolation": TEXT,
    "labels": PAIRS,
    "logging": _LOGGING,
    "networks": either(UNIQUE, Named(either(_NETWORK, NULL))),
    "oom_score_adj": SIGNED,
    "ports": Items(either(WHOLE, TEXT, _PORT), unique=True),
    "read_only": BOOL,
    "restart": TEXT,
    "secrets": _FILES,
    "stdin_open": BOOL,
    "stop_grace_period": TEXT,
    "stop_signal": TEXT,
    "sysctls": PAIRS,
    "tty": BOOL,
    "ulimits": Named(_ULIMIT, pattern=re.compile("[a-z]+")),
    "user": TEXT,
    "volumes": Items(either(TEXT, _VOLUME), unique=True),
    "working_dir": TEXT,
}
SERVICE = Table({**_TAKEN, **dict.fromkeys(IGNORED, Anything()), "tmpfs": TEXT_OR_LIST}, extras=True)

_EXTERNAL = either(BOOL, Table({"name": TEXT}))
_POOL = Table({"subnet": TEXT}, required=("subnet",))
_NETWORK_OBJECT = Table(
    {
        "name": TEXT,
        "driver": TEXT,
        "driver_opts": OPTIONS,
        "ipam": Table({"driver": TEXT, "config": Items(_POOL)}),
        "external": _EXTERNAL,
        "internal": BOOL,
        "attachable": BOOL,
        "labels": PAIRS,
    },
    extras=True,
)
_VOLUME_OBJECT = Table(
    {"name": TEXT, "driver": TEXT, "driver_opts": OPTIONS, "external": _EXTERNAL, "labels": PAIRS}, extras=True
)
_DATA: dict[str, Kind] = {"name": TEXT, "file": TEXT, "external": _EXTERNAL, "labels": PAIRS, "template_driver": TEXT}
_SECRET_OBJECT = Table({**_DATA, "driver": TEXT, "driver_opts": OPTIONS}, extras=True)
_CONFIG_OBJECT = Table(_DATA, extras=True)

FILE = Table(
    {
        "version": TEXT,
        "services": Named(SERVICE),
        "networks": Named(either(_NETWORK_OBJECT, NULL)),
        "volumes": Named(either(_VOLUME_OBJECT, NULL)),
        "secrets": Named(_SECRET_OBJECT),
        "configs": Named(_CONFIG_OBJECT),
    },
    extras=True,
)
SECTIONS = ("services", "networks", "volumes", "secrets", "configs")
