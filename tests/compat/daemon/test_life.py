# SPDX-License-Identifier: Apache-2.0
"""The daemon as a process on a host that is in no swarm: start, signals, supervisor, sockets, what it costs."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from compat.daemon.kit import PATIENCE, Daemon, Machine, until

HEAVY = ("grpc", "pysyncobj", "docker", "requests", "cryptography", "google", "pyroute2")
SILENT = """
import socket, time
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print(flush=True)
time.sleep(10000)
"""
STARTER = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = "1"
os.execv(sys.executable, [sys.executable, "-m", "queenright", "run", *sys.argv[2:]])
"""


def second(daemon: Daemon, name: str) -> Daemon:
    """Another daemon with the same settings but what the test changes."""
    other = Daemon(daemon.folder / name, daemon.docker_socket)
    other.state_dir, other.socket = daemon.state_dir, daemon.socket
    return other


def refused(daemon: Daemon, *flags: str, **environment: str) -> str:
    """Start a daemon that must not; gives what it said."""
    done = daemon.run("run", *flags, environment=environment)
    assert done.returncode in (1, 2), done
    assert "Traceback" not in done.stderr
    return done.stderr


def threads(pid: int) -> list[str]:
    found = []
    for entry in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found.append((entry / "comm").read_text().strip())
    return found


def listening(pid: int) -> list[str]:
    """Inodes of TCP and UDP sockets that the process holds."""
    held = set()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            held.add(os.readlink(entry))
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            if f"socket:[{line.split()[9]}]" in held:
                found.append(f"{kind} {line.split()[1]}")
    return found


def rss_mib(pid: int) -> float:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


# -- start and end


def test_it_answers_after_its_start_and_says_what_it_is(daemon: Daemon) -> None:
    daemon.start()
    status = daemon.status()
    assert (status["state"], status["role"], status["ready"], status["error"]) == ("inactive", "", True, "")
    assert status["engine"]["reachable"] is False
    assert str(daemon.docker_socket) in status["engine"]["error"]
    shown = daemon.run("status")
    assert (shown.returncode, "inactive" in shown.stdout) == (0, True), shown
    assert json.loads(daemon.run("status", "--json").stdout)["state"] == "inactive"
    assert daemon.said("ready")


def test_sigterm_ends_it_and_removes_the_socket_but_not_the_state(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.stop() == 0
    assert not daemon.socket.exists()
    assert daemon.state_dir.is_dir()
    shown = daemon.run("status")
    assert shown.returncode == 1
    assert shown.stderr == f"queenright: {daemon.socket} does not exist: is the service queenright started?\n"


def test_a_killed_daemon_starts_again_on_its_left_over_socket(daemon: Daemon) -> None:
    daemon.start()
    daemon.kill()
    assert daemon.socket.exists()
    shown = daemon.run("status")
    assert "does not answer" in shown.stderr and shown.returncode == 1
    daemon.start()
    assert daemon.status()["state"] == "inactive"


def test_a_second_daemon_on_the_same_state_is_refused(daemon: Daemon) -> None:
    daemon.start()
    other = second(daemon, "other")
    other.socket = daemon.folder / "other.sock"
    said = refused(other)
    assert f"another daemon uses {daemon.state_dir}: stop it, or give this one a --state-dir of its own" in said
    assert not other.socket.exists()
    assert daemon.status()["state"] == "inactive"


def test_a_second_daemon_on_the_same_socket_is_refused(daemon: Daemon) -> None:
    daemon.start()
    other = second(daemon, "other")
    other.state_dir = daemon.folder / "another"
    assert f"cannot listen on unix://{daemon.socket}: another process answers there" in refused(other)
    assert daemon.status()["state"] == "inactive"


def test_a_file_in_the_place_of_the_socket_is_not_touched(daemon: Daemon) -> None:
    daemon.socket.write_text("mine")
    assert "a file that is no socket is there" in refused(daemon)
    assert daemon.socket.read_text() == "mine"


def test_the_directory_of_the_socket_keeps_its_mode_if_it_was_there(daemon: Daemon) -> None:
    shared = daemon.folder / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    daemon.socket = shared / "q.sock"
    daemon.start()
    assert shared.stat().st_mode & 0o7777 == 0o1777
    daemon.stop()
    daemon.socket = daemon.folder / "run" / "queenright" / "q.sock"
    daemon.start()
    assert daemon.socket.parent.stat().st_mode & 0o7777 == 0o755


def test_a_state_directory_that_cannot_be_one_is_named(daemon: Daemon) -> None:
    daemon.state_dir.write_text("")
    assert f"the state directory {daemon.state_dir} cannot be used" in refused(daemon)


def test_a_name_server_that_is_silent_does_not_hold_the_end_up(machine: Machine) -> None:
    """The thread that asks it cannot be cancelled; it would take minutes."""
    daemon, silent = machine.daemon, machine.engine.folder / "resolv.conf"
    silent.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    place = os.path.realpath("/etc/resolv.conf")
    machine.run("mount", "--bind", str(silent), place)
    server = machine.launch(sys.executable, "-c", SILENT)
    assert server.stdout is not None and server.stdout.readline()
    try:
        daemon.start("--stop-timeout=3")
        body = json.dumps({"RemoteAddrs": ["queen.example"], "JoinToken": TOKEN}).encode()
        head = f"POST /swarm/join HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(daemon.socket))
            client.sendall(f"{head}\r\n\r\n".encode() + body)
            until(lambda: daemon.status()["state"] == "pending", daemon.status)
            until(lambda: len(threads(daemon.pid)) > 1, daemon.tail)
            began = time.monotonic()
            assert daemon.stop() == 0
            assert time.monotonic() - began < 60
        assert "Traceback" not in daemon.tail()
    finally:
        server.kill()
        server.communicate()
        machine.run("umount", place)


# -- settings and log


def test_an_unknown_setting_is_named_with_its_line(daemon: Daemon) -> None:
    config = daemon.folder / "config.toml"
    config.write_text('# mine\nlog_level = "info"\nlog_levle = "debug"\n')
    done = daemon.run("run", f"--config={config}")
    assert done.returncode == 2
    assert f"{config}, line 3: there is no setting 'log_levle'; known are " in done.stderr
    done = daemon.run("status", environment={"QUEENRIGHT_NOSUCH": "1"})
    assert (done.returncode, "QUEENRIGHT_NOSUCH" in done.stderr) == (2, True)


def test_sighup_takes_the_new_level_and_reopens_the_log_file(daemon: Daemon) -> None:
    config, log = daemon.folder / "config.toml", daemon.folder / "daemon.log"
    config.write_text(f'log_level = "warning"\nlog_file = "{log}"\n')
    daemon.start(f"--config={config}")
    assert log.read_text() == ""
    log.rename(daemon.folder / "daemon.log.1")
    config.write_text(f'log_level = "info"\nlog_file = "{log}"\nstop_timeout = 7\n')
    daemon.signal(signal.SIGHUP)
    until(lambda: log.exists() and log.read_text(), daemon.tail)
    line = json.loads(log.read_text().splitlines()[0])
    assert (line["message"], line["need_restart"]) == ("settings reloaded", ["stop_timeout"])
    assert (daemon.folder / "daemon.log.1").read_text() == ""


def test_sighup_keeps_what_flags_say(daemon: Daemon) -> None:
    daemon.start("--log-level=debug", environment={"QUEENRIGHT_LOG_LEVEL": "error"})
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.said("settings reloaded"), daemon.tail)
    line = next(line for line in daemon.logged() if line["message"] == "settings reloaded")
    assert line["need_restart"] == []


def test_a_mistake_in_the_settings_does_not_end_a_running_daemon(daemon: Daemon) -> None:
    config = daemon.folder / "config.toml"
    config.write_text('log_level = "info"\n')
    daemon.start(f"--config={config}")
    for text in ('log_level = "loud"\n', 'log_file = "/nonexistent/folder/x.log"\n'):
        config.write_text(text)
        before = len(daemon.logged())
        daemon.signal(signal.SIGHUP)
        until(lambda: len(daemon.logged()) > before, daemon.tail)  # noqa: B023
        assert "settings are kept as they were" in daemon.logged()[-1]["message"]
    assert daemon.status()["state"] == "inactive"


def test_a_log_file_that_cannot_be_written_is_named(daemon: Daemon) -> None:
    assert "the log file /nonexistent/x.log cannot be written" in refused(daemon, "--log-file=/nonexistent/x.log")


# -- what is on disk from a newer version


@pytest.mark.parametrize("text", ['{"magic": "queenright-state", "format": 99}', '{"magic": "queenri', "[]"])
def test_a_state_file_that_cannot_be_used_is_shown_and_can_be_given_up(daemon: Daemon, text: str) -> None:
    daemon.state_dir.mkdir()
    path = daemon.state_dir / "state.json"
    path.write_text(text)
    daemon.start()
    status = daemon.status()
    assert (status["state"], status["ready"]) == ("error", False)
    assert str(path) in status["error"]
    shown = daemon.run("status")
    assert shown.returncode == 1 and f"error: {path}" in shown.stdout
    status, _, body = daemon.exchange("POST", "/swarm/init", {})
    assert (status, b"already part of a swarm" in body) == (503, True)
    status, _, body = daemon.exchange("POST", "/swarm/leave")
    assert (status, b"with force" in body) == (503, True)
    assert path.read_text() == text
    assert daemon.exchange("POST", "/swarm/leave?force=1")[0] == 200
    assert (daemon.status()["state"], path.exists()) == ("inactive", False)


# -- supervisor


@contextlib.contextmanager
def supervisor(folder: pathlib.Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(folder / "notify"))
        channel.settimeout(PATIENCE)
        yield channel


@pytest.mark.parametrize("abstract", [False, True])
def test_the_supervisor_hears_ready_watchdog_and_stopping(daemon: Daemon, abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        name = f"\0qr-test-{os.getpid()}" if abstract else str(daemon.folder / "notify")
        channel.bind(name)
        channel.settimeout(PATIENCE)
        environment = {"NOTIFY_SOCKET": name.replace("\0", "@"), "WATCHDOG_USEC": "200000"}
        daemon.start(environment=environment, wait=False)
        assert channel.recv(4096) == b"READY=1\nSTATUS=inactive"
        assert daemon.status()["state"] == "inactive"
        assert [channel.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        daemon.signal(signal.SIGTERM)
        heard = channel.recv(4096)
        while heard == b"WATCHDOG=1":
            heard = channel.recv(4096)
        assert heard == b"STOPPING=1"
        assert daemon.wait() == 0


def test_a_watchdog_that_is_somebody_else_s_is_not_fed(daemon: Daemon) -> None:
    with supervisor(daemon.folder) as channel:
        environment = {"NOTIFY_SOCKET": str(daemon.folder / "notify"), "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}
        daemon.start(environment=environment)
        daemon.stop()
        channel.setblocking(False)
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(channel.recv(4096).split(b"\n")[0])
        assert heard == [b"READY=1", b"STOPPING=1"]


# -- socket activation


def activate(daemon: Daemon, fd: int, *flags: str) -> None:
    """Start it as systemd does for a socket unit."""
    with open(daemon.log_path, "ab") as log:
        daemon.process = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(fd), *daemon.flags(), *flags],
            env=daemon.environment(),
            pass_fds=[fd],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def test_a_handed_over_socket_is_served_and_an_unused_daemon_ends_without_losing_a_client(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(daemon.socket))
        listener.listen()
        activate(daemon, listener.fileno(), "--idle-timeout=2")
        assert daemon.status()["state"] == "inactive"  # asked before it was ready: the socket holds the client
        assert daemon.wait() == 0
        assert daemon.said("nobody needs this daemon")
        assert daemon.socket.exists()
        assert not daemon.said("settings")
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(daemon.socket))  # nobody is there; the next daemon answers
        client.sendall(b"GET /queenright/v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
        activate(daemon, listener.fileno(), "--idle-timeout=2")
        client.settimeout(PATIENCE)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
        time.sleep(4)  # longer than the idle time: a client that holds its connection counts
        assert daemon.process is not None and daemon.process.poll() is None
        client.close()
        assert daemon.wait() == 0


def test_something_else_than_a_listening_unix_socket_is_refused(daemon: Daemon) -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    activate(daemon, read_end)
    os.close(read_end)
    assert daemon.wait() == 1
    assert "handed over by socket activation, is no socket" in daemon.tail()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as wrong:
        activate(daemon, wrong.fileno())
        assert daemon.wait() == 1
    assert "no unix stream socket" in daemon.tail()
    assert "Traceback" not in daemon.tail()


def test_a_socket_handed_to_another_process_is_left_alone(daemon: Daemon) -> None:
    daemon.start(environment={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert daemon.status()["state"] == "inactive"


# -- what it costs a host that is in no swarm


def test_a_host_in_no_swarm_pays_for_the_socket_and_nothing_else(daemon: Daemon) -> None:
    with open(daemon.log_path, "ab") as log:
        daemon.process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "queenright", "run", *daemon.flags()],
            env=daemon.environment(),
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    until(daemon.answers, daemon.tail)
    for path in ("/_ping", "/version", "/info", "/swarm", "/nodes", "/queenright/v1/status"):
        daemon.exchange("GET", path)
    imported = {
        line.rpartition("|")[2].strip()
        for line in daemon.log_path.read_text().splitlines()
        if line.startswith("import time:")
    }
    assert "queenright.app.daemon" in imported
    assert sorted({name for name in imported if name.split(".")[0] in HEAVY}) == []
    assert listening(daemon.pid) == []
    assert len(threads(daemon.pid)) == 1
    assert [path.name for path in daemon.state_dir.iterdir()] == ["lock"]
    children = pathlib.Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text()
    assert children == ""
    size = rss_mib(daemon.pid)
    print(f"resident: {size:.1f} MiB")
    assert size < 60


# -- beside dockerd's own swarm


def test_dockerd_in_swarm_mode_itself_is_refused_with_the_command_that_helps(machine: Machine) -> None:
    daemon = machine.daemon.start()
    with machine.engine.client() as client:
        client.init_swarm("127.0.0.1:23377", "127.0.0.1:23377")
        try:
            for path, body in (
                ("/swarm/init", {"ListenAddr": "127.0.0.1:24377"}),
                ("/swarm/join", {"RemoteAddrs": ["127.0.0.1:25377"], "JoinToken": TOKEN}),
            ):
                status, _, text = daemon.exchange("POST", path, body)
                assert status == 400, text
                said = json.loads(text)["message"]
                assert "is itself in swarm mode (active)" in said
                assert f"'docker -H unix://{machine.engine.socket} swarm leave --force'" in said
            assert [path.name for path in daemon.state_dir.iterdir()] == ["lock"]
        finally:
            client.leave_swarm(force=True)
    assert daemon.status()["state"] == "inactive"


def test_an_engine_that_does_not_answer_is_named_by_init_and_nothing_is_left(daemon: Daemon) -> None:
    daemon.start()
    status, _, text = daemon.exchange("POST", "/swarm/init", {"ListenAddr": "127.0.0.1:24377"})
    assert (status, f"the Docker Engine at {daemon.docker_socket} does not answer" in text.decode()) == (503, True)
    assert [path.name for path in daemon.state_dir.iterdir()] == ["lock"]
    assert daemon.status()["state"] == "inactive"


TOKEN = "SWMTKN-1-32y93orkilq9kpntsfx9velcx9m25brnhmoihvdz4iy0bs75zj-ah37tw5ldzs0m33y97dh6x7ja"
