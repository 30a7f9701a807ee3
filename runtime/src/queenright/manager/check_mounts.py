# SPDX-License-Identifier: Apache-2.0
"""What the mounts of a service must be, in the words of Swarm and of the engine that would refuse them later."""

from __future__ import annotations

import posixpath

from queenright.model.errors import InvalidArgument
from queenright.spec.container import BindOptions, Mount, TmpfsOptions

_OPTIONS = {"bind": "BindOptions", "volume": "VolumeOptions", "tmpfs": "TmpfsOptions"}
_LIMITED = ("size", "mode", "ro", "rw")  # options of a tmpfs that have a key of their own


def check_mounts(mounts: tuple[Mount, ...]) -> None:
    """Refuse mounts that no engine would make. Raises InvalidArgument."""
    seen: set[str] = set()
    for mount in mounts:
        target = mount.target or ""
        if not target.startswith("/"):
            raise InvalidArgument(f"ContainerSpec: invalid mount target, must be an absolute path: {target}")
        normal = posixpath.normpath(target)
        if normal == "/":
            raise InvalidArgument("ContainerSpec: invalid mount target, must not be the root of the container")
        if normal in seen:
            raise InvalidArgument(f"ContainerSpec: duplicate mount point: {target}")
        seen.add(normal)
        _check_source(mount)
        _check_options(mount)


def _check_source(mount: Mount) -> None:
    kind, source = mount.type or "volume", mount.source or ""
    if kind == "bind" and not source.startswith("/"):
        raise InvalidArgument(f"ContainerSpec: invalid bind mount source, must be an absolute path: {source}")
    if kind == "volume" and source.startswith("/"):
        raise InvalidArgument(
            f"ContainerSpec: invalid volume mount source, must not be an absolute path: {source} (a path of the node "
            "is mounted with type bind)"
        )
    if kind == "tmpfs" and source:
        raise InvalidArgument("ContainerSpec: invalid tmpfs source, source must be empty")


def _check_options(mount: Mount) -> None:
    kind = mount.type or "volume"
    for other, options in (("bind", mount.bind), ("volume", mount.volume), ("tmpfs", mount.tmpfs)):
        if options is not None and other != kind:
            raise _invalid(kind, f"field {_OPTIONS[other]} must not be specified")
    if mount.volume is not None and mount.volume.subpath:
        _check_subpath(mount.volume.subpath)
    if mount.bind is not None:
        _check_bind(mount, mount.bind)
    if mount.tmpfs is not None:
        _check_tmpfs(mount.tmpfs)


def _check_subpath(subpath: str) -> None:
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise _invalid("volume", f"subpath must be a relative path within the volume: {subpath}")


def _check_bind(mount: Mount, options: BindOptions) -> None:
    if options.read_only_non_recursive and options.read_only_force_recursive:
        raise _invalid("bind", "ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other")
    for name, chosen in (
        ("ReadOnlyNonRecursive", options.read_only_non_recursive),
        ("ReadOnlyForceRecursive", options.read_only_force_recursive),
    ):
        if chosen and not mount.read_only:
            raise _invalid("bind", f"{name} needs ReadOnly")
        if chosen and options.relabel:
            raise _invalid("bind", f"{name} cannot be had together with Relabel")
    if options.relabel and options.non_recursive:
        raise _invalid("bind", "NonRecursive cannot be had together with Relabel")
    if options.relabel and ":" in f"{mount.source}{mount.target}":
        raise _invalid("bind", "a path with a colon cannot be relabelled")


def _check_tmpfs(options: TmpfsOptions) -> None:
    for name, value in (("SizeBytes", options.size), ("Mode", options.mode)):
        if value is not None and value < 0:
            raise InvalidArgument(f"ContainerSpec: {name} in TmpfsOptions cannot be negative")
    for option in options.options:
        key = option.partition("=")[0]
        if not key or "," in option:
            raise _invalid("tmpfs", f"{option!r} is no option: write each as NAME or NAME=VALUE")
        if key in _LIMITED:
            raise _invalid("tmpfs", f"option {key} has a key of its own (SizeBytes, Mode, ReadOnly)")


def _invalid(kind: str, reason: str) -> InvalidArgument:
    return InvalidArgument(f'ContainerSpec: invalid mount config for type "{kind}": {reason}')
