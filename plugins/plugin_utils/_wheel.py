# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The runtime's wheel on the controller: the one released with the collection, else built from the checkout."""

from __future__ import annotations

import dataclasses
import fcntl
import glob
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import typing as t

from ansible import constants as C  # noqa: N812 - its usual name

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SETUPTOOLS = 77  # the oldest that can build the runtime
KEPT = 3  # builds of a checkout
_NAME = re.compile(r"^queenright-(?P<version>[0-9][^-]*)-py3-none-any\.whl$")


class WheelError(Exception):
    """There is no wheel and none can be built; the text says what to do."""


@dataclasses.dataclass(frozen=True)
class Wheel:
    """``release`` names the installation: the version, and for a checkout a mark of its content as well."""

    path: str
    release: str
    digest: str


def wheel_for(given: t.Optional[str]) -> Wheel:
    """The wheel to install. Raises WheelError."""
    if given:
        return _read(given, mark=True)
    bundled = sorted(glob.glob(os.path.join(COLLECTION, "roles", "runtime", "files", "queenright-*.whl")))
    if bundled:
        return _read(bundled[-1], mark=False)
    source = os.path.join(COLLECTION, "runtime")
    if os.path.isfile(os.path.join(source, "pyproject.toml")):
        return _read(_build(source), mark=True)
    raise WheelError(
        "the collection holds neither a wheel of the runtime (roles/runtime/files) nor its source: install a release "
        "from Galaxy, or name a wheel with the option wheel"
    )


def _read(path: str, mark: bool) -> Wheel:
    match = _NAME.match(os.path.basename(path))
    if match is None:
        raise WheelError("%s is no wheel of the runtime: queenright-VERSION-py3-none-any.whl is expected" % path)
    try:
        with open(path, "rb") as handle:
            digest = hashlib.sha256(handle.read()).hexdigest()
    except OSError as error:
        raise WheelError("the wheel %s cannot be read: %s" % (path, error)) from error
    version = match.group("version")
    return Wheel(path, "%s-%s" % (version, digest[:8]) if mark else version, digest)


def _build(source: str) -> str:
    """Build the checkout's wheel once per content; hosts that ask at the same time wait for one build."""
    cache = os.path.join(os.path.expanduser(C.ANSIBLE_HOME), "queenright", "wheels")
    target = os.path.join(cache, _content(source))
    os.makedirs(cache, mode=0o700, exist_ok=True)
    with open(os.path.join(cache, ".lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        built = glob.glob(os.path.join(target, "*.whl"))
        if not built:
            for old in _oldest(cache):
                shutil.rmtree(old, ignore_errors=True)
            _run_build(source, target)
            built = glob.glob(os.path.join(target, "*.whl"))
    return built[0]


def _oldest(cache: str) -> t.List[str]:
    """Builds to forget before the next one."""
    builds = [entry.path for entry in os.scandir(cache) if entry.is_dir()]
    return sorted(builds, key=os.path.getmtime)[: -(KEPT - 1)]


def _run_build(source: str, target: str) -> None:
    with tempfile.TemporaryDirectory(prefix="queenright-wheel") as folder:
        copy = os.path.join(folder, "runtime")
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build", ".*cache"))
        out = os.path.join(folder, "out")
        environment = dict(os.environ, LC_ALL="C", SOURCE_DATE_EPOCH="1577836800")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-input", "--wheel-dir", out]
        if _has_setuptools():
            command.append("--no-build-isolation")  # else pip fetches it, which takes a network
        done = subprocess.run([*command, copy], capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-10:])
            raise WheelError(
                "the runtime's wheel could not be built from %s with %s -m pip: %s" % (source, sys.executable, tail)
            )
        shutil.rmtree(target, ignore_errors=True)
        shutil.move(out, target)


def _has_setuptools() -> bool:
    try:
        return int(importlib.metadata.version("setuptools").split(".")[0]) >= SETUPTOOLS
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return False


def _content(source: str) -> str:
    """A digest of all that goes into the wheel."""
    digest = hashlib.sha256()
    names = ["pyproject.toml", "requirements.txt", "README.md"]
    for folder, folders, files in os.walk(os.path.join(source, "src")):
        folders[:] = sorted(name for name in folders if name != "__pycache__" and not name.endswith(".egg-info"))
        names += [os.path.relpath(os.path.join(folder, name), source) for name in sorted(files)]
    for name in names:
        path = os.path.join(source, name)
        if os.path.isfile(path):
            with open(path, "rb") as handle:
                digest.update(name.encode() + b"\0" + handle.read() + b"\0")
    return digest.hexdigest()[:32]
