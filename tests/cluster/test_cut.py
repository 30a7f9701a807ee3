# SPDX-License-Identifier: Apache-2.0
"""Who loses its rights loses its connections with them: demoted and removed members, on real hosts."""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any

from lablib.handle import Host
from managerlib import Group
from swarmlib import SLOW

CERTIFICATES = "/var/lib/queenright/certificates"
PYTHON = "/opt/queenright/current/venv/bin/python"
SAVED = "/root/saved"
LIMIT = 5.0
"""Seconds within which a connection is cut: the promise itself. It takes a second of grace and a moment."""
_THIEF = pathlib.Path(__file__).with_name("thief.py")


class Thief:
    """``thief.py`` as a unit of a host, with certificates that were saved there."""

    def __init__(self, group: Group, host: Host, calls: list[str]) -> None:
        self.host, self.calls = host, calls
        self._lab = group.lab
        leader = group.await_leader()
        addr = f"{leader.address}:2377"
        host.write("/root/thief.py", _THIEF.read_text())
        words = " ".join(f"'{call}'" for call in calls)
        host.run("rm -f /root/thief.jsonl /root/thief.err")
        host.run(
            "systemd-run --quiet --unit thief --collect -p StandardOutput=append:/root/thief.jsonl "
            "-p StandardError=append:/root/thief.err "
            f"{PYTHON} /root/thief.py {SAVED} {group.node_id(leader)} {addr} {words}"
        )

    def lines(self) -> list[dict[str, Any]]:
        text = self.host.exec(["cat", "/root/thief.jsonl"], check=False).stdout
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def await_all(self, done: str) -> None:
        """Until each call is under way (``done``: "begun") or was refused when it was made again ("over")."""

        def there() -> bool:
            lines = self.lines()
            if done == "begun":
                return {line["call"] for line in lines if not line["code"]} == set(self.calls)
            return all(sum(bool(line["code"]) for line in lines if line["call"] == call) == 2 for call in self.calls)

        self._lab.poll(there, 60 * SLOW, "the calls of the thief")

    def words(self) -> str:
        return f"{self.lines()} {self.host.exec(['cat', '/root/thief.err'], check=False).stdout}"

    def ended(self, call: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["call"] == call and line["code"]]


def save(host: Host) -> None:
    host.run(f"rm -rf {SAVED}; cp -r {CERTIFICATES} {SAVED}")


def check(thief: Thief, since: float, record: Any) -> None:
    """Each call was cut in time, and refused when it was made again."""
    for call in thief.calls:
        cut, again = thief.ended(call)
        took = cut["at"] - since
        record(f"cut_{call.partition(':')[0]}_s", f"{took:.2f}")
        print(f"{call.partition(':')[0]} cut after {took:.2f} s ({cut['code']}), then {again['code']}: {again['text']}")
        assert took < LIMIT, cut
        assert again["code"] == "PERMISSION_DENIED", again


def test_a_demoted_manager_is_cut_off_and_its_saved_certificate_opens_nothing(
    group: Group, record_property: Any
) -> None:
    leader = group.await_leader()
    group.manager = leader
    group.create("web", "web:v1", 2)
    web = group.get("/services/web")["ID"]
    demoted = group.followers()[0]
    node = group.node_id(demoted)
    save(demoted)
    thief = Thief(group, demoted, ["raft", f"logs:{web}", "forward"])
    follow = f"systemd-run --quiet --unit follow --collect docker --context swarm service logs -f {web}"
    demoted.run(follow)
    thief.await_all("begun")
    group.docker("node", "demote", node)
    since = time.time()
    thief.await_all("over")
    check(thief, since, record_property)
    group.lab.poll(
        lambda: demoted.exec(["systemctl", "is-active", "follow"], check=False).returncode,
        30 * SLOW,
        "its own followed log to end",
    )
    group.docker("node", "promote", node)
    group.await_whole()


def test_a_removed_worker_is_cut_off_and_its_saved_certificate_opens_nothing(
    group: Group, record_property: Any
) -> None:
    worker = group.workers[0]
    group.manager = group.await_leader()
    node = group.node_id(worker)
    save(worker)
    worker.run("systemctl stop queenright.socket queenright.service")  # a node has one session
    thief = Thief(group, worker, ["session"])
    thief.await_all("begun")
    group.docker("node", "rm", "--force", node)
    since = time.time()
    thief.await_all("over")
    check(thief, since, record_property)
    worker.run("systemctl start queenright.socket queenright.service")
    group.lab.poll(
        lambda: (group.standing(worker) or {}).get("state") == "error", 60 * SLOW, "it to know that it is out"
    )
    worker.run("docker --context swarm swarm leave --force")
    group.form(group.managers, group.workers)
