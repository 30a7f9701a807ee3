# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units and the init script: what they say, when they are changed, how they start and stop a daemon."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import time

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _service_manager as managers
from ansible_collections.queenright.swarm.plugins.module_utils._files import Files
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError
from ansible_collections.queenright.swarm.plugins.module_utils._service_manager import InitScript, Systemd
from ansible_collections.queenright.swarm.plugins.module_utils._units import SERVICE
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_host import FakeHost

COMMAND = "/opt/queenright/current/venv/bin/queenright run"


@pytest.fixture
def host(tmp_path, monkeypatch) -> FakeHost:
    for name in ("UNITS", "INIT_D", "LOGROTATE_D", "SYSTEMD_RUNS"):
        monkeypatch.setattr(managers, name, str(tmp_path / name))
        (tmp_path / name).mkdir()
    monkeypatch.setattr(managers, "STATE_FILE", str(tmp_path / "state.json"))
    monkeypatch.setattr(managers, "UPDATE_RC", str(tmp_path / "none"))
    return FakeHost()


def systemd(host, check=False, socket="/run/queenright/engine.sock", group="docker") -> Systemd:
    return Systemd(host.run, Files(check), COMMAND, socket, group)


def section(text: str, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return dict(parser[name])


def test_no_line_of_the_unit_gives_the_daemon_a_mount_namespace():
    namespaced = re.compile(
        r"^(Protect|Private|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|BindPaths|BindReadOnlyPaths|TemporaryFileSystem|"
        r"RootDirectory|RootImage|MountImages|MountFlags|StateDirectory|DynamicUser)",
        re.MULTILINE,
    )
    assert not namespaced.findall(SERVICE)


def test_the_unit_comes_back_however_often_it_is_killed():
    assert section(SERVICE, "Unit")["StartLimitIntervalSec"] == "0"
    assert section(SERVICE, "Service")["Restart"] == "on-failure"
    assert section(SERVICE, "Service")["KillMode"] == "mixed"


def test_units_are_written_once_and_only_the_first_run_is_a_change(host, tmp_path):
    first = systemd(host)
    assert first.write()
    assert not first.enabled_and_started()
    first.start()
    assert f"ExecStart={COMMAND}\n" in (tmp_path / "UNITS/queenright.service").read_text()
    assert "SocketGroup=docker\n" in (tmp_path / "UNITS/queenright.socket").read_text()
    again = systemd(host)
    assert not again.write()
    assert again.enabled_and_started()


def test_a_host_in_no_swarm_is_activated_by_its_socket_and_a_member_runs(host, tmp_path):
    manager = systemd(host)
    manager.write()
    manager.start()
    assert host.commands[-1] == ["systemctl", "start", "queenright.socket"]
    (tmp_path / "state.json").write_text("{}")
    manager.restart()
    assert host.commands[-1] == ["systemctl", "start", "queenright.socket", "queenright.service"]


def test_a_restart_keeps_the_socket_unless_the_socket_unit_changed(host):
    manager = systemd(host)
    manager.write()
    manager.start()
    same = systemd(host)
    same.write()
    host.commands.clear()
    same.restart()
    assert ["systemctl", "stop", "queenright.service"] in host.commands
    assert not host.did("daemon-reload")
    moved = systemd(host, group="root")
    assert moved.write()
    host.commands.clear()
    moved.restart()
    assert ["systemctl", "stop", "queenright.socket", "queenright.service"] in host.commands
    assert host.commands[0] == ["systemctl", "daemon-reload"]


def test_a_failing_systemctl_is_an_error_in_its_words(host):
    manager = systemd(host)
    manager.write()
    host.fail_at("systemctl start", "Unit docker.service is masked.")
    with pytest.raises(InstallError, match=r"start queenright\.socket failed: Unit docker"):
        manager.start()


def test_check_mode_writes_and_removes_nothing(host, tmp_path):
    manager = systemd(host, check=True)
    assert manager.write()
    assert not list((tmp_path / "UNITS").iterdir())
    systemd(host).write()
    host.commands.clear()
    manager.remove(check=True)
    assert manager.there()
    assert host.commands == []


def test_removal_stops_first_and_then_takes_the_files(host, tmp_path):
    manager = systemd(host)
    manager.write()
    manager.start()
    host.commands.clear()
    manager.remove(check=False)
    assert host.commands[0][:2] == ["systemctl", "disable"]
    assert not manager.there()
    assert not host.running


def test_units_are_removed_where_systemd_does_not_run(host, tmp_path):
    systemd(host).write()
    (tmp_path / "SYSTEMD_RUNS").rmdir()
    host.commands.clear()
    manager = systemd(host)
    manager.remove(check=False)
    assert not manager.there()
    assert host.commands == []
    assert managers.detect() == "sysv"


# -- the init script, run for real


@pytest.fixture
def script(host, tmp_path, monkeypatch):
    """Calls the init script of a daemon that only sleeps; it is ended with the test."""
    program = tmp_path / "bin/queenright"
    program.parent.mkdir()
    program.write_text("#!/usr/bin/env python3\nimport time\nprint('up', flush=True)\ntime.sleep(600)\n")
    program.chmod(0o755)
    monkeypatch.setattr(managers, "PIDFILE", str(tmp_path / "pid"))
    monkeypatch.setattr(managers, "LOG", str(tmp_path / "log"))
    InitScript(host.run, Files(False), f"{program} run").write()
    path = str(tmp_path / "INIT_D/queenright")

    def call(word: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, word], capture_output=True, text=True, timeout=120)

    yield call
    call("stop")


def pid_of(tmp_path) -> int:
    return int((tmp_path / "pid").read_text())


def gone(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_the_init_script_starts_once_stops_and_tells(script, tmp_path):
    assert script("status").returncode == 3
    assert script("start").returncode == 0
    deadline = time.monotonic() + 60
    while script("status").returncode != 0:  # the shell that becomes the daemon may not be it yet
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first = pid_of(tmp_path)
    assert script("start").returncode == 0
    assert pid_of(tmp_path) == first
    assert os.getsid(first) == first, "it must outlive the session that started it"
    assert script("stop").returncode == 0
    assert gone(first)
    assert script("status").returncode == 3
    assert script("stop").returncode == 0


def test_the_init_script_restarts_into_another_process(script, tmp_path):
    script("start")
    first = pid_of(tmp_path)
    deadline = time.monotonic() + 60
    while script("status").returncode != 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert script("restart").returncode == 0
    assert gone(first)
    assert pid_of(tmp_path) != first


def test_a_pid_that_now_belongs_to_something_else_is_not_ours(script, tmp_path):
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    assert script("status").returncode == 3
    assert script("stop").returncode == 0
    assert not (tmp_path / "pid").exists()


def test_the_init_script_says_how_it_is_used_and_what_is_missing(script, tmp_path):
    assert "usage:" in script("frobnicate").stderr
    (tmp_path / "bin/queenright").unlink()
    missing = script("start")
    assert missing.returncode == 5
    assert "is missing" in missing.stderr
