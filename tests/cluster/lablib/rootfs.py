# SPDX-License-Identifier: Apache-2.0
"""The Debian trees: built once per machine with mmdebstrap, kept as a tarball, unpacked, shared by all hosts.

A tree is the read-only lower layer of every host's root. It is named by a hash of its recipe, so a changed recipe
makes a new tree; trees and tarballs of older recipes go once no lab uses them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import time
from dataclasses import dataclass

from lablib import apt, prepare
from lablib.paths import LabError, home
from lablib.shell import call, locked, say, try_lock

SUITES = ("bookworm", "trixie")
_HOST = (
    "systemd systemd-sysv dbus openssh-server python3 python3-venv python3-apt python3-packaging ca-certificates "
    "docker.io nftables iptables iproute2 ipvsadm iputils-ping procps kmod curl tcpdump socat sudo less busybox-static"
)
_FRESH = "git python3 ca-certificates"
_EXTRA = {("host", "trixie"): "docker-cli"}
_LEAN = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*", "path-exclude=/usr/share/locale/*")


@dataclass(frozen=True)
class Recipe:
    """What a tree is made of. ``kind``: ``host`` (a lab host) or ``fresh`` (minbase, git, python3: a newcomer's)."""

    kind: str
    suite: str = "bookworm"

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise LabError(f"no recipe for Debian {self.suite!r}; known: {', '.join(SUITES)}")

    @property
    def packages(self) -> list[str]:
        """Packages beyond Debian's minbase."""
        names = _HOST if self.kind == "host" else _FRESH
        return [*names.split(), *_EXTRA.get((self.kind, self.suite), "").split()]

    def _named(self, *truths: object) -> str:
        digest = hashlib.sha256(json.dumps([self.packages, _LEAN, truths]).encode()).hexdigest()
        return f"{self.kind}-{self.suite}-{digest[:12]}"

    @property
    def name(self) -> str:
        """``host-bookworm-<hash>``: names the tree; changes with the packages and with their preparation."""
        return self._named(prepare.fingerprint())

    @property
    def tree(self) -> pathlib.Path:
        """Where the unpacked, prepared tree lies."""
        return home() / "trees" / self.name

    @property
    def tarball(self) -> pathlib.Path:
        """The cached archive, free of any key or name: it may be carried from machine to machine."""
        return home() / "cache" / f"{self._named()}.tar.zst"

    @property
    def use_lock(self) -> pathlib.Path:
        """Locked (shared) by whoever has the tree mounted."""
        return home() / "trees" / f".{self.name}.lock"


def ensure(recipe: Recipe) -> pathlib.Path:
    """Return the recipe's tree, building or unpacking what is missing (35-60 s when nothing is cached)."""
    with locked(home() / "build.lock"):
        if not recipe.tree.is_dir():
            if not recipe.tarball.is_file():
                _build(recipe)
            _unpack(recipe)
        _prune(recipe)
    return recipe.tree


def _build(recipe: Recipe) -> None:
    began = time.monotonic()
    say(f"building a Debian {recipe.suite} tree ({len(recipe.packages)} packages beyond minbase), about a minute")
    recipe.tarball.parent.mkdir(parents=True, exist_ok=True)
    partial = recipe.tarball.with_name(f".partial-{recipe.tarball.name}")
    sources = recipe.tarball.with_name(f".{recipe.name}.list")
    sources.write_text("".join(f"{line}\n" for line in apt.sources(recipe.suite)))
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(recipe.packages)}"]
    argv += [f"--aptopt={line}" for line in ('Apt::Install-Recommends "false";', *apt.options())]
    argv += [f"--dpkgopt={option}" for option in _LEAN]
    try:
        call(*argv, "--format=tar", recipe.suite, str(partial), str(sources))
        os.replace(partial, recipe.tarball)
    finally:
        partial.unlink(missing_ok=True)
        sources.unlink(missing_ok=True)
    say(f"tree built in {time.monotonic() - began:.0f} s: {recipe.tarball} ({recipe.tarball.stat().st_size >> 20} MB)")


def _unpack(recipe: Recipe) -> None:
    partial = recipe.tree.with_name(f".partial-{recipe.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    call("tar", "-C", str(partial), "--numeric-owner", "--zstd", "-xf", str(recipe.tarball))
    prepare.PREPARE[recipe.kind](partial, recipe.suite)
    os.replace(partial, recipe.tree)


def _prune(current: Recipe) -> None:
    """Drop trees and tarballs of other recipes of the same kind and suite, unless a lab has them mounted."""
    family = f"{current.kind}-{current.suite}-"
    for tree in (home() / "trees").glob(f"{family}*"):
        if tree != current.tree:
            lock = try_lock(tree.with_name(f".{tree.name}.lock"))
            if lock is not None:
                shutil.rmtree(tree)
                tree.with_name(f".{tree.name}.lock").unlink()
                os.close(lock)
    for tarball in (home() / "cache").glob(f"{family}*.tar.zst"):
        if tarball != current.tarball:
            with contextlib.suppress(FileNotFoundError):
                tarball.unlink()
