# SPDX-License-Identifier: Apache-2.0
"""``queenright doctor``: looks at this host, its engine, its kernel and its ways to other nodes; says what to do.

A process of its own: it works on a host without a daemon, and what it does to namespaces ends with it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

from queenright.app.ask import AskError, ask
from queenright.app.checkup import engine, host, overlays, tunnel
from queenright.app.checkup.finding import ERROR, OK, WARNING, Finding, Host, error, ok, warning
from queenright.app.settings import Settings
from queenright.edge.kernel.probe import probe

_SIGNS = {OK: "ok     ", WARNING: "warning", ERROR: "ERROR  "}


def doctor(settings: Settings, given: argparse.Namespace, print_: Callable[[str], None]) -> int:
    """Look, tell, and answer 0 where nothing is wrong, 1 where something is."""
    findings = []
    for finding in examine(settings, given, Host()):
        findings.append(finding)
        if not given.json:
            print_("\n".join(_lines(finding)))
    if given.json:
        print_(json.dumps({"findings": [finding.shown() for finding in findings]}))
    return int(any(finding.state == ERROR for finding in findings))


def examine(settings: Settings, given: argparse.Namespace, machine: Host) -> Iterator[Finding]:
    """Everything that is looked at; the kernel last, because that moves this thread into another namespace."""
    status, known = _standing(settings)
    yield from known
    member = status.get("state") not in (None, "", "inactive")
    own, peers = given.own_addr or str(status.get("node_addr") or ""), list(given.peers)
    yield from host.ports(machine, given.control_port, given.data_path_port, member)
    yield from host.mtu(machine, peers)
    yield from host.clock(host.synchronised())
    yield from host.skew(float(status.get("clock_skew") or 0))
    yield from engine.engine(machine, str(settings.docker_socket))
    control = f"{given.control_port}/tcp, {given.control_port + 1}/tcp and {given.data_path_port}/udp"
    yield from host.firewall(machine, control)
    yield from overlays.overlays(machine)
    if status.get("role") == "manager":
        yield from _mesh(settings)
    if peers:
        own = own or host.link_to(machine, peers[0])[2]
        yield from tunnel.tunnels(machine, own, peers, given.data_path_port, given.seconds)
    yield from _kernel(given.backend)


def _standing(settings: Settings) -> tuple[dict[str, Any], list[Finding]]:
    """What the daemon says of itself, where there is one."""
    if not settings.socket.exists():
        return {}, [ok("daemon", "the daemon does not run on this host")]
    try:
        status = ask(settings.socket, "GET", "/queenright/v1/status")
    except AskError as refusal:
        return {}, [error("daemon", str(refusal), "see `journalctl -u queenright`")]
    if status.get("error"):
        return status, [error("daemon", f"the membership cannot go on: {status['error']}", "see what it says")]
    return status, [ok("daemon", f"queenright {status.get('version')}: {status.get('state')}")]


def _mesh(settings: Settings) -> Iterator[Finding]:
    """What the nodes said of the networks and published ports, as the swarm's leader knows it."""
    try:
        known = ask(settings.socket, "GET", "/queenright/v1/mesh")
    except AskError as refusal:
        yield warning("mesh", f"nobody tells how the networks are: {refusal}", "see `queenright status`")
        return
    troubles = [
        f"network {network['name']} on {node['hostname']}: {network['error']}"
        for node in known.get("nodes", ())
        for network in node["networks"]
        if network["error"]
    ]
    troubles += [
        f"port {port['port']}/{port['protocol']} of {port['service']} on {node['hostname']}: {node['error']}"
        for port in known.get("ports", ())
        for node in port["nodes"]
        if not node["ready"]
    ]
    for text in troubles:
        yield error("mesh", text, "run `queenright doctor` there")
    if not troubles and known.get("ports"):
        yield ok("mesh", f"{len(known['ports'])} published ports answer on every node")


def _kernel(backend: str) -> Iterator[Finding]:
    found = probe(backend)
    for each in found:
        if each.error:
            say = error if each.fatal else warning
            yield say("kernel", each.error, "see what it says: a module to load, or another kernel")
    if not any(each.error for each in found):
        yield ok("kernel", f"tunnels, bridges and balancing by {backend}: {len(found)} things tried")


def _lines(finding: Finding) -> list[str]:
    lines = [f"{_SIGNS[finding.state]}  {finding.check}: {finding.text}"]
    return [*lines, f"         -> {finding.fix}"] if finding.fix else lines
