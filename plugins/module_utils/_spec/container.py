# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What a service's containers are: ``TaskTemplate.ContainerSpec`` of the Engine API, option by option."""

from __future__ import annotations

import dataclasses

from .codecs import (
    ARGV,
    BOOL,
    DURATION,
    ENV,
    FLAGS,
    INT,
    LABELS,
    PERMISSIONS,
    PRESENCE,
    SIZE,
    STR,
    STR_LIST,
)
from .fields import Inline, Nested, NestedList, opt


@dataclasses.dataclass(frozen=True)
class BindOptions:
    propagation: str | None = opt(
        "Propagation",
        STR,
        "How mounts below the bind are passed on.",
        choices=("private", "rprivate", "shared", "rshared", "slave", "rslave"),
    )
    non_recursive: bool | None = opt(
        "NonRecursive", BOOL, "Bind only the directory itself, not what is mounted below it."
    )
    create_mountpoint: bool | None = opt(
        "CreateMountpoint", BOOL, "Create the source directory where it is missing.", since=(1, 42)
    )
    read_only_non_recursive: bool | None = opt(
        "ReadOnlyNonRecursive",
        BOOL,
        "Of a read-only mount, leave what is mounted below it writable.",
        since=(1, 44),
        level=2,
    )
    read_only_force_recursive: bool | None = opt(
        "ReadOnlyForceRecursive",
        BOOL,
        "Of a read-only mount, fail where what is mounted below it cannot be made read-only.",
        since=(1, 44),
        level=2,
    )
    relabel: str | None = opt(
        "Relabel",
        STR,
        "Give the source an SELinux label that all containers (V(shared)) or one container (V(private)) may use.",
        choices=("shared", "private"),
        own=True,
        level=2,
    )


@dataclasses.dataclass(frozen=True)
class VolumeDriver:
    name: str | None = opt("Name", STR, "Name of the volume driver.")
    options: dict[str, str] = opt("Options", LABELS, "Options of the volume driver.")


@dataclasses.dataclass(frozen=True)
class VolumeOptions:
    no_copy: bool | None = opt("NoCopy", BOOL, "Do not fill a new volume with the image's files at the target.")
    labels: dict[str, str] = opt("Labels", LABELS, "Labels of a volume created for this mount.")
    subpath: str | None = opt("Subpath", STR, "Path inside the volume to mount instead of its root.", since=(1, 45))
    driver: VolumeDriver | None = opt(
        "DriverConfig", Nested(VolumeDriver), "Driver of a volume created for this mount."
    )


@dataclasses.dataclass(frozen=True)
class TmpfsOptions:
    size: int | None = opt("SizeBytes", SIZE, "Size of the tmpfs, such as V(64M).", default_doc="no limit")
    mode: int | None = opt("Mode", INT, "Permissions of the tmpfs root as an integer.")
    options: tuple[str, ...] = opt(
        "Options", FLAGS, "Options of the mount, such as V(noexec) or V(uid=1000).", since=(1, 46), level=2
    )


@dataclasses.dataclass(frozen=True)
class Mount:
    IDENTITY = ("type", "source", "target")

    target: str | None = opt("Target", STR, "Absolute path inside the container.", required=True)
    source: str | None = opt(
        "Source", STR, "Path on the node (bind) or name of the volume; none makes an anonymous volume."
    )
    type: str | None = opt(
        "Type", STR, "Kind of the mount.", choices=("bind", "volume", "tmpfs"), default_doc="V(volume)"
    )
    read_only: bool | None = opt("ReadOnly", BOOL, "Mount it read-only.")
    bind: BindOptions | None = opt("BindOptions", Nested(BindOptions), "Options of a bind mount.")
    volume: VolumeOptions | None = opt("VolumeOptions", Nested(VolumeOptions), "Options of a volume mount.")
    tmpfs: TmpfsOptions | None = opt("TmpfsOptions", Nested(TmpfsOptions), "Options of a tmpfs mount.")


@dataclasses.dataclass(frozen=True)
class Healthcheck:
    test: tuple[str, ...] = opt(
        "Test",
        ARGV,
        ("The probe, V([CMD, program, arg]), V([CMD-SHELL, command line]) or V([NONE]) for no probe.",),
    )
    interval: int | None = opt("Interval", DURATION, "Time between two probes.", default_doc="30s")
    timeout: int | None = opt("Timeout", DURATION, "Time after which a probe counts as failed.", default_doc="30s")
    retries: int | None = opt("Retries", INT, "Failures in a row that make the container unhealthy.", default_doc="3")
    start_period: int | None = opt("StartPeriod", DURATION, "Time at the start in which failures do not count.")
    start_interval: int | None = opt(
        "StartInterval", DURATION, "Time between two probes within the start period.", since=(1, 44)
    )


@dataclasses.dataclass(frozen=True)
class DNSConfig:
    nameservers: tuple[str, ...] = opt("Nameservers", STR_LIST, "Addresses of name servers.", option="dns")
    search: tuple[str, ...] = opt("Search", STR_LIST, "Search domains of the resolver.", option="dns_search")
    options: tuple[str, ...] = opt("Options", STR_LIST, "Options of the resolver.", option="dns_options")


@dataclasses.dataclass(frozen=True)
class Ulimit:
    name: str | None = opt("Name", STR, "Name of the limit, such as V(nofile).", required=True)
    soft: int | None = opt("Soft", INT, "Soft limit.", required=True)
    hard: int | None = opt("Hard", INT, "Hard limit.", required=True)


@dataclasses.dataclass(frozen=True)
class SELinux:
    disable: bool | None = opt("Disable", BOOL, "Switch SELinux separation off for the container.")
    user: str | None = opt("User", STR, "SELinux user label.")
    role: str | None = opt("Role", STR, "SELinux role label.")
    type: str | None = opt("Type", STR, "SELinux type label.")
    level: str | None = opt("Level", STR, "SELinux level label.")


@dataclasses.dataclass(frozen=True)
class Seccomp:
    mode: str | None = opt("Mode", STR, "Which seccomp profile applies.", choices=("default", "unconfined", "custom"))
    profile: str | None = opt("Profile", STR, "The custom profile, base64 of its JSON.")


@dataclasses.dataclass(frozen=True)
class AppArmor:
    mode: str | None = opt(
        "Mode", STR, "Whether the Engine's AppArmor profile applies.", choices=("default", "disabled")
    )


@dataclasses.dataclass(frozen=True)
class Privileges:
    REFUSED = {"CredentialSpec": "is for Windows containers, which queenright does not run"}

    selinux: SELinux | None = opt("SELinuxContext", Nested(SELinux), "SELinux labels of the container.")
    seccomp: Seccomp | None = opt("Seccomp", Nested(Seccomp), "Seccomp profile of the container.", since=(1, 44))
    apparmor: AppArmor | None = opt("AppArmor", Nested(AppArmor), "AppArmor profile of the container.", since=(1, 44))
    no_new_privileges: bool | None = opt(
        "NoNewPrivileges", BOOL, "Keep processes from gaining privileges.", since=(1, 44)
    )


@dataclasses.dataclass(frozen=True)
class FileTarget:
    """The file as which a secret or a config appears in the container."""

    name: str | None = opt(
        "Name",
        STR,
        "Name of the file below /run/secrets (a secret) or below the root (a config), or an absolute path.",
        option="filename",
        default_doc="the object's name, without its version",
    )
    uid: str | None = opt("UID", STR, "Owner of the file as a number.", always="0", default_doc="0")
    gid: str | None = opt("GID", STR, "Group of the file as a number.", always="0", default_doc="0")
    mode: int | None = opt(
        "Mode",
        PERMISSIONS,
        "Permissions of the file, as a number or as octal digits in quotes.",
        always=0o444,
        default_doc="0444",
    )


@dataclasses.dataclass(frozen=True)
class SecretReference:
    secret_id: str | None = opt(
        "SecretID",
        STR,
        "Id of the secret, where it shall be just that one.",
        default_doc="that of the newest version of O(secrets[].secret_name)",
        no_log=False,
    )
    secret_name: str | None = opt(
        "SecretName",
        STR,
        "Name of the secret as M(queenright.swarm.swarm_secret) declares it, which means its newest version. With the "
        "name of a later version, such as V(app.v2), it is just that one, until that module moves the service to the "
        "newest one.",
        required=True,
        no_log=False,
    )
    file: FileTarget = opt("File", Inline(FileTarget), "The file in the container.")


@dataclasses.dataclass(frozen=True)
class ConfigReference:
    config_id: str | None = opt(
        "ConfigID",
        STR,
        "Id of the config, where it shall be just that one.",
        default_doc="that of the newest version of O(configs[].config_name)",
    )
    config_name: str | None = opt(
        "ConfigName",
        STR,
        "Name of the config as M(queenright.swarm.swarm_config) declares it, which means its newest version. With the "
        "name of a later version, such as V(app.v2), it is just that one, until that module moves the service to the "
        "newest one.",
        required=True,
    )
    file: FileTarget = opt("File", Inline(FileTarget), "The file in the container.")
    runtime: bool | None = opt("Runtime", PRESENCE, "Used by the runtime itself, and no file.", option="")


@dataclasses.dataclass(frozen=True)
class ContainerSpec:
    image: str | None = opt("Image", STR, "Reference of the image, such as V(nginx:1.27) or V(repo/app@sha256:...).")
    labels: dict[str, str] = opt(
        "Labels", LABELS, "Labels of the containers. Labels of the service are O(labels).", option="container_labels"
    )
    command: tuple[str, ...] = opt("Command", ARGV, "Program to run instead of the image's entrypoint.")
    args: tuple[str, ...] = opt("Args", ARGV, "Arguments instead of the image's command.")
    hostname: str | None = opt("Hostname", STR, "Host name inside the container.")
    env: tuple[str, ...] = opt("Env", ENV, "Environment, as a dictionary or as a list of V(NAME=value).")
    working_dir: str | None = opt("Dir", STR, "Directory in which the program starts.")
    user: str | None = opt("User", STR, "User the program runs as, V(name), V(uid) or V(uid:gid).")
    groups: tuple[str, ...] = opt("Groups", STR_LIST, "Additional groups of the program.")
    privileges: Privileges | None = opt(
        "Privileges", Nested(Privileges), "What the container may do beyond the default."
    )
    init: bool | None = opt(
        "Init",
        BOOL,
        "Run a small init as process 1 that reaps children.",
        always=False,
        default_doc="V(false)",
    )
    stop_signal: str | None = opt(
        "StopSignal", STR, "Signal that asks the program to end.", default_doc="the image's signal, else SIGTERM"
    )
    tty: bool | None = opt("TTY", BOOL, "Give the program a terminal.")
    open_stdin: bool | None = opt("OpenStdin", BOOL, "Keep standard input open.")
    read_only: bool | None = opt("ReadOnly", BOOL, "Mount the container's root read-only.")
    mounts: tuple[Mount, ...] = opt("Mounts", NestedList(Mount), "What is mounted into the container.")
    stop_grace_period: int | None = opt(
        "StopGracePeriod", DURATION, "Time between the stop signal and the kill.", default_doc="10s"
    )
    healthcheck: Healthcheck | None = opt(
        "Healthcheck", Nested(Healthcheck), "How the container's health is probed.", default_doc="the image's probe"
    )
    hosts: tuple[str, ...] = opt("Hosts", STR_LIST, "Lines of /etc/hosts, each V(ADDRESS NAME).")
    dns: DNSConfig = opt("DNSConfig", Inline(DNSConfig), "Resolver of the container.", always={})
    isolation: str | None = opt("Isolation", STR, "Isolation technology.", option="", always="default")
    sysctls: dict[str, str] = opt("Sysctls", LABELS, "Kernel parameters of the container's namespaces.", since=(1, 40))
    cap_add: tuple[str, ...] = opt("CapabilityAdd", STR_LIST, "Capabilities to add.", since=(1, 41))
    cap_drop: tuple[str, ...] = opt("CapabilityDrop", STR_LIST, "Capabilities to drop.", since=(1, 41))
    ulimits: tuple[Ulimit, ...] = opt("Ulimits", NestedList(Ulimit), "Resource limits of processes.", since=(1, 41))
    oom_score_adj: int | None = opt(
        "OomScoreAdj", INT, "How readily the kernel ends the container when memory is short.", since=(1, 46)
    )
    secrets: tuple[SecretReference, ...] = opt(
        "Secrets", NestedList(SecretReference), "Secrets that the containers can read as files.", level=2, no_log=False
    )
    configs: tuple[ConfigReference, ...] = opt(
        "Configs", NestedList(ConfigReference), "Configs that the containers can read as files.", level=2
    )
