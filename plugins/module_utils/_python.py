# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Finding a Python on the host that can run the runtime; where there is none, which package brings one."""

from __future__ import annotations

import json
import os
import typing as t

FLOOR = (3, 11)
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
DIRECTORIES = ("/usr/bin", "/usr/local/bin")

Run = t.Callable[..., t.Tuple[int, str, str]]

_PROBE = (
    "import ensurepip, json, ssl, sqlite3, sys, venv;"
    "print(json.dumps([list(sys.version_info[:3]), sys.prefix == sys.base_prefix]))"
)
# By ID or ID_LIKE of /etc/os-release, and by version where older releases need another package than newer ones.
_PACKAGES = (
    ("ubuntu", "22", ["python3.11-venv"]),
    ("ubuntu", "", ["python3-venv"]),
    ("debian", "", ["python3-venv"]),
    ("rhel", "10", ["python3"]),
    ("rhel", "", ["python3.11"]),
    ("centos", "10", ["python3"]),
    ("centos", "", ["python3.11"]),
    ("fedora", "", ["python3"]),  # behind those that are like it
    ("suse", "", ["python311"]),
    ("arch", "", ["python"]),
    ("alpine", "", ["python3"]),
)


class PythonMissingError(Exception):
    """No Python on this host will do. ``packages`` would bring one; empty where the distribution is not known."""

    def __init__(self, message: str, packages: t.List[str]) -> None:
        super().__init__(message)
        self.packages = packages


def find_python(run: Run, wanted: t.Optional[str], os_release: str = "/etc/os-release") -> t.Tuple[str, str]:
    """(path, version) of an interpreter that really runs and can make a venv. Raises PythonMissingError."""
    seen = []
    for path in [wanted] if wanted else _candidates():
        if not os.access(path, os.X_OK):
            seen.append("%s is no program on this host" % path)
            continue
        rc, out, err = run([path, "-I", "-c", _PROBE], environ_update={"LC_ALL": "C"})
        if rc != 0:
            seen.append("%s cannot make a venv (%s)" % (path, (err.strip().splitlines() or ["it does not run"])[-1]))
            continue
        version, real = json.loads(out)
        text = ".".join(str(part) for part in version)
        if tuple(version[:2]) < FLOOR:
            seen.append("%s is %s" % (path, text))
        elif not real:
            seen.append("%s belongs to a virtual environment" % path)
        else:
            return path, text
    packages = _packages(os_release)
    raise PythonMissingError(
        "the runtime needs Python %d.%d or later that can make a virtual environment, and none was found (%s): install "
        "%s, or name an interpreter with the option python"
        % (
            FLOOR[0],
            FLOOR[1],
            "; ".join(seen) or "there is no python3 in %s" % " or ".join(DIRECTORIES),
            "the package %s" % " ".join(packages) if packages else "your distribution's package of it",
        ),
        packages,
    )


def _candidates() -> t.List[str]:
    """Interpreters worth a try, newest first; version managers' shims are passed over, they may be empty shells."""
    paths = [os.path.join(directory, name) for name in NAMES for directory in DIRECTORIES]
    return [path for path in paths if os.access(path, os.X_OK)]


def _packages(os_release: str) -> t.List[str]:
    try:
        with open(os_release, encoding="utf-8") as handle:
            lines = dict(line.strip().split("=", 1) for line in handle if "=" in line)
    except OSError:
        return []
    ids = ("%s %s" % (lines.get("ID", ""), lines.get("ID_LIKE", ""))).replace('"', "").split()
    version = lines.get("VERSION_ID", "").strip('"')
    for name, release, packages in _PACKAGES:
        if any(name in one for one in ids) and version.startswith(release):
            return list(packages)
    return []
