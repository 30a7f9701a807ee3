# SPDX-License-Identifier: Apache-2.0
"""The guest's first files: busybox, the modules that reach the machine's files, and a script to go on with."""

from __future__ import annotations

import gzip
import io
import lzma
import pathlib

from debian import Kernel

NEEDED = ("virtio_pci", "virtio_rng", "9pnet_virtio", "9p", "overlay")
"""Modules without which the guest cannot see the machine's files; all others are loaded by name, as on any host."""

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
fail() {{ echo "guest: $*"; poweroff -f; }}
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs dev /dev || fail "no kernel file systems"
for module in {modules}; do insmod /modules/$module || fail "the kernel does not take the module $module"; done
options=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o ro,cache=loose,$options machine /machine || fail "the machine's files cannot be mounted"
mount -t tmpfs -o size=75% fresh /fresh && mkdir /fresh/upper /fresh/work
mount -t overlay -o lowerdir=/machine,upperdir=/fresh/upper,workdir=/fresh/work root /new || fail "no overlay"
for folder in proc sys dev; do mkdir -p /new/$folder; mount --move /$folder /new/$folder; done
mkdir -p /new/run && mount -t tmpfs -o mode=755 run /new/run
mkdir -p /new/run/result /new/dev/pts /new/dev/shm /new/lib/modules/{release}
mount -t devpts -o mode=620,gid=5,ptmxmode=666 pts /new/dev/pts
mount -t tmpfs shm /new/dev/shm
mount -t 9p -o cache=none,$options result /new/run/result || fail "no place for the results"
mount --bind /new{tree} /new/lib/modules/{release} || fail "the kernel's modules are not at {tree}"
cp /job /new/run/job
exec switch_root /new /bin/sh /run/job
"""


def write(kernel: Kernel, job: str, target: pathlib.Path, busybox: pathlib.Path) -> None:
    """Write an initramfs that ends in ``sh /run/job`` with a writable view of the machine's files as its root.

    What the job leaves in ``/run/result`` stays; everything else that it writes is gone with the guest.
    """
    modules = in_order(kernel, NEEDED)
    files = _Archive()
    for folder in ("bin", "modules", "proc", "sys", "dev", "machine", "fresh", "new"):
        files.folder(folder)
    files.file("bin/busybox", busybox.read_bytes(), 0o755)
    for path in modules:
        files.file(f"modules/{_plain(path.name)}", _content(path), 0o644)
    names = " ".join(_plain(path.name) for path in modules)
    script = _INIT.format(modules=names, release=kernel.release, tree=kernel.modules)
    files.file("init", script.encode(), 0o755)
    files.file("job", job.encode(), 0o755)
    target.write_bytes(gzip.compress(files.done(), 1))


def in_order(kernel: Kernel, names: tuple[str, ...]) -> list[pathlib.Path]:
    """Files of modules with what they need, in the order of loading; those built into the kernel are left out."""
    needs: dict[str, list[str]] = {}
    paths: dict[str, str] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        paths[_name(path)] = path
        needs[_name(path)] = [_name(other) for other in reversed(rest.split())]
    order: list[str] = []
    for name in names:
        for each in [*needs.get(name, ()), name]:
            if each in paths and each not in order:
                order.append(each)
    return [kernel.modules / paths[name] for name in order]


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def _plain(name: str) -> str:
    return name.removesuffix(".xz")


def _content(path: pathlib.Path) -> bytes:
    """busybox loads no compressed modules."""
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


class _Archive:
    """A cpio archive of the kind that the kernel unpacks ("newc")."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._number = 0

    def folder(self, name: str) -> None:
        self._add(name, 0o040755, b"")

    def file(self, name: str, data: bytes, mode: int) -> None:
        self._add(name, 0o100000 | mode, data)

    def done(self) -> bytes:
        self._add("TRAILER!!!", 0, b"")
        return self._out.getvalue()

    def _add(self, name: str, mode: int, data: bytes) -> None:
        self._number += 1
        raw = name.encode() + b"\0"
        fields = (self._number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        self._out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + raw)
        self._pad()
        self._out.write(data)
        self._pad()

    def _pad(self) -> None:
        self._out.write(b"\0" * (-self._out.tell() % 4))
