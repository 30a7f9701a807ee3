# SPDX-License-Identifier: Apache-2.0
"""Debian's stock kernel, fetched by apt and unpacked into a cache; nothing is installed on the machine."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

CACHE = pathlib.Path(os.environ.get("QUEENRIGHT_GUEST_DIR", "/var/cache/queenright-guest"))
META_PACKAGE = "linux-image-amd64"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: ``tree`` holds ``boot/vmlinuz-RELEASE`` and ``lib/modules/RELEASE`` with its indexes."""

    release: str
    tree: pathlib.Path

    @property
    def image(self) -> pathlib.Path:
        """What the machine boots."""
        return self.tree / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> pathlib.Path:
        """The folder with ``modules.dep``."""
        return self.tree / "lib/modules" / self.release


def fetch(cache: pathlib.Path = CACHE) -> Kernel:
    """The kernel that Debian's meta package names today. RuntimeError says what is missing.

    Each version is downloaded once; older ones are removed when a newer one came.
    """
    package, version = _wanted()
    place = cache / f"{package}_{version.replace(':', '.')}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _unpack(package, version, place)
            for other in cache.iterdir():
                if other.is_dir() and other != place:
                    shutil.rmtree(other)
    return Kernel(next((place / "lib/modules").iterdir()).name, place)


def _wanted() -> tuple[str, str]:
    """Name and version of the package that the meta package depends on; apt's lists are fetched if need be."""
    for attempt in range(2):
        said = _run("apt-cache", "show", "--no-all-versions", META_PACKAGE, check=False)
        found = re.search(r"^Depends:.*?(linux-image-[\w.+-]+-amd64) \(= ([^)]+)\)", said, re.MULTILINE)
        if found:
            return found[1], found[2]
        if attempt == 0:
            _run("apt-get", "-q", "-o", "Acquire::Retries=3", "update")
    raise RuntimeError(
        f"apt knows no package {META_PACKAGE}: the guest boots Debian's kernel; see /etc/apt for sources"
    )


def _unpack(package: str, version: str, place: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(dir=place.parent, prefix="new-") as folder:
        os.chmod(folder, 0o755)  # apt's own user downloads
        download = ("apt-get", "-q", "-o", "Acquire::Retries=3", "-o", "APT::Sandbox::User=root", "download")
        try:
            _run(*download, f"{package}={version}", cwd=folder)
        except RuntimeError:  # the lists are older than the archive
            _run("apt-get", "-q", "-o", "Acquire::Retries=3", "update")
            _run(*download, package, cwd=folder)
        archive = next(pathlib.Path(folder).glob("*.deb"))
        tree = pathlib.Path(folder) / "tree"
        _run("dpkg-deb", "-x", str(archive), str(tree))
        if not (tree / "lib").exists():  # newer packages bring usr/lib/modules
            (tree / "lib").symlink_to("usr/lib")
        release = next((tree / "lib/modules").iterdir()).name
        _run("depmod", "-b", str(tree), release)
        tree.rename(place)


def _run(*command: str, cwd: str | None = None, check: bool = True) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout
