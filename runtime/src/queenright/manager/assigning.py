# SPDX-License-Identifier: Apache-2.0
"""What one node has been told of its tasks, and of the secrets, configs and credentials that these need.

A difference looks at the tasks that were touched only. Who uses what is counted by task, so that a secret leaves the
node with the end of the last task that used it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from queenright.decide.assignments import assignments, changes, configs_of, secrets_of
from queenright.decide.credentials import credentials, pulls
from queenright.model.objects import Config, Object, Registry, Secret, Service, Task
from queenright.spec.data import ConfigSpec, SecretSpec
from queenright.store.store import Event, Store
from queenright.wire.messages import AssignmentSet


class _Uses:
    """Which objects of one kind the node's tasks use, and which it has."""

    def __init__(self, of: Callable[[Task], frozenset[str]]) -> None:
        self._of = of
        self._by_task: dict[str, frozenset[str]] = {}
        self._users: dict[str, set[str]] = {}
        self._sent: set[str] = set()
        self._touched: set[str] = set()

    def set(self, task_id: str, task: Task | None) -> None:
        """The task as it now is; None for one that is no longer the node's."""
        now = self._of(task) if task is not None else frozenset()
        before = self._by_task.pop(task_id, frozenset())
        if now:
            self._by_task[task_id] = now
        for key in before - now:
            self._users[key].discard(task_id)
            if not self._users[key]:
                del self._users[key]
        for key in now - before:
            self._users.setdefault(key, set()).add(task_id)
        self._touched |= before ^ now

    def news(self) -> tuple[list[str], list[str]]:
        """(ids that the node lacks, ids that it has no more use for); it has been told of them with this."""
        lacks = sorted(key for key in self._touched if key in self._users and key not in self._sent)
        useless = sorted(key for key in self._touched if key not in self._users and key in self._sent)
        self._sent.update(lacks)
        self._sent.difference_update(useless)
        self._touched.clear()
        return lacks, useless


class Assigning:
    """One node's share, for as long as its session lasts: :meth:`complete` once, then :meth:`difference`."""

    def __init__(self, store: Store, node_id: str) -> None:
        self._store = store
        self._node_id = node_id
        self._tasks: dict[str, Task] = {}
        self._credentials: dict[str, bytes] = {}  # as sent, of the tasks that may have to pull
        self._secrets = _Uses(secrets_of)
        self._configs = _Uses(configs_of)

    def pulling(self, owner: Service | Registry) -> tuple[str, ...]:
        """Ids of the tasks that may have to pull with these credentials."""
        if isinstance(owner, Registry):
            return tuple(self._credentials)
        return tuple(key for key in self._credentials if self._tasks[key].service_id == owner.id)

    def complete(self, results_in: str) -> AssignmentSet:
        """Everything the node has to know."""
        self._tasks = assignments(self._store, self._node_id)
        for task in self._tasks.values():
            self._note(task.id, task)
        secrets, _ = self._secrets.news()
        configs, _ = self._configs.news()
        return AssignmentSet(
            True,
            "",
            results_in,
            tuple(self._tasks.values()),
            secrets=self._read_secrets(secrets),
            configs=self._read_configs(configs),
            credentials={key: auth for key, auth in self._credentials.items() if auth},
        )

    def difference(self, touched: Iterable[str], applies_to: str, results_in: str) -> AssignmentSet | None:
        """What has become different of these tasks and what they need; None if the node has nothing to hear."""
        keys = tuple(touched)
        known = {key: self._tasks[key] for key in keys if key in self._tasks}
        wanted = assignments(self._store, self._node_id, keys)
        updates, removes = changes(known, wanted)
        sent = {key: self._credentials.get(key, b"") for key in keys}
        for key in keys:
            self._note(key, wanted.get(key))
        self._tasks.update(wanted)
        for key in removes:
            del self._tasks[key]
        auths = {key: self._credentials.get(key, b"") for key in keys if key in wanted}
        secrets, secret_removes = self._secrets.news()
        configs, config_removes = self._configs.news()
        found = AssignmentSet(
            False,
            applies_to,
            results_in,
            tuple(updates),
            tuple(removes),
            secrets=self._read_secrets(secrets),
            configs=self._read_configs(configs),
            secret_removes=tuple(secret_removes),
            config_removes=tuple(config_removes),
            credentials={key: auth for key, auth in auths.items() if auth != sent[key]},
        )
        empty = AssignmentSet(False, applies_to, results_in)
        return found if found != empty else None

    def _note(self, task_id: str, task: Task | None) -> None:
        self._secrets.set(task_id, task)
        self._configs.set(task_id, task)
        if task is not None and pulls(task):
            self._credentials[task_id] = credentials(self._store, task)
        else:
            self._credentials.pop(task_id, None)

    def _read_secrets(self, keys: Iterable[str]) -> tuple[Secret, ...]:
        """What a node needs of them: name, template language and data. Of one that was deleted nothing is left."""
        found = (self._store.secrets.get(key) for key in keys)
        return tuple(
            dataclasses.replace(one, spec=SecretSpec(name=one.spec.name, templating=one.spec.templating))
            for one in found
            if one is not None
        )

    def _read_configs(self, keys: Iterable[str]) -> tuple[Config, ...]:
        found = (self._store.configs.get(key) for key in keys)
        return tuple(
            dataclasses.replace(one, spec=ConfigSpec(name=one.spec.name, templating=one.spec.templating))
            for one in found
            if one is not None
        )


def other_credentials(event: Event) -> bool:
    """Whether tasks of a service, or of a registry's images, have other credentials than before the change."""
    return _credentials_in(event.before) != _credentials_in(event.after)


def _credentials_in(value: Object | None) -> tuple[object, ...]:
    if isinstance(value, Service):
        return value.registry_auth, value.previous_registry_auth
    return (value.name, value.auth) if isinstance(value, Registry) else ()
