"""The virtual machine without booting it: what is chosen to run there, and what is said where it cannot."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE / "guest"))

import boot  # noqa: E402


def _program(folder: pathlib.Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_kernel_that_cannot_be_had_is_a_failure_that_says_why(tmp_path: pathlib.Path) -> None:
    _program(tmp_path, "apt-cache", "exit 0")
    _program(tmp_path, "apt-get", "echo 'E: the archive cannot be reached' >&2; exit 100")
    result = tmp_path / "result"
    done = subprocess.run(
        [sys.executable, str(HERE / "guest/boot.py"), "--short", "--result", str(result)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "QUEENRIGHT_GUEST_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Debian's kernel cannot be had" in done.stderr
    assert "the archive cannot be reached" in done.stderr
    assert not result.exists()


def test_every_file_of_kernel_tests_is_run_in_the_guest_or_named_as_running_elsewhere() -> None:
    there = {path.name for path in HERE.glob("test_*.py")} | {
        f"guest/{path.name}" for path in HERE.glob("guest/test_*")
    }
    short_files = {name.partition("::")[0] for name in boot.SHORT}
    assert set(boot.ELSEWHERE) | short_files <= there
    assert not set(boot.ELSEWHERE) & short_files
    assert {"guest/test_loss.py", "test_balancing.py", "test_publishing.py", "test_probe.py"} <= short_files
    for short in (True, False):
        assert "--junitxml=/run/result/guest.xml" in boot._tests(short)
