# SPDX-License-Identifier: Apache-2.0
"""Locked managers on real hosts: what a restart, a power cut and an upgrade of the keys leave to whom."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from lablib.handle import Done, Host
from swarmlib import SLOW, Swarm, containers

STATE = "/var/lib/queenright"
KEYS = ("autolock.key", "raft.key", "tasks.key", "certificates/swarm-node.key")


@pytest.fixture
def locked(swarm: Swarm) -> Iterator[str]:
    """A swarm whose managers are locked; the key it began with. It is as before afterwards."""
    answer = swarm.docker("swarm", "update", "--autolock=true").stdout
    assert "To unlock a swarm manager after it restarts, run the `docker swarm unlock`" in answer
    key = key_of(swarm)
    assert key in answer
    yield key
    if swarm.status(swarm.manager)["state"] == "locked":
        unlock(swarm.manager, key)
    swarm.docker("swarm", "update", "--autolock=false")
    swarm.lab.poll(lambda: not is_closed(swarm.manager), 30 * SLOW, "the keys to be in clear again")


def key_of(swarm: Swarm) -> str:
    return swarm.docker("swarm", "unlock-key", "--quiet").stdout.strip()


def unlock(host: Host, key: str) -> Done:
    return host.run(f"printf '%s\\n' '{key}' | docker --context swarm swarm unlock", check=False)


def is_closed(host: Host) -> bool:
    """Whether no key of a manager is in clear on its disk."""
    found = host.run(f"cat {' '.join(f'{STATE}/{name}' for name in KEYS)}", check=False)
    return found.returncode == 0 and "ENCRYPTED PRIVATE KEY" in found.stdout and '"keys"' not in found.stdout


def await_state(swarm: Swarm, host: Host, state: str) -> None:
    def there() -> bool:
        found = host.run(
            "curl -sS --unix-socket /run/queenright/engine.sock http://x/queenright/v1/status", check=False
        )
        return found.returncode == 0 and json.loads(found.stdout)["state"] == state

    swarm.lab.poll(there, 30 * SLOW, f"{host.name} to be {state}")


def test_a_restarted_manager_waits_for_its_key_and_no_container_notices(swarm: Swarm, locked: str) -> None:
    swarm.create("web", "web:v1", 6)
    manager = swarm.manager
    swarm.lab.poll(lambda: is_closed(manager), 30 * SLOW, "the keys to be closed")
    before = {host.name: containers(host) for host in swarm.hosts}
    manager.run("systemctl restart queenright")
    await_state(swarm, manager, "locked")
    info = swarm.docker("info").stdout
    assert "Swarm: locked" in info
    for words in (("node", "ls"), ("service", "ls"), ("swarm", "leave")):
        refused = swarm.docker(*words, check=False)
        assert refused.returncode != 0
        assert "Swarm is encrypted and needs to be unlocked before it can be used" in refused.stderr
    wrong = unlock(manager, "SWMKEY-1-" + "A" * 43)
    assert wrong.returncode != 0
    assert "swarm could not be unlocked: invalid key provided" in wrong.stderr
    assert "invalid key string" in unlock(manager, "SWMKEY-1-short").stderr
    assert {host.name: containers(host) for host in swarm.hosts} == before
    done = unlock(manager, locked)
    assert done.returncode == 0, done.stderr
    swarm.await_ready()
    swarm.await_running("web", 6)
    assert {host.name: containers(host) for host in swarm.hosts} == before
    again = unlock(manager, locked)
    assert "swarm is not locked" in again.stderr
    journal = manager.out("journalctl -u queenright -b -o cat")
    assert "SWMKEY" not in journal
    assert locked[9:] not in journal


def test_a_rotated_key_opens_a_manager_after_a_power_cut_and_the_old_one_does_not(swarm: Swarm, locked: str) -> None:
    manager = swarm.manager
    fresh = swarm.docker("swarm", "unlock-key", "--rotate", "--quiet").stdout.strip()
    assert fresh.startswith("SWMKEY-1-")
    assert fresh != locked
    before = manager.out(f"sha256sum {STATE}/autolock.key")
    swarm.lab.poll(lambda: is_closed(manager) and before, 30 * SLOW, "the keys to be closed")
    manager.kill()
    manager.start()
    await_state(swarm, manager, "locked")
    assert "invalid key provided" in unlock(manager, locked).stderr
    assert unlock(manager, fresh).returncode == 0
    swarm.await_ready()
    assert key_of(swarm) == fresh


def test_a_playbook_names_the_locked_host_and_unlocks_it_with_the_key(swarm: Swarm, locked: str) -> None:
    manager, project = swarm.manager, swarm.project
    swarm.lab.poll(lambda: is_closed(manager), 30 * SLOW, "the keys to be closed")
    manager.run("systemctl restart queenright")
    await_state(swarm, manager, "locked")
    refused = project.play("queenright.swarm.site", check=False)
    assert refused.returncode != 0
    text = " ".join(refused.stdout.split())
    assert "fatal: [host1]: FAILED!" in text
    assert "this host is a manager that is locked" in text
    assert "manager_unlock_key" in text
    variables = project.folder / "key.json"
    variables.write_text(json.dumps({"manager_unlock_key": locked, "manager_autolock": True}))
    try:
        done = project.play("queenright.swarm.site", "-vvv", "-e", f"@{variables}")
        assert locked[9:] not in done.stdout + done.stderr
        swarm.await_ready()
        again = project.play("queenright.swarm.site", "-e", f"@{variables}")
        assert {host: counts["changed"] for host, counts in swarm.lab.recap(again).items()} == dict.fromkeys(
            (host.name for host in swarm.hosts), 0
        )
    finally:
        variables.unlink()
    manager.run("systemctl restart queenright")
    await_state(swarm, manager, "locked")
    swarm.project.task("swarm_unlock", unlock_key=locked)
    swarm.await_ready()


def test_who_becomes_a_manager_is_locked_and_who_is_one_no_more_is_not(swarm: Swarm, locked: str) -> None:
    other = swarm.hosts[1]
    swarm.docker("node", "promote", other.name)
    swarm.lab.poll(lambda: is_closed(other), 60 * SLOW, f"the keys of {other.name} to be closed")
    other.run("systemctl restart queenright")
    await_state(swarm, other, "locked")
    assert unlock(other, locked).returncode == 0
    await_state(swarm, other, "active")
    swarm.lab.poll(
        lambda: swarm.node(other).get("ManagerStatus", {}).get("Reachability") == "reachable",
        60 * SLOW,
        f"{other.name} to be reachable",
    )
    swarm.lab.poll(  # of two managers one was away: they have to agree on a leader first
        lambda: swarm.docker("node", "demote", other.name, check=False).returncode == 0,
        60 * SLOW,
        f"{other.name} to be demoted",
    )
    swarm.lab.poll(
        lambda: other.run(f"test ! -e {STATE}/autolock.key && test ! -e {STATE}/raft.key", check=False).returncode == 0,
        60 * SLOW,
        f"{other.name} to have no lock",
    )
    other.run("systemctl restart queenright")
    await_state(swarm, other, "active")
    swarm.await_ready()
