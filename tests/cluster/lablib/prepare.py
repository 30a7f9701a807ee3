# SPDX-License-Identifier: Apache-2.0
"""Turn a plain Debian tree into the common lower layer of lab hosts, or into a newcomer's machine."""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil

from lablib import apt
from lablib.paths import REGISTRY, home
from lablib.shell import call, locked

# systemd units that make no sense in a namespace; systemd-sysctl would write settings of the whole machine.
_MASKED = """
apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
console-getty.service getty.target getty@tty1.service systemd-modules-load.service systemd-networkd.service
systemd-pstore.service systemd-resolved.service systemd-sysctl.service systemd-timesyncd.service
systemd-udevd.service systemd-udev-trigger.service dev-hugepages.mount sys-fs-fuse-connections.mount
sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount
""".split()
_DAEMON = {
    "insecure-registries": [REGISTRY],
    "live-restore": True,
    "storage-driver": "overlay2",
    "log-driver": "local",
    "bip": "172.17.0.1/24",
}
_FILES = {
    "etc/docker/daemon.json": json.dumps(_DAEMON, indent=2) + "\n",
    "etc/ssh/sshd_config.d/lab.conf": "UseDNS no\nUsePAM no\nPermitRootLogin prohibit-password\n"
    "MaxStartups 100\nMaxSessions 100\n",
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=32M\nAudit=no\n",
    "etc/systemd/system.conf.d/lab.conf": "[Manager]\nDefaultTimeoutStopSec=10s\n",
    "etc/machine-id": "",
    "etc/fstab": "",
    "etc/resolv.conf": "",
}


def fingerprint() -> str:
    """Changes with this file's text, so that a changed preparation makes a new tree."""
    return hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()


def ssh_key() -> pathlib.Path:
    """The private key for all hosts of this machine's labs, made on first use."""
    key = home() / "ssh" / "id_ed25519"
    with locked(home() / "ssh" / ".lock"):
        if not key.is_file():
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "queenright-lab", "-f", str(key))
    return key


def prepare_host(tree: pathlib.Path, suite: str) -> None:
    """Keys, Docker's and systemd's settings. One ssh host key serves all hosts: first boots stay fast."""
    (tree / "etc/resolv.conf").unlink(missing_ok=True)
    for name, text in _FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    keys = tree / "root/.ssh"
    keys.mkdir(mode=0o700, exist_ok=True)
    (keys / "authorized_keys").write_text(ssh_key().with_suffix(".pub").read_text())
    for old in (tree / "etc/ssh").glob("ssh_host_*"):
        old.unlink()
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(tree / "etc/ssh/ssh_host_ed25519_key"))
    units = tree / "etc/systemd/system"
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for folder in ("srv/lab", "var/lib/docker", "mnt/old"):
        (tree / folder).mkdir(parents=True, exist_ok=True)


def prepare_fresh(tree: pathlib.Path, suite: str) -> None:
    """What a newcomer's Debian has: package sources, trusted certificates, a name; and nothing of the lab."""
    lists = tree / "etc/apt/sources.list.d"
    for old in lists.glob("*"):
        old.unlink()
    (tree / "etc/apt/sources.list").write_text("".join(f"{line}\n" for line in apt.sources(suite)))
    (tree / "etc/apt/apt.conf.d/90lab").write_text("".join(f"{line}\n" for line in apt.options()))
    for folder in ("var/lib/docker", "var/cache/queenright-lab", "mnt/old"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(tree / "var/lib/apt/lists", ignore_errors=True)
    (tree / "var/lib/apt/lists/partial").mkdir(parents=True)


PREPARE = {"host": prepare_host, "fresh": prepare_fresh}
