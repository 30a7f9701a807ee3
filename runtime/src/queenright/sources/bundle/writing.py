# SPDX-License-Identifier: Apache-2.0
"""Drafts written as Docker's bundles, so that what is read back is the same; what a bundle cannot say is refused."""

from __future__ import annotations

from typing import Any

from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.sources.bundle.reading import PROTOCOLS, VERSION, check_digest, read
from queenright.sources.draft import Draft, DraftNetwork, DraftService, SourceError
from queenright.spec.fields import difference, encode
from queenright.spec.network import PREDEFINED

_CONTAINER = "TaskTemplate.ContainerSpec."
WORDS = {
    "Mode": "deploy",
    "UpdateConfig": "deploy.update_config",
    "RollbackConfig": "deploy.rollback_config",
    "EndpointSpec.Mode": "deploy.endpoint_mode",
    "EndpointSpec.Ports": "ports",
    "Labels": "deploy.labels",
    "Name": "name",
    "TaskTemplate.Resources": "deploy.resources",
    "TaskTemplate.RestartPolicy": "deploy.restart_policy",
    "TaskTemplate.Placement": "deploy.placement",
    "TaskTemplate.LogDriver": "logging",
    "TaskTemplate.Networks": "networks",
    f"{_CONTAINER}Labels": "labels",
    f"{_CONTAINER}Hostname": "hostname",
    f"{_CONTAINER}Hosts": "extra_hosts",
    f"{_CONTAINER}DNSConfig.Nameservers": "dns",
    f"{_CONTAINER}DNSConfig.Search": "dns_search",
    f"{_CONTAINER}Healthcheck": "healthcheck",
    f"{_CONTAINER}Mounts": "volumes",
    f"{_CONTAINER}StopGracePeriod": "stop_grace_period",
    f"{_CONTAINER}StopSignal": "stop_signal",
    f"{_CONTAINER}TTY": "tty",
    f"{_CONTAINER}OpenStdin": "stdin_open",
    f"{_CONTAINER}ReadOnly": "read_only",
    f"{_CONTAINER}Init": "init",
    f"{_CONTAINER}Sysctls": "sysctls",
    f"{_CONTAINER}CapabilityAdd": "cap_add",
    f"{_CONTAINER}CapabilityDrop": "cap_drop",
    f"{_CONTAINER}Ulimits": "ulimits",
    f"{_CONTAINER}OomScoreAdj": "oom_score_adj",
    f"{_CONTAINER}Secrets": "secrets",
    f"{_CONTAINER}Configs": "configs",
}
"""How a Compose file names what a path of the Engine's JSON holds."""

_REASONS = {
    "ports": "a bundle says ports of containers (tcp or udp), each once; the swarm chooses where they are published",
    "labels": "a bundle has no labels of containers: write them to deploy.labels",
    "networks": "a bundle says the names of the stack's own networks, and nothing of how a service is in them",
}
_CANNOT = f"a bundle of version {VERSION} cannot say it"


def write(draft: Draft, *, tags: bool = False) -> dict[str, Any]:
    """The document of a bundle. Raises SourceError, by path, for what would be lost."""
    for held in draft.data:
        raise SourceError(f"{held.kind}s.{held.key}", _CANNOT)
    document = {"Version": VERSION, "Services": {one.key: _service(draft, one, tags) for one in draft.services}}
    back = read(draft.name, document, tags=True)
    for one, other in zip(draft.services, back.services, strict=True):
        _same_service(one, other)
    found = {one.key: one for one in back.networks}
    for network in draft.networks:
        if network.key in found:
            _same_network(network, found[network.key])
    return document


def _service(draft: Draft, one: DraftService, tags: bool) -> dict[str, Any]:
    path = f"services.{one.key}"
    image = one.spec.task.container.image or ""
    if not tags:
        check_digest(image, f"{path}.image")
    if one.after:
        raise SourceError(f"{path}.depends_on", _CANNOT)
    if one.said:
        raise SourceError(f"{path}.deploy.replicas", _CANNOT)
    container = one.spec.task.container
    rows: dict[str, Any] = {
        "Image": image,
        "Command": list(container.command),
        "Args": list(container.args),
        "Env": list(container.env),
        "Labels": {key: value for key, value in one.spec.labels.items() if key not in (NAMESPACE_LABEL, IMAGE_LABEL)},
        "Ports": [
            {"Protocol": port.protocol or "tcp", "Port": port.target_port}
            for port in one.spec.endpoint.ports
            if port.protocol in (None, *PROTOCOLS)
        ],
        "WorkingDir": container.working_dir,
        "User": container.user,
        "Networks": [_network_key(draft, target.target or "", path) for target in one.spec.task.networks],
    }
    return {key: value for key, value in rows.items() if value}


def _network_key(draft: Draft, target: str, path: str) -> str:
    for network in draft.networks:
        if network.name == target:
            return network.key
    if target in PREDEFINED:
        return target
    raise SourceError(f"{path}.networks", f"{target} is no network of the stack: {_CANNOT}")


def _same_service(one: DraftService, other: DraftService) -> None:
    """Refuse a service that reads back otherwise."""
    before, after = _told(one), _told(other)
    for path in difference(before, after):
        word = next((WORDS[known] for known in WORDS if path == known or path.startswith(f"{known}.")), path)
        raise SourceError(f"services.{one.key}.{word}", _REASONS.get(word, _CANNOT))


def _told(one: DraftService) -> dict[str, Any]:
    """The service's JSON without what stands in it for Docker's sake, and without order where there is none."""
    found = encode(one.spec)
    found["Labels"].pop(IMAGE_LABEL, None)
    for port in found.setdefault("EndpointSpec", {}).setdefault("Ports", []):
        port.setdefault("Protocol", "tcp")
        port.setdefault("PublishMode", "ingress")
        if not port.get("PublishedPort"):
            port.pop("PublishedPort", None)
    return found


def _same_network(one: DraftNetwork, other: DraftNetwork) -> None:
    path = f"networks.{one.key}"
    if one.external:
        raise SourceError(f"{path}.external", _CANNOT)
    before, after = ({**encode(network.spec), "Driver": "overlay"} for network in (one, other))
    for place in difference(before, after):
        word = {"Options": "driver_opts"}.get(place.partition(".")[0], place.partition(".")[0].lower())
        raise SourceError(f"{path}.{word}", _CANNOT)
