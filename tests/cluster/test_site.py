# SPDX-License-Identifier: Apache-2.0
"""From bare hosts to a swarm and back, over ssh: site.yml and reset.yml. The tests of this file build on each other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lablib.handle import Host, RunningLab
from swarmlib import FOREIGN, SLOW, SOCKET, Project, Swarm, containers

SITE, RESET = "queenright.swarm.site", "queenright.swarm.reset"
DEAD = {"all": {"children": {"swarm_workers": {"hosts": {"dead": {"ansible_host": "10.77.0.99"}}}}}}


@pytest.fixture(scope="module")
def bare(project: Project) -> Project:
    """Hosts without a runtime, each with a container of somebody else's on it."""
    for host in project.lab.hosts:
        host.wait()
    if traces(project.lab.hosts[0]):  # a lab that was used before
        member = Swarm(project).status(project.lab.hosts[0])
        project.play(RESET, "-e", f"swarm_reset_confirm={member['cluster_id']}")
    for host in project.lab.hosts:
        host.run(f"docker rm -f {FOREIGN}", check=False)
        host.run(f"docker run -d --name {FOREIGN} --label {FOREIGN} {project.lab.image('web:v1')}")
    return project


@pytest.fixture(scope="module")
def before(bare: Project) -> dict[str, dict[str, str]]:
    """The foreign containers of each host as they were before anything was installed."""
    return foreign(bare.lab)


def foreign(lab: RunningLab) -> dict[str, dict[str, str]]:
    return {host.name: containers(host, FOREIGN) for host in lab.hosts}


def traces(host: Host) -> str:
    """What an installed runtime leaves on a host: files, processes, listening ports, rules."""
    files = (
        f"/opt/queenright /etc/queenright /var/lib/queenright {SOCKET} /usr/local/bin/queenright "
        "/etc/systemd/system/queenright.service /etc/systemd/system/queenright.socket"
    )
    return host.out(
        f"ls -d {files} 2>/dev/null; pgrep -af '[q]ueenright run'; ss -Hltn 'sport = :2377 or sport = :2378'; "
        "nft list tables | grep queenright; ip -o link | grep -i queenright; true"
    )


def outcome(lab: RunningLab, done) -> dict[str, tuple[int, int, int]]:
    """(changed, failed, unreachable) of each host."""
    return {host: (one["changed"], one["failed"], one["unreachable"]) for host, one in lab.recap(done).items()}


def untouched(*names: str) -> dict[str, tuple[int, int, int]]:
    return dict.fromkeys(names, (0, 0, 0))


def test_check_mode_on_empty_hosts_foretells_changes_and_makes_none(bare: Project) -> None:
    nothing = {host.name: traces(host) for host in bare.lab.hosts}
    done = bare.play(SITE, "--check", "--diff")
    assert {host: changed for host, (changed, _, _) in outcome(bare.lab, done).items()} == dict.fromkeys(nothing, 2)
    assert "+ExecStart=/opt/queenright/current/venv/bin/queenright run" in done.stdout
    assert {host.name: traces(host) for host in bare.lab.hosts} == nothing == dict.fromkeys(nothing, "")


def test_a_host_without_a_python_that_will_do_is_told_the_package_before_any_change(bare: Project) -> None:
    host = bare.lab.hosts[-1]
    hide = "d=$(ls -d /usr/lib/python3.*/ensurepip); mv $d $d.away"
    show = "d=$(ls -d /usr/lib/python3.*/ensurepip.away); mv $d ${d%.away}"
    host.run(hide)
    try:
        done = bare.play(SITE, "--limit", host.name, "-e", "runtime_install_python=false", check=False)
        assert done.returncode == 2
        assert "install the package python3-venv" in " ".join(done.stdout.split())
        assert traces(host) == ""
        foretold = bare.play(SITE, "--limit", host.name, "--check")
        assert "Install packages with apt" in foretold.stdout
    finally:
        host.run(show)


@pytest.mark.releases
def test_the_first_run_forms_a_swarm_and_shows_no_secret(bare: Project, before: dict[str, dict[str, str]]) -> None:
    done = bare.play(SITE, "-vvv")
    assert {failed + lost for _, failed, lost in outcome(bare.lab, done).values()} == {0}
    assert "SWMTKN-1-" not in done.stdout
    assert "QRTICKET-1-" not in done.stdout
    swarm = Swarm(bare)
    swarm.await_ready()
    roles = {node["Description"]["Hostname"]: node["Spec"]["Role"] for node in swarm.get("/nodes")}
    assert roles == {host.name: "manager" if host is swarm.manager else "worker" for host in swarm.hosts}
    assert foreign(bare.lab) == before


@pytest.mark.releases
def test_the_second_run_changes_nothing(bare: Project) -> None:
    done = bare.play(SITE)
    assert outcome(bare.lab, done) == untouched(*(host.name for host in bare.lab.hosts))


def with_a_dead_host(project: Project) -> list[str]:
    """Arguments that add a host to the inventory which is not there."""
    path = project.folder / "dead.yml"
    path.write_text(json.dumps(DEAD))
    return ["-i", str(path)]


def test_a_dead_host_and_many_forks_do_not_keep_the_others_back(bare: Project) -> None:
    done = bare.play(SITE, *with_a_dead_host(bare), "-f", "50", check=False)
    found = outcome(bare.lab, done)
    assert found.pop("dead") == (0, 0, 1)
    assert found == untouched(*(host.name for host in bare.lab.hosts))


def test_a_run_limited_to_one_worker_brings_it_back_into_the_swarm(bare: Project) -> None:
    worker = bare.lab.hosts[1]
    worker.run("docker --context swarm swarm leave")
    done = bare.play(SITE, "--limit", worker.name)
    assert outcome(bare.lab, done) == {worker.name: (1, 0, 0)}
    swarm = Swarm(bare)
    bare.lab.poll(lambda: swarm.status(worker)["ready"], 30 * SLOW, "the worker to be ready")

    def former() -> list[dict[str, Any]]:
        return [node for node in swarm.get("/nodes") if node["Status"]["State"] == "down"]

    (gone,) = bare.lab.poll(former, 30 * SLOW, "its former self to be down")
    assert gone["Description"]["Hostname"] == worker.name
    bare.task("swarm_node", name=gone["ID"], state="absent")
    swarm.await_ready()


@pytest.mark.parametrize(
    ("tags", "tasks"),
    [("engine", "Ask the Docker socket"), ("runtime", "check the runtime"), ("swarm", "Join the swarm")],
)
def test_a_run_of_some_tags_does_that_part_alone(bare: Project, tags: str, tasks: str) -> None:
    done = bare.play(SITE, "--tags", tags, "--limit", bare.lab.hosts[-1].name)
    assert tasks in done.stdout
    assert outcome(bare.lab, done) == untouched(bare.lab.hosts[-1].name)
    others = {"Ask the Docker socket", "check the runtime", "Join the swarm"} - {tasks}
    assert not [other for other in others if other in done.stdout]


@pytest.mark.releases
def test_the_units_are_as_systemd_likes_them_and_share_the_mount_namespace(bare: Project) -> None:
    for host in bare.lab.hosts:
        verified = host.run(
            "systemd-analyze verify /etc/systemd/system/queenright.service /etc/systemd/system/queenright.socket"
        )
        assert verified.stdout + verified.stderr == ""
        pid = host.out("systemctl show -P MainPID queenright.service")
        assert host.out(f"readlink /proc/{pid}/ns/mnt") == host.out("readlink /proc/1/ns/mnt")
        assert host.out(f"stat -c '%a %U %G' {SOCKET}") == "660 root docker"


def test_reset_is_refused_without_the_id_of_this_swarm(bare: Project) -> None:
    for words in ([], ["-e", "swarm_reset_confirm=another"]):
        done = bare.play(RESET, *words, check=False)
        assert done.returncode == 2
        assert "ends that swarm and removes its services" in done.stdout
    assert Swarm(bare).status(bare.lab.hosts[0])["state"] == "active"


@pytest.mark.releases
def test_reset_takes_all_that_is_ours_and_nothing_else(bare: Project, before: dict[str, dict[str, str]]) -> None:
    swarm = Swarm(bare)
    swarm.create("web", "web:v1", 6)
    confirm = ["-e", f"swarm_reset_confirm={swarm.status(swarm.manager)['cluster_id']}"]
    foretold = bare.play(RESET, *confirm, "--check")
    assert len(swarm.tasks("web")) == 6
    assert "2 containers of its services go" in " ".join(foretold.stdout.split())
    done = bare.play(RESET, *confirm, *with_a_dead_host(bare), check=False)
    assert outcome(bare.lab, done) == {
        **dict.fromkeys((host.name for host in bare.lab.hosts), (2, 0, 0)),
        "dead": (0, 0, 1),
    }
    for host in bare.lab.hosts:
        assert traces(host) == ""
        assert containers(host) == {}
    assert foreign(bare.lab) == before
    again = bare.play(RESET, *confirm)
    assert outcome(bare.lab, again) == untouched(*(host.name for host in bare.lab.hosts))
    for host in bare.lab.hosts:
        host.run(f"docker rm -f {FOREIGN}")
