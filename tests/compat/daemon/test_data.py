# SPDX-License-Identifier: Apache-2.0
"""Secrets, configs and registry credentials from the API to the container, on a real engine."""

from __future__ import annotations

import base64
import json
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, container_of, until
from compat.engine import IMAGE

PASSWORD = "open sesame 7413"
GONE = "gone0gone0gone0gone0gone0"
REGISTRY = "127.0.0.1:5000"
USER, WORD = "ali", "open sesame"
PASSWORD_FILE = "ali:$2b$05$0NPiNpdfjYPcxfQTCJweIeOS9wgi87DdDy/7xpYdBs57lUa9xMudG\n"


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    """A machine whose containers outlive their dockerd."""
    for machines in kit.machines(("--live-restore",)):
        yield machines[0]


@pytest.fixture
def daemon(host: Machine) -> Iterator[Daemon]:
    """The only manager of a swarm."""
    daemon = host.fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    host.clean()


def make(daemon: Daemon, kind: str, name: str, text: str, **more: Any) -> str:
    """Create a secret or a config; gives its id."""
    body = {"Name": name, "Data": base64.b64encode(text.encode()).decode(), **more}
    return str(daemon.post(f"/{kind}s/create", body)["ID"])


def secret_of(key: str, name: str, **file: Any) -> dict[str, Any]:
    return {"SecretID": key, "SecretName": name, "File": {"Name": name, "UID": "0", "GID": "0", "Mode": 0o444, **file}}


def config_of(key: str, name: str, **file: Any) -> dict[str, Any]:
    return {"ConfigID": key, "ConfigName": name, "File": {"Name": name, "UID": "0", "GID": "0", "Mode": 0o444, **file}}


def run(host: Machine, container: str, *command: str) -> tuple[int, str]:
    """(exit status, output) of a command in a container."""
    with host.engine.client() as client:
        made = client.exec_create(container, list(command))["Id"]
        text = client.exec_start(made).decode()
        return client.exec_inspect(made)["ExitCode"], text


def mounted(host: Machine, daemon: Daemon) -> list[str]:
    """Ids of the tasks that have files in the node's memory."""
    lines = host.run("cat", "/proc/mounts").splitlines()
    root = f"{daemon.folder}/task-files/"
    return sorted(line.split()[1].removeprefix(root) for line in lines if line.split()[1].startswith(root))


def flags(mounts: str, target: str) -> set[str]:
    """Type and flags of a mount, by the kernel's list."""
    (line,) = [line.split() for line in mounts.splitlines() if line.split()[1] == target]
    return {line[2], *line[3].split(",")}


def with_secret(daemon: Daemon, name: str, **more: Any) -> dict[str, Any]:
    """A running task of a service that reads a secret."""
    key = make(daemon, "secret", f"{name}-db", PASSWORD)
    daemon.service(name, 1, Secrets=[secret_of(key, f"{name}-db")], **more)
    return daemon.running(name, 1)[0]


def test_a_container_reads_its_secret_and_its_expanded_config_and_can_change_neither(
    host: Machine, daemon: Daemon
) -> None:
    secret = make(daemon, "secret", "db", PASSWORD)
    text = 'password={{ secret "key" }}\nnode={{.Node.Hostname}} slot={{.Task.Slot}} mode={{ env "MODE" }}\n'
    config = make(daemon, "config", "app", text, Templating={"Name": "golang"})
    daemon.service(
        "web",
        1,
        Secrets=[
            secret_of(secret, "db", Name="key", UID="1000", GID="1001", Mode=0o400),
            secret_of(secret, "db", Name="/etc/deep/er"),
        ],
        Configs=[config_of(config, "app", Name="/etc/app.conf")],
        Env=["MODE=fast-{{.Task.Slot}}"],
    )
    (task,) = daemon.running("web", 1)
    container = container_of(task)
    hostname = next(iter(daemon.nodes().values()))["Description"]["Hostname"]

    assert run(host, container, "cat", "/run/secrets/key") == (0, PASSWORD)
    assert run(host, container, "cat", "/etc/deep/er") == (0, PASSWORD)
    assert run(host, container, "stat", "-c", "%u %g %a", "/run/secrets/key")[1].strip() == "1000 1001 400"
    expected = f"password={PASSWORD}\nnode={hostname} slot=1 mode=fast-1\n"
    assert run(host, container, "cat", "/etc/app.conf") == (0, expected)
    assert run(host, container, "stat", "-c", "%u %g %a", "/etc/app.conf")[1].strip() == "0 0 444"

    for command in ("echo x > /run/secrets/key", "rm /etc/app.conf", "chmod 777 /run/secrets/key"):
        assert run(host, container, "sh", "-c", command)[0] != 0
    inside = flags(run(host, container, "cat", "/proc/mounts")[1], "/run/secrets/key")
    assert {"tmpfs", "ro"} <= inside
    outside = flags(host.run("cat", "/proc/mounts"), f"{daemon.folder}/task-files/{task['ID']}")
    assert {"tmpfs", "ro", "nodev", "nosuid", "noexec"} <= outside
    assert mounted(host, daemon) == [task["ID"]]

    stored = b"".join(path.read_bytes() for path in daemon.state_dir.glob("tasks.db*"))
    assert stored and PASSWORD.encode() not in stored
    assert PASSWORD not in daemon.log_path.read_text(errors="replace")


def test_the_files_go_when_the_task_has_ended_though_its_container_stays(host: Machine, daemon: Daemon) -> None:
    task = with_secret(daemon, "ends")
    with host.engine.client() as client:
        client.kill(container_of(task), "SIGKILL")
    until(lambda: (found := daemon.running("ends", 1)) and found[0]["ID"] != task["ID"])
    (follower,) = daemon.running("ends", 1)
    until(lambda: mounted(host, daemon) == [follower["ID"]], lambda: mounted(host, daemon))
    assert host.inspect(container_of(task))["State"]["Status"] == "exited"
    daemon.api("DELETE", "/services/ends")
    until(lambda: mounted(host, daemon) == [], lambda: mounted(host, daemon))
    assert list((daemon.folder / "task-files").iterdir()) == []


def test_a_killed_daemon_finds_containers_and_files_as_they_were(host: Machine, daemon: Daemon) -> None:
    task = with_secret(daemon, "stays")
    started = host.started()
    host.run("mkdir", f"{daemon.folder}/task-files/{GONE}")  # as if a crash had come between making it and mounting it
    host.run("mount", "-t", "tmpfs", "tmpfs", f"{daemon.folder}/task-files/{GONE}")
    daemon.kill()
    daemon.start()
    daemon.becomes(state="active", ready=True)
    until(lambda: mounted(host, daemon) == [task["ID"]], lambda: (mounted(host, daemon), daemon.tail()))
    assert host.started() == started
    assert run(host, container_of(task), "cat", "/run/secrets/stays-db") == (0, PASSWORD)
    with host.engine.client() as client:
        client.kill(container_of(task), "SIGKILL")
    until(lambda: (found := daemon.running("stays", 1)) and found[0]["ID"] != task["ID"])
    (follower,) = daemon.running("stays", 1)
    assert run(host, container_of(follower), "cat", "/run/secrets/stays-db") == (0, PASSWORD)


def test_leaving_the_swarm_leaves_nothing_in_memory(host: Machine, daemon: Daemon) -> None:
    with_secret(daemon, "leaves")
    assert len(mounted(host, daemon)) == 1
    daemon.post("/swarm/leave?force=1")
    assert mounted(host, daemon) == []


def test_a_template_that_cannot_be_expanded_is_the_tasks_error(host: Machine, daemon: Daemon) -> None:
    config = make(daemon, "config", "bad", 'a\n{{ secret "none" }}', Templating={"Name": "golang"})
    daemon.service("bad", 1, Configs=[config_of(config, "bad")])
    said = "config 'bad', line 2: secret target none not found"

    def told() -> bool:
        tasks = daemon.get('/tasks?filters={"service":["bad"]}')
        return any(task["Status"]["State"] == "rejected" and task["Status"]["Err"] == said for task in tasks)

    until(told, lambda: [kit.brief(task) for task in daemon.get("/tasks")])


# -- registries


@pytest.fixture(scope="module")
def registry(host: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private image in a registry that wants a password, and no longer in the engine."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "htpasswd").write_text(PASSWORD_FILE)
    settings = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": REGISTRY},
        "auth": {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}},
    }
    (folder / "config.yml").write_text(json.dumps(settings))
    with open(folder / "log", "wb") as log:
        space = f"--net=/proc/{host.engine.namespaces}/ns/net"
        served = subprocess.Popen(
            ["nsenter", space, "docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log
        )
    try:
        yield _push(host)
    finally:
        served.kill()
        served.wait()


def _push(host: Machine) -> str:
    repository = f"{REGISTRY}/private"
    with host.engine.client() as client:
        client.tag(IMAGE, repository, "1")

        def pushed() -> bool:
            auth = {"username": USER, "password": WORD}
            return any(
                "aux" in line for line in client.push(repository, "1", stream=True, decode=True, auth_config=auth)
            )

        until(pushed)
        client.remove_image(f"{repository}:1")
    return f"{repository}:1"


def forget(host: Machine, image: str) -> None:
    """Take the image's name from the engine."""
    with host.engine.client() as client:
        for one in client.images(image):
            client.remove_image(image if image in one["RepoTags"] else one["Id"], force=True)
        host.engine.make_image()


def give(daemon: Daemon, password: str) -> Any:
    """Store the swarm's credentials for the registry."""
    auth = {"username": USER, "password": password, "serveraddress": REGISTRY}
    document = base64.b64encode(json.dumps(auth).encode()).decode()
    wish = {
        "kind": "registry",
        "name": REGISTRY,
        "state": "present",
        "options": {"username": USER},
        "context": {"data": document},
    }
    return daemon.post("/queenright/v1/apply", wish)


def errors(daemon: Daemon, service: str) -> list[str]:
    found = daemon.get(f'/tasks?filters={{"service":["{service}"]}}')
    return [task["Status"].get("Err", "") for task in found]


def test_with_the_swarms_credentials_a_private_image_is_pulled_and_replaced_ones_count_at_once(
    host: Machine, daemon: Daemon, registry: str
) -> None:
    give(daemon, "wrong by now")
    daemon.service("private", 1, Image=registry)
    until(
        lambda: any("No such image" in error for error in errors(daemon, "private")), lambda: errors(daemon, "private")
    )
    give(daemon, WORD)
    (task,) = daemon.running("private", 1)

    forget(host, registry)
    started = host.started()
    give(daemon, WORD + " ")
    give(daemon, WORD)
    assert host.started() == started, "other credentials restart nothing"
    with host.engine.client() as client:
        client.kill(container_of(task), "SIGKILL")
    until(lambda: (found := daemon.running("private", 1)) and found[0]["ID"] != task["ID"])
    log = daemon.log_path.read_text(errors="replace")
    stored = b"".join(pathlib.Path(path).read_bytes() for path in daemon.state_dir.glob("tasks.db*"))
    assert WORD not in log and WORD.encode() not in stored


def test_a_playbooks_tag_is_stored_with_its_digest_and_a_tag_that_cannot_be_asked_for_stays(
    host: Machine, daemon: Daemon, registry: str
) -> None:
    give(daemon, WORD)

    def declare(name: str, image: str) -> Any:
        options = {"image": image, "command": list(kit.SLEEP), "stop_grace_period": "0s"}
        wish = {"kind": "service", "name": name, "state": "present", "options": options}
        return daemon.post("/queenright/v1/apply", wish)

    done = declare("tagged", registry)
    pinned = daemon.get("/services/tagged")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert pinned.startswith(f"{registry}@sha256:") and done["warnings"] == []
    daemon.running("tagged", 1)
    assert not declare("tagged", registry)["changed"]

    (warning,) = declare("local", IMAGE)["warnings"]
    assert warning.startswith(f"image {IMAGE} could not be accessed on a registry")
    assert daemon.get("/services/local")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == IMAGE
