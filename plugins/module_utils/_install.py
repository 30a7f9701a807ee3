# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The releases of the runtime on a host: a venv each, and the link to the one in use.

A release is complete when its marker file is there, which is written last: an interrupted installation is begun anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._files import replace

PREFIX = "/opt/queenright"
MARKER = "release.json"
UNUSED = "unused"  # beside the marker, until a daemon was started from that release
COMMAND_LINK = "/usr/local/bin/queenright"
LOCK_TIMEOUT = 300.0  # seconds; a connection that broke may have left an installation running
COMPILED = "cffi,cryptography,grpcio,protobuf"  # never built on hosts: that needs compilers and takes half an hour
SELINUX = "/sys/fs/selinux/enforce"

Run = t.Callable[..., t.Tuple[int, str, str]]


class InstallError(Exception):
    """The runtime cannot be installed or removed; the text says why and what to do."""


class Releases:
    """The releases below ``prefix`` and the link ``current``."""

    def __init__(self, prefix: str = PREFIX, command_link: str = COMMAND_LINK) -> None:
        self.prefix = prefix
        self.directory = os.path.join(prefix, "releases")
        self.link = os.path.join(prefix, "current")
        self._command_link = command_link

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def marker(self, name: str) -> t.Dict[str, str]:
        """What is known of an installed release ({name, digest, python}); empty if it is not complete."""
        try:
            with open(os.path.join(self.path(name), MARKER), encoding="utf-8") as handle:
                marker = json.load(handle)
        except (OSError, ValueError):
            return {}
        # A venv dies with the interpreter it was made from, for example in an upgrade of the distribution.
        runs = os.access(os.path.join(self.path(name), "venv/bin/python"), os.X_OK)
        return marker if runs and isinstance(marker, dict) else {}

    def complete(self, name: str, digest: str) -> bool:
        """Whether that release is installed, from that very wheel."""
        return self.marker(name).get("digest") == digest

    def current(self) -> str:
        """The name of the release in use, "" for none."""
        try:
            return os.path.basename(os.readlink(self.link))
        except OSError:
            return ""

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """One installation at a time. Raises InstallError if another one does not end."""
        os.makedirs(self.prefix, mode=0o755, exist_ok=True)
        deadline = time.monotonic() + LOCK_TIMEOUT
        with open(os.path.join(self.prefix, ".lock"), "w", encoding="utf-8") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise InstallError(
                            "another installation has been running on this host for %d s: wait for it, or end it"
                            % LOCK_TIMEOUT
                        ) from None
                    time.sleep(0.5)
            yield

    def install(self, run: Run, name: str, digest: str, python: t.Tuple[str, str], pip_arguments: t.List[str]) -> None:
        """Make the release's venv. What an interrupted installation left of it is removed first."""
        target = self.path(name)
        shutil.rmtree(target, ignore_errors=True)
        for directory in (self.prefix, self.directory, target):
            os.makedirs(directory, exist_ok=True)
            os.chmod(directory, 0o755)  # noqa: S103 - the command is for everybody
        venv = os.path.join(target, "venv")
        _must(run, [python[0], "-I", "-m", "venv", venv], "the virtual environment %s could not be made" % venv)
        pip = [os.path.join(venv, "bin/python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
        words = "the runtime could not be installed into %s" % venv
        _must(run, [*pip, "install", "--quiet", *pip_arguments], words)
        _must(run, [os.path.join(venv, "bin/queenright"), "version"], "the installed runtime does not start")
        restorecon = shutil.which("restorecon", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if restorecon and os.path.exists(SELINUX):  # programs that systemd starts carry another label than data
            run([restorecon, "-RF", self.prefix])
        replace(os.path.join(target, UNUSED), "", 0o644)
        marker = json.dumps({"name": name, "digest": digest, "python": python[1]}) + "\n"
        replace(os.path.join(target, MARKER), marker, 0o644)

    def switch(self, name: str) -> None:
        """Point ``current`` (and the command on the path) at a release, in one step."""
        _relink(os.path.join("releases", name), self.link)
        if not os.path.exists(self._command_link) or os.path.islink(self._command_link):
            os.makedirs(os.path.dirname(self._command_link), mode=0o755, exist_ok=True)
            _relink(os.path.join(self.link, "venv/bin/queenright"), self._command_link)

    def unused(self, name: str) -> bool:
        """Whether no daemon was started from a release since it was installed."""
        return os.path.exists(os.path.join(self.path(name), UNUSED))

    def used(self, name: str) -> None:
        """Note that the daemon runs from a release now."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.path(name), UNUSED))

    def superfluous(self, keep: int, using: str) -> t.List[str]:
        """Names to remove so that ``keep`` releases stay, ``using`` among them: the oldest, and all incomplete ones."""
        try:
            others = [name for name in os.listdir(self.directory) if name != using]
        except OSError:
            return []
        whole = sorted((name for name in others if self.marker(name)), key=self._age, reverse=True)
        kept = whole[: max(1, keep) - 1]
        return sorted(name for name in others if name not in kept)

    def _age(self, name: str) -> float:
        return os.stat(os.path.join(self.path(name), MARKER)).st_mtime

    def discard(self, name: str) -> None:
        """Remove one release."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def remove(self) -> None:
        """Remove every release and the links."""
        if os.path.islink(self._command_link) and os.readlink(self._command_link).startswith(self.prefix + "/"):
            os.unlink(self._command_link)
        shutil.rmtree(self.prefix)


def pip_arguments(
    wheel: str,
    wheelhouse: t.Optional[str],
    index_url: t.Optional[str],
    extra_index_urls: t.Sequence[str],
    ca_cert: t.Optional[str],
    proxy: t.Optional[str],
) -> t.List[str]:
    """What pip is asked for: the wheel, and where its dependencies (pinned in it) come from."""
    out = ["--only-binary", COMPILED, "--use-pep517"]  # one dependency is published as sources only
    if wheelhouse:
        return [*out, "--no-index", "--find-links", wheelhouse, wheel]
    if index_url:
        out += ["--index-url", index_url]
    for url in extra_index_urls:
        out += ["--extra-index-url", url]
    if ca_cert:
        out += ["--cert", ca_cert]
    if proxy:
        out += ["--proxy", proxy]
    return [*out, wheel]


def _must(run: Run, command: t.List[str], words: str) -> None:
    rc, out, err = run(command, environ_update={"LC_ALL": "C", "PYTHONNOUSERSITE": "1"}, umask=0o022)
    if rc != 0:
        tail = "\n".join((err or out).strip().splitlines()[-12:])
        raise InstallError("%s: %s" % (words, tail))


def _relink(target: str, link: str) -> None:
    if os.path.islink(link) and os.readlink(link) == target:
        return
    temporary = link + ".new"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(target, temporary)
    os.rename(temporary, link)
