# SPDX-License-Identifier: Apache-2.0
"""The secrets, configs and registry credentials that the node's tasks use, as managers sent them: in memory, and
nowhere else. After a restart they are there again once a manager has been heard.
"""

from __future__ import annotations

from queenright.agent.ports import TaskError, TemporaryError
from queenright.model.objects import Config, Secret, Task
from queenright.model.payloads import Payload, PayloadError, missing, payloads_of
from queenright.wire.messages import AssignmentSet


class NodeData:
    """Fulfils ``agent.ports.Supplies``. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._secrets: dict[str, Secret] = {}
        self._configs: dict[str, Config] = {}
        self._credentials: dict[str, bytes] = {}
        self._told = False

    def take(self, assigned: AssignmentSet) -> None:
        """Take over what comes with an assignment; a complete set replaces everything."""
        if assigned.complete:
            self.forget()
            self._told = True
        for key in assigned.secret_removes:
            self._secrets.pop(key, None)
        for key in assigned.config_removes:
            self._configs.pop(key, None)
        self._secrets.update((secret.id, secret) for secret in assigned.secrets)
        self._configs.update((config.id, config) for config in assigned.configs)
        for task_id, auth in assigned.credentials.items():
            if auth:
                self._credentials[task_id] = auth
            else:
                self._credentials.pop(task_id, None)
        for task_id in assigned.removes:
            self._credentials.pop(task_id, None)

    def forget(self) -> None:
        """Know nothing any more."""
        self._secrets.clear()
        self._configs.clear()
        self._credentials.clear()

    def payloads(self, task: Task) -> tuple[Payload, ...]:
        """The files of a task. Raises TaskError for what it can never have, TemporaryError for what may yet come."""
        container = task.spec.container
        lacks = missing(container, self._secrets, self._configs)
        if lacks and not self._told:
            raise TemporaryError(f"{lacks} is kept by the managers only; waiting for one of them")
        if lacks:
            raise TaskError(f"{lacks} does not exist any more")
        try:
            return payloads_of(container, self._secrets, self._configs)
        except PayloadError as error:
            raise TaskError(str(error)) from error

    def credentials(self, task: Task) -> bytes:
        """The JSON document with which the task's image is pulled; empty for none."""
        return self._credentials.get(task.id, b"")

    @property
    def told(self) -> bool:
        """Whether a manager has said all that there is: before that, credentials may be missing."""
        return self._told

    def counts(self) -> tuple[int, int]:
        """(secrets, configs) that this node holds."""
        return len(self._secrets), len(self._configs)
