# SPDX-License-Identifier: Apache-2.0
"""Images from a real registry that wants a password."""

from __future__ import annotations

import json
import pathlib
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from compat.engine import IMAGE, DockerEngine

from queenright.agent.ports import TaskError
from queenright.edge.docker.executor import DockerExecutor
from queenright.model.objects import Task
from queenright.model.payloads import Payload
from queenright.spec.container import ContainerSpec
from queenright.spec.service import TaskSpec

REGISTRY = "127.0.0.1:5000"  # in the engine's own network
USER, PASSWORD = "ali", "open sesame"
PASSWORD_FILE = "ali:$2b$05$0NPiNpdfjYPcxfQTCJweIeOS9wgi87DdDy/7xpYdBs57lUa9xMudG\n"
NAME = f"{REGISTRY}/private:1"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    engine = DockerEngine()
    try:
        engine.start()
        engine.make_image()
        yield engine
    finally:
        engine.close()


@pytest.fixture(scope="module")
def digest(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The digest of an image that lies in a registry and no longer in the engine."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "htpasswd").write_text(PASSWORD_FILE)
    (folder / "config.yml").write_text(json.dumps(_config(folder)))
    with open(folder / "log", "wb") as log:
        served = subprocess.Popen(
            ["nsenter", f"--net=/proc/{engine.pid}/ns/net", "docker-registry", "serve", folder / "config.yml"],
            stdout=log,
            stderr=log,
        )
    try:
        yield _push(engine)
    finally:
        served.kill()
        served.wait()


def _config(folder: pathlib.Path) -> dict[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": REGISTRY},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
    }


def _push(engine: DockerEngine) -> str:
    repository, _, tag = NAME.rpartition(":")
    deadline = time.monotonic() + PATIENCE
    with engine.client() as client:
        client.tag(IMAGE, repository, tag)
        credentials = {"username": USER, "password": PASSWORD}
        while True:
            lines = list(client.push(repository, tag, stream=True, decode=True, auth_config=credentials))
            pushed = [line["aux"]["Digest"] for line in lines if "aux" in line]
            if pushed:
                break
            assert time.monotonic() < deadline, lines
            time.sleep(0.1)
        client.remove_image(NAME, force=True)
        return str(pushed[0])


@pytest.fixture
async def executor(engine: DockerEngine, digest: str) -> AsyncIterator[DockerExecutor]:
    executor = DockerExecutor(
        "pulling", wall=time.time_ns, supplies=Wallet(), data_root=engine.folder / "q", socket=engine.socket
    )
    yield executor
    await executor.close()
    with engine.client() as client:
        for image in client.images(filters={"reference": f"{REGISTRY}/*"}):
            client.remove_image(image["Id"], force=True)
        engine.make_image()


class Wallet:
    """Supplies tasks with the password that is their id."""

    def payloads(self, task: Task) -> tuple[Payload, ...]:
        return ()

    def credentials(self, task: Task) -> bytes:
        auth = {"username": USER, "password": task.id, "serveraddress": REGISTRY}
        return json.dumps(auth).encode() if task.id else b""


def nobody(text: str) -> None:
    """Hears of the progress."""


def task_of(image: str, password: str = "") -> Task:
    return Task(
        id=password,
        service_id="s",
        service_name="web",
        slot=1,
        spec=TaskSpec(container=ContainerSpec(image=image, args=("true",))),
    )


def is_there(engine: DockerEngine, image: str) -> bool:
    with engine.client() as client:
        return bool(client.images(image))


async def test_with_the_services_credentials_a_private_image_is_pulled(
    engine: DockerEngine, executor: DockerExecutor
) -> None:
    assert not is_there(engine, NAME)
    await executor.pull(task_of(NAME, PASSWORD), nobody)
    assert is_there(engine, NAME)


@pytest.mark.parametrize("password", ["", "open says me"])
async def test_without_the_right_ones_the_reason_is_given_and_the_password_is_not(
    executor: DockerExecutor, password: str
) -> None:
    with pytest.raises(TaskError, match=f"No such image: {NAME} \\(") as caught:
        await executor.pull(task_of(NAME, password), nobody)
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize("form", ["{repository}@{digest}", "{repository}:1@{digest}", "{repository}:other@{digest}"])
async def test_an_image_pinned_to_its_digest_is_pulled_once_and_then_used_without_the_registry(
    engine: DockerEngine, executor: DockerExecutor, digest: str, form: str
) -> None:
    pinned = form.format(repository=f"{REGISTRY}/private", digest=digest)
    await executor.pull(task_of(pinned, PASSWORD), nobody)
    await executor.pull(task_of(pinned), nobody)
    assert (await executor.create(task_of(pinned))).container_id
    with engine.client() as client:
        client.remove_container("web.1.", force=True)


async def test_an_image_that_is_there_is_used_though_the_registry_refuses(
    executor: DockerExecutor,
) -> None:
    await executor.pull(task_of(NAME, PASSWORD), nobody)
    await executor.pull(task_of(NAME, "wrong by now"), nobody)
