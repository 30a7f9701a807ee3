# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Fills a directory with the wheels that hosts without an index need; the playbook C(wheelhouse) runs it as a script.

C(_wheelhouse.py DIRECTORY PYTHON/MACHINE...), for example C(3.11/x86_64). Prints the names of the wheels that it added.
What to fetch stands in the runtime's own wheel, which pins all of its dependencies; where from is up to pip.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import typing as t
import zipfile
from email.parser import Parser

try:
    from ansible_collections.queenright.swarm.plugins.plugin_utils._wheel import WheelError, wheel_for
except ImportError:  # run as a script, wherever the collection lies
    from _wheel import WheelError, wheel_for

SOURCE_ONLY = "pysyncobj"  # there is no wheel of it on PyPI; it is pure Python, so one that is made here runs anywhere
GLIBC = range(17, 29)  # 2.17 to 2.28: every distribution that the runtime runs on has a later one
_TARGET = re.compile(r"^(?P<python>3\.\d+)(\.\d+)?/(?P<machine>[a-z0-9_]+)$")

Run = t.Callable[[t.List[str]], None]


def fill(house: str, wheel: str, targets: t.Iterable[str], run: Run) -> t.List[str]:
    """Make the wheelhouse; gives the names of the files that were added. Raises WheelError."""
    os.makedirs(house, exist_ok=True)
    before = set(os.listdir(house))
    pins = requirements(wheel)
    parsed = sorted({_parsed(target) for target in targets})
    own = [pin for pin in pins if pin.startswith(SOURCE_ONLY + "==")]
    missing = [pin for pin in own if not _there(house, pin)]
    if missing:
        run(["wheel", "--quiet", "--use-pep517", "--no-deps", "--wheel-dir", house, *missing])
    fetched = [pin for pin in pins if pin not in own]
    for python, machine in parsed:
        # Complete once the stamp is there: a second run asks no index.
        digest = hashlib.sha256("\n".join(fetched).encode("utf-8")).hexdigest()[:12]
        stamp = os.path.join(house, ".complete-%s-%s-%s" % (python, machine, digest))
        if not os.path.exists(stamp):
            run([*_download(house, python, machine), *fetched])
            with open(stamp, "w", encoding="utf-8"):
                pass
    return sorted(name for name in set(os.listdir(house)) - before if name.endswith(".whl"))


def requirements(wheel: str) -> t.List[str]:
    """What a wheel needs, as C(name==version)."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode("utf-8"))
    return sorted(str(line).replace(" ", "") for line in metadata.get_all("Requires-Dist") or [])


def _download(house: str, python: str, machine: str) -> t.List[str]:
    platforms = ["manylinux2014_%s" % machine, *("manylinux_2_%d_%s" % (minor, machine) for minor in GLIBC)]
    command = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", house]
    command += ["--implementation", "cp", "--python-version", python]
    for platform in platforms:
        command += ["--platform", platform]
    return command


def _parsed(target: str) -> t.Tuple[str, str]:
    match = _TARGET.match(target)
    if match is None:
        raise WheelError("%r is no target: PYTHON/MACHINE is expected, such as 3.11/x86_64" % target)
    return match.group("python"), match.group("machine")


def _there(house: str, pin: str) -> bool:
    name, _separator, version = pin.partition("==")
    return any(entry.lower().startswith("%s-%s-" % (name, version)) for entry in os.listdir(house))


def _pip(arguments: t.List[str]) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"), check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise WheelError("pip %s failed: %s" % (arguments[0], tail))


def main(arguments: t.List[str]) -> int:
    """The script."""
    if len(arguments) < 2:
        sys.stderr.write("usage: _wheelhouse.py DIRECTORY PYTHON/MACHINE...\n")
        return 2
    try:
        added = fill(arguments[0], wheel_for(None).path, arguments[1:], _pip)
    except WheelError as error:
        sys.stderr.write("%s\n" % error)
        return 1
    sys.stdout.write("".join("%s\n" % name for name in added))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
