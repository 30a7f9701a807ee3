# SPDX-License-Identifier: GPL-3.0-or-later
"""What the house rules look at: the files of the project, parsed once."""

from __future__ import annotations

import ast
import functools
import pathlib
from collections.abc import Iterator

import collection

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "runtime/src/queenright"
GENERATED = PACKAGE / "wire/gen"


@functools.cache
def files() -> tuple[pathlib.Path, ...]:
    """Every regular file that is committed or about to be; symbolic links are looked at where they point."""
    paths = (ROOT / name for name in collection.project_files())
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())


def python_files(*below: str) -> list[pathlib.Path]:
    """Python files written by hand, below the given folders of the project, or everywhere."""
    roots = tuple(ROOT / name for name in below) or (ROOT,)
    found = [path for path in files() if path.suffix == ".py" and GENERATED not in path.parents]
    return [path for path in found if any(root in path.parents for root in roots)]


@functools.cache
def tree(path: pathlib.Path) -> ast.Module:
    """The syntax tree of a file. A SyntaxError names it."""
    return ast.parse(path.read_text(), str(path))


def called(node: ast.AST) -> str:
    """The last name of what a call calls: `asyncio.to_thread(f)` -> `to_thread`; empty for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def imported(path: pathlib.Path) -> Iterator[tuple[str, int]]:
    """Absolute names that a file imports, with their lines: `a.b` of `import a.b`, `from a.b import c`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def at(path: pathlib.Path, line: int) -> str:
    """`path:line` as a reader or an editor wants it."""
    return f"{path.relative_to(ROOT)}:{line}"
