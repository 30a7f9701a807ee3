# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheelhouse: what is fetched for which hosts, and nothing twice."""

from __future__ import annotations

import os
import pathlib
import zipfile

import pytest
from ansible_collections.queenright.swarm.plugins.plugin_utils import _wheelhouse
from ansible_collections.queenright.swarm.plugins.plugin_utils._wheel import WheelError
from ansible_collections.queenright.swarm.plugins.plugin_utils._wheelhouse import fill, main, requirements


@pytest.fixture
def wheel(tmp_path) -> str:
    path = tmp_path / "queenright-1-py3-none-any.whl"
    pins = ("grpcio==1.85.1", "pysyncobj ==0.3.17", "h11==0.16.0")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("queenright/__init__.py", "")
        lines = "".join(f"Requires-Dist: {pin}\n" for pin in pins)
        archive.writestr("queenright-1.dist-info/METADATA", f"Name: queenright\nVersion: 1\n{lines}\ntext\n")
    return str(path)


class Pip:
    """Makes empty files of the names that pip would give them."""

    def __init__(self, house) -> None:
        self.calls: list[list[str]] = []
        self.house = house

    def __call__(self, arguments: list[str]) -> None:
        self.calls.append(arguments)
        tag = "py3-none-any"
        if arguments[0] == "download":
            tag = "cp" + arguments[arguments.index("--python-version") + 1].replace(".", "")
        for pin in (argument for argument in arguments if "==" in argument):
            (self.house / f"{pin.replace('==', '-')}-{tag}.whl").write_text("")


@pytest.fixture
def pip(tmp_path) -> Pip:
    return Pip(tmp_path / "house")


def test_the_pins_are_read_from_the_wheel(wheel):
    assert requirements(wheel) == ["grpcio==1.85.1", "h11==0.16.0", "pysyncobj==0.3.17"]


def test_each_kind_of_host_gets_its_wheels_once(wheel, pip):
    added = fill(str(pip.house), wheel, ["3.11.2/x86_64", "3.11/x86_64", "3.13/aarch64"], pip)
    assert added == sorted(os.path.basename(path) for path in pip.house.glob("*.whl"))
    assert [call[0] for call in pip.calls] == ["wheel", "download", "download"]
    assert pip.calls[0][-1] == "pysyncobj==0.3.17"
    assert "manylinux_2_28_aarch64" in pip.calls[2]
    assert not any("x86_64" in word for word in pip.calls[2])
    assert all("--only-binary=:all:" in call for call in pip.calls[1:])


def test_a_second_run_asks_nobody_and_a_new_kind_of_host_only_for_itself(wheel, pip):
    fill(str(pip.house), wheel, ["3.11/x86_64"], pip)
    pip.calls.clear()
    assert fill(str(pip.house), wheel, ["3.11/x86_64"], pip) == []
    assert pip.calls == []
    assert fill(str(pip.house), wheel, ["3.11/x86_64", "3.13/x86_64"], pip)
    assert [call[0] for call in pip.calls] == ["download"]


def test_a_fetch_that_was_cut_short_is_done_again(wheel, pip):
    def fails(arguments):
        if arguments[0] == "download":
            raise WheelError("no route to host")
        pip(arguments)

    with pytest.raises(WheelError):
        fill(str(pip.house), wheel, ["3.11/x86_64"], fails)
    assert fill(str(pip.house), wheel, ["3.11/x86_64"], pip)


@pytest.mark.parametrize("target", ["3.11", "x86_64", "3.11/", "2.7/x86_64", "3.11/x86_64;reboot", "/x86_64"])
def test_a_target_that_is_none_is_refused_before_anything_is_fetched(wheel, pip, target):
    with pytest.raises(WheelError, match="PYTHON/MACHINE"):
        fill(str(pip.house), wheel, [target], pip)
    assert pip.calls == []


def test_the_script_names_what_it_added_and_says_how_it_is_used(wheel, pip, monkeypatch, capsys):
    monkeypatch.setattr(_wheelhouse, "_pip", pip)
    monkeypatch.setattr(_wheelhouse, "wheel_for", lambda given: type("Wheel", (), {"path": wheel}))
    assert main([str(pip.house), "3.11/x86_64"]) == 0
    assert set(capsys.readouterr().out.split()) == {path.name for path in pathlib.Path(pip.house).glob("*.whl")}
    assert main([str(pip.house), "nonsense"]) == 1
    assert "PYTHON/MACHINE" in capsys.readouterr().err
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
