# SPDX-License-Identifier: Apache-2.0
"""A service of a Compose file as the Engine's JSON has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.sources.compose import mounts, objects
from queenright.sources.compose.loading import Loaded
from queenright.sources.draft import DraftService, SourceError
from queenright.sources.options import REPLICAS
from queenright.spec.fields import SpecError, decode
from queenright.spec.network import PREDEFINED
from queenright.spec.service import ServiceSpec

_NONE, _ALL, _RESET, _PREFIX = "NONE", "ALL", "RESET", "CAP_"
_READABLE = 0o444
Entries = Mapping[str, Mapping[str, Loaded]]


def draft(stack: str, key: str, loaded: Loaded, entries: Entries) -> DraftService:
    """``entries``: networks, volumes, secrets and configs of the files, by key. Raises SourceError."""
    path = f"services.{key}"
    image = loaded.get("image") or ""
    if not image:
        raise SourceError(f"{path}.image", "is required: a swarm does not build images")
    deploy = loaded.get("deploy", {})
    mode = _mode(deploy, path)
    document = {
        "Name": f"{stack}_{key}",
        "Labels": {**deploy.get("labels", {}), NAMESPACE_LABEL: stack, IMAGE_LABEL: image},
        "TaskTemplate": {
            "ContainerSpec": _container(stack, loaded, entries, path),
            "Resources": _resources(deploy.get("resources", {})),
            "RestartPolicy": _restart(loaded, deploy, path),
            "Placement": _placement(deploy.get("placement", {})),
            "LogDriver": _log_driver(loaded.get("logging")),
            "Networks": _attachments(stack, key, loaded, entries, path),
        },
        "Mode": mode,
        "UpdateConfig": _update(deploy.get("update_config")),
        "RollbackConfig": _update(deploy.get("rollback_config")),
        "EndpointSpec": _endpoint(loaded, deploy, path),
    }
    try:
        spec = decode(ServiceSpec, document)
    except SpecError as error:
        raise SourceError(f"{path} ({error.path})", error.reason) from None
    said = (REPLICAS,) if deploy.get("replicas") is not None and "Replicated" in mode else ()
    return DraftService(key, spec, tuple(loaded.get("depends_on", ())), said, image)


def networks_of(loaded: Loaded) -> list[str]:
    """The keys of the networks that a service is in."""
    return list(loaded.get("networks") or {objects.DEFAULT: None})


# -- the container


def _container(stack: str, loaded: Loaded, entries: Entries, path: str) -> Loaded:
    add, drop = capabilities(loaded.get("cap_add", ()), loaded.get("cap_drop", ()))
    _refuse(loaded, path)
    dns = {"Nameservers": loaded.get("dns", []), "Search": loaded.get("dns_search", [])}
    return {
        "Image": loaded["image"],
        "Command": loaded.get("entrypoint", []),
        "Args": loaded.get("command", []),
        "Hostname": loaded.get("hostname") or None,
        "Hosts": [_host(one) for one in loaded.get("extra_hosts", ()) if ":" in one],
        "DNSConfig": dns if any(dns.values()) else None,
        "Healthcheck": _healthcheck(loaded.get("healthcheck"), path),
        "Env": sorted(key if one is None else f"{key}={one}" for key, one in loaded.get("environment", {}).items()),
        "Labels": {**loaded.get("labels", {}), NAMESPACE_LABEL: stack},
        "Dir": loaded.get("working_dir") or None,
        "User": loaded.get("user") or None,
        "Mounts": _mounts(stack, loaded, entries["volumes"], path),
        "StopGracePeriod": loaded.get("stop_grace_period"),
        "StopSignal": loaded.get("stop_signal") or None,
        "TTY": loaded.get("tty") or None,
        "OpenStdin": loaded.get("stdin_open") or None,
        "ReadOnly": loaded.get("read_only") or None,
        "Init": loaded.get("init"),
        "Sysctls": loaded.get("sysctls", {}),
        "CapabilityAdd": add,
        "CapabilityDrop": drop,
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard}
            for name, (soft, hard) in sorted(loaded.get("ulimits", {}).items())
        ],
        "OomScoreAdj": loaded.get("oom_score_adj") or None,
        "Secrets": _references("secret", stack, loaded, entries["secrets"], path),
        "Configs": _references("config", stack, loaded, entries["configs"], path),
    }


def _refuse(loaded: Loaded, path: str) -> None:
    if any(loaded.get("credential_spec", {}).values()):
        raise SourceError(f"{path}.credential_spec", "is for Windows containers, which queenright does not run")
    if loaded.get("isolation", "").lower() not in ("", "default"):
        raise SourceError(f"{path}.isolation", "is for Windows containers, which queenright does not run")


def _host(text: str) -> str:
    name, _, address = text.partition(":")
    return f"{address} {name}"


def _healthcheck(value: Loaded | None, path: str) -> Loaded | None:
    if value is None:
        return None
    if value.get("disable"):
        if value.get("test"):
            raise SourceError(f"{path}.healthcheck.test", "does not go with disable")
        return {"Test": [_NONE]}
    return {
        "Test": value.get("test", []),
        "Interval": value.get("interval") or None,
        "Timeout": value.get("timeout") or None,
        "Retries": int(value.get("retries", 0)) or None,
        "StartPeriod": value.get("start_period") or None,
        "StartInterval": value.get("start_interval") or None,
    }


def _mounts(stack: str, loaded: Loaded, volumes: Mapping[str, Loaded], path: str) -> list[Loaded]:
    return [
        mounts.mount(one, f"{path}.volumes[{number}]", volumes, stack)
        for number, one in enumerate(loaded.get("volumes", ()))
    ]


def _references(kind: str, stack: str, loaded: Loaded, held: Mapping[str, Loaded], path: str) -> list[Loaded]:
    """Secrets or configs that the service reads, by name."""
    word = kind.capitalize()
    found = []
    for number, one in enumerate(loaded.get(f"{kind}s", ())):
        key = one["source"]
        if key not in held:
            raise SourceError(f"{path}.{kind}s[{number}]", f"there is no {kind} {key} in the {kind}s of the file")
        mode = one.get("mode")
        file = {
            "Name": one.get("target") or key,
            "UID": one.get("uid") or "0",
            "GID": one.get("gid") or "0",
            "Mode": _READABLE if mode is None else int(mode),
        }
        found.append({f"{word}Name": held[key]["name"] or f"{stack}_{key}", "File": file})
    return sorted(found, key=lambda row: str(row[f"{word}Name"]))


def capabilities(add: Any, drop: Any) -> tuple[list[str], list[str]]:
    """Capabilities by their full names; to add one goes before to drop it."""
    added, dropped = ({_capability(one) for one in names} for names in (add, drop))
    added = {_ALL} if _ALL in added else added
    dropped = {_ALL} if _ALL in dropped else dropped
    return sorted(added - {_RESET}), sorted(dropped - added - {_RESET})


def _capability(name: str) -> str:
    name = name.strip().upper()
    return name if name in (_ALL, _RESET) or name.startswith(_PREFIX) else f"{_PREFIX}{name}"


# -- the tasks


def _resources(value: Loaded) -> Loaded:
    limits, reserved = value.get("limits", {}), value.get("reservations", {})
    generic = [one["discrete_resource_spec"] for one in reserved.get("generic_resources", ()) if one]
    return {
        "Limits": _amounts(limits) | ({"Pids": int(limits["pids"])} if limits.get("pids") else {}),
        "Reservations": _amounts(reserved)
        | {
            "GenericResources": [
                {"DiscreteResourceSpec": {"Kind": one["kind"], "Value": int(one["value"])}} for one in generic
            ]
        },
    }


def _amounts(value: Loaded) -> Loaded:
    return {"NanoCPUs": value.get("cpus") or None, "MemoryBytes": value.get("memory") or None}


def _restart(loaded: Loaded, deploy: Loaded, path: str) -> Loaded | None:
    """``deploy.restart_policy``, or the word ``restart`` of old."""
    policy = deploy.get("restart_policy")
    if policy is not None:
        attempts = policy.get("max_attempts")
        return {
            "Condition": policy.get("condition"),
            "Delay": policy.get("delay"),
            "MaxAttempts": None if attempts is None else int(attempts),
            "Window": policy.get("window"),
        }
    word, colon, count = (loaded.get("restart") or "").partition(":")
    if word in ("", "no") and not colon:
        return None
    conditions = {"always": "any", "unless-stopped": "any", "on-failure": "on-failure"}
    if word not in conditions or (colon and not (count.isascii() and count.isdigit() and len(count) < 10)):
        raise SourceError(
            f"{path}.restart", f"{loaded['restart']!r} is none of no, always, unless-stopped, on-failure[:N]"
        )
    return {"Condition": conditions[word], "MaxAttempts": int(count or 0) or None}


def _placement(value: Loaded) -> Loaded:
    return {
        "Constraints": value.get("constraints", []),
        "Preferences": [{"Spread": {"SpreadDescriptor": one["spread"]}} for one in value.get("preferences", ())],
        "MaxReplicas": int(value.get("max_replicas_per_node", 0)) or None,
    }


def _log_driver(value: Loaded | None) -> Loaded | None:
    return None if value is None else {"Name": value["driver"] or None, "Options": value.get("options", {})}


def _attachments(stack: str, key: str, loaded: Loaded, entries: Entries, path: str) -> list[Loaded]:
    """The networks by their full names; the service is known in each by its key."""
    found = []
    declared = entries["networks"]
    for name in networks_of(loaded):
        if name not in declared and name != objects.DEFAULT:
            raise SourceError(f"{path}.networks.{name}", f"there is no network {name} in the networks of the file")
        said = (loaded.get("networks") or {}).get(name) or {}
        target = objects.network_name(name, declared, stack)
        aliases = [*(said.get("aliases") or ()), *(() if target in PREDEFINED else (key,))]
        found.append({"Target": target, "Aliases": aliases, "DriverOpts": said.get("driver_opts") or {}})
    return sorted(found, key=lambda row: str(row["Target"]))


# -- the service


def _mode(deploy: Loaded, path: str) -> Loaded:
    kind, replicas = deploy.get("mode") or "replicated", deploy.get("replicas")
    count = None if replicas is None else int(replicas)
    if kind.startswith("global"):
        if count is not None:
            raise SourceError(f"{path}.deploy.replicas", f"a {kind} service runs one task on each node")
        return {"GlobalJob": {}} if kind == "global-job" else {"Global": {}}
    if kind == "replicated-job":
        return {"ReplicatedJob": {"MaxConcurrent": count, "TotalCompletions": count}}
    return {"Replicated": {"Replicas": count}}


def _update(value: Loaded | None) -> Loaded | None:
    if value is None:
        return None
    return {
        "Parallelism": int(value.get("parallelism", 1)),
        "Delay": value.get("delay") or None,
        "FailureAction": value.get("failure_action"),
        "Monitor": value.get("monitor") or None,
        "MaxFailureRatio": value.get("max_failure_ratio", 0.0),
        "Order": value.get("order"),
    }


def _endpoint(loaded: Loaded, deploy: Loaded, path: str) -> Loaded:
    mode = (deploy.get("endpoint_mode") or "").lower()
    if mode not in ("", "vip", "dnsrr"):
        raise SourceError(f"{path}.deploy.endpoint_mode", f"{mode!r} is none of vip, dnsrr")
    rows = [
        {
            "Protocol": one.protocol or None,
            "TargetPort": one.target,
            "PublishedPort": one.published or None,
            "PublishMode": one.mode or None,
        }
        for one in sorted(loaded.get("ports", ()))
    ]
    return {"Mode": mode or None, "Ports": rows}
