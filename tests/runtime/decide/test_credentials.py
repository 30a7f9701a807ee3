# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import pytest

from queenright.decide.credentials import credentials, pulls
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.images import encoded_auth
from queenright.model.objects import Registry, Service, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.container import ContainerSpec
from queenright.spec.data import RegistrySpec
from queenright.spec.service import ServiceSpec, TaskSpec
from queenright.store.store import Store

OWN, OLD = b'{"username": "own"}', b'{"username": "old"}'
IMAGE = "r.example.com:5000/app:1"


def spec(image: str = IMAGE) -> TaskSpec:
    return TaskSpec(container=ContainerSpec(image=image))


def service(image: str = IMAGE, auth: bytes = b"", previous: bytes = b"", **more: object) -> Service:
    return Service(
        id="s",
        spec=ServiceSpec(name="web", task=spec(image)),
        registry_auth=encoded_auth(auth),
        previous_registry_auth=encoded_auth(previous),
        **more,  # type: ignore[arg-type]
    )


def task(image: str = IMAGE, state: TaskState = TaskState.ASSIGNED, **more: object) -> Task:
    return Task(id="t", service_id="s", spec=spec(image), status=TaskStatus(state=state), **more)  # type: ignore[arg-type]


def registry(server: str, auth: bytes = b"shared") -> Registry:
    return Registry(id=server, spec=RegistrySpec(server=server), auth=auth)


def view(*objects: Service | Registry) -> Store:
    store = Store()
    write(store, *(Create(value) for value in objects))
    return store


def write(store: Store, *changes: Change) -> None:
    assert store.apply(store.index + 1, Batch(1, changes)) is None


def test_a_services_own_credentials_win() -> None:
    store = view(service(auth=OWN), registry("r.example.com:5000"))
    assert credentials(store, task()) == OWN


def test_without_own_ones_the_swarms_for_the_images_registry_are_used() -> None:
    store = view(service(), registry("r.example.com:5000"), registry("docker.io", b"hub"))
    assert credentials(store, task()) == b"shared"
    assert credentials(store, task("nginx:1.27")) == b"hub"
    assert credentials(store, task("other.example.com/app")) == b""


def test_the_swarms_credentials_serve_tasks_whose_service_is_gone() -> None:
    store = view(registry("r.example.com:5000"))
    assert credentials(store, task()) == b"shared"


def test_replaced_credentials_count_at_once() -> None:
    store = view(service(auth=OLD))
    held = store.services.get("s")
    assert held is not None
    write(store, Update(dataclasses.replace(held, registry_auth=encoded_auth(OWN))))
    assert credentials(store, task()) == OWN


def test_a_task_of_the_revision_before_pulls_from_the_same_registry_with_what_came_last() -> None:
    store = view(service("r.example.com:5000/app:2", OWN, OLD, spec_version=2, previous_spec_version=1))
    assert credentials(store, task(spec_version=1)) == OWN


def test_a_task_of_the_revision_before_keeps_its_credentials_for_another_registry() -> None:
    store = view(service("nginx:1.27", OWN, OLD, spec_version=2, previous_spec_version=1))
    assert credentials(store, task(spec_version=1)) == OLD
    assert credentials(store, task("nginx:1.27", spec_version=2)) == OWN


def test_removed_credentials_are_no_longer_given() -> None:
    store = view(service(), registry("r.example.com:5000"))
    write(store, Delete("registry", "r.example.com:5000"))
    assert credentials(store, task()) == b""


def test_what_nobody_can_decode_reaches_the_agent_who_says_so() -> None:
    held = dataclasses.replace(service(), registry_auth="a")
    assert credentials(view(held), task()) == b"a"


@pytest.mark.parametrize("state", list(TaskState))
def test_only_a_task_that_may_still_have_to_pull_gets_credentials(state: TaskState) -> None:
    expected = state in (TaskState.ASSIGNED, TaskState.ACCEPTED, TaskState.PREPARING)
    assert pulls(task(state=state)) == expected
    assert not pulls(task(state=state, desired_state=TaskState.SHUTDOWN))
