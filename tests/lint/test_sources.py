# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for every source file: licence, length, where the environment is read, nothing of the author's machine."""

from __future__ import annotations

import ast
import pathlib
import re

from lint import house

LONGEST_FUNCTION = 80
APACHE, GPL = "Apache-2.0", "GPL-3.0-or-later"
FILE_SYSTEM_ROOTS = set("bin boot dev etc home lib media mnt opt proc root run sbin srv sys tmp usr var".split())
TEXT_SUFFIXES = set(
    ".py .sh .md .yml .yaml .toml .txt .cfg .ini .j2 .proto .rst .json .service .conf .pyi .xml".split()
) | {""}


def _licence_of(path: pathlib.Path) -> str:
    utils = house.ROOT / "plugins/module_utils"
    apache = (house.ROOT / "runtime", utils / "_spec", utils / "_checkup")
    return APACHE if any(folder in path.parents for folder in apache) else GPL


def test_every_program_that_ships_or_is_run_names_its_licence() -> None:
    wrong = []
    for path in house.files():
        text = path.read_bytes()[:2000].decode(errors="replace")
        is_program = path.suffix in (".py", ".sh", ".proto") or text.startswith("#!")
        if not is_program or house.GENERATED in path.parents or house.ROOT / "tests" in path.parents:
            continue  # tests are spoken for by REUSE.toml
        if f"SPDX-License-Identifier: {_licence_of(path)}" not in "\n".join(text.splitlines()[:20]):
            wrong.append(f"{path.relative_to(house.ROOT)} ({_licence_of(path)})")
    assert not wrong, f"the first 20 lines name no such SPDX-License-Identifier: {wrong}"


def test_no_function_is_longer_than_a_screen() -> None:
    long = []
    for path in house.python_files():
        for node in ast.walk(house.tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{house.at(path, node.lineno)} {node.name}: {lines} lines")
    assert not long, f"split these: {long}"


def _reads_the_outside(node: ast.AST) -> bool:
    """`os.environ`, `os.getenv`, `sys.argv`, or one of those names imported."""
    outside = {("os", "environ"), ("os", "environb"), ("os", "getenv"), ("sys", "argv")}
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return (node.value.id, node.attr) in outside
    if isinstance(node, ast.ImportFrom):
        return any((node.module, alias.name) in outside for alias in node.names)
    return False


def test_only_the_app_reads_arguments_and_environment() -> None:
    app = house.PACKAGE / "app"
    places = [
        house.at(path, node.lineno)  # type: ignore[attr-defined]
        for path in house.python_files("runtime/src/queenright")
        if app not in path.parents
        for node in ast.walk(house.tree(path))
        if _reads_the_outside(node)
    ]
    assert not places, f"hand the value in from app: {places}"


def test_no_file_names_a_path_of_this_machine() -> None:
    top = house.ROOT.parts[1]
    if top in FILE_SYSTEM_ROOTS - {"home"}:
        return  # where everybody has it: no path here tells one machine from another
    place = f"/home/{house.ROOT.parts[2]}/" if top == "home" else f"/{top}/"
    pattern = re.compile(rf"(?<![\w.}}\]-]){re.escape(place)}")
    found = []
    for path in house.files():
        if path.suffix in TEXT_SUFFIXES:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if pattern.search(line):
                    found.append(house.at(path, number))
    assert not found, f"a path of this machine: {found}"


def test_nothing_is_left_for_later_in_the_code() -> None:
    pattern = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")
    left = []
    for path in house.python_files():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if pattern.search(line):
                left.append(house.at(path, number))
    assert not left, f"finish these: {left}"
