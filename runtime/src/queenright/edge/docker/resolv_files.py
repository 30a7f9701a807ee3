# SPDX-License-Identifier: Apache-2.0
"""The /etc/resolv.conf of containers that are in networks of the swarm: a file for each task, bound into its container.

With it a container asks its network's own server of names, whether the engine is there or not.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from queenright.lib.atomic import replace_file
from queenright.spec.container import DNSConfig

TARGET = "/etc/resolv.conf"
HOST = pathlib.Path(TARGET)


class ResolvFiles:
    """Files below ``root``, by task id. ``host`` is the node's own. Its functions block, but not for long."""

    def __init__(self, root: pathlib.Path, host: pathlib.Path = HOST) -> None:
        self._root = root
        self._host = host

    def ensure(self, task_id: str, server: str, dns: DNSConfig) -> pathlib.Path:
        """The file of a task, written if it is not there (a container may have changed it). Raises OSError."""
        path = self._root / task_id
        if not path.exists():
            self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
            text = resolv_conf(server, dns, host_search(self._host))
            replace_file(path, text.encode(), mode=0o644)
        return path

    def drop(self, task_id: str) -> None:
        with contextlib.suppress(OSError):
            (self._root / task_id).unlink()

    def sweep(self, keep: Collection[str]) -> None:
        """Take away the files of all tasks but these."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._root):
                if name not in keep:
                    self.drop(name)
            if not keep:
                self._root.rmdir()


def resolv_conf(server: str, dns: DNSConfig, search: Sequence[str]) -> str:
    """What a container shall resolve with; ``search`` where its service names no search domains, "." for none.

    Names are asked for as they are before a search domain is added, unless the service has it otherwise.
    """
    wanted = [domain for domain in dns.search or search if domain != "."]
    options = list(dns.options)
    if not any(option.startswith("ndots:") for option in options):
        options.insert(0, "ndots:0")
    lines = [f"nameserver {server}"]
    if wanted:
        lines.append(f"search {' '.join(wanted)}")
    lines.append(f"options {' '.join(options)}")
    return "\n".join(lines) + "\n"


def host_search(file: pathlib.Path) -> tuple[str, ...]:
    """The search domains of the node. Of several lines the last counts."""
    found: tuple[str, ...] = ()
    with contextlib.suppress(OSError):
        for line in file.read_text(errors="replace").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] in ("search", "domain"):
                found = tuple(words[1:])
    return found


def bind_resolv(body: dict[str, Any], source: pathlib.Path) -> None:
    """Add the file to the body of ``POST /containers/create``, labelled for containers where the node has SELinux."""
    host = body.setdefault("HostConfig", {})
    host["Binds"] = [*(host.get("Binds") or ()), f"{source}:{TARGET}:z"]


def has_own(body: dict[str, Any]) -> bool:
    """Whether the service mounts something there itself."""
    host = body.get("HostConfig", {})
    targets = [mount.get("Target") for mount in host.get("Mounts") or ()]
    targets += [bind.split(":")[1] for bind in host.get("Binds") or () if ":" in bind]
    targets += list(host.get("Tmpfs") or ())
    return any(target is not None and os.path.normpath(target) == TARGET for target in targets)
