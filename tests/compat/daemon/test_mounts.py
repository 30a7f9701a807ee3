# SPDX-License-Identifier: Apache-2.0
"""Mounts and limits of a service from the API to the container, on a real engine."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon import kit
from compat.daemon.kit import Daemon, Machine, container_of, service_spec, until
from compat.engine import IMAGE

MIB = 1 << 20


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    for machines in kit.machines(()):
        yield machines[0]


@pytest.fixture
def daemon(host: Machine) -> Iterator[Daemon]:
    """The only manager of a swarm."""
    daemon = host.fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    host.clean()


def run(host: Machine, container: str, line: str) -> tuple[int, str]:
    """(exit status, output) of a shell line in a container."""
    with host.engine.client() as client:
        made = client.exec_create(container, ["sh", "-c", line])["Id"]
        text = client.exec_start(made).decode()
        return client.exec_inspect(made)["ExitCode"], text


def declare(daemon: Daemon, name: str, **options: Any) -> Any:
    """Declare a service as a playbook does."""
    whole = {"image": IMAGE, "command": list(kit.SLEEP), "stop_grace_period": "0s", **options}
    return daemon.post("/queenright/v1/apply", {"kind": "service", "name": name, "state": "present", "options": whole})


def with_mounts(daemon: Daemon, host: Machine, *mounts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """(id, inspected HostConfig) of a container whose service was declared with these mounts."""
    declare(daemon, "mounts", mounts=list(mounts))
    (task,) = daemon.running("mounts", 1)
    container = container_of(task)
    return container, host.inspect(container)["HostConfig"]


def mounted(host: Machine, container: str, target: str) -> tuple[str, set[str]]:
    """Type and options of a mount, by the container's kernel."""
    lines = [line.split() for line in run(host, container, "cat /proc/mounts")[1].splitlines()]
    (line,) = [line for line in lines if line[1] == target]
    return line[2], set(line[3].split(","))


@pytest.mark.parametrize(("relabel", "letter"), [("shared", "z"), ("private", "Z")])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_bind_with_a_label_is_given_to_the_engine_with_its_letter(
    host: Machine, daemon: Daemon, tmp_path: pathlib.Path, relabel: str, letter: str, read_only: bool
) -> None:
    (tmp_path / "file").write_text("from the host")
    container, config = with_mounts(
        daemon,
        host,
        {
            "type": "bind",
            "source": str(tmp_path),
            "target": "/data",
            "read_only": read_only,
            "bind": {"relabel": relabel, "propagation": "rprivate"},
        },
    )
    letters = f"ro,{letter}" if read_only else letter
    assert config["Binds"] == [f"{tmp_path}:/data:{letters},rprivate"]
    assert run(host, container, "cat /data/file") == (0, "from the host")
    assert (run(host, container, "echo x > /data/other")[0] == 0) is not read_only
    assert (tmp_path / "other").exists() is not read_only


def test_a_bind_with_a_label_whose_source_is_missing_is_said_to_be_and_not_made(
    host: Machine, daemon: Daemon, tmp_path: pathlib.Path
) -> None:
    missing = tmp_path / "missing"
    declare(
        daemon,
        "mounts",
        mounts=[{"type": "bind", "source": str(missing), "target": "/data", "bind": {"relabel": "shared"}}],
    )

    def errors() -> list[str]:
        return [task["Status"].get("Err", "") for task in daemon.get("/tasks")]

    until(lambda: any(str(missing) in error for error in errors()), errors)
    assert not missing.exists()
    missing.mkdir()
    daemon.running("mounts", 1)


def test_a_tmpfs_has_the_size_the_mode_and_the_options_that_are_declared(host: Machine, daemon: Daemon) -> None:
    container, config = with_mounts(
        daemon,
        host,
        {"type": "tmpfs", "target": "/plain", "tmpfs": {"size": "3m", "mode": 0o750}},
        {"type": "tmpfs", "target": "/exec", "tmpfs": {"size": "2m", "options": ["exec", "uid=1000"]}},
        {"type": "tmpfs", "target": "/read", "read_only": True},
    )
    kind, options = mounted(host, container, "/plain")
    assert kind == "tmpfs" and {"rw", "nosuid", "nodev", "noexec", "size=3072k", "mode=750"} <= options
    kind, options = mounted(host, container, "/exec")
    assert kind == "tmpfs" and {"rw", "size=2048k", "uid=1000"} <= options and "noexec" not in options
    kind, options = mounted(host, container, "/read")
    assert kind == "tmpfs" and "ro" in options
    assert list(config["Tmpfs"]) == ["/exec"]
    assert run(host, container, "dd if=/dev/zero of=/plain/much bs=64k count=100")[0] != 0
    assert run(host, container, "stat -c %s /plain/much")[1].strip() == str(3 * MIB)
    assert run(host, container, "echo 'exit 7' > /exec/run; chmod +x /exec/run; /exec/run")[0] == 7


def test_a_limit_of_swap_is_the_engines_limit_of_both(host: Machine, daemon: Daemon) -> None:
    for name, swap, both in (("some", 16 * MIB, 80 * MIB), ("any", -1, -1), ("none", 0, 64 * MIB)):
        spec = service_spec(name, 1)
        spec["TaskTemplate"]["Resources"] = {"Limits": {"MemoryBytes": 64 * MIB}, "SwapBytes": swap}
        daemon.post("/services/create", spec)
        (task,) = daemon.running(name, 1)
        limits = host.inspect(container_of(task))["HostConfig"]
        assert (limits["Memory"], limits["MemorySwap"]) == (64 * MIB, both), name
        folder = "/sys/fs/cgroup/memory"
        kernel = run(host, container_of(task), f"cat {folder}/memory.memsw.limit_in_bytes")[1].strip()
        assert kernel == str(both) if both > 0 else int(kernel) > 1 << 60
