# SPDX-License-Identifier: Apache-2.0
"""A stack said in the options of the modules: services as in ``swarm_service``, networks as in ``swarm_network``."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL
from queenright.sources.draft import Draft, DraftData, DraftNetwork, DraftService, SourceError
from queenright.sources.order import dependencies
from queenright.spec.container import ConfigReference, SecretReference
from queenright.spec.data import GOLANG
from queenright.spec.fields import SpecError, merge
from queenright.spec.network import PREDEFINED, NetworkSpec
from queenright.spec.service import NetworkAttachment, ServiceSpec

T = TypeVar("T")
SECTIONS = ("services", "networks", "secrets", "configs")
REPLICAS = "Mode.Replicated.Replicas"
FORCE_UPDATE = "TaskTemplate.ForceUpdate"
SAID = {"replicas": REPLICAS, "force_update": FORCE_UPDATE}
"""Options that operators set by hand, with their path in the Engine's JSON."""

_DATA = ("external", "name", "data", "labels", "template_driver")


def read(name: str, options: Mapping[str, Any]) -> Draft:
    """``options``: the sections, each an object by key. Raises SourceError."""
    networks = tuple(_network(name, key, given) for key, given in _rows(options, "networks"))
    data = tuple(
        _data(name, section[:-1], key, given)
        for section in ("secrets", "configs")
        for key, given in _rows(options, section)
    )
    names = {("network", one.key): one.name for one in networks} | {(one.kind, one.key): one.name for one in data}
    services = tuple(_service(name, key, given, names) for key, given in _rows(options, "services"))
    return Draft(name, "options", services, networks, data)


def _rows(options: Mapping[str, Any], section: str) -> list[tuple[str, dict[str, Any]]]:
    rows = options.get(section)
    if rows is None:
        return []
    if not isinstance(rows, Mapping):
        raise SourceError(section, "expected an object")
    found = []
    for key, given in rows.items():
        if not isinstance(key, str) or not key:
            raise SourceError(section, f"{key!r} is no name")
        if given is not None and not isinstance(given, Mapping):
            raise SourceError(f"{section}.{key}", "expected an object")
        found.append((key, dict(given or {})))
    return found


# -- services


def _service(stack: str, key: str, options: dict[str, Any], names: Mapping[tuple[str, str], str]) -> DraftService:
    path = f"services.{key}"
    after = dependencies(options.pop("depends_on", None), f"{path}.depends_on")
    said = tuple(place for option, place in SAID.items() if options.get(option) is not None)
    spec = _merged(ServiceSpec, options, path)
    container = spec.task.container
    if not container.image:
        raise SourceError(f"{path}.image", "is required")
    container = dataclasses.replace(
        container,
        labels={**container.labels, NAMESPACE_LABEL: stack},
        secrets=tuple(_secret(one, names) for one in container.secrets),
        configs=tuple(_config(one, names) for one in container.configs),
    )
    attached = tuple(_attached(one, key, names) for one in spec.task.networks)
    spec = dataclasses.replace(
        spec,
        name=f"{stack}_{key}",
        labels={**spec.labels, IMAGE_LABEL: container.image or "", NAMESPACE_LABEL: stack},
        task=dataclasses.replace(spec.task, container=container, networks=attached),
    )
    return DraftService(key, spec, after, said, container.image or "")


def _attached(one: NetworkAttachment, key: str, names: Mapping[tuple[str, str], str]) -> NetworkAttachment:
    """Known in each network by its key too."""
    if one.target in PREDEFINED:
        return one
    aliases = one.aliases if key in one.aliases else (*one.aliases, key)
    return dataclasses.replace(one, target=names.get(("network", one.target or ""), one.target), aliases=aliases)


def _secret(one: SecretReference, names: Mapping[tuple[str, str], str]) -> SecretReference:
    file = one.file if one.file.name else dataclasses.replace(one.file, name=one.secret_name)
    name = names.get(("secret", one.secret_name or ""), one.secret_name)
    return dataclasses.replace(one, secret_name=name, file=file)


def _config(one: ConfigReference, names: Mapping[tuple[str, str], str]) -> ConfigReference:
    file = one.file if one.file.name or one.runtime else dataclasses.replace(one.file, name=one.config_name)
    name = names.get(("config", one.config_name or ""), one.config_name)
    return dataclasses.replace(one, config_name=name, file=file)


# -- what they use


def _network(stack: str, key: str, options: dict[str, Any]) -> DraftNetwork:
    path = f"networks.{key}"
    external, name = _naming(stack, key, options, path)
    if external:
        if options:
            raise SourceError(f"{path}.{min(options)}", "an external network is as it is")
        return DraftNetwork(key, name, external=True)
    spec = _merged(NetworkSpec, options, path)
    labels = {**spec.labels, NAMESPACE_LABEL: stack}
    return DraftNetwork(key, name, spec=dataclasses.replace(spec, name=name, labels=labels))


def _data(stack: str, kind: str, key: str, options: dict[str, Any]) -> DraftData:
    path = f"{kind}s.{key}"
    for unknown in sorted(options.keys() - set(_DATA)):
        raise SourceError(f"{path}.{unknown}", f"there is no such option; known are {', '.join(_DATA)}")
    external, name = _naming(stack, key, options, path)
    if external:
        if options:
            raise SourceError(f"{path}.{min(options)}", f"an external {kind} is as it is")
        return DraftData(key, kind, name, external=True)
    driver = options.get("template_driver") or ""
    if driver not in ("", GOLANG):
        raise SourceError(f"{path}.template_driver", f"there is no {driver!r}; there is {GOLANG}")
    labels = {**_labels(options.get("labels"), f"{path}.labels"), NAMESPACE_LABEL: stack}
    data = _decoded(options.get("data"), f"{path}.data")
    return DraftData(key, kind, name, data=data, labels=labels, template_driver=driver)


def _naming(stack: str, key: str, options: dict[str, Any], path: str) -> tuple[bool, str]:
    """Whether it is there without the stack, and its full name; both options are used up."""
    external, name = options.pop("external", None), options.pop("name", None)
    if external not in (None, True, False):
        raise SourceError(f"{path}.external", "expected true or false")
    if name is not None and (not isinstance(name, str) or not name):
        raise SourceError(f"{path}.name", "expected a name")
    return bool(external), name or (key if external else f"{stack}_{key}")


def _labels(value: object, path: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise SourceError(path, "expected an object")
    return _merged(NetworkSpec, {"labels": dict(value)}, path.rpartition(".")[0]).labels


def _decoded(value: object, path: str) -> bytes | None:
    """The bytes of a base64 text. Nothing of it is ever quoted."""
    if value is None:
        return None
    try:
        if not isinstance(value, str):
            raise ValueError
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise SourceError(path, "expected the base64 of the data") from None


def _merged(record: type[T], options: dict[str, Any], path: str) -> T:
    try:
        return merge(record, None, options, path=path)
    except SpecError as error:
        where = error.path if error.path.startswith(path) else f"{path}.{error.path}"
        raise SourceError(where, error.reason) from None
