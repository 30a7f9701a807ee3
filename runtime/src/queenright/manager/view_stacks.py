# SPDX-License-Identifier: Apache-2.0
"""Stacks as they are shown: those of the swarm, and what clients made with a stack's label."""

from __future__ import annotations

from typing import Any

from queenright.decide import stack_parts
from queenright.decide.base import Now
from queenright.decide.convergence import convergence
from queenright.manager.context import Context
from queenright.manager.stack_documents import stack_document
from queenright.manager.stack_drift import drift
from queenright.model.errors import NotFound
from queenright.model.objects import Service, Stack
from queenright.model.stack import IMAGE_LABEL, NAMESPACE_LABEL, Leftover, Revision, StackService
from queenright.spec.service import REPLICATED
from queenright.store.store import Store

Json = dict[str, Any]

MOST_REASONS = 5
_SECTIONS = (("Networks", "network"), ("Secrets", "secret"), ("Configs", "config"))


class StackView:
    """Reads. Times are nanoseconds: whoever shows them puts them into words."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def _store(self) -> Store:
        return self._context.store

    def rows(self) -> list[Json]:
        """All of them, by name."""
        rows = {stack.name: stack_row(stack) for stack in self._store.stacks}
        for table in (self._store.services, self._store.networks, self._store.secrets, self._store.configs):
            for key in list(table.keys("label")):
                name = key[1] if isinstance(key, tuple) and key[0] == NAMESPACE_LABEL else ""
                if name and name not in rows and table.count("label", key):
                    rows[name] = self._unmanaged(name)
        return [rows[name] for name in sorted(rows)]

    def one(self, ref: str) -> Json:
        """The whole of one. Raises NotFound."""
        stack = self._find(ref)
        if stack is None:
            return self._whole_unmanaged(ref)
        revision = stack.revision
        parts = [self._part(part, revision) for part in revision.services]
        named = {("network", one.name): one.external for one in revision.networks}
        named |= {(one.kind, one.name): one.external for one in revision.data}
        return {
            **stack_row(stack),
            "OnFailure": stack.on_failure,
            "Timeout": stack.timeout,
            "Keep": stack.keep,
            "Removing": stack.removing,
            "Services": [] if stack.removing else parts,
            **{section: self._used(stack, kind) for section, kind in _SECTIONS},
            "Revisions": [_revision(one) for one in (revision, *stack.history)],
            "Drift": [] if stack.removing else drift(self._store, stack),
            "Leftovers": [self._leftover(one) for one in stack.leftovers],
            "Declared": stack_document(self._store, stack, revision),
        }

    def revision(self, ref: str, number: int) -> Json:
        """What a revision declares. Raises NotFound."""
        stack = self._find(ref)
        for one in (stack.revision, *stack.history) if stack is not None else ():
            if one.number == number and stack is not None:
                return {**_revision(one), "Declared": stack_document(self._store, stack, one)}
        raise NotFound(f"stack {ref} has no revision {number}", plain=True)

    def _find(self, ref: str) -> Stack | None:
        stacks = self._store.stacks
        return stacks.get(ref) or next(iter(stacks.by("name", ref.lower())), None)

    # -- those of the swarm

    def _part(self, part: StackService, revision: Revision) -> Json:
        name = part.spec.name or ""
        found = next(iter(self._store.services.by("name", name.lower())), None)
        after = [{"Key": one.key, "Condition": one.condition} for one in part.after]
        return {"Key": part.key, "Name": name, **self._standing(found), "After": after}

    def _standing(self, service: Service | None) -> Json:
        """How far a service is."""
        if service is None:
            nothing: Json = {"ID": "", "Image": "", "Running": 0, "Desired": 0, "State": "missing", "Waits": []}
            return {**nothing, "Reasons": [], "ChangedBy": ""}
        clock = self._context.clock
        found = convergence(self._store, service, Now(clock.wall(), clock.mono()))
        return {
            "ID": service.id,
            "Image": service.spec.task.container.image or "",
            "Mode": service.spec.mode.kind or REPLICATED,
            "Running": found.running,
            "Desired": found.desired,
            "State": found.state,
            "Waits": list(service.awaits),
            "Reasons": list(found.reasons[:MOST_REASONS]),
            "ChangedBy": service.changed_by,
        }

    def _used(self, stack: Stack, kind: str) -> list[Json]:
        """The networks, secrets or configs that its revision names."""
        revision = stack.revision
        if stack.removing:
            return []
        if kind == "network":
            rows = [(one.key, one.name, one.external, self._network_id(one.name)) for one in revision.networks]
        else:
            rows = [(one.key, one.name, one.external, one.id) for one in revision.data if one.kind == kind]
        found = []
        for key, name, external, row_id in rows:
            held = self._store.get(kind, row_id) if row_id else None
            version = {} if kind == "network" else {"Version": getattr(held, "name", "")}
            found.append({"Key": key, "Name": name, "ID": row_id if held else "", "External": external, **version})
        return found

    def _network_id(self, name: str) -> str:
        return next((one.id for one in self._store.networks.by("name", name.lower())), "")

    def _leftover(self, one: Leftover) -> Json:
        held = self._store.get(one.kind, one.id)
        return {"Kind": one.kind, "ID": one.id, "Name": getattr(held, "name", "")}

    # -- those of clients

    def _unmanaged(self, name: str) -> Json:
        return {"Name": name, "Managed": False, "Services": len(stack_parts.services(self._store, name))}

    def _whole_unmanaged(self, name: str) -> Json:
        services = stack_parts.services(self._store, name)
        rest = stack_parts.unnamed(self._store, name)
        if not services and not rest:
            raise NotFound(f"stack {name} not found", plain=True)
        parts = []
        for one in services:
            key = one.name.removeprefix(f"{name}_")
            written = one.spec.labels.get(IMAGE_LABEL, "")
            parts.append({"Key": key, "Name": one.name, **self._standing(one), "Written": written, "After": []})
        used = {section: [self._by_label(name, one) for one in rest if one.kind == kind] for section, kind in _SECTIONS}
        return {"Name": name, "Managed": False, "Services": parts, **used}

    def _by_label(self, stack: str, one: Leftover) -> Json:
        name = getattr(self._store.get(one.kind, one.id), "name", "")
        return {"Key": name.removeprefix(f"{stack}_"), "Name": name, "ID": one.id, "External": False}


def stack_row(stack: Stack) -> Json:
    """What a list shows of one."""
    status = stack.status
    return {
        "ID": stack.id,
        "Name": stack.name,
        "Managed": True,
        "Version": stack.version,
        "Revision": stack.revision.number,
        "State": "removing" if stack.removing else str(status.state),
        "Message": status.message,
        "Failed": status.failed,
        "StartedAt": status.started_at,
        "CompletedAt": status.completed_at,
        "Services": 0 if stack.removing else len(stack.revision.services),
        "Labels": dict(stack.labels),
    }


def _revision(one: Revision) -> Json:
    return {
        "Number": one.number,
        "At": one.at,
        "Actor": one.actor,
        "User": one.user,
        "Playbook": one.playbook,
        "GitRevision": one.git_revision,
        "Message": one.message,
        "Failure": one.failure,
        "Source": one.source,
        "Services": len(one.services),
    }
