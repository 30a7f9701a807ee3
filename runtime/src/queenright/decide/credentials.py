# SPDX-License-Identifier: Apache-2.0
"""With which registry credentials a task's image is pulled: found when the task is handed out and never kept in it, so
that what replaces them reaches every task that has yet to pull.
"""

from __future__ import annotations

from queenright.model.images import decoded_auth, domain_of
from queenright.model.objects import Service, Task
from queenright.model.states import TaskState
from queenright.store.store import Store


def pulls(task: Task) -> bool:
    """Whether the task may still have to pull its image."""
    return TaskState.ASSIGNED <= task.state < TaskState.READY and task.desired_state < TaskState.SHUTDOWN


def credentials(view: Store, task: Task) -> bytes:
    """The JSON document: the service's own credentials, else the swarm's for the image's registry, else empty."""
    service = view.services.get(task.service_id)
    own = _own(service, task) if service is not None else ""
    if own:
        return decoded_auth(own)
    return shared(view, task.spec.container.image or "")


def shared(view: Store, image: str) -> bytes:
    """The swarm's credentials for the registry that an image is in; empty for none."""
    return next((registry.auth for registry in view.registries.by("name", domain_of(image))), b"")


def _own(service: Service, task: Task) -> str:
    """What came with the task's revision. If both revisions pull from one registry it is what came last: the older
    credentials may have run out.
    """
    image, current = task.spec.container.image or "", service.spec.task.container.image or ""
    if task.spec_version == service.spec_version or domain_of(image) == domain_of(current):
        return service.registry_auth
    return service.previous_registry_auth
