# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Python runs the runtime."""

from __future__ import annotations

import json

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _python
from ansible_collections.queenright.swarm.plugins.module_utils._python import PythonMissingError, find_python


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Puts interpreters on a host: name -> (version, real) or the words with which it fails."""
    known = {}

    def put(**pythons):
        for name, what in pythons.items():
            path = tmp_path / name.replace("_", ".")
            path.write_text("")
            path.chmod(0o755)
            known[str(path)] = what

    def run(command, environ_update=None):
        what = known[command[0]]
        return (1, "", what) if isinstance(what, str) else (0, json.dumps(what), "")

    monkeypatch.setattr(_python, "DIRECTORIES", (str(tmp_path),))
    put.run, put.path = run, tmp_path
    return put


def release(tmp_path, text: str) -> str:
    path = tmp_path / "os-release"
    path.write_text(text)
    return str(path)


def test_the_newest_that_works_is_taken(host):
    host(python3_13="Traceback\nModuleNotFoundError: No module named 'ensurepip'", python3_12=([3, 12, 4], True))
    host(python3_11=([3, 11, 2], True), python3=([3, 11, 2], True))
    assert find_python(host.run, None) == (str(host.path / "python3.12"), "3.12.4")


def test_one_that_is_named_is_taken_without_looking_at_others(host):
    host(python3_12=([3, 12, 4], True), python3_11=([3, 11, 2], True))
    wanted = str(host.path / "python3.11")
    assert find_python(host.run, wanted) == (wanted, "3.11.2")


@pytest.mark.parametrize(
    ("pythons", "words"),
    [
        ({"python3": ([3, 9, 18], True)}, "python3 is 3.9.18"),
        ({"python3": ([3, 12, 1], False)}, "belongs to a virtual environment"),
        ({"python3": "ModuleNotFoundError: No module named 'ensurepip'"}, "cannot make a venv (ModuleNotFoundError"),
        ({"python3": ""}, "cannot make a venv (it does not run)"),
        ({}, "there is no python3"),
    ],
)
def test_what_is_wrong_with_each_is_said(host, pythons, words):
    host(**pythons)
    with pytest.raises(PythonMissingError) as caught:
        find_python(host.run, None)
    assert words in str(caught.value)
    assert "3.11 or later" in str(caught.value)


def test_a_named_one_that_is_no_program_is_said_and_not_run(host):
    with pytest.raises(PythonMissingError, match="/nowhere/python3 is no program on this host"):
        find_python(host.run, "/nowhere/python3")


@pytest.mark.parametrize(
    ("text", "packages"),
    [
        ('ID=debian\nVERSION_ID="12"\n', ["python3-venv"]),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="22.04"\n', ["python3.11-venv"]),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n', ["python3-venv"]),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', ["python3.11"]),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"\n', ["python3"]),
        ("ID=fedora\nVERSION_ID=42\n", ["python3"]),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n', ["python311"]),
        ("ID=plan9\n", []),
    ],
)
def test_the_distributions_package_is_named(host, tmp_path, text, packages):
    with pytest.raises(PythonMissingError) as caught:
        find_python(host.run, None, release(tmp_path, text))
    assert caught.value.packages == packages
    assert (packages[0] if packages else "your distribution's package") in str(caught.value)


def test_a_host_without_os_release_gets_a_general_word(host, tmp_path):
    with pytest.raises(PythonMissingError, match="your distribution's package"):
        find_python(host.run, None, str(tmp_path / "none"))
