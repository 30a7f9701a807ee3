# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheel on the controller: the one that was released, or one built from the checkout, once."""

from __future__ import annotations

import concurrent.futures
import zipfile

import pytest
from ansible_collections.queenright.swarm.plugins.plugin_utils import _wheel
from ansible_collections.queenright.swarm.plugins.plugin_utils._wheel import WheelError, wheel_for

PROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "queenright"
version = "9.9"
[tool.setuptools]
package-dir = { "" = "src" }
"""


@pytest.fixture
def collection(tmp_path, monkeypatch):
    """An empty collection with a cache of its own."""
    monkeypatch.setattr(_wheel, "COLLECTION", str(tmp_path / "swarm"))
    monkeypatch.setattr(_wheel.C, "ANSIBLE_HOME", str(tmp_path / "home"), raising=False)
    return tmp_path / "swarm"


@pytest.fixture
def checkout(collection):
    package = collection / "runtime/src/queenright"
    package.mkdir(parents=True)
    (collection / "runtime/pyproject.toml").write_text(PROJECT)
    (package / "__init__.py").write_text("x = 1\n")
    shared = collection / "plugins/shared.py"
    shared.parent.mkdir()
    shared.write_text("y = 2\n")
    (package / "shared.py").symlink_to("../../../plugins/shared.py")
    return collection


def test_the_released_wheel_is_taken_and_names_the_release(checkout):
    files = checkout / "roles/runtime/files"
    files.mkdir(parents=True)
    (files / "queenright-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    wheel = wheel_for(None)
    assert wheel.release == "0.1.0"
    assert wheel.path == str(files / "queenright-0.1.0-py3-none-any.whl")
    assert len(wheel.digest) == 64


def test_a_wheel_that_is_named_carries_a_mark_of_its_content(tmp_path):
    path = tmp_path / "queenright-0.2.0-py3-none-any.whl"
    path.write_bytes(b"one")
    first = wheel_for(str(path)).release
    path.write_bytes(b"two")
    assert first.startswith("0.2.0-")
    assert wheel_for(str(path)).release != first


@pytest.mark.parametrize("name", ["other-1.0-py3-none-any.whl", "queenright-1.0-cp311-cp311-linux_x86_64.whl", "x"])
def test_what_is_no_wheel_of_the_runtime_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(WheelError, match="is no wheel of the runtime"):
        wheel_for(str(tmp_path / name))


def test_a_wheel_that_is_not_there_is_said(tmp_path):
    with pytest.raises(WheelError, match="cannot be read"):
        wheel_for(str(tmp_path / "queenright-1.0-py3-none-any.whl"))


def test_a_collection_without_wheel_and_source_says_what_to_do(collection):
    with pytest.raises(WheelError, match="install a release from Galaxy"):
        wheel_for(None)


def test_the_checkout_is_built_with_linked_files_and_built_anew_when_it_changes(checkout):
    first = wheel_for(None)
    with zipfile.ZipFile(first.path) as archive:
        assert archive.read("queenright/shared.py") == b"y = 2\n"
    assert first.release == "9.9-" + first.digest[:8]
    assert wheel_for(None) == first
    (checkout / "plugins/shared.py").write_text("y = 3\n")
    second = wheel_for(None)
    assert second.release != first.release
    with zipfile.ZipFile(second.path) as archive:
        assert archive.read("queenright/shared.py") == b"y = 3\n"
    assert not list((checkout / "runtime").glob("build")), "the checkout stays as it is"


def test_the_same_content_gives_the_same_bytes_again(checkout, tmp_path, monkeypatch):
    first = wheel_for(None)
    monkeypatch.setattr(_wheel.C, "ANSIBLE_HOME", str(tmp_path / "another-home"), raising=False)
    second = wheel_for(None)
    assert second.path != first.path
    assert second.digest == first.digest


def test_hosts_that_ask_at_the_same_time_share_one_build(checkout, monkeypatch):
    builds = []
    build = _wheel._run_build
    monkeypatch.setattr(_wheel, "_run_build", lambda *given: (builds.append(given), build(*given)))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wheels = list(pool.map(lambda _: wheel_for(None), range(4)))
    assert len(set(wheels)) == 1
    assert len(builds) == 1


def test_old_builds_are_forgotten(checkout, tmp_path):
    for number in range(_wheel.KEPT + 1):
        (checkout / "runtime/src/queenright/__init__.py").write_text(f"x = {number}\n")
        newest = wheel_for(None)
    folders = [path for path in (tmp_path / "home/queenright/wheels").iterdir() if path.is_dir()]
    assert len(folders) == _wheel.KEPT
    assert any(newest.path.startswith(str(folder)) for folder in folders)


def test_a_build_that_fails_says_why_and_leaves_nothing_to_be_taken_for_a_wheel(checkout):
    (checkout / "runtime/pyproject.toml").write_text(PROJECT.replace("9.9", "not a version"))
    for _ in range(2):
        with pytest.raises(WheelError, match="could not be built from"):
            wheel_for(None)
