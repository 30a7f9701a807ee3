# SPDX-License-Identifier: Apache-2.0
"""The docker command line, unmodified, on our socket."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import time

import pytest
from compat.engine import IMAGE

WITHIN = 120.0
RUN = ("run", "--rm", "--network", "none")


def read_until(fd: int, text: bytes) -> bytes:
    """Read from a file descriptor until ``text`` has come; fails when the other end closes before."""
    got = b""
    while text not in got:
        data = os.read(fd, 4096)
        assert data, f"ended after {got!r}"
        got += data
    return got


def test_there_is_a_command_line_to_test(cli) -> None:
    assert re.match(r"Docker version \d+", cli("--version"))


def test_version_and_info_are_those_of_the_engine_with_our_part_in_it(cli) -> None:
    theirs = json.loads(cli("version", "--format", "{{json .Server}}", direct=True))
    merged = json.loads(cli("version", "--format", "{{json .Server}}"))
    assert merged["Components"][-1]["Name"] == "queenright"
    assert merged["Components"][:-1] == theirs["Components"]
    theirs = json.loads(cli("info", "--format", "{{json .}}", direct=True))
    merged = json.loads(cli("info", "--format", "{{json .}}"))
    assert merged["Swarm"]["NodeID"] == "from-queenright"
    assert (merged["ID"], merged["Driver"], merged.keys()) == (theirs["ID"], theirs["Driver"], theirs.keys())


def test_a_command_that_fails_says_the_same_as_without_us(cli) -> None:
    for command in (
        ("inspect", "nosuch"),
        ("rm", "nosuch"),
        ("logs", "nosuch"),
        ("exec", "nosuch", "true"),
        ("start", "-a", "nosuch"),
    ):
        theirs, got = cli.attempt(*command, direct=True), cli.attempt(*command)
        assert (got.returncode, got.stdout, got.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
        assert got.returncode != 0


def test_a_container_gives_back_what_it_is_given(cli) -> None:
    data = os.urandom(3_000_000)
    done = cli.attempt(*RUN, "-i", IMAGE, "cat", stdin=data)
    assert (done.returncode, done.stdout) == (0, data)


def test_the_end_of_the_input_ends_a_container_that_waits_for_it(cli) -> None:
    assert cli(*RUN, "-i", IMAGE, "sh", "-c", "wc -c; echo over", stdin=b"12345").split() == ["5", "over"]


def test_exit_codes_and_both_outputs_come_back(cli) -> None:
    done = cli.attempt(*RUN, IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_a_big_output_is_whole_though_its_reader_is_slow(cli) -> None:
    process = cli.start(*RUN, "-i", IMAGE, "sh", "-c", "head -c 8000000 /dev/zero; echo end", stdin=subprocess.PIPE)
    time.sleep(1)
    output, _ = process.communicate(b"y\n" * 1000, timeout=WITHIN)
    assert len(output) == 8_000_004
    assert output.endswith(b"end\n")


@pytest.fixture
def terminal():
    """(our end, the end of a command) of a terminal"""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_terminal_works_in_run_and_in_exec(cli, terminal) -> None:
    ours, theirs = terminal
    identity = cli.id(IMAGE, "sleep", "1000")
    try:
        for command in ((*RUN, "-it", IMAGE, "sh"), ("exec", "-it", identity, "sh")):
            process = cli.start(*command, stdin=theirs, stdout=theirs, stderr=theirs)
            os.write(ours, b"tty && echo $((6 * 7))\n")
            assert b"/dev/" in read_until(ours, b"42\r\n")
            os.write(ours, b"exit 3\n")
            assert process.wait(WITHIN) == 3
    finally:
        cli("rm", "-f", identity)


def test_ctrl_c_in_a_terminal_reaches_the_container(cli, terminal) -> None:
    ours, theirs = terminal
    script = "trap 'echo caught; exit 5' INT; echo ready; while true; do sleep 0.1; done"
    process = cli.start(*RUN, "-it", IMAGE, "sh", "-c", script, stdin=theirs, stdout=theirs, stderr=theirs)
    read_until(ours, b"ready")
    os.write(ours, b"\x03")
    read_until(ours, b"caught")
    assert process.wait(WITHIN) == 5


@pytest.fixture
def container(cli):
    """A container that says a line and waits."""
    identity = cli.id("--name", "qr-compat", IMAGE, "sh", "-c", "echo started; exec sleep 1000")
    yield identity
    cli("rm", "-f", identity)


def test_exec_with_input_output_and_exit_code(cli, container) -> None:
    assert cli("exec", "-i", container, "cat", stdin=b"through exec") == "through exec"
    assert cli("exec", container, "echo", "hello") == "hello\n"
    assert cli.attempt("exec", container, "sh", "-c", "exit 9").returncode == 9


def test_list_and_inspect(cli, container) -> None:
    assert "qr-compat" in cli("ps")
    assert json.loads(cli("inspect", "qr-compat"))[0]["Id"] == container
    assert "sleep 1000" in cli("top", container)


def test_logs_follow_a_container_to_its_end(cli) -> None:
    identity = cli.id(IMAGE, "sh", "-c", "for i in 1 2 3 4; do echo line $i; sleep 0.3; done")
    try:
        process = cli.start("logs", "-f", identity)
        assert read_until(process.stdout.fileno(), b"line 2\n").startswith(b"line 1\n")
        output, _ = process.communicate(timeout=WITHIN)
        assert output.endswith(b"line 4\n")
        assert process.returncode == 0
        assert cli("logs", "--tail", "1", identity) == "line 4\n"
    finally:
        cli("rm", "-f", identity)


def test_attach_sees_the_output_and_sends_the_input(cli) -> None:
    identity = cli.id("-i", IMAGE, "sh", "-c", "read a; echo got $a; read b; echo got $b; echo over")
    try:
        process = cli.start("attach", identity, stdin=subprocess.PIPE)
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert read_until(process.stdout.fileno(), b"got one\n")
        process.stdin.write(b"two\n")
        process.stdin.flush()  # and stays open: dockerd may end an attachment whose input has ended
        assert read_until(process.stdout.fileno(), b"over\n") == b"got two\nover\n"
        assert process.wait(WITHIN) == 0
    finally:
        cli("rm", "-f", identity)


def test_wait_answers_when_the_container_ends(cli) -> None:
    identity = cli.id("-i", IMAGE, "sh", "-c", "read line; exit 4")
    try:
        process = cli.start("wait", identity)
        time.sleep(0.5)
        assert process.poll() is None
        cli.attempt("attach", identity, stdin=b"go\n")
        assert process.communicate(timeout=WITHIN)[0] == b"4\n"
    finally:
        cli("rm", "-f", identity)


def listeners(cli) -> int:
    return int(cli("info", "--format", "{{.NEventsListener}}", direct=True))


def test_events_come_at_once_and_end_at_dockerd_with_ctrl_c(cli) -> None:
    before = listeners(cli)
    process = cli.start("events", "--filter", "event=create", "--format", "{{.Action}} {{.Actor.Attributes.image}}")
    deadline = time.monotonic() + WITHIN
    while listeners(cli) == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    cli(*RUN, IMAGE, "true")
    assert read_until(process.stdout.fileno(), b"\n") == f"create {IMAGE}\n".encode()
    process.send_signal(signal.SIGINT)
    process.wait(WITHIN)
    while listeners(cli) != before:
        assert time.monotonic() < deadline, "dockerd still sends events to a client that is gone"
        time.sleep(0.05)


def test_save_and_load_bring_an_image_back(cli) -> None:
    cli("tag", IMAGE, "qr-compat/saved:1")
    archive = cli.attempt("save", "qr-compat/saved:1").stdout
    cli("rmi", "qr-compat/saved:1")
    assert "qr-compat/saved" not in cli("images")
    assert "Loaded image: qr-compat/saved:1" in cli("load", stdin=archive)
    assert "qr-compat/saved" in cli("images")
    cli("rmi", "qr-compat/saved:1")


def test_import_takes_an_archive_from_standard_input(cli, container) -> None:
    archive = cli.attempt("export", container).stdout
    assert len(archive) > 1_000_000
    cli("import", "-", "qr-compat/imported:1", stdin=archive)
    assert cli(*RUN, "qr-compat/imported:1", "/bin/echo", "hello") == "hello\n"
    cli("rmi", "qr-compat/imported:1")


def test_files_are_copied_in_and_out(cli, container, tmp_path: pathlib.Path) -> None:
    data = os.urandom(2_000_000)
    (tmp_path / "in").write_bytes(data)
    cli("cp", str(tmp_path / "in"), f"{container}:/tmp/file")
    cli("cp", f"{container}:/tmp/file", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == data
    assert "/tmp/file" in cli("diff", container)


@pytest.fixture
def context(tmp_path: pathlib.Path) -> str:
    """A build context with a file of 20 MB."""
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY big /big\nRUN wc -c < /big > /size\nCMD cat /size\n")
    (tmp_path / "big").write_bytes(b"x" * 20_000_000)
    return str(tmp_path)


def test_the_classic_builder_builds(cli, context: str) -> None:
    output = cli("build", "--network", "none", "-t", "qr-compat/classic:1", context, DOCKER_BUILDKIT="0")
    assert "Successfully tagged qr-compat/classic:1" in output
    assert cli(*RUN, "qr-compat/classic:1") == "20000000\n"
    cli("rmi", "qr-compat/classic:1")


def test_buildkit_builds_over_its_session(debian_cli, context: str) -> None:
    """The command line of Docker 20.10 has BuildKit's client built in; newer ones need a plugin."""
    cli = debian_cli
    cli("build", "--network", "none", "-t", "qr-compat/kit:1", context, DOCKER_BUILDKIT="1")
    assert cli(*RUN, "qr-compat/kit:1") == "20000000\n"
    cli("rmi", "qr-compat/kit:1")


def test_statistics_stream_and_stop(cli, container) -> None:
    assert container[:12] in cli("stats", "--no-stream", container)


def test_swarm_commands_are_not_dockerds_business(cli) -> None:
    done = cli.attempt("node", "ls")
    assert done.returncode == 1
    assert b"page not found" in done.stderr
