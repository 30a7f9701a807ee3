# SPDX-License-Identifier: Apache-2.0
"""Names, addresses and places of a lab: everything that the other rooms have to agree on."""

from __future__ import annotations

import os
import pathlib
import re
from dataclasses import dataclass

NETWORK = "10.77.0"
"""First three octets of the lab's /24; host *i* is ``.10+i``, the control side ``.254``."""
CONTROL_ADDRESS = f"{NETWORK}.254"
REGISTRY = f"{CONTROL_ADDRESS}:5000"
MAX_HOSTS = 200
REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class LabError(Exception):
    """Something the person at the keyboard can act on; the message says what, where and how to go on."""


def home() -> pathlib.Path:
    """The folder of all caches and disks; must lie on a real file system (not on an overlay)."""
    return pathlib.Path(os.environ.get("QUEENRIGHT_LAB_DIR") or "/var/cache/queenright-lab").absolute()


def host_name(index: int) -> str:
    """``1 -> "host1"``."""
    return f"host{index}"


def host_index(name: str) -> int:
    """``"host1"`` or ``"1" -> 1``; raises LabError for anything else."""
    match = re.fullmatch(r"(?:host)?([1-9][0-9]{0,2})", name)
    if not match or int(match[1]) > MAX_HOSTS:
        raise LabError(f"{name!r} is no host of a lab: hosts are called host1, host2, ...")
    return int(match[1])


def host_address(index: int) -> str:
    """``1 -> "10.77.0.11"``."""
    return f"{NETWORK}.{10 + index}"


@dataclass(frozen=True)
class Lab:
    """Where one named lab keeps its things. ``name`` also prefixes its cgroups, so it is unique on the machine."""

    name: str = "lab"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LabError(f"{self.name!r} cannot name a lab: use lower-case letters, digits and '-', at most 31")

    @property
    def directory(self) -> pathlib.Path:
        """Disks, logs and registry of this lab."""
        return home() / "labs" / self.name

    @property
    def run(self) -> pathlib.Path:
        """Lock, control socket and holder's pid: short paths, gone with a reboot of the machine."""
        return pathlib.Path("/run/queenright-lab") / self.name

    @property
    def lock(self) -> pathlib.Path:
        """Locked by the holder as long as it lives: the only truth about "is this lab up"."""
        return self.run / "lock"

    @property
    def socket(self) -> pathlib.Path:
        """The holder's control socket."""
        return self.run / "control.sock"

    @property
    def pid_file(self) -> pathlib.Path:
        """Process ids of the holder, seen from outside (JSON, see ``holder``)."""
        return self.run / "holder.json"

    @property
    def log(self) -> pathlib.Path:
        """Output of the holder and of the registry."""
        return self.directory / "holder.log"

    @property
    def key(self) -> pathlib.Path:
        """Private ssh key that opens every host (one per machine; the base trees carry its public half)."""
        return home() / "ssh" / "id_ed25519"

    @property
    def share(self) -> pathlib.Path:
        """Seen by every host, read-only, as ``/srv/lab``."""
        return self.directory / "share"

    @property
    def registry(self) -> pathlib.Path:
        """Data of the registry at ``10.77.0.254:5000``."""
        return self.directory / "registry"

    @property
    def cgroup(self) -> str:
        """Name of this lab's folder in every cgroup hierarchy."""
        return f"queenright-lab-{self.name}"

    def disk(self, index: int) -> pathlib.Path:
        """Everything a host writes: ``upper`` and ``work`` (its root's overlay), ``docker``, ``console.log``."""
        return self.directory / host_name(index)
