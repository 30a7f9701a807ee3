# SPDX-License-Identifier: Apache-2.0
"""Every option with an example: what a playbook says, and where and how the Engine API says the same.

Written down by hand from the Engine API's reference and Ansible's habits, so that it can disagree with the rows.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

from queenright.spec.cluster import NodeSpec, SwarmSpec
from queenright.spec.network import NetworkSpec
from queenright.spec.service import ServiceSpec

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
MIB = 1 << 20
CONTAINER = "TaskTemplate.ContainerSpec."


@dataclasses.dataclass(frozen=True)
class Example:
    """``option`` said as ``said`` is ``value`` at ``path`` of the Engine JSON. Both names are dotted."""

    record: type
    option: str
    said: Any
    path: str
    value: Any

    def __str__(self) -> str:
        return self.option

    @property
    def options(self) -> dict[str, Any]:
        """As a playbook has it."""
        return put({}, self.option, self.said)

    @property
    def body(self) -> dict[str, Any]:
        """As the Engine API has it."""
        return put({}, self.path, self.value)


def put(into: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with a value at a dotted path; what is missing on the way is made."""
    out = copy.deepcopy(into)
    at = out
    *way, last = path.split(".")
    for key in way:
        at = at.setdefault(key, {})
    at[last] = copy.deepcopy(value)
    return out


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of everything in nested objects that is no object itself."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path, value


def mentioned(said: Any, option: str) -> Iterator[str]:
    """The option and its suboptions that a value mentions, lists and all."""
    items = said if isinstance(said, list) else [said]
    records = [item for item in items if isinstance(item, dict)]
    if option.rpartition(".")[2] in FREE or not records:
        yield option
        return
    for record in records:
        for key, item in record.items():
            yield from mentioned(item, f"{option}.{key}")


FREE = {"labels", "driver_options", "container_labels", "sysctls", "options", "driver_opts", "env"}
"""Options whose keys are the user's own."""

_SERVICE: list[tuple[str, Any, str, Any]] = [
    ("labels", {"a": "b", "n": 1, "t": True, "e": None}, "Labels", {"a": "b", "n": "1", "t": "true", "e": ""}),
    ("replicas", 5, "Mode.Replicated.Replicas", 5),
    ("endpoint_mode", "dnsrr", "EndpointSpec.Mode", "dnsrr"),
    (
        "publish",
        [
            {"target_port": 53, "published_port": 5353, "protocol": "udp", "mode": "host", "name": "dns"},
            {"target_port": 80, "local_first": True},
        ],
        "EndpointSpec.Ports",
        [
            {"TargetPort": 53, "PublishedPort": 5353, "Protocol": "udp", "PublishMode": "host", "Name": "dns"},
            {"TargetPort": 80, "LocalFirst": True},
        ],
    ),
    ("drain_timeout", "1m", "EndpointSpec.Drain", 60 * SECOND),
    ("update_config.parallelism", 0, "UpdateConfig.Parallelism", 0),
    ("update_config.delay", "90s", "UpdateConfig.Delay", 90 * SECOND),
    ("update_config.failure_action", "rollback", "UpdateConfig.FailureAction", "rollback"),
    ("update_config.monitor", "1m30s", "UpdateConfig.Monitor", 90 * SECOND),
    ("update_config.max_failure_ratio", 0.25, "UpdateConfig.MaxFailureRatio", 0.25),
    ("update_config.order", "start-first", "UpdateConfig.Order", "start-first"),
    ("rollback_config.parallelism", 2, "RollbackConfig.Parallelism", 2),
    ("rollback_config.delay", "1h", "RollbackConfig.Delay", HOUR),
    ("rollback_config.failure_action", "continue", "RollbackConfig.FailureAction", "continue"),
    ("rollback_config.monitor", 5, "RollbackConfig.Monitor", 5 * SECOND),
    ("rollback_config.max_failure_ratio", 1, "RollbackConfig.MaxFailureRatio", 1.0),
    ("rollback_config.order", "stop-first", "RollbackConfig.Order", "stop-first"),
    ("update_config.gate", "monitor", "UpdateConfig.Gate", "monitor"),
    ("update_config.timeout", "10m", "UpdateConfig.Timeout", 600 * SECOND),
    ("rollback_config.gate", "running", "RollbackConfig.Gate", "running"),
    ("rollback_config.timeout", "0s", "RollbackConfig.Timeout", 0),
    ("limits.cpus", 0.5, "TaskTemplate.Resources.Limits.NanoCPUs", 500_000_000),
    ("limits.memory", "256M", "TaskTemplate.Resources.Limits.MemoryBytes", 256 * MIB),
    ("limits.pids", 100, "TaskTemplate.Resources.Limits.Pids", 100),
    ("reservations.cpus", "1.25", "TaskTemplate.Resources.Reservations.NanoCPUs", 1_250_000_000),
    ("reservations.memory", 4096, "TaskTemplate.Resources.Reservations.MemoryBytes", 4096),
    (
        "reservations.generic_resources",
        [{"kind": "gpu", "value": 2}],
        "TaskTemplate.Resources.Reservations.GenericResources",
        [{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 2}}],
    ),
    ("swap", "-1", "TaskTemplate.Resources.SwapBytes", -1),
    ("memory_swappiness", 10, "TaskTemplate.Resources.MemorySwappiness", 10),
    ("restart_policy.condition", "on-failure", "TaskTemplate.RestartPolicy.Condition", "on-failure"),
    ("restart_policy.delay", "500ms", "TaskTemplate.RestartPolicy.Delay", SECOND // 2),
    ("restart_policy.max_attempts", 3, "TaskTemplate.RestartPolicy.MaxAttempts", 3),
    ("restart_policy.window", "2m", "TaskTemplate.RestartPolicy.Window", 120 * SECOND),
    ("placement.constraints", ["node.role == worker"], "TaskTemplate.Placement.Constraints", ["node.role == worker"]),
    (
        "placement.preferences",
        [{"spread": "node.labels.zone"}, {"spread": "node.labels.rack"}],
        "TaskTemplate.Placement.Preferences",
        [
            {"Spread": {"SpreadDescriptor": "node.labels.zone"}},
            {"Spread": {"SpreadDescriptor": "node.labels.rack"}},
        ],
    ),
    ("placement.max_replicas_per_node", 2, "TaskTemplate.Placement.MaxReplicas", 2),
    (
        "placement.platforms",
        [{"architecture": "arm64", "os": "linux"}],
        "TaskTemplate.Placement.Platforms",
        [{"Architecture": "arm64", "OS": "linux"}],
    ),
    ("logging.driver", "json-file", "TaskTemplate.LogDriver.Name", "json-file"),
    ("logging.options", {"max-file": 3}, "TaskTemplate.LogDriver.Options", {"max-file": "3"}),
    (
        "networks",
        [{"name": "backend", "aliases": ["db"], "driver_opts": {"k": "v"}}],
        "TaskTemplate.Networks",
        [{"Target": "backend", "Aliases": ["db"], "DriverOpts": {"k": "v"}}],
    ),
    ("force_update", 7, "TaskTemplate.ForceUpdate", 7),
    ("image", "nginx:1.27", CONTAINER + "Image", "nginx:1.27"),
    ("container_labels", {"c": "d"}, CONTAINER + "Labels", {"c": "d"}),
    ("command", ["sh", "-c", 1], CONTAINER + "Command", ["sh", "-c", "1"]),
    ("args", ["--port", 80], CONTAINER + "Args", ["--port", "80"]),
    ("hostname", "h-{{.Task.Slot}}", CONTAINER + "Hostname", "h-{{.Task.Slot}}"),
    ("env", {"B": "2", "A": 1, "E": None}, CONTAINER + "Env", ["A=1", "B=2", "E="]),
    ("working_dir", "/srv", CONTAINER + "Dir", "/srv"),
    ("user", "1000:1000", CONTAINER + "User", "1000:1000"),
    ("groups", ["adm", "7"], CONTAINER + "Groups", ["adm", "7"]),
    ("privileges.selinux.disable", True, CONTAINER + "Privileges.SELinuxContext.Disable", True),
    ("privileges.selinux.user", "u", CONTAINER + "Privileges.SELinuxContext.User", "u"),
    ("privileges.selinux.role", "r", CONTAINER + "Privileges.SELinuxContext.Role", "r"),
    ("privileges.selinux.type", "t", CONTAINER + "Privileges.SELinuxContext.Type", "t"),
    ("privileges.selinux.level", "s0", CONTAINER + "Privileges.SELinuxContext.Level", "s0"),
    ("privileges.seccomp.mode", "unconfined", CONTAINER + "Privileges.Seccomp.Mode", "unconfined"),
    ("privileges.seccomp.profile", "e30=", CONTAINER + "Privileges.Seccomp.Profile", "e30="),
    ("privileges.apparmor.mode", "disabled", CONTAINER + "Privileges.AppArmor.Mode", "disabled"),
    ("privileges.no_new_privileges", True, CONTAINER + "Privileges.NoNewPrivileges", True),
    ("init", True, CONTAINER + "Init", True),
    ("stop_signal", "SIGQUIT", CONTAINER + "StopSignal", "SIGQUIT"),
    ("tty", True, CONTAINER + "TTY", True),
    ("open_stdin", True, CONTAINER + "OpenStdin", True),
    ("read_only", True, CONTAINER + "ReadOnly", True),
    (
        "mounts",
        [
            {
                "target": "/bound",
                "source": "/srv/data",
                "type": "bind",
                "read_only": True,
                "bind": {
                    "propagation": "rslave",
                    "non_recursive": True,
                    "create_mountpoint": True,
                    "read_only_non_recursive": True,
                    "read_only_force_recursive": False,
                    "relabel": "private",
                },
            },
            {
                "target": "/data",
                "source": "vol",
                "volume": {
                    "no_copy": True,
                    "labels": {"l": "1"},
                    "subpath": "a/b",
                    "driver": {"name": "local", "options": {"type": "nfs"}},
                },
            },
            {
                "target": "/tmp",
                "type": "tmpfs",
                "tmpfs": {"size": "64M", "mode": 0o1777, "options": ["noexec", "uid=7"]},
            },
        ],
        CONTAINER + "Mounts",
        [
            {
                "Target": "/bound",
                "Source": "/srv/data",
                "Type": "bind",
                "ReadOnly": True,
                "BindOptions": {
                    "Propagation": "rslave",
                    "NonRecursive": True,
                    "CreateMountpoint": True,
                    "ReadOnlyNonRecursive": True,
                    "ReadOnlyForceRecursive": False,
                    "Relabel": "private",
                },
            },
            {
                "Target": "/data",
                "Source": "vol",
                "VolumeOptions": {
                    "NoCopy": True,
                    "Labels": {"l": "1"},
                    "Subpath": "a/b",
                    "DriverConfig": {"Name": "local", "Options": {"type": "nfs"}},
                },
            },
            {
                "Target": "/tmp",
                "Type": "tmpfs",
                "TmpfsOptions": {"SizeBytes": 64 * MIB, "Mode": 0o1777, "Options": [["noexec"], ["uid", "7"]]},
            },
        ],
    ),
    ("stop_grace_period", "1m", CONTAINER + "StopGracePeriod", 60 * SECOND),
    ("healthcheck.test", ["CMD", "true"], CONTAINER + "Healthcheck.Test", ["CMD", "true"]),
    ("healthcheck.interval", "10s", CONTAINER + "Healthcheck.Interval", 10 * SECOND),
    ("healthcheck.timeout", "2.5s", CONTAINER + "Healthcheck.Timeout", 2_500_000_000),
    ("healthcheck.retries", 5, CONTAINER + "Healthcheck.Retries", 5),
    ("healthcheck.start_period", "30s", CONTAINER + "Healthcheck.StartPeriod", 30 * SECOND),
    ("healthcheck.start_interval", "100us", CONTAINER + "Healthcheck.StartInterval", 100_000),
    ("hosts", ["10.0.0.1 db"], CONTAINER + "Hosts", ["10.0.0.1 db"]),
    ("dns", ["10.0.0.53"], CONTAINER + "DNSConfig.Nameservers", ["10.0.0.53"]),
    ("dns_search", ["example.com"], CONTAINER + "DNSConfig.Search", ["example.com"]),
    ("dns_options", ["ndots:2"], CONTAINER + "DNSConfig.Options", ["ndots:2"]),
    ("sysctls", {"net.core.somaxconn": 1024}, CONTAINER + "Sysctls", {"net.core.somaxconn": "1024"}),
    ("cap_add", ["NET_ADMIN"], CONTAINER + "CapabilityAdd", ["NET_ADMIN"]),
    ("cap_drop", ["ALL"], CONTAINER + "CapabilityDrop", ["ALL"]),
    (
        "ulimits",
        [{"name": "nofile", "soft": 1024, "hard": 4096}],
        CONTAINER + "Ulimits",
        [{"Name": "nofile", "Soft": 1024, "Hard": 4096}],
    ),
    ("oom_score_adj", -500, CONTAINER + "OomScoreAdj", -500),
    (
        "secrets",
        [
            {
                "secret_id": "s1",
                "secret_name": "key",
                "filename": "tls.key",
                "uid": "33",
                "gid": "44",
                "mode": "0440",
            },
            {"secret_name": "other"},
        ],
        CONTAINER + "Secrets",
        [
            {
                "SecretID": "s1",
                "SecretName": "key",
                "File": {"Name": "tls.key", "UID": "33", "GID": "44", "Mode": 0o440},
            },
            {"SecretName": "other"},
        ],
    ),
    (
        "configs",
        [
            {
                "config_id": "c1",
                "config_name": "conf",
                "filename": "/etc/app",
                "uid": "1",
                "gid": "2",
                "mode": 0o644,
            }
        ],
        CONTAINER + "Configs",
        [
            {
                "ConfigID": "c1",
                "ConfigName": "conf",
                "File": {"Name": "/etc/app", "UID": "1", "GID": "2", "Mode": 0o644},
            }
        ],
    ),
]
_SWARM: list[tuple[str, Any, str, Any]] = [
    ("labels", {"site": "a"}, "Labels", {"site": "a"}),
    ("task_history_retention_limit", -1, "Orchestration.TaskHistoryRetentionLimit", -1),
    ("snapshot_interval", 1000, "Raft.SnapshotInterval", 1000),
    ("keep_old_snapshots", 2, "Raft.KeepOldSnapshots", 2),
    ("log_entries_for_slow_followers", 100, "Raft.LogEntriesForSlowFollowers", 100),
    ("election_tick", 10, "Raft.ElectionTick", 10),
    ("heartbeat_tick", 1, "Raft.HeartbeatTick", 1),
    ("dispatcher_heartbeat_period", "10s", "Dispatcher.HeartbeatPeriod", 10 * SECOND),
    ("dispatcher_ping_period", "500ms", "Dispatcher.PingPeriod", SECOND // 2),
    ("dispatcher_silence", "8s", "Dispatcher.Silence", 8 * SECOND),
    ("dispatcher_probe_grace", "2s", "Dispatcher.ProbeGrace", 2 * SECOND),
    ("dispatcher_restart_grace", "2m", "Dispatcher.RestartGrace", 120 * SECOND),
    ("mesh_backend", "ipvs", "MeshBackend", "ipvs"),
    ("node_cert_expiry", "90d", "CAConfig.NodeCertExpiry", 2160 * HOUR),
    ("ca_key_algorithm", "p384", "CAConfig.KeyAlgorithm", "p384"),
    ("ca_rotation_grace", "10m", "CAConfig.RotationGrace", 600 * SECOND),
    ("ca_expired_grace", "720h", "CAConfig.ExpiredGrace", 720 * HOUR),
    ("autolock", True, "EncryptionConfig.AutoLockManagers", True),
]
_NODE: list[tuple[str, Any, str, Any]] = [
    ("labels", {"zone": "a"}, "Labels", {"zone": "a"}),
    ("role", "manager", "Role", "manager"),
    ("availability", "drain", "Availability", "drain"),
    ("mesh_backend", "nftables", "MeshBackend", "nftables"),
]

_NETWORK: list[tuple[str, Any, str, Any]] = [
    ("labels", {"tier": 1}, "Labels", {"tier": "1"}),
    ("driver_options", {"com.docker.network.driver.mtu": 1400}, "Options", {"com.docker.network.driver.mtu": "1400"}),
    ("internal", True, "Internal", True),
    ("attachable", True, "Attachable", True),
    ("ingress", False, "Ingress", False),
    ("enable_ipv6", True, "EnableIPv6", True),
    (
        "ipam_config",
        [{"subnet": "10.5.0.0/24", "gateway": "10.5.0.254", "iprange": "10.5.0.128/25"}, {"subnet": "fd00:5::/64"}],
        "IPAM.Config",
        [{"Subnet": "10.5.0.0/24", "Gateway": "10.5.0.254", "IPRange": "10.5.0.128/25"}, {"Subnet": "fd00:5::/64"}],
    ),
]

SHOWN: dict[type, dict[str, Any]] = {
    ServiceSpec: {
        "Labels": {},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "before", "Init": False, "DNSConfig": {}, "Isolation": "default"},
            "Resources": {"Limits": {}, "Reservations": {}},
            "Placement": {},
            "ForceUpdate": 0,
            "Runtime": "container",
        },
        "Mode": {"Replicated": {"Replicas": 1}},
    },
    SwarmSpec: {
        "Name": "default",
        "Labels": {},
        "Orchestration": {},
        "Raft": {},
        "Dispatcher": {},
        "CAConfig": {},
        "TaskDefaults": {},
        "EncryptionConfig": {"AutoLockManagers": False},
    },
    NodeSpec: {"Labels": {}},
    NetworkSpec: {"Labels": {}, "Driver": "overlay"},
}
"""What dockerd shows of an object of which nothing was said (of a service: but its image)."""

EXAMPLES = [
    Example(record, *rest)
    for record, table in (
        (ServiceSpec, _SERVICE),
        (SwarmSpec, _SWARM),
        (NodeSpec, _NODE),
        (NetworkSpec, _NETWORK),
    )
    for rest in table
]
"""Mode is not among them: what it says lies in two places (see test_modes)."""

CHOICES = {
    "update_config.failure_action": ("pause", "continue", "rollback"),
    "update_config.order": ("stop-first", "start-first"),
    "update_config.gate": ("running", "monitor"),
    "rollback_config.gate": ("running", "monitor"),
    "rollback_config.failure_action": ("pause", "continue"),
    "rollback_config.order": ("stop-first", "start-first"),
    "restart_policy.condition": ("none", "on-failure", "any"),
    "endpoint_mode": ("vip", "dnsrr"),
    "privileges.seccomp.mode": ("default", "unconfined", "custom"),
    "privileges.apparmor.mode": ("default", "disabled"),
    "role": ("worker", "manager"),
    "availability": ("active", "pause", "drain"),
    "mesh_backend": ("nftables", "ipvs"),
    "ca_key_algorithm": ("p256", "p384"),
}
"""All words that an option takes."""

SINCE = {
    "limits.pids": (1, 41),
    "placement.max_replicas_per_node": (1, 40),
    "healthcheck.start_interval": (1, 44),
    "privileges.seccomp.mode": (1, 44),
    "privileges.seccomp.profile": (1, 44),
    "privileges.apparmor.mode": (1, 44),
    "privileges.no_new_privileges": (1, 44),
    "sysctls": (1, 40),
    "cap_add": (1, 41),
    "cap_drop": (1, 41),
    "ulimits": (1, 41),
    "oom_score_adj": (1, 46),
    "swap": (1, 52),
    "memory_swappiness": (1, 52),
}
"""The first version of the Engine API whose clients know an option."""
