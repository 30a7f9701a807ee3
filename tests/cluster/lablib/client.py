# SPDX-License-Identifier: Apache-2.0
"""The outer side of a lab: start its holder, ask it for things, run commands inside its sandbox."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from lablib import cgroups, inventory, machine, prepare, rootfs
from lablib.paths import MAX_HOSTS, Lab, LabError, home, host_index, host_name
from lablib.shell import children, detached, namespace, say, try_lock, until

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
_HOLDER = (
    "unshare",
    "--mount",
    "--net",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--propagation",
    "private",
    "env",
    f"PYTHONPATH={_PACKAGE}",
    "tini",
    "--",
    sys.executable,
    "-m",
    "lablib.holder",
)


def is_up(lab: Lab) -> bool:
    """Whether a holder lives."""
    lock = try_lock(lab.lock)
    if lock is not None:
        os.close(lock)
    return lock is None


def up(lab: Lab, count: int, *, suite: str = "bookworm", keep: bool = False, tied: bool = False) -> None:
    """Start a lab of ``count`` hosts and return when all of them answer ssh.

    Hosts start from fresh disks unless ``keep``. ``tied``: the lab ends when this process's stdin does.
    """
    if not 1 <= count <= MAX_HOSTS:
        raise LabError(f"a lab has 1 to {MAX_HOSTS} hosts, not {count}")
    if os.geteuid():
        raise LabError("a lab is made of namespaces, mounts and cgroups: run this as root")
    lock = try_lock(lab.lock)
    if lock is None:
        raise LabError(f"the lab {lab.name!r} is up already; `lab down` first, or take another --name")
    began = time.monotonic()
    recipe = rootfs.Recipe("host", suite)
    try:
        tree = rootfs.ensure(recipe)
        prepare.ssh_key()
        lab.directory.mkdir(parents=True, exist_ok=True)
        lab.log.write_text("")
        if not keep:
            machine.wipe(lab)
        (lab.directory / "ssh_config").write_text(inventory.ssh_config(lab, count))
        (lab.directory / "inventory.yml").write_text(inventory.ansible(lab, count))
        outer = _start_holder(lab, count, recipe, tree, lock, tied)
    finally:
        os.close(lock)  # from here on the holder's copy of the descriptor keeps the lock
    try:
        _await_socket(lab, outer)
        (inner,) = children(outer)
        facts = {"holder": outer, "init": inner, "net": namespace(inner, "net"), "count": count, "suite": suite}
        lab.pid_file.write_text(json.dumps(facts))
        ask(lab, "start", hosts="all")
    except BaseException:
        down(lab)
        raise
    say(f"{count} hosts up in {time.monotonic() - began:.1f} s")


def _start_holder(lab: Lab, count: int, recipe: rootfs.Recipe, tree: pathlib.Path, lock: int, tied: bool) -> int:
    use = os.open(recipe.use_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(use, fcntl.LOCK_SH)
        argv = [*_HOLDER, lab.name, str(count), str(tree), "tied" if tied else "free"]
        return detached(argv, lab.log, keep=(lock, use), stdin=0 if tied else None)
    finally:
        os.close(use)


def _await_socket(lab: Lab, holder: int) -> None:
    def ready() -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(lab.socket))
            return True
        if not children(holder) and not is_up(lab):
            raise LabError(f"the holder ended at once; {lab.log} says:\n{lab.log.read_text()[-3000:]}")
        return False

    until(ready, 90, f"the holder to listen (see {lab.log})")


def facts(lab: Lab) -> dict[str, Any]:
    """What ``up`` noted of the running lab: ``holder`` and ``init`` (pids outside), ``net``, ``count``, ``suite``."""
    if not is_up(lab):
        raise LabError(f"the lab {lab.name!r} is not up; `lab up 3` starts one of three hosts")
    noted: dict[str, Any] = json.loads(lab.pid_file.read_text())
    return noted


def ask(lab: Lab, verb: str, progress: Callable[[str], None] = say, **arguments: object) -> Any:
    """Send one request to the holder and return its answer; LabError carries the holder's error text."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(str(lab.socket))
        except OSError:
            raise LabError(f"the lab {lab.name!r} is not up; `lab up 3` starts one of three hosts") from None
        line.sendall(json.dumps({"do": verb, **arguments}).encode() + b"\n")
        for text in line.makefile("r"):
            message = json.loads(text)
            if "say" in message:
                progress(message["say"])
            elif "error" in message:
                raise LabError(message["error"])
            else:
                return message["ok"]
    raise LabError(f"the holder of {lab.name!r} ended before it answered (see {lab.log})")


def down(lab: Lab, *, wipe: bool = False) -> None:
    """End the lab and remove its cgroups; a holder that does not obey is killed. ``wipe`` removes all its files."""
    if is_up(lab):
        with contextlib.suppress(LabError):
            ask(lab, "down")
        try:
            until(lambda: not is_up(lab), 30, "the holder to end")
        except LabError:
            say("the holder does not end by itself: killing it")
            os.kill(json.loads(lab.pid_file.read_text())["holder"], signal.SIGKILL)
            until(lambda: not is_up(lab), 30, "the killed holder to be gone")
    cgroups.sweep_from_outside(lab)
    lab.socket.unlink(missing_ok=True)
    lab.pid_file.unlink(missing_ok=True)
    if wipe and lab.directory.exists():
        shutil.rmtree(lab.directory)


def sweep(prefix: str) -> list[str]:
    """Remove what labs named ``PREFIX-PID`` left whose process lives no more; returns their names."""
    swept = []
    for folder in sorted(home().glob(f"labs/{prefix}-*")):
        pid = re.fullmatch(rf"{prefix}-([0-9]+)(-.*)?", folder.name)
        if pid and not pathlib.Path("/proc", pid[1]).exists() and not is_up(Lab(folder.name)):
            down(Lab(folder.name), wipe=True)
            swept.append(folder.name)
    return swept


def inside(lab: Lab, argv: list[str]) -> list[str]:
    """A command line that runs ``argv`` on the control side, in the caller's folder."""
    noted = facts(lab)
    if noted["net"] == namespace("self", "net"):
        return argv  # already there: a command of `lab run` that calls `lab` itself
    enter = ["nsenter", "--target", str(noted["init"]), "--mount", "--net", "--pid"]
    return [*enter, f"--wdns={os.getcwd()}", "env", f"QUEENRIGHT_LAB={lab.name}", *argv]


def ssh(lab: Lab, host: str, argv: list[str], *, tty: bool = False) -> list[str]:
    """A command line that runs ``argv`` on the host over ssh."""
    config = str(lab.directory / "ssh_config")
    return inside(lab, ["ssh", "-F", config, *(["-t"] if tty else []), host_name(host_index(host)), *argv])


def run(argv: list[str]) -> int:
    """Run in the foreground and return the exit code."""
    return subprocess.run(argv).returncode
