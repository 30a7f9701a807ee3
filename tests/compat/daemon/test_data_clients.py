# SPDX-License-Identifier: Apache-2.0
"""Secrets and configs by the docker command lines and the SDK, on a real engine."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import subprocess
from collections.abc import Iterator

import docker
import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, container_of, until
from compat.engine import IMAGE

CLIENTS = [path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.access(path, os.X_OK)]
KINDS = ("secret", "config")
WITHIN = 120
TEXT = "open sesame 7413"


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    for machines in kit.machines(()):
        yield machines[0]


@pytest.fixture(scope="module")
def daemon(host: Machine) -> Iterator[Daemon]:
    """The only manager of a swarm."""
    daemon = host.fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    host.clean()


class Cli:
    """A docker command on the daemon's socket."""

    def __init__(self, binary: str, daemon: Daemon) -> None:
        self._command = [binary, "-H", f"unix://{daemon.socket}"]

    def attempt(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments], input=stdin, capture_output=True, text=True, timeout=WITHIN, check=False
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.attempt(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()


@pytest.fixture(params=CLIENTS, ids=[path.replace("/", "-")[1:] for path in CLIENTS])
def cli(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Cli]:
    yield Cli(request.param, daemon)
    for service in daemon.get("/services"):
        daemon.api("DELETE", f"/services/{service['ID']}")
    for kind in KINDS:
        for one in daemon.get(f"/{kind}s"):
            daemon.api("DELETE", f"/{kind}s/{one['ID']}")


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_makes_lists_inspects_and_removes(cli: Cli, kind: str, tmp_path: pathlib.Path) -> None:
    key = cli(kind, "create", "--label", "part=db", "app", "-", stdin=TEXT)
    (tmp_path / "file").write_text(TEXT)
    cli(kind, "create", "--template-driver", "golang", "other", str(tmp_path / "file"))
    assert set(cli(kind, "ls", "--format", "{{.Name}}").split()) == {"app", "other"}
    assert cli(kind, "ls", "-q", "--filter", "label=part=db") == key
    assert cli(kind, "ls", "--format", "{{.Name}}", "--filter", "name=oth") == "other"
    (shown,) = json.loads(cli(kind, "inspect", "app"))
    assert (shown["ID"], shown["Spec"]["Labels"]) == (key, {"part": "db"})
    pretty = cli(kind, "inspect", "--pretty", "app")
    assert "part=db" in pretty
    assert (TEXT in pretty) == (kind == "config")
    assert cli(kind, "rm", "app", "other") == "app\nother"
    assert cli(kind, "ls", "-q") == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_prints_the_refusals(cli: Cli, kind: str) -> None:
    cli(kind, "create", "app", "-", stdin=TEXT)
    for arguments, words in (
        (("create", "app", "-"), f"{kind} app already exists"),
        (("create", "-bad-", "-"), "-bad-"),
        (("rm", "nosuch"), "nosuch"),
        (("inspect", "nosuch"), "nosuch"),
    ):
        done = cli.attempt(kind, *arguments, stdin=TEXT)
        assert done.returncode != 0
        assert words in done.stderr
        assert TEXT not in done.stderr


def test_a_service_of_the_command_line_reads_both_and_takes_others_up(cli: Cli, host: Machine, daemon: Daemon) -> None:
    cli("secret", "create", "key", "-", stdin=TEXT)
    cli("config", "create", "conf", "-", stdin="first")
    cli(
        "service", "create", "--detach", "--name", "web", "--no-resolve-image", "--stop-grace-period", "0s",
        "--secret", "source=key,target=pass,uid=33,gid=34,mode=0440", "--config", "source=conf,target=/etc/app.conf",
        IMAGE, "sleep", "100000",
    )  # fmt: skip
    (task,) = daemon.running("web", 1)
    with host.engine.client() as client:

        def reads(container: str, *command: str) -> str:
            return str(client.exec_start(client.exec_create(container, list(command))["Id"]).decode().strip())

        assert reads(container_of(task), "cat", "/run/secrets/pass", "/etc/app.conf") == f"{TEXT}first"
        assert reads(container_of(task), "stat", "-c", "%u %g %a", "/run/secrets/pass") == "33 34 440"
        for kind, name in (("secret", "key"), ("config", "conf")):
            done = cli.attempt(kind, "rm", name)
            assert done.returncode != 0
            assert f"{kind} '{name}' is in use by the following service: web" in done.stderr
        cli("config", "create", "conf2", "-", stdin="second")
        cli(
            "service", "update", "--detach", "--no-resolve-image", "--secret-rm", "key", "--config-rm", "conf",
            "--config-add", "source=conf2,target=/etc/app.conf", "web",
        )  # fmt: skip

        def renewed() -> str | None:
            found = [one for one in daemon.running("web", 1) if one["ID"] != task["ID"]]
            return container_of(found[0]) if found else None

        container = until(renewed)
        assert reads(container, "cat", "/etc/app.conf") == "second"
        assert "No such file" in reads(container, "cat", "/run/secrets/pass")
    assert cli("secret", "rm", "key") == "key"
    assert cli("config", "rm", "conf") == "conf"


def test_the_sdk_makes_lists_and_removes(cli: Cli, daemon: Daemon) -> None:
    client = docker.DockerClient(base_url=f"unix://{daemon.socket}", timeout=WITHIN)
    try:
        secret = client.secrets.create(name="key", data=b"\x00\xff", labels={"a": "b"})
        config = client.configs.create(name="conf", data=b"\x00\xff")
        assert [one.id for one in client.secrets.list(filters={"names": ["key"]})] == [secret.id]
        assert "Data" not in client.secrets.get("key").attrs["Spec"]
        assert base64.b64decode(client.configs.get(config.id).attrs["Spec"]["Data"]) == b"\x00\xff"
        with pytest.raises(docker.errors.APIError) as taken:
            client.secrets.create(name="KEY", data=b"x")
        assert taken.value.status_code == 409
        references = [docker.types.SecretReference(secret.id, "key", uid="1", mode=0o400)]
        service = client.services.create(IMAGE, ["sleep", "100000"], name="sdk", secrets=references)
        with pytest.raises(docker.errors.APIError) as used:
            secret.remove()
        assert used.value.status_code == 400
        service.remove()
        secret.remove()
        config.remove()
        with pytest.raises(docker.errors.NotFound):
            client.secrets.get("key")
    finally:
        client.close()
