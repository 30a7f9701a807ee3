# SPDX-License-Identifier: Apache-2.0
"""A newcomer's machine for one command: Debian minbase with git and python3, a clone of this checkout, no systemd.

It has namespaces and a cgroup of its own, and a way out to package mirrors through slirp4netns, which needs no change
of the machine's network: dockerd's rules and bridges stay inside. When the command ends, or whoever started it dies,
everything in it dies and its disk is removed.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

from lablib import carry, cgroups, machine, rootfs
from lablib.paths import REPOSITORY, Lab, LabError, home
from lablib.shell import call, children, locked, namespace, say, try_lock, until

HOME = "/root/queenright"
"""Where the clone lies in the fresh machine; the command starts there."""
_SLOTS = 9
# Its pid 1: a shell that reaps what daemons leave behind and ends with the command's exit code.
_INIT = f'cd {HOME} && "$@"; exit $?'
_OWN = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")


def run(argv: list[str], *, suite: str = "bookworm", keep: bool = False) -> int:
    """Run ``argv`` in a fresh machine and return its exit code. ``keep`` leaves the disk for a look."""
    if os.geteuid():
        raise LabError("a fresh machine is made of namespaces, mounts and cgroups: run this as root")
    recipe = rootfs.Recipe("fresh", suite)
    tree = rootfs.ensure(recipe)
    with _slot() as lab, locked(recipe.use_lock, shared=True):
        disk = lab.disk(1)
        try:
            _prepare(disk, tree)
            return _in_own_namespaces(lab, disk, tree, argv)
        finally:
            cgroups.sweep_from_outside(lab)
            if keep:
                say(f"its disk is kept until the next fresh machine: {disk / 'upper'}")
            else:
                shutil.rmtree(lab.directory)


@contextlib.contextmanager
def _slot() -> Iterator[Lab]:
    """The first free name ``fresh-1`` ...; what a crashed predecessor left under it is removed."""
    for number in range(1, _SLOTS + 1):
        lab = Lab(f"fresh-{number}")
        lock = try_lock(lab.lock)
        if lock is not None:
            try:
                cgroups.sweep_from_outside(lab)
                if lab.directory.exists():
                    shutil.rmtree(lab.directory)
                yield lab
            finally:
                os.close(lock)
            return
    raise LabError(f"{_SLOTS} fresh machines run already; wait for one of them to end")


def _prepare(disk: pathlib.Path, tree: pathlib.Path) -> None:
    for folder in ("upper/etc", "upper/root", "work", "root", "docker", "cache"):
        (disk / folder).mkdir(parents=True)
    (disk / "upper/root").chmod(0o700)
    etc = disk / "upper/etc"
    (etc / "hostname").write_text("fresh\n")
    (etc / "hosts").write_text("127.0.0.1 localhost\n127.0.1.1 fresh\n::1 localhost\n")
    (etc / "resolv.conf").write_text("nameserver 10.0.2.3\n")  # slirp4netns answers there
    carry.certificates(disk / "upper", tree)
    if call("git", "-C", str(REPOSITORY), "status", "--porcelain").stdout:
        say("the checkout has uncommitted changes: the fresh machine gets HEAD without them")
    call("git", "clone", "--quiet", "--no-local", str(REPOSITORY), str(disk / "upper" / HOME.lstrip("/")))


def _in_own_namespaces(lab: Lab, disk: pathlib.Path, tree: pathlib.Path, argv: list[str]) -> int:
    """Run ``main`` below where, ended with this process even if that is killed."""
    package = pathlib.Path(__file__).resolve().parents[1]
    inner = ["env", f"PYTHONPATH={package}", "tini", "-g", "--", sys.executable, "-m", "lablib.fresh"]
    child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *_OWN, *inner, lab.name, str(disk), str(tree), *argv])
    before = signal.signal(signal.SIGTERM, lambda *_: child.kill())  # unshare itself is deaf to SIGTERM
    try:
        return child.wait()
    except KeyboardInterrupt:
        return child.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
        child.kill()
        child.wait()


def main(lab: Lab, disk: pathlib.Path, tree: pathlib.Path, argv: list[str]) -> int:
    """In mount and pid namespaces of its own: build the machine, plug it in, wait for the command."""
    cgroups.mount_view()
    cgroup = cgroups.HostCgroup(lab, "machine")
    cgroup.create()
    mounts = [each.options or "unified" for each in cgroups.hierarchies()]
    listen, tell = os.pipe()
    plain = [
        "env",
        "-i",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME=/root",
        *carry.environment(tree),
    ]
    script = [machine.SCRIPT, str(listen), "fresh", str(tree), str(disk), "", *mounts, "--"]
    command = machine.join_then(cgroup, *machine.UNSHARE, *script, *plain, "bash", "-c", _INIT, "bash", *argv)
    process = subprocess.Popen(command, pass_fds=(listen,))
    os.close(listen)
    until(
        lambda: namespace(process.pid, "net") not in ("", namespace("self", "net")) and children(process.pid),
        30,
        "the fresh machine to have a network namespace",
    )
    with _way_out(process.pid, disk):
        os.write(tell, b"go\n")
        os.close(tell)
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the command has got it too, and decides
                return process.wait()


@contextlib.contextmanager
def _way_out(pid: int, disk: pathlib.Path) -> Iterator[None]:
    """A user-mode router for the network namespace of ``pid``: tap0 is 10.0.2.100, the way out 10.0.2.2."""
    listen, tell = os.pipe()
    call("nsenter", "--target", str(pid), "--net", "ip", "link", "set", "lo", "up")
    argv = [
        "slirp4netns",
        "--configure",
        "--mtu=65520",
        "--disable-host-loopback",
        f"--ready-fd={tell}",
        "--netns-type=path",
        f"/proc/{pid}/ns/net",
        "tap0",
    ]
    with (disk / "network.log").open("wb") as log:
        router = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=(tell,))
    os.close(tell)
    ready = os.read(listen, 1)
    os.close(listen)
    if not ready:
        raise LabError(f"slirp4netns failed: {(disk / 'network.log').read_text().strip()}")
    try:
        yield
    finally:
        router.terminate()
        router.wait()


def forget() -> None:
    """Remove the disks that ``keep`` or a crash left."""
    for left in (home() / "labs").glob("fresh-*"):
        lock = try_lock(Lab(left.name).lock)
        if lock is not None:
            shutil.rmtree(left)
            os.close(lock)


if __name__ == "__main__":
    sys.exit(main(Lab(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4:]))
