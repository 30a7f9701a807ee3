# SPDX-License-Identifier: Apache-2.0
"""Hosts whose administrator drops what is not allowed, in a table of their own: opened to the nodes, closed again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lablib.handle import Host, RunningLab
from meshlib import answers, published
from swarmlib import SLOW, Project, Swarm
from test_site import RESET, SITE, outcome, traces, untouched

OURS = ("-e", "swarm_preflight=true", "-e", "swarm_manage_firewall=true")
PORTS = (2377, 2378)
GUARD = "/etc/nftables.d/guard.nft"
TABLE = """
table inet guard {
    chain input {
        type filter hook input priority filter; policy drop;
        iif "lo" accept
        ct state established,related accept
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport 22 accept
        counter comment "whatever else"
    }
}
"""
LISTENER = "python3 -m http.server -b 0.0.0.0 2377"
KNOCK = "timeout 3 bash -c '</dev/tcp/{}/{}'"


def shown(host: Host) -> str:
    """The administrator's table, but for how much was counted."""
    return host.out("nft list table inet guard | sed -E 's/packets [0-9]+ bytes [0-9]+//'")


def reaches(one: Host, other: Host, port: int) -> bool:
    return one.run(KNOCK.format(other.address, port), check=False).returncode == 0


def confirmed(project: Project) -> tuple[str, str]:
    return "-e", f"swarm_reset_confirm={Swarm(project).status(project.lab.hosts[0])['cluster_id']}"


@pytest.fixture
def guarded(project: Project) -> Iterator[dict[str, str]]:
    """Bare hosts that drop by default: what each one's table looks like."""
    lab = project.lab
    for host in lab.hosts:
        host.wait()
    if traces(lab.hosts[0]):  # a lab that was used before
        project.play(RESET, *confirmed(project))
    for host in lab.hosts:
        host.write(GUARD, TABLE)
        host.run(f"nft -f {GUARD}")
    yield {host.name: shown(host) for host in lab.hosts}
    for host in lab.hosts:
        host.run(f"systemctl stop listener 2>/dev/null; nft delete table inet guard; rm -f {GUARD}", check=False)


def closed(lab: RunningLab) -> bool:
    """Whether a host keeps its neighbours from a port of the swarm at which it listens."""
    first, second = lab.hosts[:2]
    first.run(f"systemd-run --unit listener --collect {LISTENER}")
    lab.poll(lambda: first.run(KNOCK.format("127.0.0.1", 2377), check=False).returncode == 0, 20 * SLOW, "a listener")
    kept_out = not reaches(second, first, 2377)
    first.run("systemctl stop listener")
    return kept_out


def test_hosts_that_drop_by_default_are_opened_to_the_nodes_alone_and_closed_again(
    project: Project, guarded: dict[str, str]
) -> None:
    lab, names = project.lab, [host.name for host in project.lab.hosts]
    first, *others = lab.hosts
    assert closed(lab), "as the administrator left it"
    done = project.play(SITE, *OURS)
    assert {failed + lost for _, failed, lost in outcome(lab, done).values()} == {0}
    again = project.play(SITE, *OURS)
    assert outcome(lab, again) == untouched(*names)
    swarm = Swarm(project)
    swarm.await_ready()
    for port in PORTS:
        assert lab.poll(lambda port=port: reaches(others[0], first, port), 20 * SLOW, f"port {port} to answer a node")
        assert not lab.reaches(first, port), "the control side is no node"
    for host in lab.hosts:
        assert shown(host) != guarded[host.name], "its first rule lets the nodes pass"
        assert lab.reaches(host), "what the administrator allows"
    published(swarm, "web", len(names))
    swarm.docker("service", "scale", "--detach", "web=1")
    swarm.await_running("web", 1)
    for host in lab.hosts:  # two of them by the tunnel
        assert answers(swarm, host)
    confirm = confirmed(project)
    done = project.play(RESET, *OURS, *confirm)
    assert {failed + lost for _, failed, lost in outcome(lab, done).values()} == {0}
    assert {host.name: shown(host) for host in lab.hosts} == guarded
    assert [traces(host) for host in lab.hosts] == [""] * len(names)
    assert "swarm_firewall" not in "".join(host.out("nft list ruleset") for host in lab.hosts)
    assert closed(lab), "as it was"
    assert outcome(lab, project.play(RESET, *OURS, *confirm)) == untouched(*names)
