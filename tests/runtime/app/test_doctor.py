# SPDX-License-Identifier: Apache-2.0
"""``queenright doctor`` as a command: what it prints, how it ends, in which order it looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from queenright.app import cli, doctor
from queenright.app.checkup.finding import Finding
from queenright.edge.kernel.probe import Finding as KernelFinding


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was looked at; all of it is well, unless a test says otherwise."""
    seen: list[str] = []

    def well(name: str) -> Any:
        def look(*arguments: Any) -> Iterator[Finding]:
            seen.append(name)
            yield Finding(name, "ok", "well")

        return look

    for room, names in ((doctor.host, ("ports", "mtu", "clock", "firewall")), (doctor.tunnel, ("tunnels",))):
        for name in names:
            monkeypatch.setattr(room, name, well(name))
    monkeypatch.setattr(doctor.engine, "engine", well("docker"))
    monkeypatch.setattr(doctor.overlays, "overlays", well("overlays"))
    monkeypatch.setattr(doctor, "probe", lambda backend: seen.append(backend) or (KernelFinding("vxlan"),))
    return seen


def run(tmp_path: Path, *flags: str) -> int:
    return cli.main(["doctor", "--socket", str(tmp_path / "none.sock"), *flags])


def test_a_healthy_host_ends_well_and_the_kernel_is_looked_at_last(
    looked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0
    assert looked == ["ports", "mtu", "clock", "docker", "firewall", "overlays", "nftables"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok       daemon: the daemon does not run on this host"
    assert lines[-1] == "ok       kernel: tunnels, bridges and balancing by nftables: 1 things tried"


def test_an_error_is_told_with_what_to_do_and_ends_badly(
    looked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "probe", lambda backend: (KernelFinding("vxlan", "the kernel lacks vxlan"),))
    assert run(tmp_path) == 1
    assert "ERROR    kernel: the kernel lacks vxlan\n         -> see what it says" in capsys.readouterr().out


def test_a_warning_ends_well(looked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = KernelFinding("cutting connections", "connections cannot be cut", fatal=False)
    monkeypatch.setattr(doctor, "probe", lambda backend: (missing,))
    assert run(tmp_path) == 0


def test_json_is_one_object_with_all_findings(
    looked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--json", "--backend", "ipvs") == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["check"] for finding in findings][:2] == ["daemon", "ports"]
    assert set(findings[0]) == {"check", "state", "text", "fix"}
    assert looked[-1] == "ipvs"


def test_tunnels_are_tried_where_peers_are_named(
    looked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def tunnels(machine: Any, *arguments: Any) -> Iterator[Finding]:
        asked.append(arguments)
        yield Finding("tunnels", "ok", "well")

    monkeypatch.setattr(doctor.tunnel, "tunnels", tunnels)
    assert run(tmp_path, "--peers", "192.0.2.1,192.0.2.2", "--own-addr", "192.0.2.1", "--seconds", "5") == 0
    assert asked == [("192.0.2.1", ["192.0.2.1", "192.0.2.2"], 4789, 5.0)]


def test_a_daemon_that_does_not_answer_is_an_error(
    looked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.sock").touch()
    assert run(tmp_path) == 1
    assert "ERROR    daemon:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("skew", "said"),
    [(0.2, ""), (7.4, "7 s ahead of that of the manager"), (-3600, "3600 s behind that of the manager")],
)
def test_a_clock_far_from_the_manager_s_is_told(
    looked: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    skew: float,
    said: str,
) -> None:
    (tmp_path / "none.sock").touch()
    status = {"version": "0.1.0", "state": "active", "role": "worker", "clock_skew": skew}
    monkeypatch.setattr(doctor, "ask", lambda *arguments: status)
    assert run(tmp_path) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "of the manager that leads" in line]
    assert len(told) == bool(said)
    assert all(line.startswith(f"warning  clock: the clock is {said}") for line in told)


def _manager(known: dict[str, Any]) -> Any:
    def ask(socket: Path, method: str, url: str) -> dict[str, Any]:
        return known if url.endswith("/mesh") else {"state": "active", "role": "manager", "node_addr": "192.0.2.1"}

    return ask


def test_a_manager_tells_what_nodes_said_of_networks_and_ports(
    looked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.sock").touch()
    network = {"id": "n1", "name": "mynet", "addresses": [], "error": "the kernel lacks vxlan"}
    nodes = [{"hostname": "h1", "ready": True, "error": ""}, {"hostname": "h2", "ready": False, "error": "in use"}]
    port = {"service": "web", "protocol": "tcp", "port": 80, "nodes": nodes}
    known = {"nodes": [{"hostname": "h3", "networks": [network]}], "ports": [port]}
    monkeypatch.setattr(doctor, "ask", _manager(known))
    assert run(tmp_path) == 1
    printed = capsys.readouterr().out
    assert "ERROR    mesh: network mynet on h3: the kernel lacks vxlan" in printed
    assert "ERROR    mesh: port 80/tcp of web on h2: in use" in printed
    assert "on h1" not in printed
    monkeypatch.setattr(doctor, "ask", _manager({"nodes": [], "ports": [{**port, "nodes": nodes[:1]}]}))
    assert run(tmp_path) == 0
    assert "ok       mesh: 1 published ports answer on every node" in capsys.readouterr().out


@pytest.mark.parametrize("flags", [("--peers", "node2"), ("--peers", "192.0.2.1,"), ("--own-addr", "here")])
def test_what_is_no_address_is_refused_with_words(
    flags: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(tmp_path, *flags)
    assert ended.value.code == 2
    assert "is no address; names cannot be used" in capsys.readouterr().err
