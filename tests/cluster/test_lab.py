# SPDX-License-Identifier: Apache-2.0
"""The lab keeps its word: hosts are real, faults do what they are called, and nothing stays behind."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess

import pytest
from lablib import client
from lablib.handle import CommandError, Host, RunningLab
from lablib.paths import CONTROL_ADDRESS, REPOSITORY, Lab, home
from lablib.shell import call, namespace, until

SCRIPT = str(pathlib.Path(__file__).with_name("lab"))


def boot_id(host: Host) -> str:
    return host.out("cat /proc/sys/kernel/random/boot_id")


def test_each_host_is_a_machine_of_its_own_under_systemd(lab: RunningLab) -> None:
    for host in lab.hosts:
        assert host.out("hostname") == host.name
        assert host.address in host.out("ip -4 -o address show dev eth0")
        assert host.out("ls /sys/class/net | sort").split()[:3] == ["docker0", "eth0", "lo"]
        state = host.run("systemctl is-system-running --wait", check=False).stdout.strip()
        assert state == "running", host.out("systemctl --failed")
    assert len({boot_id(host) for host in lab.hosts}) == len(lab.hosts)


def test_a_failing_command_is_reported_with_its_words(lab: RunningLab) -> None:
    with pytest.raises(CommandError, match=r"host1 by ssh: rc 3(?s:.*)it went wrong"):
        lab["host1"].run("echo it went wrong >&2; exit 3")
    assert lab["host1"].run("exit 3", check=False).returncode == 3
    assert lab["host1"].exec("exit 4", check=False).returncode == 4


def test_a_re_imaged_host_is_another_machine_at_the_same_address(lab: RunningLab) -> None:
    host = lab.hosts[-1]
    host.write("/etc/mark", "old")
    before = host.out("docker info --format '{{.ID}}'"), host.out("cat /etc/machine-id")
    host.reimage()
    assert host.run("cat /etc/mark", check=False).returncode
    assert host.address in host.out("ip -4 -o address show dev eth0")
    after = host.out("docker info --format '{{.ID}}'"), host.out("cat /etc/machine-id")
    assert not set(before) & set(after)


def test_each_host_has_an_engine_of_its_own_that_pulls_from_the_registry(lab: RunningLab) -> None:
    assert len({host.out("docker info --format '{{.ID}}'") for host in lab.hosts}) == len(lab.hosts)
    for host in lab.hosts:
        assert host.run(["docker", "run", "--rm", lab.image("exit:latest"), "7"], check=False).returncode == 7


def test_a_container_is_reached_from_the_control_side_and_from_other_hosts(lab: RunningLab) -> None:
    host, other = lab.hosts[:2]
    host.run(f"docker run -d --name answers -p 8080:80 {lab.image('web:v2')}")
    try:
        name = host.out("docker exec answers hostname")
        url = f"http://{host.address}:8080/"
        lab.poll(lambda: lab.http(url) == (200, f"v2 {name}\n"), 60, "an answer to the control side")
        lab.poll(lambda: other.run(["curl", "-sf", url], check=False).stdout == f"v2 {name}\n", 60, "one to a host")
        assert lab.http(f"{url}nothing")[0] == 404
        assert lab.http(f"http://{other.address}:8080/")[0] == 0
    finally:
        host.run("docker rm -f answers")


def test_images_end_get_healthy_and_fail_as_their_tags_say(lab: RunningLab) -> None:
    host = lab["host1"]
    try:
        for tag in ("healthy", "unhealthy"):
            host.run(f"docker run -d --name is-{tag} {lab.image(f'web:{tag}')}")
        assert host.run(f"docker run --rm {lab.image('web:broken')}", check=False).returncode == 1
        for tag in ("healthy", "unhealthy"):
            shown = f"docker inspect -f '{{{{.State.Health.Status}}}}' is-{tag}"
            lab.poll(lambda shown=shown, tag=tag: host.out(shown) == tag, 120, f"health to be {tag}")
    finally:
        host.run("docker rm -f is-healthy is-unhealthy")


def test_a_memory_limit_of_a_unit_is_real(lab: RunningLab) -> None:
    hungry = ["python3", "-c", "print(len(bytearray(64 << 20)))"]
    unit = ["systemd-run", "--quiet", "--wait", "--pipe"]
    assert lab["host1"].run([*unit, "-p", "MemoryMax=200M", *hungry]).stdout.strip() == str(64 << 20)
    killed = lab["host1"].run([*unit, "--collect", "-p", "MemoryMax=30M", *hungry], check=False)
    assert killed.returncode != 0
    assert killed.stdout == ""


def test_a_hardened_unit_that_keeps_the_mount_namespace_starts(lab: RunningLab) -> None:
    limits = [
        "CapabilityBoundingSet=CAP_NET_ADMIN",
        "NoNewPrivileges=yes",
        "RestrictAddressFamilies=AF_UNIX AF_INET",
        "SystemCallFilter=@system-service",
        "LockPersonality=yes",
        "MemoryDenyWriteExecute=yes",
        "UMask=0077",
    ]
    options = [word for limit in limits for word in ("-p", limit)]
    done = lab["host1"].run(["systemd-run", "--quiet", "--wait", "--pipe", *options, "readlink", "/proc/self/ns/mnt"])
    assert done.stdout.strip() == lab["host1"].out("readlink /proc/1/ns/mnt")


def test_a_power_cycle_keeps_the_disk_and_the_containers_but_no_process(lab: RunningLab) -> None:
    host = lab.hosts[-1]
    before = boot_id(host)
    host.run(f"docker run -d --name stays --restart unless-stopped {lab.image('web:v1')}")
    host.run("touch /root/on-disk /run/in-ram")
    state = "docker inspect -f '{{.State.Running}} {{.State.StartedAt}}' stays"
    before_cut = host.out(state)
    host.kill()
    assert host.status()["power"] == "off"
    assert not lab.reaches(host)
    assert not lab.hosts[0].reaches(host)
    host.start()
    assert boot_id(host) != before
    assert host.out("ls /root/on-disk /run/in-ram 2>/dev/null; true") == "/root/on-disk"
    assert len(host.out("journalctl --list-boots --no-pager -q").splitlines()) >= 2
    try:
        lab.poll(
            lambda: host.out(state).startswith("true ") and host.out(state) != before_cut,
            120,
            "the container to run again",
        )
    finally:
        host.run("docker rm -f stays; rm /root/on-disk")


def test_systemctl_reboot_comes_back_and_systemctl_poweroff_stays_off(lab: RunningLab) -> None:
    host = lab.hosts[-1]
    before, boots = boot_id(host), host.status()["boots"]
    host.run("systemctl reboot", check=False)
    lab.poll(lambda: host.status()["boots"] == boots + 1, 120, "the host to boot again")
    host.wait()
    assert boot_id(host) != before
    host.run("systemctl poweroff", check=False)
    lab.poll(lambda: host.status()["power"] == "off", 120, "the host to be off")
    host.start()
    assert host.out("hostname") == host.name


def test_wrong_words_are_answered_with_what_to_say_instead(lab: RunningLab) -> None:
    def says(*words: str) -> str:
        argv = [SCRIPT, "--name", lab.place.name, *words]
        done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 1
        return done.stderr

    assert "this lab has host1" in says("kill", "host99")
    assert "share a host" in says("split", "host1", "host1,host2")
    assert "is up already" in says("up", "1")


def test_the_inventory_leads_ansible_to_every_host(lab: RunningLab) -> None:
    done = lab.ansible_tool("ansible", "all", "-i", str(lab.inventory), "-m", "ansible.builtin.ping", "-o")
    assert done.stdout.count('"ping": "pong"') == len(lab.hosts)
    groups = json.loads(lab.inventory.read_text())["all"]["children"]
    assert list(groups["swarm_managers"]["hosts"]) == ["host1"]
    assert list(groups["swarm_workers"]["hosts"]) == [host.name for host in lab.hosts[1:]]


def test_the_wheelhouse_installs_the_runtime_without_a_way_out(lab: RunningLab) -> None:
    wheels = lab.wheelhouse()
    host = lab["host1"]
    assert host.run(f"touch {wheels}/x", check=False).returncode != 0
    host.run(f"python3 -m venv /opt/try && /opt/try/bin/pip install -q --no-index --find-links {wheels} queenright")
    try:
        host.run("/opt/try/bin/python -c 'import cryptography.x509, docker, grpc, pyroute2, pysyncobj, queenright'")
    finally:
        host.run("rm -rf /opt/try")


def _left_behind(name: str, nets: set[str]) -> list[str]:
    """Network namespaces of the lab that live on, and cgroups and mounts that carry its name."""
    found = [
        f"{pid.name}: {pid / 'ns/net'}"
        for pid in pathlib.Path("/proc").iterdir()
        if pid.name.isdigit() and namespace(pid.name, "net") in nets
    ]
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    mounts = [line for line in mounts if line.split()[1] != "/"]  # this machine may be a fresh one itself
    found += [line for line in mounts if f"/labs/{name}" in line or "lab-cgroups" in line]
    for line in mounts:
        kind, place = line.split()[2], pathlib.Path(line.split()[1])
        if kind.startswith("cgroup"):
            found += [str(path) for path in place.glob(f"queenright-lab-{name}")]
    return found


@pytest.mark.parametrize("ending", ["down", "kill -9 of the holder", "end of the tied stdin"])
def test_a_lab_beside_another_ends_and_leaves_nothing(lab: RunningLab, ending: str) -> None:
    place = Lab("other")
    argv = [SCRIPT, "--name", place.name, "up", "1", "--suite", lab.facts["suite"], "--tied"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as starter:
        assert starter.wait() == 0
        other = RunningLab(place.name)
        assert other["host1"].out("hostname") == "host1"
        assert CONTROL_ADDRESS in other.run(["ip", "address"]).stdout
        nets = {other.facts["net"], namespace(_outer_pid(other), "net")}
        assert "" not in nets
        if ending.startswith("kill"):
            os.kill(other.facts["holder"], signal.SIGKILL)
        elif ending.startswith("end"):
            assert starter.stdin is not None
            starter.stdin.close()
        else:
            client.down(place)
        until(lambda: not client.is_up(place), 60, "the lab to end")
    until(lambda: not [left for left in _left_behind(place.name, nets) if "ns/net" in left], 60, "its processes to end")
    client.down(place, wipe=True)
    assert _left_behind(place.name, nets) == []
    assert not place.directory.exists()
    assert lab["host1"].out("hostname") == "host1", "the lab beside it is as it was"


def _outer_pid(lab: RunningLab) -> int:
    """Pid, seen from here, of some process of host1: one whose cgroup is the host's."""
    mark = f"/{lab.place.cgroup}/host1"
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and (entry / "cgroup").exists() and mark in (entry / "cgroup").read_text():
            return int(entry.name)
    raise AssertionError(f"no process in {mark}")


def test_a_fresh_machine_runs_a_command_on_a_clone_and_is_gone() -> None:
    seen = "git rev-parse HEAD; hostname; command -v docker; ls /run/systemd; readlink /proc/self/ns/net"

    def git(*words: str) -> list[str]:
        return call("git", "-C", str(REPOSITORY), *words).stdout.split()

    (before,) = git("rev-parse", "HEAD")
    done = subprocess.run(
        [SCRIPT, "fresh", "bash", "-c", f"{seen}; exit 9"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 9, done.stderr
    head, name, net = done.stdout.split()
    assert head in [before, *git("rev-list", f"{before}..HEAD")]  # somebody may commit while the test runs
    assert name == "fresh"
    assert net != namespace("self", "net")
    assert _left_behind("fresh-1", {net}) == []
    assert not (home() / "labs" / "fresh-1").exists()


def test_the_lab_of_this_test_does_not_touch_the_machines_network(lab: RunningLab) -> None:
    outside = call("ip", "-o", "link").stdout
    assert "lab0" not in outside
    assert not any(f": {host.name}@" in outside for host in lab.hosts)
