# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on the managed hosts: syntax of Python 3.8, standard library and ansible, the shared option tables."""

from __future__ import annotations

import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

import environment
from lint import house

FLOOR = (3, 8)
ON_HOSTS = ("plugins/modules", "plugins/module_utils")
SPEC = house.ROOT / "plugins/module_utils/_spec"
CHECKUP = house.ROOT / "plugins/module_utils/_checkup"


@pytest.mark.parametrize("path", house.python_files(*ON_HOSTS), ids=lambda path: path.stem)
def test_the_floor_of_python_can_parse_it(path: pathlib.Path) -> None:
    assert ast.parse(path.read_text(), str(path), feature_version=FLOOR).body


def test_the_floor_of_python_compiles_all_of_it_where_it_is_installed() -> None:
    interpreter = environment.target_pythons().get("3.8", pathlib.Path(sys.executable))
    script = (
        "import sys; [compile(open(name, encoding='utf-8').read(), name, 'exec') for name in sys.argv[1:]]; print('ok')"
    )
    names = [str(path) for path in house.python_files(*ON_HOSTS)]
    done = subprocess.run([str(interpreter), "-B", "-c", script, *names], capture_output=True, text=True)
    assert done.stdout.strip() == "ok", done.stderr


def test_modules_need_the_standard_library_and_ansible_only() -> None:
    own = "ansible_collections.queenright.swarm."
    strangers = []
    for path in house.python_files(*ON_HOSTS):
        allowed = (
            sys.stdlib_module_names if {SPEC, CHECKUP} & set(path.parents) else sys.stdlib_module_names | {"ansible"}
        )
        for name, line in house.imported(path):
            if name.split(".")[0] not in allowed and not name.startswith(own):
                strangers.append(f"{house.at(path, line)} {name}")
    assert not strangers, f"not to be found on a plain host: {strangers}"


def test_the_runtime_reads_the_same_option_tables() -> None:
    room = house.PACKAGE / "spec"
    links = {path.name: path for path in room.glob("*.py") if path.name != "__init__.py"}
    tables = {path.name for path in SPEC.glob("*.py") if path.name != "__init__.py"}
    assert links.keys() == tables, "each file of _spec has its symbolic link in the runtime's room, and no other"
    for name, link in links.items():
        assert link.is_symlink(), f"{link} is a copy: make it a symbolic link"
        assert not os.readlink(link).startswith("/"), f"{link} points at an absolute path"
        assert link.resolve() == SPEC / name


def test_the_runtime_looks_hosts_over_with_the_modules_own_checks() -> None:
    links = [path for path in (house.PACKAGE / "app/checkup").glob("*.py") if path.name != "__init__.py"]
    assert len(links) > 3
    for link in links:
        assert link.is_symlink(), f"{link} is a copy: make it a symbolic link"
        assert link.resolve() == CHECKUP / link.name


def test_the_action_group_has_every_module() -> None:
    runtime = yaml.safe_load((house.ROOT / "meta/runtime.yml").read_text())
    modules = {path.stem for path in (house.ROOT / "plugins/modules").glob("*.py")}
    assert set(runtime["action_groups"]["swarm"]) == modules - {"__init__"}


def test_generated_doc_fragments_are_fresh() -> None:
    done = subprocess.run([str(house.ROOT / "scripts/docs"), "--check"], capture_output=True, text=True, cwd=house.ROOT)
    assert done.returncode == 0, f"run scripts/docs:\n{done.stdout}{done.stderr}"


def test_collection_and_runtime_have_one_version() -> None:
    galaxy = yaml.safe_load((house.ROOT / "galaxy.yml").read_text())
    found = re.search(r'^__version__ = "(.+)"$', (house.PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    assert found is not None
    assert galaxy["version"] == found[1]
