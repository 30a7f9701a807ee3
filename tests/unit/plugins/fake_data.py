# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets, configs and registries of a fake swarm: as much of the manager's answers as the modules read."""

from __future__ import annotations

import base64
import dataclasses
import json
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._spec.data import ConfigSpec, RegistrySpec, SecretSpec
from ansible_collections.queenright.swarm.plugins.module_utils._spec.fields import difference, encode, merge
from ansible_collections.queenright.swarm.plugins.module_utils._spec.network import NetworkSpec

Json = dict[str, t.Any]
SPECS = {"secret": SecretSpec, "config": ConfigSpec, "registry": RegistrySpec, "network": NetworkSpec}
ALONE = ("registry", "network")
"""Kinds that have no versions."""
HIDDEN = "(not shown)"


@dataclasses.dataclass
class Version:
    """One object: what is said of it, and its data."""

    spec: t.Any
    data: bytes


class FakeData:
    """``families``: versions by kind and name, oldest first; ``users``: services by (kind, name) that use a family."""

    def __init__(self) -> None:
        self.families: dict[tuple[str, str], list[Version]] = {}
        self.users: dict[tuple[str, str], list[str]] = {}

    def apply(self, kind: str, dry: bool, body: Json) -> Json:
        """The answer to a wish; unless ``dry`` it is fulfilled."""
        name, context = body["name"], body.get("context") or {}
        held = self.families.get((kind, name), [])
        if body["state"] == "absent":
            if not dry:
                self.families.pop((kind, name), None)
            return _answer(kind, name, held[-1] if held else None, None, [f"remove {kind} {name}"] if held else [])
        data = base64.b64decode(context["data"]) if "data" in context else held[-1].data if held else b""
        wanted = Version(merge(SPECS[kind], held[-1].spec if held else None, body["options"]), data)
        if held and wanted == held[-1]:
            return _answer(kind, name, held[-1], wanted, [])
        title = name if not held or kind in ALONE else f"{name}.v{len(held) + 1}"
        services = self.users.get((kind, name), []) if held and context.get("roll", True) else []
        if not dry:
            self.families[kind, name] = [wanted] if kind in ALONE else [*held, wanted]
        actions = [f"create {kind} {title}", *(f"update service {one} to {kind} {title}" for one in services)]
        answer = _answer(kind, name, held[-1] if held else None, wanted, actions)
        answer["services"] = [{"id": f"id-{one}", "name": one} for one in services]
        return answer

    def prune(self, kind: str, dry: bool, spare: str) -> Json:
        gone = [name for of, name in self.families if of == kind and (of, name) not in self.users and name != spare]
        if not dry:
            for name in gone:
                del self.families[kind, name]
        return {"deleted": [{"id": f"id-{name}", "name": name} for name in gone]}

    def list(self, kind: str) -> list[Json]:
        if kind == "network":
            names = [name for of, name in self.families if of == kind]
            return [{"Id": f"id-{name}", "Name": name, "Driver": "overlay"} for name in sorted(names)]
        return [
            {"ID": f"id-{name}{number}", "Spec": self._shown(kind, name, number, version)}
            for (of, name), versions in sorted(self.families.items(), key=lambda item: item[0])
            for number, version in enumerate(versions, 1)
            if of == kind
        ]

    @staticmethod
    def _shown(kind: str, name: str, number: int, version: Version) -> Json:
        if kind == "registry":
            return dict(encode(version.spec), Server=name)
        spec = dict(encode(version.spec), Name=name if number == 1 else f"{name}.v{number}")
        if number > 1:
            spec["Labels"] = dict(spec["Labels"], **{"queenright.base": name, "queenright.version": str(number)})
        return spec


def _answer(kind: str, name: str, before: Version | None, after: Version | None, actions: list[str]) -> Json:
    """As the runtime says it: everything but the data."""
    old, new = (None if one is None else dict(encode(one.spec), Name=name, Data=HIDDEN) for one in (before, after))
    diff = difference(old or {}, new or {})
    if before and after and before.data != after.data:
        diff["Data"] = {"before": HIDDEN, "after": HIDDEN}
    return json.loads(
        json.dumps(
            {
                "changed": bool(actions),
                "before": old,
                "after": new,
                "diff": diff,
                "actions": actions,
                "warnings": [],
                "id": f"id-{name}" if before or after else "",
                "version": 1,
                "services": [],
            }
        )
    )
