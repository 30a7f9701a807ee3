# SPDX-License-Identifier: GPL-3.0-or-later
"""Generates `wire/gen` from `runtime/proto` with the pinned grpcio-tools. Run by the tests' venv: `scripts/proto`."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ROOT / "runtime/proto"
PACKAGE = "queenright/wire/gen"
TARGET = ROOT / "runtime/src" / PACKAGE


def generate() -> dict[str, bytes]:
    """Name and bytes of every generated file. RuntimeError carries what protoc says of a faulty proto file."""
    sources = sorted(SOURCES.glob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        names = [f"{PACKAGE}/{source.name}" for source in sources]
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PACKAGE}={SOURCES}", *outputs, *names]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"protoc refused: {done.stderr.strip()}")
        made = {path.name: path.read_bytes() for path in (pathlib.Path(folder) / PACKAGE).iterdir() if path.is_file()}
    for source in sources:
        if not re.search(r"^service\s", source.read_text(), re.MULTILINE):
            del made[f"{source.stem}_pb2_grpc.py"]  # holds nothing but a version check
    return made


def stale() -> list[str]:
    """Committed files that differ from what the proto files say, are missing or are nobody's."""
    made = generate()
    there = {path.name: path.read_bytes() for path in TARGET.iterdir() if path.is_file() and path.name != "__init__.py"}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main() -> int:
    """Write the generated files, take away those whose source is gone, and say what changed."""
    changed = stale()
    made = generate()
    for name in changed:
        if name in made:
            (TARGET / name).write_bytes(made[name])
        else:
            (TARGET / name).unlink()
        print(f"{'wrote' if name in made else 'removed'} {(TARGET / name).relative_to(ROOT)}")
    if not changed:
        print("wire/gen is fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
