# SPDX-License-Identifier: Apache-2.0
"""One cgroup per host in every hierarchy of the machine: to kill all of a host, freeze it, throttle it.

The hierarchies are taken from /proc/self/cgroup and mounted in the lab's own mount namespace, so neither their list
nor their places outside are assumed. Version 1, version 2 and both at once are handled.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import sys
from dataclasses import dataclass

from lablib.paths import Lab
from lablib.shell import call, until

VIEW = pathlib.Path("/run/queenright-lab/cgroup")
"""Where a mount namespace that called ``mount_view`` sees the hierarchies."""
_PERIOD_US = 100_000


@dataclass(frozen=True)
class Hierarchy:
    """One cgroup tree. ``options``: how version 1 mounts it (``cpu,cpuacct``, ``none,name=systemd``), else ``""``."""

    options: str

    @property
    def folder(self) -> str:
        """Its usual folder below /sys/fs/cgroup (``unified`` for version 2)."""
        return self.options.removeprefix("none,name=") or "unified"

    @property
    def root(self) -> pathlib.Path:
        """Its root, where ``mount_view`` mounted it."""
        return VIEW / self.folder

    def mount(self) -> None:
        """Mount it at ``root``."""
        self.root.mkdir(parents=True, exist_ok=True)
        if self.options:
            call("mount", "-t", "cgroup", "-o", self.options, "cgroup", str(self.root))
        else:
            call("mount", "-t", "cgroup2", "cgroup2", str(self.root))


def hierarchies(text: str | None = None) -> list[Hierarchy]:
    """All hierarchies, from the text of /proc/self/cgroup; on version 1 systemd's own is added where it is missing."""
    found = []
    for line in (text or pathlib.Path("/proc/self/cgroup").read_text()).splitlines():
        controllers = line.split(":", 2)[1]
        found.append(Hierarchy(f"none,{controllers}" if controllers.startswith("name=") else controllers))
    systemd = Hierarchy("none,name=systemd")
    if any(each.options for each in found) and systemd not in found:
        found.append(systemd)
    return found


def mount_view() -> None:
    """Mount every hierarchy below ``VIEW``. Only in a private mount namespace: with it the mounts go."""
    VIEW.mkdir(parents=True, exist_ok=True)
    call("mount", "-t", "tmpfs", "-o", "mode=700,size=1m", "lab-cgroups", str(VIEW))
    for hierarchy in hierarchies():
        hierarchy.mount()


class HostCgroup:
    """The cgroups ``<lab>/<host>`` of one host, in every hierarchy. Needs ``mount_view`` in this mount namespace."""

    def __init__(self, lab: Lab, host: str) -> None:
        self.paths = {each.folder: each.root / lab.cgroup / host for each in hierarchies()}

    def create(self) -> None:
        """Make the folders; cpusets get their parent's cpus, version 2 passes its controllers down."""
        for hierarchy, path in self.paths.items():
            for folder in (path.parent, path):
                folder.mkdir(exist_ok=True)
                if "cpuset" in hierarchy.split(","):
                    _inherit_cpuset(folder)
                if set(self.paths) == {"unified"}:  # beside version 1 its controllers are left where they are
                    _pass_controllers_to(folder)

    def procs_files(self) -> list[str]:
        """The files that a process writes its pid to in order to be in this host."""
        return [str(path / "cgroup.procs") for path in self.paths.values()]

    def freeze(self, frozen: bool) -> None:
        """Stop or continue every process of the host; its kernel side (ping, TCP handshakes) goes on."""
        if "freezer" in self.paths:
            state = self.paths["freezer"] / "freezer.state"
            state.write_text("FROZEN" if frozen else "THAWED")
            until(lambda: state.read_text().strip() == ("FROZEN" if frozen else "THAWED"), 20, f"{state} to settle")
        else:
            (self.paths["unified"] / "cgroup.freeze").write_text("1" if frozen else "0")

    def limit_cpu(self, percent: float | None) -> None:
        """Let the host use at most ``percent`` of one core; None lifts the limit."""
        quota = None if percent is None else max(1000, int(percent * _PERIOD_US / 100))
        for folder, path in self.paths.items():
            if "cpu" in folder.split(","):
                (path / "cpu.cfs_quota_us").write_text(str(quota or -1))
                return
        (self.paths["unified"] / "cpu.max").write_text(f"{quota or 'max'} {_PERIOD_US}")

    def memory_bytes(self) -> int:
        """Memory in use by the host, caches included."""
        if "memory" in self.paths:
            return int((self.paths["memory"] / "memory.usage_in_bytes").read_text())
        return int((self.paths["unified"] / "memory.current").read_text())

    def destroy(self) -> None:
        """Kill every process of the host, frozen or not, wherever it hid, and remove the folders."""
        until(lambda: not kill_all(list(self.paths.values())), 30, f"processes of {self.paths} to die")
        for path in self.paths.values():
            remove(path)


def _inherit_cpuset(folder: pathlib.Path) -> None:
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not (folder / name).read_text().strip():
            (folder / name).write_text((folder.parent / name).read_text())


def _pass_controllers_to(folder: pathlib.Path) -> None:
    for controller in (folder.parent / "cgroup.controllers").read_text().split():
        with contextlib.suppress(OSError):  # one that is bound elsewhere stays out
            (folder.parent / "cgroup.subtree_control").write_text(f"+{controller}")


def kill_all(paths: list[pathlib.Path]) -> list[int]:
    """Thaw and kill what lives below the folders; returns the pids that were found."""
    found: set[int] = set()
    for top in paths:
        for path, _, _ in os.walk(top, topdown=True):
            with contextlib.suppress(OSError):
                found.update(int(pid) for pid in pathlib.Path(path, "cgroup.procs").read_text().split())
            for knob, value in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
                if pathlib.Path(path, knob).is_file():
                    with contextlib.suppress(OSError):
                        pathlib.Path(path, knob).write_text(value)
    for pid in found - {0, os.getpid()}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return sorted(found)


def remove(top: pathlib.Path) -> None:
    """Remove a cgroup folder and all below it; just-killed processes may keep it busy for a moment."""

    def gone() -> bool:
        for path, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        return not top.exists()

    until(gone, 30, f"{top} to be empty")


def sweep(lab: Lab) -> None:
    """Remove what a crashed lab of this name left in the hierarchies."""
    tops = [each.root / lab.cgroup for each in hierarchies()]
    until(lambda: not kill_all(tops), 30, f"processes of the old lab {lab.name} to die")
    for top in tops:
        remove(top)


def sweep_from_outside(lab: Lab) -> None:
    """The same from the machine's own namespaces, in a mount namespace of its own."""
    argv = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "lablib.cgroups", lab.name]
    call("env", f"PYTHONPATH={pathlib.Path(__file__).resolve().parents[1]}", *argv)


if __name__ == "__main__":
    mount_view()
    sweep(Lab(sys.argv[1]))
