# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases: whole or begun anew, switched in one step, the oldest removed."""

from __future__ import annotations

import fcntl
import json
import os

import pytest
from ansible_collections.queenright.swarm.plugins.module_utils import _install
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError, Releases, pip_arguments
from ansible_collections.queenright.swarm.tests.unit.plugins.fake_host import FakeHost

PYTHON = ("/usr/bin/python3.11", "3.11.2")


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def releases(tmp_path) -> Releases:
    return Releases(str(tmp_path / "opt"), str(tmp_path / "bin/queenright"))


def test_an_installed_release_is_complete_for_its_wheel_only(releases, host):
    releases.install(host.run, "0.1.0", "abc", PYTHON, ["wheel.whl"])
    assert releases.complete("0.1.0", "abc")
    assert not releases.complete("0.1.0", "other")
    assert releases.marker("0.1.0")["python"] == "3.11.2"
    assert [command[1:4] for command in host.commands[:1]] == [["-I", "-m", "venv"]]
    assert host.commands[1][-1] == "wheel.whl"


def test_an_installation_that_is_cut_short_is_not_complete_and_is_begun_anew(releases, host):
    host.fail_at("pip", "No space left on device")
    with pytest.raises(InstallError, match=r"could not be installed into (?s:.*)No space left"):
        releases.install(host.run, "0.1.0", "abc", PYTHON, ["wheel.whl"])
    leftover = os.path.join(releases.path("0.1.0"), "leftover")
    open(leftover, "w").close()
    assert not releases.complete("0.1.0", "abc")
    host.mend()
    releases.install(host.run, "0.1.0", "abc", PYTHON, ["wheel.whl"])
    assert releases.complete("0.1.0", "abc")
    assert not os.path.exists(leftover)


def test_a_runtime_that_does_not_start_is_not_complete(releases, host):
    host.fail_at("queenright version", "ImportError: libfoo")
    with pytest.raises(InstallError, match="does not start: ImportError"):
        releases.install(host.run, "0.1.0", "abc", PYTHON, ["wheel.whl"])
    assert releases.marker("0.1.0") == {}


def test_a_release_whose_interpreter_went_away_is_not_complete(releases, host):
    releases.install(host.run, "0.1.0", "abc", PYTHON, ["wheel.whl"])
    os.unlink(os.path.join(releases.path("0.1.0"), "venv/bin/python"))
    assert not releases.complete("0.1.0", "abc")


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"'])
def test_a_damaged_marker_is_an_incomplete_release(releases, host, text):
    releases.install(host.run, "0.1.0", "abc", PYTHON, ["wheel.whl"])
    with open(os.path.join(releases.path("0.1.0"), _install.MARKER), "w") as handle:
        handle.write(text)
    assert not releases.complete("0.1.0", "abc")


def test_switching_moves_the_link_and_the_command(releases, host, tmp_path):
    for name in ("1", "2"):
        releases.install(host.run, name, "abc", PYTHON, ["wheel.whl"])
        releases.switch(name)
        assert releases.current() == name
    assert os.readlink(releases.link) == "releases/2"
    assert os.readlink(tmp_path / "bin/queenright") == os.path.join(releases.link, "venv/bin/queenright")


def test_a_command_of_that_name_which_is_not_ours_is_left_alone(releases, host, tmp_path):
    foreign = tmp_path / "bin/queenright"
    foreign.parent.mkdir()
    foreign.write_text("mine")
    releases.install(host.run, "1", "abc", PYTHON, ["wheel.whl"])
    releases.switch("1")
    assert foreign.read_text() == "mine"
    releases.remove()
    assert foreign.read_text() == "mine"
    assert not os.path.exists(releases.prefix)


def test_the_oldest_and_the_incomplete_are_superfluous(releases, host):
    for age, name in enumerate(("3", "2", "1")):
        releases.install(host.run, name, "abc", PYTHON, ["wheel.whl"])
        moment = 1_000_000 - age
        os.utime(os.path.join(releases.path(name), _install.MARKER), (moment, moment))
    os.makedirs(releases.path("cut-short"))
    assert releases.superfluous(2, "3") == ["1", "cut-short"]
    assert releases.superfluous(1, "1") == ["2", "3", "cut-short"]
    assert releases.superfluous(9, "1") == ["cut-short"]
    assert releases.superfluous(2, "not-yet-there") == ["1", "2", "cut-short"]


def test_a_second_installation_waits_and_says_so_when_the_first_does_not_end(releases, monkeypatch):
    monkeypatch.setattr(_install, "LOCK_TIMEOUT", -1.0)
    with releases.locked():
        with pytest.raises(InstallError, match="another installation"), releases.locked():
            pass
    with releases.locked():
        other = os.open(os.path.join(releases.prefix, ".lock"), os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(other)


def test_a_wheelhouse_shuts_out_every_index():
    found = pip_arguments("w.whl", "/wheels", "https://index", ["https://more"], "/ca.pem", "http://proxy")
    assert found[-4:] == ["--no-index", "--find-links", "/wheels", "w.whl"]
    assert not {"--index-url", "--extra-index-url", "--cert", "--proxy"} & set(found)


def test_the_index_is_named_as_the_options_say():
    found = pip_arguments("w.whl", None, "https://index", ["https://a", "https://b"], "/ca.pem", "http://proxy")
    text = " ".join(found)
    assert "--index-url https://index --extra-index-url https://a --extra-index-url https://b" in text
    assert "--cert /ca.pem --proxy http://proxy w.whl" in text
    assert pip_arguments("w.whl", None, None, [], None, None)[-1] == "w.whl"


def test_what_needs_a_compiler_is_never_built_on_a_host():
    found = pip_arguments("w.whl", None, None, [], None, None)
    assert "grpcio" in found[found.index("--only-binary") + 1]
    assert "pysyncobj" not in found[found.index("--only-binary") + 1]


def test_the_marker_is_plain_json_for_other_tools(releases, host):
    releases.install(host.run, "0.1.0", "abc", PYTHON, ["wheel.whl"])
    with open(os.path.join(releases.path("0.1.0"), _install.MARKER)) as handle:
        assert json.load(handle) == {"name": "0.1.0", "digest": "abc", "python": "3.11.2"}
