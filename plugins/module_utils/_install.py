# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Putting the runtime on a host: a Python that will do, a venv per release, and the link to the one in use.

A release is complete when its marker file is there, which is written last: an interrupted installation is begun anew.
"""

from __future__ import annotations

import json
import os
import shutil
import typing as t

FLOOR = (3, 11)
PREFIX = "/opt/queenright"
MARKER = "release.json"
COMMAND_LINK = "/usr/local/bin/queenright"

Run = t.Callable[..., t.Tuple[int, str, str]]

_PROBE = (
    "import ensurepip, json, ssl, sqlite3, sys, venv;"
    "print(json.dumps([list(sys.version_info[:3]), sys.prefix == sys.base_prefix]))"
)
# What to install where no Python will do, by ID or ID_LIKE of /etc/os-release.
_PACKAGES = (
    ("ubuntu", "python3.11-venv (22.04: from the universe repository) or python3-venv (24.04 and later)"),
    ("debian", "python3-venv (Debian 12 and later)"),
    ("fedora", "python3.11 or later"),
    ("rhel", "python3.11 (dnf install python3.11)"),
    ("centos", "python3.11 (dnf install python3.11)"),
    ("suse", "python311"),
    ("arch", "python"),
    ("alpine", "python3"),
)


class InstallError(Exception):
    """The runtime cannot be installed; the text says what is missing and how to get it."""


def candidates() -> t.List[str]:
    """Interpreters worth a try, newest first; version managers' shims are passed over, they may be empty shells."""
    found = []
    for name in ("python3.14", "python3.13", "python3.12", "python3.11", "python3"):
        for directory in ("/usr/bin", "/usr/local/bin"):
            path = os.path.join(directory, name)
            if os.access(path, os.X_OK):
                found.append(path)
    return found


def find_python(run: Run, wanted: t.Optional[str]) -> t.Tuple[str, str]:
    """(path, version) of an interpreter that really runs and can make a venv. Raises InstallError before any change."""
    seen = []
    for path in [wanted] if wanted else candidates():
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
    raise InstallError(
        "the runtime needs Python %d.%d or later with venv, and none was found (%s): install %s, or name an "
        "interpreter with the option python" % (FLOOR[0], FLOOR[1], "; ".join(seen) or "no python3 at all", _package())
    )


def _package() -> str:
    try:
        with open("/etc/os-release", encoding="utf-8") as handle:
            lines = dict(line.strip().split("=", 1) for line in handle if "=" in line)
    except (OSError, ValueError):
        return "your distribution's package of Python 3.11 or later"
    ids = (lines.get("ID", "") + " " + lines.get("ID_LIKE", "")).replace('"', "").split()
    for name, package in _PACKAGES:
        if any(name in one for one in ids):
            return package
    return "your distribution's package of Python 3.11 or later"


class Releases:
    """The releases below ``prefix`` and the link ``current``."""

    def __init__(self, prefix: str = PREFIX) -> None:
        self.prefix = prefix
        self.directory = os.path.join(prefix, "releases")
        self.link = os.path.join(prefix, "current")

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def complete(self, name: str, digest: str) -> bool:
        """Whether that release is installed from that very wheel, with an interpreter that still runs."""
        try:
            with open(os.path.join(self.path(name), MARKER), encoding="utf-8") as handle:
                marker = json.load(handle)
        except (OSError, ValueError):
            return False
        return marker.get("digest") == digest and os.access(os.path.join(self.path(name), "venv/bin/python"), os.X_OK)

    def current(self) -> str:
        """The name of the release in use, "" for none."""
        try:
            return os.path.basename(os.readlink(self.link))
        except OSError:
            return ""

    def installed(self) -> t.List[str]:
        """Names of all releases, the one in use first, then the newest first."""
        try:
            names = os.listdir(self.directory)
        except OSError:
            return []
        names.sort(key=lambda name: os.path.getmtime(self.path(name)), reverse=True)
        current = self.current()
        return sorted(names, key=lambda name: name != current)

    def install(
        self, run: Run, name: str, digest: str, python: str, pip_arguments: t.List[str], environment: t.Dict[str, str]
    ) -> None:
        """Make the release's venv. An incomplete one of that name is removed first."""
        target = self.path(name)
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target, mode=0o755)
        for directory in (self.prefix, self.directory, target):
            os.chmod(directory, 0o755)  # noqa: S103 - the command is for everybody
        venv = os.path.join(target, "venv")
        self._must(run, [python, "-I", "-m", "venv", venv], environment, "the venv %s could not be made" % venv)
        pip = [
            os.path.join(venv, "bin/python"),
            "-I",
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--no-input",
            "install",
        ]
        self._must(
            run, [*pip, "--quiet", *pip_arguments], environment, "the runtime could not be installed into %s" % venv
        )
        command = [os.path.join(venv, "bin/queenright"), "version"]
        self._must(run, command, environment, "the installed runtime does not start")
        with open(os.path.join(target, MARKER + ".new"), "w", encoding="utf-8") as handle:
            json.dump({"name": name, "digest": digest, "python": python}, handle)
            handle.flush()
            os.fsync(handle.fileno())
        os.rename(os.path.join(target, MARKER + ".new"), os.path.join(target, MARKER))

    @staticmethod
    def _must(run: Run, command: t.List[str], environment: t.Dict[str, str], words: str) -> None:
        rc, out, err = run(command, environ_update=dict(environment, LC_ALL="C", PYTHONNOUSERSITE="1"), umask=0o022)
        if rc != 0:
            tail = "\n".join((err or out).strip().splitlines()[-12:])
            raise InstallError("%s: %s" % (words, tail))

    def switch(self, name: str) -> None:
        """Point ``current`` (and the command on the path) at a release, in one step."""
        _relink(os.path.join("releases", name), self.link)
        if not os.path.exists(COMMAND_LINK) or os.path.islink(COMMAND_LINK):
            os.makedirs(os.path.dirname(COMMAND_LINK), mode=0o755, exist_ok=True)
            _relink(os.path.join(self.link, "venv/bin/queenright"), COMMAND_LINK)

    def prune(self, keep: int) -> t.List[str]:
        """Remove all but the release in use and the newest others, ``keep`` in all; gives their names."""
        gone = self.installed()[max(1, keep) :]
        for name in gone:
            shutil.rmtree(self.path(name), ignore_errors=True)
        return gone

    def remove(self) -> None:
        """Remove every release and the links."""
        if os.path.islink(COMMAND_LINK) and os.readlink(COMMAND_LINK).startswith(self.prefix + "/"):
            os.unlink(COMMAND_LINK)
        shutil.rmtree(self.prefix, ignore_errors=True)


def _relink(target: str, link: str) -> None:
    if os.path.islink(link) and os.readlink(link) == target:
        return
    temporary = link + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, link)


def pip_arguments(
    wheel: str,
    wheelhouse: t.Optional[str],
    index_url: t.Optional[str],
    extra_index_urls: t.Sequence[str],
    ca_cert: t.Optional[str],
    proxy: t.Optional[str],
) -> t.List[str]:
    """What pip is asked: the wheel, and where its dependencies (pinned in it) come from."""
    out = []  # type: t.List[str]
    if wheelhouse:
        out += ["--no-index", "--find-links", wheelhouse]
    else:
        if index_url:
            out += ["--index-url", index_url]
        for url in extra_index_urls:
            out += ["--extra-index-url", url]
        if ca_cert:
            out += ["--cert", ca_cert]
        if proxy:
            out += ["--proxy", proxy]
    return [*out, wheel]


def write_if_changed(path: str, content: str, mode: int, check: bool = False) -> bool:
    """Give a file its content and mode in one step; whether that was (or would be) a change."""
    try:
        with open(path, encoding="utf-8") as handle:
            same = handle.read() == content
        same = same and (os.stat(path).st_mode & 0o7777) == mode
    except (OSError, UnicodeDecodeError):
        same = False
    if same or check:
        return not same
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = path + ".new"
    handle_fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle_fd, "w", encoding="utf-8") as handle:
        handle.write(content)
        handle.flush()
        os.fsync(handle.fileno())
    os.chmod(temporary, mode)
    os.rename(temporary, path)
    return True


def remove_file(path: str, check: bool = False) -> bool:
    """Remove a file; whether there was (or is) one."""
    if not os.path.lexists(path):
        return False
    if not check:
        os.unlink(path)
    return True
