# SPDX-License-Identifier: Apache-2.0
"""A playbook's wish for a secret or config: data that changed makes a new version, and rolls the services that use it.

One plan holds the new version, the services that move to it and the versions that nobody needs any more. Data is
compared here and nowhere else, and never becomes part of a plan's words.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hmac
from collections.abc import Mapping
from typing import Any

from queenright.manager.author import author
from queenright.manager.check_data import MOST_NAME, check_data, check_data_name
from queenright.manager.context import Context
from queenright.manager.control_data import DataControl
from queenright.manager.data_kinds import Data, SpecOfData
from queenright.manager.families import (
    base_of,
    family,
    number_of,
    own_labels,
    users_labels,
    version_labels,
    version_name,
)
from queenright.manager.plans import ABSENT, HIDDEN, Plan, Wish
from queenright.manager.prune import Uses
from queenright.manager.references import follows, moved
from queenright.model.changes import Change, Create, Delete, Update
from queenright.model.errors import InvalidArgument
from queenright.model.objects import Service
from queenright.spec.fields import difference, encode, merge

VERSIONS_TO_KEEP = 2  # unused ones beside the newest

Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Rolled:
    """Services as they shall be, which versions each uses now, and words on what is left as it is."""

    services: tuple[Service, ...] = ()
    used: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class DataPlanner:
    """Plans for the objects of one kind."""

    def __init__(self, context: Context, control: DataControl) -> None:
        self._context = context
        self._control = control
        self._kind = control.kind

    def plan(self, wish: Wish) -> Plan:
        """What the wish comes to now. ``context``: ``data`` (base64; none keeps what there is), ``roll`` (whether
        services move to the newest version) and ``versions_to_keep`` (unused ones beside the newest).
        """
        check_data_name(wish.name)
        versions = family(self._context.store, self._kind, wish.name)
        if wish.state == ABSENT:
            return self._plan_removal(wish.name, versions)
        if not versions:
            self._refuse_version(wish.name)
        held = versions[-1] if versions else None
        wanted, data = self._wanted(wish, held)
        if held is None:
            return self._plan_creation(wanted, data)
        if wanted.templating == held.spec.templating and (data is None or hmac.compare_digest(data, held.data)):
            return self._plan_labels(wish, versions, wanted)
        return self._plan_version(wish, versions, wanted, held.data if data is None else data)

    def _wanted(self, wish: Wish, held: Data | None) -> tuple[SpecOfData, bytes | None]:
        """What is declared, without the labels of a version, and the data if it is said."""
        before = None if held is None else dataclasses.replace(held.spec, labels=users_labels(held.spec.labels))
        name = wish.name if held is None else base_of(held)
        wanted = dataclasses.replace(merge(self._kind.spec, before, dict(wish.options)), name=name)
        if own_labels(wanted.labels):
            raise InvalidArgument("labels: queenright.base and queenright.version are the runtime's own", plain=True)
        data = read_data(wish.context)
        if data is not None:
            check_data(self._kind, data)
        return wanted, data

    # -- what a wish comes to

    def _plan_creation(self, wanted: SpecOfData, data: bytes | None) -> Plan:
        if data is None:
            raise InvalidArgument(f"{self._kind.name} {wanted.name} does not exist yet: give its data", plain=True)
        made = self._control.new(wanted, data)
        after = shown(made)
        diff = difference({}, after)
        return Plan(made.id, None, after, (f"create {self._kind.name} {made.name}",), (), (Create(made),), diff)

    def _plan_labels(self, wish: Wish, versions: list[Data], wanted: SpecOfData) -> Plan:
        """Nothing but labels may have changed. Services that were left behind by an earlier call move on."""
        held = versions[-1]
        labels = {**wanted.labels, **own_labels(held.spec.labels)}
        changed = held if labels == held.spec.labels else self._control.relabelled(held, labels)
        rolled = self._rolled(wish, versions, held)
        actions = [f"update the labels of {self._kind.name} {held.name}"] if changed is not held else []
        changes: list[Change] = [Update(changed)] if changed is not held else []
        return self._whole(held, changed, rolled, actions, changes)

    def _plan_version(self, wish: Wish, versions: list[Data], wanted: SpecOfData, data: bytes) -> Plan:
        held = versions[-1]
        base = base_of(held)
        number = self._next_number(held, base)
        name = version_name(base, number)
        if len(name) > MOST_NAME:
            raise InvalidArgument(
                f"the name of the next version, {name}, would be longer than {MOST_NAME} characters: take a shorter "
                "name",
                plain=True,
            )
        labels = {**wanted.labels, **version_labels(base, number)}
        made = self._control.new(dataclasses.replace(wanted, name=name, labels=labels), data)
        rolled = self._rolled(wish, versions, made)
        old = self._old(wish, versions)
        actions = [f"create {self._kind.name} {name}, version {number} of {base}"]
        plan = self._whole(held, made, rolled, actions, [Create(made)], old)
        return dataclasses.replace(plan, diff={**plan.diff, "Data": {"before": HIDDEN, "after": HIDDEN}})

    def _whole(
        self,
        held: Data,
        after: Data,
        rolled: _Rolled,
        actions: list[str],
        changes: list[Change],
        old: list[Data] | None = None,
    ) -> Plan:
        word = self._kind.name
        actions = [*actions, *(f"update service {one.name} to {word} {after.name}" for one in rolled.services)]
        actions += [f"remove {word} {one.name}, which nobody uses" for one in old or ()]
        changes = [*changes, *map(Update, rolled.services), *(Delete(word, one.id, one.version) for one in old or ())]
        before_text, after_text = shown(held), shown(after)
        diff = difference(before_text, after_text)
        for one, used in zip(rolled.services, rolled.used, strict=True):
            diff[f"Services.{one.name}"] = {"before": used, "after": after.name}
        more = {"services": [{"id": one.id, "name": one.name} for one in rolled.services]}
        return Plan(after.id, before_text, after_text, tuple(actions), rolled.warnings, tuple(changes), diff, more)

    def _plan_removal(self, name: str, versions: list[Data]) -> Plan:
        """All versions; or just the one that is named."""
        table = self._kind.table(self._context.store)
        found = versions or list(table.by("name", name.lower()))
        for one in found:
            self._control.check_unused(one)
        if not found:
            return Plan("", None, None)
        before = shown(found[-1])
        actions = tuple(f"remove {self._kind.name} {one.name}" for one in found)
        changes = tuple(Delete(self._kind.name, one.id, one.version) for one in found)
        return Plan(found[-1].id, before, None, actions, (), changes, difference(before, {}))

    # -- versions

    def _refuse_version(self, name: str) -> None:
        for one in self._kind.table(self._context.store).by("name", name.lower()):
            raise InvalidArgument(
                f"{self._kind.name} {one.name} is version {number_of(one)} of {base_of(one)}: declare "
                f"{base_of(one)}, whose data may change",
                plain=True,
            )

    def _next_number(self, held: Data, base: str) -> int:
        """The next number whose name is free."""
        number, names = number_of(held) + 1, self._kind.table(self._context.store)
        while names.count("name", version_name(base, number).lower()):
            number += 1
        return number

    def _rolled(self, wish: Wish, versions: list[Data], target: Data) -> _Rolled:
        """The services on another version, moved to ``target``, unless they name just that one. Jobs are left: one that
        is changed runs again.
        """
        if wish.context.get("roll", True) is not True:
            return _Rolled()
        index, now, by = self._context.store.services, self._context.clock.wall(), author(self._context)
        users: dict[str, Service] = {}
        old: dict[str, dict[str, str]] = {}  # by service: those that it shall leave, id to name
        for version in versions:
            for user in index.by(self._kind.name, version.id) if version.id != target.id else ():
                if follows(user, version):
                    users[user.id] = user
                    old.setdefault(user.id, {})[version.id] = version.name
        found = sorted(users.values(), key=lambda user: user.name)
        services = [one for one in found if not one.spec.mode.is_job]
        return _Rolled(
            tuple(moved(self._kind, one, frozenset(old[one.id]), target, now, by) for one in services),
            tuple(self._used(one, old[one.id]) for one in services),
            tuple(
                f"job {one.name} keeps {self._kind.name} {self._used(one, old[one.id])} until it is run again"
                for one in found
                if one.spec.mode.is_job
            ),
        )

    def _used(self, service: Service, old: Mapping[str, str]) -> str:
        """Which of these versions a service uses, by name."""
        used = [old.get(self._kind.id_of(one)) for one in self._kind.references(service.spec)]
        return ", ".join(dict.fromkeys(name for name in used if name))

    def _old(self, wish: Wish, versions: list[Data]) -> list[Data]:
        """Versions that go: nobody needs them, and there are enough newer ones that nobody needs."""
        keep = wish.context.get("versions_to_keep", VERSIONS_TO_KEEP)
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0:
            raise InvalidArgument("versions_to_keep: expected a whole number that is not negative", plain=True)
        uses = Uses(self._context.store, self._kind)
        unused = [one for one in reversed(versions) if not uses.hold(one.id)]
        return unused[keep:]


def shown(value: Data) -> Json:
    """What may be told of it: everything but the data."""
    return {**encode(value.spec), "Data": HIDDEN}


def read_data(context: Mapping[str, Any]) -> bytes | None:
    """The bytes under ``data``. Raises InvalidArgument, which quotes nothing."""
    text = context.get("data")
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise ValueError
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise InvalidArgument("data: expected the base64 of the data", plain=True) from None
