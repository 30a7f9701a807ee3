# SPDX-License-Identifier: Apache-2.0
"""The wheelhouse for hosts that reach no package index: the runtime's pinned requirements and its own wheel.

Built with the machine's ``/usr/bin/python3`` and pip's own configuration, cached by a hash of the requirements (and of
the sources, for the runtime's wheel). Hosts see it as ``/srv/lab/wheels``.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import sys
import tempfile
import time

from lablib.paths import REPOSITORY, Lab, home
from lablib.shell import call, locked, say

RUNTIME = REPOSITORY / "runtime"
IN_HOST = "/srv/lab/wheels"
"""Where hosts find the wheels."""
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
"""The Python of each Debian release."""
_PLATFORMS = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in range(17, 37)))
_JUNK = shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__", ".*cache")


def place(lab: Lab, suite: str = "bookworm") -> pathlib.Path:
    """Fill the lab's share with the wheelhouse for hosts of ``suite``; returns the folder as seen outside."""
    target = lab.share / "wheels"
    with locked(home() / "wheels.lock"):
        wheels = [*requirements(PYTHON[suite]).glob("*.whl"), runtime()]
        fresh = target.with_name("wheels.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for wheel in wheels:
            os.link(wheel, fresh / wheel.name)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    return target


def requirements(python: str = "3.11") -> pathlib.Path:
    """A folder with a wheel for each line of runtime/requirements.txt, fit for that Python (about 40 s when new)."""
    text = (RUNTIME / "requirements.txt").read_bytes()
    folder = home() / "wheels" / f"{python}-{hashlib.sha256(text).hexdigest()[:12]}"
    if not folder.is_dir():
        _forget(folder.parent, f"{python}-*")
        began = time.monotonic()
        say(f"building the wheelhouse for Python {python}, about a minute")
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
            new = pathlib.Path(scratch) / "wheels"
            # pysyncobj is published as sources only; --use-pep517 builds it where no `wheel` is installed
            _pip("wheel", "--use-pep517", "--wheel-dir", str(new), "--requirement", str(RUNTIME / "requirements.txt"))
            if python != "{}.{}".format(*sys.version_info):
                _exchange_binaries(new, python)
            new.rename(folder)
        say(f"wheelhouse built in {time.monotonic() - began:.0f} s: {folder}")
    return folder


def runtime() -> pathlib.Path:
    """The wheel of the runtime in this checkout. It is built from a copy: the checkout stays as it is."""
    folder = home() / "wheels" / f"runtime-{_sources_hash()}"
    if not folder.is_dir():
        _forget(folder.parent, "runtime-*")
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
            copy, new = pathlib.Path(scratch) / "source", pathlib.Path(scratch) / "wheel"
            shutil.copytree(RUNTIME, copy, ignore=_JUNK)  # follows the links into plugins/module_utils/_spec
            _pip("wheel", "--no-deps", "--wheel-dir", str(new), str(copy))
            new.rename(folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _exchange_binaries(folder: pathlib.Path, python: str) -> None:
    """Replace the wheels that hold machine code for this Python by those for another."""
    platforms = [f"--platform={platform}_{os.uname().machine}" for platform in _PLATFORMS]
    for wheel in list(folder.glob("*.whl")):
        name, version, *tags = wheel.stem.split("-")
        if tags[-1] != "any":
            wheel.unlink()
            _pip(
                "download",
                "--no-deps",
                "--only-binary=:all:",
                f"--python-version={python}",
                "--implementation=cp",
                *platforms,
                "--dest",
                str(folder),
                f"{name}=={version}",
            )


def _sources_hash() -> str:
    total = hashlib.sha256()
    for file in sorted(RUNTIME.rglob("*")):
        junk = any(
            part in ("build", "dist", "__pycache__") or part.startswith(".") or part.endswith(".egg-info")
            for part in file.relative_to(RUNTIME).parts
        )
        if file.is_file() and not junk:
            total.update(f"{file.relative_to(RUNTIME)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:12]


def _forget(folder: pathlib.Path, pattern: str) -> None:
    """Drop wheels of older states (the shares hold links of their own to what they use)."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(pattern):
        shutil.rmtree(old)


def _pip(*arguments: str) -> None:
    venv = home() / "venv"
    if not (venv / "bin/pip").exists():
        call("/usr/bin/python3", "-m", "venv", "--clear", str(venv))
    call(str(venv / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)
