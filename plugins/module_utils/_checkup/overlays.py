# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether the tunnels that the swarm uses now carry packets, seen from its sandboxes on this node."""

from __future__ import annotations

import errno
import json
import socket
import typing as t

from .finding import Finding, Host, error, ok
from .tunnel import inside

CLOSED_PORT = 9  # nothing listens there: a refusal is an answer
PATIENCE = 3.0  # seconds
_NO_CHECK = 11


def overlays(host: Host) -> t.Iterator[Finding]:
    """One endpoint behind each far end of each tunnel is asked for an answer."""
    for link in _rows(host, ["ip", "-json", "link", "show", "type", "vxlan"]):
        name = str(link.get("ifname", ""))
        if name.startswith("svx-"):
            yield from _network(host, name)


def _network(host: Host, name: str) -> t.Iterator[Finding]:
    ends = {
        str(row.get("mac")): str(row.get("dst"))
        for row in _rows(host, ["bridge", "-json", "fdb", "show", "dev", name])
        if row.get("dst")
    }
    asked = set()  # type: t.Set[str]
    for row in _rows(host, ["ip", "-json", "neigh", "show", "dev", name, "nud", "permanent"]):
        address, end = str(row.get("dst", "")), ends.get(str(row.get("lladdr")))
        if end is None or end in asked or ":" in address:
            continue
        asked.add(end)
        try:
            with inside("/run/netns/swns-" + name[len("svx-") :]):
                finding = _ask(address, end)
        except OSError as refusal:
            fix = "restart the service queenright: it makes its sandboxes anew"
            finding = error("tunnels", "the sandbox of %s cannot be entered: %s" % (name, refusal.strerror), fix)
        yield finding


def _ask(address: str, end: str) -> Finding:
    where = "the tunnel to %s" % end
    if _answers(socket.SOCK_STREAM, address):
        return ok("tunnels", "%s carries packets" % where)
    if _answers(socket.SOCK_DGRAM, address):
        return error(
            "tunnels",
            "%s loses everything that has a checksum: the offload of a network card is at fault" % where,
            "ethtool -K LINK tx-checksum-ip-generic off (or tx off), on both hosts",
        )
    fix = "let the data path port (4789/udp) through between the two, and see whether %s is up" % end
    return error("tunnels", "%s carries nothing (asked %s)" % (where, address), fix)


def _answers(kind: int, address: str) -> bool:
    """Whether anything comes back from a port at which nobody listens: a refusal will do."""
    with socket.socket(socket.AF_INET, kind) as one:
        one.settimeout(PATIENCE)
        try:
            if kind == socket.SOCK_DGRAM:
                one.setsockopt(socket.SOL_SOCKET, _NO_CHECK, 1)
            one.connect((address, CLOSED_PORT))
            if kind == socket.SOCK_DGRAM:
                one.send(b"?")
                one.recv(16)
        except OSError as refusal:
            return refusal.errno == errno.ECONNREFUSED
    return True


def _rows(host: Host, words: t.List[str]) -> t.List[t.Dict[str, t.Any]]:
    try:
        return [row for row in json.loads(host.run(words)[1] or "[]") if isinstance(row, dict)]
    except ValueError:
        return []
