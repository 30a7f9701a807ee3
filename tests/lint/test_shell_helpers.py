# SPDX-License-Identifier: GPL-3.0-or-later
"""The helpers in scripts/_lib.sh that the commands share: what is missing, and a venv that is made once."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

from lint import house

LIB = house.ROOT / "scripts/_lib.sh"


def _bash(script: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    command = ["bash", "-euo", "pipefail", "-c", f". {LIB}; {script}"]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": path, "LC_ALL": "C.UTF-8"})


def _fake(folder: pathlib.Path, name: str, body: str) -> None:
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)


def test_missing_packages_are_named_once_and_optional_ones_only_where_they_exist(tmp_path: pathlib.Path) -> None:
    _fake(tmp_path, "dpkg-query", '[ "$4" = here ] && printf "ii "; exit 0')
    _fake(tmp_path, "apt-cache", '[ "$3" = "^newer$" ] && echo "newer - a package"; exit 0')
    packages = tmp_path / "apt.txt"
    packages.write_text("# a comment\nhere  # installed\nabsent\nabsent\nnewer?\nunheard-of?\n")
    done = _bash(f"qr_apt_missing {packages}", f"{tmp_path}:/usr/bin:/bin")
    assert done.stdout.split() == ["absent", "newer"], done.stderr


def test_a_missing_package_stops_who_is_not_root_and_names_it(tmp_path: pathlib.Path) -> None:
    _fake(tmp_path, "dpkg-query", "exit 1")
    _fake(tmp_path, "id", "echo 1000")
    packages = tmp_path / "apt.txt"
    packages.write_text("some-package\n")
    done = _bash(f"qr_apt_ensure {packages}", f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "apt-get install some-package" in done.stderr


def _venv_of_nothing(folder: pathlib.Path) -> str:
    """A shell line that asks for a venv in which nothing is pinned, by a python that writes down what it is asked."""
    _fake(
        folder,
        "python",
        f'echo "$@" >> {folder}/asked; [ "$2" = venv ] && mkdir -p "$4/bin" && cp {folder}/python "$4/bin"; :',
    )
    requirements = folder / "requirements.txt"
    requirements.touch()
    return f"QR_PYTHON={folder}/python; qr_venv {folder}/venv {requirements}"


def test_a_venv_is_made_once_and_again_when_the_pins_change(tmp_path: pathlib.Path) -> None:
    line = _venv_of_nothing(tmp_path)

    def installs() -> int:
        assert _bash(line).returncode == 0
        return (tmp_path / "asked").read_text().count("pip install")

    assert [installs(), installs()] == [1, 1]
    (tmp_path / "requirements.txt").write_text("# changed\n")
    assert installs() == 2
    shutil.rmtree(tmp_path / "venv")
    assert installs() == 3
