# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The host itself: its ports, the size of its packets, its clock, its firewall."""

from __future__ import annotations

import ctypes
import errno
import json
import re
import socket
import struct
import typing as t

from .finding import Finding, Host, error, ok, warning

VXLAN_OVERHEAD = 50  # bytes; 20 more over IPv6
SMALLEST = 1280  # bytes that IPv6 needs inside
MOST_SKEW = 5.0  # seconds between clocks
UNSYNCHRONISED = 0x40
OURS = ("svx-", "swprobe")
NOT_INSTALLED = 127


def ports(host: Host, control: int, data_path: int, member: bool) -> t.Iterator[Finding]:
    """The ports of the swarm: free, or, on a member, its own."""
    if not member:
        for port, purpose in ((control, "managers"), (control + 1, "joining")):
            yield _port(socket.SOCK_STREAM, port, "the port of %s, %d/tcp," % (purpose, port), host)
    there = [name for name, port in _tunnels(host) if port == data_path]
    strangers = [name for name in there if not name.startswith(OURS)]
    if strangers:
        yield error(
            "ports",
            "the tunnel %s uses port %d/udp" % (", ".join(strangers), data_path),
            "remove it, or give the swarm another data path port (data_path_port of swarm_init)",
        )
    elif not there:
        yield _port(socket.SOCK_DGRAM, data_path, "the port of tunnels, %d/udp," % data_path, host)
    else:
        yield ok("ports", "the port of tunnels, %d/udp, is used by the swarm" % data_path)


def _port(kind: int, port: int, name: str, host: Host) -> Finding:
    try:
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:  # connections that just ended are no obstacle
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
    except OSError as refusal:
        if refusal.errno != errno.EADDRINUSE:
            return warning("ports", "%s cannot be tried: %s" % (name, refusal.strerror), "run as root")
        letter = "t" if kind == socket.SOCK_STREAM else "u"
        out = host.run(["ss", "-Hln%sp" % letter, "sport = :%d" % port])[1]
        found = re.search(r'users:\(\("([^"]+)",pid=(\d+)', out)
        who = " by %s (process %s)" % found.groups() if found else ""
        return error("ports", "%s is in use%s" % (name, who), "end that program, or give the swarm another port")
    return ok("ports", "%s is free" % name)


def _tunnels(host: Host) -> t.List[t.Tuple[str, int]]:
    """VXLAN links of the host with their ports."""
    found = []
    for link in _json(host.run(["ip", "-json", "-details", "link", "show", "type", "vxlan"])[1]):
        data = (link.get("linkinfo") or {}).get("info_data") or {}
        if "ifname" in link:
            found.append((str(link["ifname"]), int(data.get("port") or 0)))
    return found


def _json(text: str) -> t.List[t.Dict[str, t.Any]]:
    try:
        return [row for row in json.loads(text or "[]") if isinstance(row, dict)]
    except ValueError:
        return []


def link_to(host: Host, peer: str) -> t.Tuple[str, int, str]:
    """Link, MTU (0 if not known) and own address on the way to a peer; empty if there is no way."""
    rows = _json(host.run(["ip", "-json", "route", "get", peer])[1])
    if not rows or "dev" not in rows[0]:
        return "", 0, ""
    name = str(rows[0]["dev"])
    links = _json(host.run(["ip", "-json", "link", "show", "dev", name])[1])
    route = (rows[0].get("metrics") or [{}])[0].get("mtu")
    size = route or rows[0].get("mtu") or (links[0].get("mtu") if links else 0)
    return name, int(size or 0), str(rows[0].get("prefsrc", ""))


def mtu(host: Host, peers: t.Sequence[str]) -> t.Iterator[Finding]:
    """Whether packets of containers fit the tunnels."""
    sizes = {}
    for peer in peers or ("192.0.2.1",):
        name, size, _own = link_to(host, peer)
        if name and size and name != "lo":
            sizes[name] = size
        elif peers and not name:
            yield error("mtu", "there is no route to %s" % peer, "see `ip route`: the nodes have to reach each other")
    for name, size in sorted(sizes.items()):
        inside = size - VXLAN_OVERHEAD
        text = "%s carries packets of %d bytes, tunnels over it of %d" % (name, size, inside)
        if inside < SMALLEST:
            yield error("mtu", text, "raise the MTU of %s: IPv6 needs %d inside the tunnels" % (name, SMALLEST))
        else:
            yield ok("mtu", text)


def clock(synchronised: t.Optional[bool]) -> t.Iterator[Finding]:
    """Whether the clock follows others: certificates are refused where it is wrong."""
    if synchronised:
        yield ok("clock", "the clock is synchronised")
    elif synchronised is False:
        yield warning(
            "clock",
            "nothing keeps the clock right",
            "run chrony or systemd-timesyncd: a node whose clock is wrong is refused for its certificate",
        )


def skew(seconds: float) -> t.Iterator[Finding]:
    """How far the clock is ahead of that of the manager whose session this node holds."""
    if abs(seconds) <= MOST_SKEW:
        return
    way = "ahead of" if seconds > 0 else "behind"
    yield warning(
        "clock",
        "the clock is %.0f s %s that of the manager that leads" % (abs(seconds), way),
        "set the clocks: certificates begin and end by them, and a node whose clock is wrong is refused",
    )


def synchronised() -> t.Optional[bool]:
    """What the kernel says of its clock; None if it does not."""
    state = ctypes.create_string_buffer(512)  # struct timex, no modes: only look
    try:
        if ctypes.CDLL(None).adjtimex(state) < 0:
            return None
    except (OSError, AttributeError):
        return None
    # The status is the int after `modes` and four longs.
    offset = struct.calcsize("@I0l4l") if struct.calcsize("l") == 8 else struct.calcsize("@I4l")
    return not struct.unpack_from("@i", state.raw, offset)[0] & UNSYNCHRONISED


def firewall(host: Host, ports_said: str) -> t.Iterator[Finding]:
    """Whether a firewall is in the way, as far as it can be told."""
    fix = "open %s between the nodes: queenright.swarm.swarm_manage_firewall does it" % ports_said
    if host.run(["firewall-cmd", "--state"])[0] == 0:
        zone = host.run(["firewall-cmd", "--get-default-zone"])[1].strip()
        rules = host.run(["firewall-cmd", "--zone", zone, "--list-rich-rules"])[1]
        if 'priority="-32760"' not in rules:
            yield warning("firewall", "firewalld runs, and nothing is opened to other nodes by this collection", fix)
            return
        yield ok("firewall", "firewalld lets the other nodes in")
    elif host.run(["ufw", "status"])[1].startswith("Status: active"):
        if "queenright" not in host.run(["ufw", "show", "added"])[1]:
            yield warning("firewall", "ufw is active, and nothing is opened to other nodes by this collection", fix)
            return
        yield ok("firewall", "ufw lets the other nodes in")
    else:
        code, rules, _err = host.run(["nft", "list", "ruleset"])
        if code not in (0, NOT_INSTALLED):
            yield warning("firewall", "the firewall cannot be looked at", "run as root")
            return
        yield _plain(rules, fix)


def _plain(rules: str, fix: str) -> Finding:
    if "table inet swarm_firewall" in rules:
        return ok("firewall", "nftables lets the other nodes in, and nobody else")
    if re.search(r"hook input [^\n]*policy drop", rules):
        return warning("firewall", "a chain of nftables drops what comes in", fix)
    return ok("firewall", "no firewall drops everything that comes in")
