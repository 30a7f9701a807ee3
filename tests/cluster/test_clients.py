# SPDX-License-Identifier: Apache-2.0
"""The docker command line as each Debian release has it, on the hosts' own sockets: which version of the API it agrees
on, what it shows, and what the engine of that release can do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lablib.handle import Host
from swarmlib import SLOW, SOCKET, Swarm, containers

pytestmark = pytest.mark.releases

# By major version of the engine: the newest API that it speaks.
API = {20: "1.41", 26: "1.45"}
SUBPATH, START_INTERVAL = 26, 25
"""The engine that knows it first."""


@pytest.fixture
def data(swarm: Swarm) -> Iterator[Swarm]:
    """Networks, secrets and configs of a test are gone after it."""
    yield swarm
    swarm.clear()
    swarm.docker("secret", "rm", "word", check=False)
    swarm.docker("config", "rm", "page", check=False)
    swarm.docker("network", "rm", "back", check=False)


def major(host: Host) -> int:
    """The engine's major version."""
    return int(host.out("docker version --format '{{.Server.Version}}'").partition(".")[0])


def test_the_command_line_agrees_with_our_socket_on_the_engine_s_own_version(swarm: Swarm) -> None:
    for host in swarm.hosts:
        form = "{{.Client.APIVersion}} {{.Server.APIVersion}} {{.Server.Version}}"
        direct = host.out(["docker", "version", "--format", form])
        assert host.out(["docker", "--context", "swarm", "version", "--format", form]) == direct
        newest = API[major(host)]
        assert direct.split()[:2] == [newest, newest]
        heads = host.out(f"curl -sS -I --unix-socket {SOCKET} http://x/_ping").splitlines()
        said = dict(line.strip().split(": ", 1) for line in heads[1:] if ": " in line)
        assert said["Api-Version"] == newest
        assert said["Swarm"] == ("active/manager" if host is swarm.manager else "active/worker")
        refused = host.out(f"curl -sS --unix-socket {SOCKET} http://x/v1.99/services")
        assert f"Maximum supported API version is {newest}" in refused


def test_the_nodes_are_shown_with_their_engines(swarm: Swarm) -> None:
    listed = swarm.docker("node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}} {{.EngineVersion}}")
    wanted = [
        f"{host.name} Ready {'Leader' if host is swarm.manager else ''} "
        + host.out("docker version --format '{{.Server.Version}}'")
        for host in swarm.hosts
    ]
    assert sorted(listed.stdout.splitlines()) == sorted(wanted)
    assert "Raft Status:\t\tReachable" in swarm.docker("node", "inspect", "--pretty", "self").stdout
    assert swarm.docker("swarm", "ca").stdout.startswith("-----BEGIN CERTIFICATE-----")
    assert "docker swarm join --token SWMTKN-1-" in swarm.docker("swarm", "join-token", "worker").stdout


def test_the_life_of_a_service_by_the_command_line(data: Swarm) -> None:
    swarm, image = data, data.lab.image("web:v1")
    network = swarm.docker("network", "create", "--driver", "overlay", "back").stdout.strip()
    swarm.docker("secret", "create", "word", "-", stdin="open sesame")
    swarm.docker("config", "create", "page", "-", stdin="a page")
    options = ["--replicas", "2", "--publish", "8080:80", "--network", "back", "--secret", "word", "--config", "page"]
    greeting = "echo it says $(cat /run/secrets/word) and $(cat /page); exec /bin/serve"
    # Not detached: the command watches the tasks, and ends when the service has converged.
    created = swarm.docker(
        "service", "create", "--name", "web", *options, "--entrypoint", "sh", image, "-c", greeting
    )  # fmt: skip
    assert "converged" in created.stdout
    form = "{{.Name}} {{.Mode}} {{.Replicas}} {{.Ports}}"
    assert swarm.docker("service", "ls", "--format", form).stdout == "web replicated 2/2 *:8080->80/tcp\n"
    assert "converged" in swarm.docker("service", "scale", "web=3").stdout
    shown = swarm.docker("service", "ps", "--filter", "desired-state=running", "--format", "{{.Name}}", "web").stdout
    assert sorted(shown.split()) == ["web.1", "web.2", "web.3"]
    said = swarm.docker("service", "logs", "--raw", "web")
    assert said.stdout.splitlines() == ["it says open sesame and a page"] * 3
    assert "PublishMode = ingress" in swarm.docker("service", "inspect", "--pretty", "web").stdout
    assert network[:12] in swarm.docker("network", "ls", "--filter", "scope=swarm", "--format", "{{.ID}}").stdout
    (seen,) = json.loads(swarm.docker("network", "inspect", "--verbose", "back").stdout)
    assert (seen["Scope"], seen["Driver"]) == ("swarm", "overlay")
    assert len(seen["Services"]["web"]["Tasks"]) == 3
    assert swarm.docker("service", "update", "--env-add", "VERSION=v9", "web").stdout.count("converged") == 1
    assert {swarm.lab.http(f"http://{host.address}:8080/")[1].split()[0] for host in swarm.hosts} == {"v9"}
    assert swarm.docker("service", "rollback", "--detach", "web").returncode == 0
    assert swarm.docker("service", "rm", "web").stdout == "web\n"
    swarm.lab.poll(lambda: not any(map(containers, swarm.hosts)), 30 * SLOW, "the containers to be gone")


def test_a_health_check_s_interval_at_the_start_reaches_an_engine_that_knows_it(swarm: Swarm) -> None:
    probe = ["--health-cmd", "true", "--health-interval", "30s", "--health-start-period", "60s"]
    knows = major(swarm.manager) >= START_INTERVAL
    swarm.create("web", "web:v1", 1, *probe, *(["--health-start-interval", "1s"] if knows else []))
    (task,) = swarm.tasks("web")
    host = next(host for host in swarm.hosts if swarm.node(host)["ID"] == task["NodeID"])
    made = task["Status"]["ContainerStatus"]["ContainerID"]
    (inspected,) = json.loads(host.out(["docker", "inspect", made]))
    wanted = {"Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000, "StartPeriod": 60_000_000_000}
    assert inspected["Config"]["Healthcheck"] == {**wanted, **({"StartInterval": 1_000_000_000} if knows else {})}


def test_a_folder_of_a_volume_is_mounted_or_the_task_says_which_engine_it_needs(swarm: Swarm) -> None:
    for host in swarm.hosts:
        host.run(f"docker run --rm -v store:/s --entrypoint mkdir {swarm.lab.image('web:v1')} -p /s/inner")
    mount = {"Type": "volume", "Source": "store", "Target": "/in", "VolumeOptions": {"Subpath": "inner"}}
    spec = {"Image": swarm.lab.image("web:v1"), "Mounts": [mount]}
    body: dict[str, Any] = {"Name": "web", "TaskTemplate": {"ContainerSpec": spec}}
    body["TaskTemplate"]["RestartPolicy"] = {"Condition": "none"}
    head = "Content-Type: application/json"
    swarm.manager.run(
        f"curl -sS --fail-with-body --unix-socket {SOCKET} -H '{head}' -d @- http://x/services/create",
        stdin=json.dumps(body),
    )
    if major(swarm.manager) >= SUBPATH:
        swarm.await_running("web", 1)
    else:
        swarm.lab.poll(
            lambda: f"Subpath of a volume needs Docker Engine {SUBPATH}" in json.dumps(swarm.get("/tasks")),
            60 * SLOW,
            "the task to say what it needs",
        )
    swarm.clear()
    for host in swarm.hosts:
        host.run("docker volume rm store")
