# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from queenright.manager.assigning import Assigning, other_credentials
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.images import encoded_auth
from queenright.model.objects import Config, Node, Registry, Secret, Service, Task, TaskStatus
from queenright.model.states import TaskState
from queenright.spec.container import ConfigReference, ContainerSpec, SecretReference
from queenright.spec.data import ConfigSpec, RegistrySpec, SecretSpec
from queenright.spec.service import ServiceSpec, TaskSpec
from queenright.store.store import Event, Store
from queenright.wire.messages import AssignmentSet


class Scene:
    """A store with two nodes, secrets s1 and s2, configs c1 and c2, and a service without credentials."""

    def __init__(self) -> None:
        self.store = Store()
        self.write(
            *(Create(Node(id=key)) for key in ("n1", "n2")),
            *(
                Create(Secret(id=key, spec=SecretSpec(name=key, labels={"a": "b"}), data=key.encode()))
                for key in ("s1", "s2")
            ),
            *(Create(Config(id=key, spec=ConfigSpec(name=key), data=key.encode())) for key in ("c1", "c2")),
            Create(Service(id="svc", spec=ServiceSpec(name="web"))),
        )
        self.node = Assigning(self.store, "n1")

    def write(self, *changes: Change) -> None:
        assert self.store.apply(self.store.index + 1, Batch(1, changes)) is None

    def task(self, key: str, *uses: str, node: str = "n1", state: TaskState = TaskState.ASSIGNED) -> Task:
        """A task that uses secrets and configs."""
        container = ContainerSpec(
            image="app:1",
            secrets=tuple(SecretReference(secret_id=one, secret_name=one) for one in uses if one[0] == "s"),
            configs=tuple(ConfigReference(config_id=one, config_name=one) for one in uses if one[0] == "c"),
        )
        task = Task(
            id=key,
            service_id="svc",
            slot=1,
            node_id=node,
            spec=TaskSpec(container=container),
            status=TaskStatus(state=state),
        )
        self.write(Create(task))
        return task

    def becomes(self, key: str, state: TaskState, **more: Any) -> None:
        task = self.store.tasks.get(key)
        assert task is not None
        self.write(Update(dataclasses.replace(task, status=TaskStatus(state=state), **more)))

    def difference(self, *touched: str) -> AssignmentSet | None:
        return self.node.difference(touched, "a", "b")

    def some(self, *touched: str) -> AssignmentSet:
        found = self.difference(*touched)
        assert found is not None
        return found


@pytest.fixture
def scene() -> Scene:
    return Scene()


def ids(values: Any) -> list[str]:
    return [value.id for value in values]


def test_a_node_gets_exactly_what_its_live_tasks_use(scene: Scene) -> None:
    scene.task("t1", "s1", "c1")
    scene.task("t2", "s2", node="n2")
    scene.task("t3", "c2", state=TaskState.FAILED)
    whole = scene.node.complete("1")
    assert (sorted(ids(whole.updates)), ids(whole.secrets), ids(whole.configs)) == (["t1", "t3"], ["s1"], ["c1"])
    assert whole.complete and whole.results_in == "1"


def test_labels_stay_with_the_managers(scene: Scene) -> None:
    scene.task("t1", "s1")
    (secret,) = scene.node.complete("1").secrets
    assert secret.spec == SecretSpec(name="s1") and secret.data == b"s1"


def test_a_new_task_brings_what_the_node_lacks_and_nothing_twice(scene: Scene) -> None:
    scene.task("t1", "s1", "c1")
    scene.node.complete("1")
    scene.task("t2", "s1", "s2", "c1")
    found = scene.some("t2")
    assert (ids(found.updates), ids(found.secrets), ids(found.configs)) == (["t2"], ["s2"], [])
    assert (found.applies_to, found.results_in, found.complete) == ("a", "b", False)


def test_data_is_released_with_the_end_of_the_last_task_that_used_it(scene: Scene) -> None:
    scene.task("t1", "s1", "c1")
    scene.task("t2", "s1")
    scene.node.complete("1")
    scene.becomes("t1", TaskState.RUNNING)
    assert scene.difference("t1") is None
    scene.becomes("t1", TaskState.FAILED)
    found = scene.some("t1")
    assert (found.updates, found.secret_removes, found.config_removes) == ((), (), ("c1",))
    scene.becomes("t2", TaskState.SHUTDOWN)
    assert scene.some("t2").secret_removes == ("s1",)


def test_a_task_that_ends_while_another_begins_moves_nothing(scene: Scene) -> None:
    scene.task("t1", "s1")
    scene.node.complete("1")
    scene.becomes("t1", TaskState.FAILED)
    scene.task("t2", "s1")
    found = scene.some("t1", "t2")
    assert (ids(found.updates), found.secrets, found.secret_removes) == (["t2"], (), ())


def test_a_task_whose_record_is_deleted_releases_too(scene: Scene) -> None:
    scene.task("t1", "s1", "c1")
    scene.node.complete("1")
    scene.write(Delete("task", "t1"))
    found = scene.some("t1")
    assert (found.removes, found.secret_removes, found.config_removes) == (("t1",), ("s1",), ("c1",))


def test_released_data_is_sent_again_when_it_is_used_again(scene: Scene) -> None:
    scene.task("t1", "s1")
    scene.node.complete("1")
    scene.becomes("t1", TaskState.FAILED)
    scene.some("t1")
    scene.task("t2", "s1")
    assert ids(scene.some("t2").secrets) == ["s1"]


def test_of_a_secret_that_was_deleted_nothing_is_sent(scene: Scene) -> None:
    scene.write(Delete("secret", "s1"))
    scene.task("t1", "s1")
    whole = scene.node.complete("1")
    assert ids(whole.updates) == ["t1"] and whole.secrets == ()


def auth(scene: Scene, document: bytes) -> None:
    service = scene.store.services.get("svc")
    assert service is not None
    scene.write(Update(dataclasses.replace(service, registry_auth=encoded_auth(document))))


def test_credentials_go_with_tasks_that_may_have_to_pull(scene: Scene) -> None:
    auth(scene, b"{}")
    scene.task("t1")
    scene.task("t2", state=TaskState.RUNNING)
    assert scene.node.complete("1").credentials == {"t1": b"{}"}
    scene.becomes("t1", TaskState.READY)
    assert scene.some("t1").credentials == {"t1": b""}


def test_replaced_credentials_are_news_to_those_who_wait_and_touch_no_task(scene: Scene) -> None:
    auth(scene, b"old")
    scene.task("t1")
    scene.task("t2", state=TaskState.RUNNING)
    scene.node.complete("1")
    auth(scene, b"new")
    service = scene.store.services.get("svc")
    assert service is not None
    found = scene.some(*scene.node.pulling(service))
    assert (found.updates, found.credentials) == ((), {"t1": b"new"})
    assert scene.difference(*scene.node.pulling(service)) is None


def test_a_registrys_credentials_are_news_to_all_who_have_yet_to_pull(scene: Scene) -> None:
    scene.task("t1")
    scene.node.complete("1")
    made = Registry(id="r", spec=RegistrySpec(server="docker.io"), auth=b"hub")
    scene.write(Create(made))
    assert scene.some(*scene.node.pulling(made)).credentials == {"t1": b"hub"}


def test_only_other_credentials_are_news() -> None:
    before = Service(id="svc", spec=ServiceSpec(name="web"))
    labelled = dataclasses.replace(before, spec=ServiceSpec(name="web", labels={"a": "b"}))
    assert not other_credentials(Event(before, labelled))
    assert other_credentials(Event(before, dataclasses.replace(before, registry_auth="eA==")))
    registry = Registry(id="r", spec=RegistrySpec(server="docker.io"), auth=b"x")
    assert other_credentials(Event(None, registry)) and other_credentials(Event(registry, None))
    assert not other_credentials(Event(registry, dataclasses.replace(registry, version=7)))


@pytest.mark.parametrize("seed", range(40))
def test_differences_add_up_to_what_a_complete_set_says(scene: Scene, seed: int) -> None:
    """A node that applies every difference ends with what it would be told anew."""
    dice = random.Random(seed)
    held = _apply({}, scene.node.complete("1"))
    count = 0
    for _ in range(60):
        touched = []
        for _ in range(dice.randint(1, 4)):
            alive = [task.id for task in scene.store.tasks]
            match dice.choice(("new", "state", "state", "delete", "auth")):
                case "new":
                    count += 1
                    uses = dice.sample(("s1", "s2", "c1", "c2"), dice.randint(0, 3))
                    scene.task(f"t{count}", *uses)
                    touched.append(f"t{count}")
                case "state" if alive:
                    scene.becomes(key := dice.choice(alive), dice.choice([s for s in TaskState if s >= 192]))
                    touched.append(key)
                case "delete" if alive:
                    scene.write(Delete("task", key := dice.choice(alive)))
                    touched.append(key)
                case "auth":
                    auth(scene, bytes([dice.randint(65, 70)]))
                    service = scene.store.services.get("svc")
                    assert service is not None
                    touched += scene.node.pulling(service)
        found = scene.difference(*touched)
        if found is not None:
            _apply(held, found)
        assert held == _apply({}, Assigning(scene.store, "n1").complete("1"))


def _apply(held: dict[str, Any], told: AssignmentSet) -> dict[str, Any]:
    """What an agent knows then; of tasks just that it has them."""
    for kind, updates, removes in (
        ("task", told.updates, told.removes),
        ("secret", told.secrets, told.secret_removes),
        ("config", told.configs, told.config_removes),
    ):
        held.update({f"{kind} {value.id}": True for value in updates})
        for key in removes:
            del held[f"{kind} {key}"]
    held.update({f"auth {key}": value for key, value in told.credentials.items()})
    for key in [key for key, value in held.items() if value == b""]:
        del held[key]
    for key in told.removes:
        held.pop(f"auth {key}", None)
    return held
