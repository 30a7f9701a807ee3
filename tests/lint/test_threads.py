# SPDX-License-Identifier: GPL-3.0-or-later
"""One thread owns the state: every other one is named in docs/design/threads.md, and the daemon never forks."""

from __future__ import annotations

import ast
import pathlib
import re

from lint import house

PAGE = house.ROOT / "docs/design/threads.md"
MAKERS = {"Thread", "ThreadPoolExecutor", "Timer", "to_thread", "run_in_executor", "start_new_thread"}
FORKING_CALLS = {"fork", "forkpty", "ProcessPoolExecutor"}


def _makes_thread(node: ast.AST) -> bool:
    if isinstance(node, ast.ClassDef):
        names = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
        return "Thread" in names
    return house.called(node) in MAKERS


def makers_of_threads() -> set[str]:
    """Files of the package that make threads, as the page names them: `edge/docker/pool.py`."""
    return {
        str(path.relative_to(house.PACKAGE))
        for path in house.python_files("runtime/src/queenright")
        if any(_makes_thread(node) for node in ast.walk(house.tree(path)))
    }


def named_on_the_page() -> set[str]:
    """Files that the page's first table names in its first column."""
    table = PAGE.read_text().split("## Threads of our own", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `([\w/]+\.py)`", table, re.MULTILINE))


def test_every_file_that_makes_a_thread_is_named_on_the_page() -> None:
    unnamed = makers_of_threads() - named_on_the_page()
    assert not unnamed, f"add a row to docs/design/threads.md for: {sorted(unnamed)}"


def test_the_page_names_no_file_that_makes_no_thread() -> None:
    gone = named_on_the_page() - makers_of_threads()
    assert not gone, f"docs/design/threads.md names files that make no thread: {sorted(gone)}"


def _forks(path: pathlib.Path) -> list[str]:
    lines = [line for name, line in house.imported(path) if name.split(".")[0] in ("multiprocessing", "pty")]
    for node in ast.walk(house.tree(path)):
        if house.called(node) in FORKING_CALLS:
            lines.append(node.lineno)  # type: ignore[attr-defined]
        if isinstance(node, ast.keyword) and node.arg == "preexec_fn":
            lines.append(node.value.lineno)
    return [house.at(path, line) for line in lines]


def test_the_daemon_never_forks() -> None:
    places = [place for path in house.python_files("runtime/src/queenright") for place in _forks(path)]
    assert not places, f"a process with threads must not fork: use asyncio.create_subprocess_exec: {places}"
