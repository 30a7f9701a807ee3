# SPDX-License-Identifier: Apache-2.0
"""Published ports and clients of them, for the tests of the routing mesh on real hosts."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

from lablib import client
from lablib.handle import Host
from swarmlib import SLOW, Swarm, containers

KNOCK = pathlib.Path(__file__).with_name("knock.py")
PORT = 80
KEPT_PORT = 81
_LINKS = r"ip -o link | sed -E 's/^[0-9]+: //; s/@[^:]*:/:/' | sort"
_IPVS = "if [ -e /proc/net/ip_vs ]; then ipvsadm -Ln; fi"
_STATE = (_LINKS, "ip netns list", "nft list ruleset", "iptables-save", "ip6tables-save", "ip rule", "ip route", _IPVS)


def state(host: Host) -> dict[str, str]:
    """What the kernel holds of a host's network, by command; counters of packets and comments are left out."""
    found = {}
    for command in _STATE:
        text = host.out(f"({command}) 2>&1 | sed -E 's/packets [0-9]+ bytes [0-9]+//; s/\\[[0-9]+:[0-9]+\\]//; /^#/d'")
        found[command] = text
    return found


class Knocking:
    """``knock.py`` on the control side until :meth:`end`: requests at ``rate`` a second at the published port of hosts,
    and ``kept`` connections that stay.
    """

    def __init__(self, swarm: Swarm, hosts: list[Host], rate: int, kept: int, port: int) -> None:
        argv = ["/usr/bin/python3", str(KNOCK), "--rate", str(rate), "--kept", str(kept)]
        argv += ["--at", *(f"{host.address}:{port}" for host in hosts)]
        argv += ["--kept-at", *(f"{host.address}:{KEPT_PORT}" for host in hosts)]
        inside = client.inside(swarm.lab.place, argv)
        self._process = subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "knocking\n"

    def end(self) -> dict[str, Any]:
        """What ``knock.py`` prints."""
        out, _ = self._process.communicate()
        found: dict[str, Any] = json.loads(out)
        return found


def under_load(
    mesh: Swarm, what: Callable[[], object], hosts: list[Host], *, rate: int = 200, kept: int = 0, port: int = PORT
) -> dict[str, Any]:
    """What came of the requests that were made, and of the connections that were held, while ``what`` went on."""
    knocking = Knocking(mesh, hosts, rate, kept, port)
    try:
        what()
    finally:
        found = knocking.end()
    print({key: value if isinstance(value, int) else len(value) for key, value in found.items()})
    print(*found["failed"], *found["cut"], sep="\n")
    assert found["asked"] > 100, found
    assert found["said"] >= kept, found
    return found


def figures(record_property: Callable[[str, object], None], name: str, found: dict[str, Any]) -> None:
    """Keep the counts of a load for the report of the test run."""
    for key in ("asked", "failed", "opened", "ended", "cut"):
        count = found[key] if isinstance(found[key], int) else len(found[key])
        record_property(f"{name}_{key}", count)


def published(swarm: Swarm, name: str, replicas: int, *more: str, image: str = "web:v1") -> None:
    """A service at port 80 (``kept``: 81 too) of every node, and every node answers."""
    options = ["--name", name, "--replicas", str(replicas), "--publish", f"{PORT}:80", *more]
    if image == "web:kept":
        # The queue of busybox's httpd holds nine connections. Without cookies the client's kernel asks again when it is
        # full, a second later; with them a client may wait for an answer in vain.
        options += ["--sysctl", "net.ipv4.tcp_syncookies=0"]
        options += ["--publish", f"{KEPT_PORT}:81", "--health-interval", "5s", "--stop-grace-period", "60s"]
    swarm.docker("service", "create", "--detach", *options, swarm.lab.image(image))
    swarm.await_running(name, replicas)
    for host in swarm.hosts:
        answers(swarm, host)


def answers(swarm: Swarm, host: Host, port: int = PORT) -> str:
    """What a host's published port says, once it says something."""
    url = f"http://{host.address}:{port}/"
    return swarm.lab.poll(
        lambda: (found := swarm.lab.http(url))[0] == 200 and found[1], 20 * SLOW, f"{url} to answer", pause=0.5
    )


def await_update(swarm: Swarm, name: str) -> None:
    """Until a service's update has completed."""
    swarm.lab.poll(
        lambda: swarm.get(f"/services/{name}").get("UpdateStatus", {}).get("State") == "completed",
        180 * SLOW,
        f"the update of {name} to complete",
        pause=1,
    )


def exit_codes(swarm: Swarm, name: str) -> set[int]:
    """How the tasks of a service that were told to stop have ended, once they all have."""

    def ended() -> list[dict[str, Any]]:
        return [task for task in swarm.get("/tasks", service=[name]) if task["DesiredState"] != "running"]

    over = ("shutdown", "complete", "failed", "rejected", "orphaned")
    swarm.lab.poll(
        lambda: all(task["Status"]["State"] in over for task in ended()), 90 * SLOW, "all to have ended", pause=1
    )
    return {task["Status"]["ContainerStatus"]["ExitCode"] for task in ended()}


def inside(host: Host, service: str, *command: str) -> str:
    """The output of a command in a container of a service on a host."""
    name = host.out(f"docker ps --format '{{{{.Names}}}}' --filter name=^{service}\\\\.").split()[0]
    return host.run(["docker", "exec", name, *command], check=False).stdout


def running(host: Host) -> list[str]:
    """Containers of tasks that run."""
    return [key for key, state in containers(host).items() if state.endswith("/true")]
