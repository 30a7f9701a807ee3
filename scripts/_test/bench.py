# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one benchmark in the tests' venv and holds it to its word: the last line printed is one JSON object."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

from environment import ROOT, VENV, clean, prepare_home

FOLDER = ROOT / "benchmarks"


def names() -> list[str]:
    """The benchmarks there are."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.py"))


def _show() -> None:
    for name in names():
        doc = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
        print(f"{name:16}{doc.splitlines()[0] if doc else ''}")


def _run(name: str, arguments: list[str]) -> tuple[int, str]:
    """Run the benchmark, pass on each line as it comes; answer its status and its last line."""
    command = [str(VENV / "bin/python"), str(FOLDER / f"{name}.py"), *arguments]
    env = {**clean(), "PYTHONPATH": f"{ROOT / 'runtime/src'}:{ROOT}"}
    last = ""
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def main(argv: list[str]) -> int:
    """0 where the benchmark ran and ended with its JSON; its own status where it failed; 2 for a wrong name."""
    if argv == ["--list"]:
        _show()
        return 0
    if not argv or argv[0] not in names():
        print(f"usage: scripts/bench NAME, where NAME is one of: {', '.join(names()) or '(none yet)'}", file=sys.stderr)
        return 2
    prepare_home()
    status, last = _run(argv[0], argv[1:])
    if status == 0 and not _is_object(last):
        print(f"error: the last line of benchmarks/{argv[0]}.py is no JSON object: {last[:200]!r}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
