# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""Whether tunnels between nodes carry packets: a VXLAN link of its own in a namespace that is thrown away, on each of
the hosts at the same time, and three kinds of traffic through it.

Datagrams without a checksum pass wherever the port is open. Those with one, and TCP, are lost as well where a network
card cannot compute checksums inside of tunnels. Large ones are lost where the underlay carries less than it says.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import json
import os
import select
import socket
import time
import typing as t

from .finding import Finding, Host, error, ok, warning
from .host import VXLAN_OVERHEAD, link_to

VNI = 0xFFFFFE  # the swarm's own are given from below
PORT = 4790  # inside of the tunnel, in the namespace
PLAIN, SUMMED, LARGE, TCP = "plain", "summed", "large", "tcp"
TRIED = (PLAIN, SUMMED, LARGE, TCP)
INTERVAL = 0.25  # seconds between two tries
MOST_SKEW = 5.0  # seconds between clocks
_NO_CHECK, _MTU_DISCOVER, _DO = 11, 10, 2
_CLONE_NEWNET = 0x40000000


class TunnelError(Exception):
    """The check itself cannot be made; the text says why."""


class Peer:
    """What is known of another host."""

    def __init__(self, address: str, inside: str) -> None:
        self.address = address
        self.inside = inside
        self.passed = set()  # type: t.Set[str]
        self.done = False
        self.skew = None  # type: t.Optional[float]


def tunnels(
    host: Host, own: str, peers: t.Sequence[str], port: int, seconds: float, now: t.Callable[[], float] = time.time
) -> t.Iterator[Finding]:
    """Meet the peers in a tunnel; they have to do the same within ``seconds``."""
    others = [peer for peer in peers if peer != own]
    if not others:
        return
    if not own:
        fix = "see `ip route`, or name this host's own address among them"
        yield error("tunnels", "there is no way to the other hosts: tunnels cannot be tried", fix)
        return
    try:
        with _link(host, own, others, port) as (known, size, name):
            _meet(known, size, seconds, now)
    except (TunnelError, OSError) as refusal:
        yield error("tunnels", "tunnels cannot be tried: %s" % refusal, "run as root, with iproute2 installed")
        return
    for peer in known.values():
        yield from verdict(peer, port, size, name)


def verdict(peer: Peer, port: int, size: int, link: str) -> t.Iterator[Finding]:
    """What the tries with one peer mean."""
    where = "the tunnel with %s" % peer.address
    if PLAIN not in peer.passed:
        fix = "let %d/udp through between the two in both directions, and look at both hosts at the same time"
        yield error("tunnels", "%s carries nothing" % where, fix % port)
        return
    if not {SUMMED, TCP} & peer.passed:
        yield error(
            "tunnels",
            "%s loses everything that has a checksum: the offload of a network card is at fault" % where,
            "ethtool -K %s tx-checksum-ip-generic off (or tx off), on both hosts" % (link or "LINK"),
        )
    elif {SUMMED, TCP} - peer.passed:
        lost = ", ".join(sorted({SUMMED, TCP} - peer.passed))
        yield warning("tunnels", "%s loses packets (%s)" % (where, lost), "look at the links of both hosts: ip -s link")
    elif LARGE not in peer.passed:
        yield error(
            "tunnels",
            "%s does not carry packets of %d bytes" % (where, size),
            "the way between the hosts carries less than the %d bytes of %s: set its MTU to what it does carry"
            % (size + VXLAN_OVERHEAD, link or "their links"),
        )
    else:
        yield ok("tunnels", "%s carries packets of %d bytes" % (where, size))
    if peer.skew is not None and abs(peer.skew) > MOST_SKEW:
        text = "the clocks of this host and %s differ by %.0f seconds" % (peer.address, abs(peer.skew))
        yield error("clock", text, "run chrony or systemd-timesyncd on both")


# -- the link


@contextlib.contextmanager
def _link(host: Host, own: str, peers: t.Sequence[str], port: int) -> t.Iterator[t.Tuple[t.Dict[str, Peer], int, str]]:
    """A VXLAN link in a namespace, with an entry for each peer; the calling thread is in there meanwhile.

    Addresses inside follow from the order of all hosts' addresses: everybody counts the same.
    """
    everybody = sorted({own, *peers}, key=lambda each: (":" in each, ipaddress.ip_address(each).packed))
    within = {address: "169.254.%d.%d" % (64 + (n + 1) // 256, (n + 1) % 256) for n, address in enumerate(everybody)}
    name, size, _source = min((link_to(host, peer) for peer in peers), key=lambda row: row[1] or 1 << 30)
    if not size:
        raise TunnelError("there is no way to %s" % ", ".join(peers))
    size -= VXLAN_OVERHEAD + (20 if ":" in own else 0)
    namespace = "swprobe-%d" % os.getpid()
    with contextlib.ExitStack() as stack:
        _ip(host, "netns", "add", namespace)
        stack.callback(host.run, ["ip", "netns", "del", namespace])
        link = "swprobe%d" % (os.getpid() % 1000000)
        words = ("type", "vxlan", "id", str(VNI), "dstport", str(port), "local", own, "nolearning")
        _ip(host, "link", "add", link, "address", _mac(within[own]), "mtu", str(size), *words)
        stack.callback(host.run, ["ip", "link", "del", link])
        _ip(host, "link", "set", link, "netns", namespace)
        _ip(host, "-n", namespace, "addr", "add", within[own] + "/16", "dev", link)
        _ip(host, "-n", namespace, "link", "set", link, "up")
        for peer in peers:
            mac = _mac(within[peer])
            _ip(host, "-n", namespace, "neigh", "replace", within[peer], "lladdr", mac, "dev", link, "nud", "permanent")
            _ip(host, "netns", "exec", namespace, "bridge", "fdb", "append", mac, "dev", link, "dst", peer)
        stack.enter_context(inside("/run/netns/" + namespace))
        yield {within[peer]: Peer(peer, within[peer]) for peer in peers}, size, name


def _mac(address: str) -> str:
    return "02:42:" + ":".join("%02x" % byte for byte in ipaddress.ip_address(address).packed)


def _ip(host: Host, *words: str) -> None:
    code, out, err = host.run(["ip", *words])
    if code:
        raise TunnelError("ip %s: %s" % (" ".join(words), (err or out).strip()))


@contextlib.contextmanager
def inside(path: str) -> t.Iterator[None]:
    """The calling thread in another network namespace, for a while. The process ends if it cannot come back."""
    back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(path, os.O_RDONLY)
    try:
        _setns(there)
        yield
    finally:
        try:
            _setns(back)
        except OSError:
            os._exit(70)
        os.close(there)
        os.close(back)


def _setns(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


# -- the meeting


def _meet(peers: t.Dict[str, Peer], size: int, seconds: float, now: t.Callable[[], float]) -> None:
    """Send and answer until everything has passed on all sides, or the time is over."""
    end = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        sockets = {kind: stack.enter_context(_datagrams(kind)) for kind in (PLAIN, SUMMED)}
        listener = stack.enter_context(socket.create_server(("", PORT), backlog=128))
        calls = {}  # type: t.Dict[socket.socket, Peer]
        next_round = 0.0
        while time.monotonic() < end and not all(peer.done and _whole(peer) for peer in peers.values()):
            if time.monotonic() >= next_round:
                next_round = time.monotonic() + INTERVAL
                for peer in peers.values():
                    _send(sockets, peer, size, now)
                    if TCP not in peer.passed and peer not in calls.values():
                        calls[stack.enter_context(_call(peer.inside))] = peer
            wait = max(0.0, min(next_round, end) - time.monotonic())
            ready, written, _errors = select.select([*sockets.values(), listener], list(calls), [], wait)
            for one in ready:
                if one is listener:
                    stack.enter_context(listener.accept()[0])
                else:
                    _receive(one, peers, now)
            for one in written:
                peer = calls.pop(one)
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    peer.passed.add(TCP)
        for peer in peers.values():
            for _again in range(3):  # nobody answers these any more
                _send(sockets, peer, size, now)


def _whole(peer: Peer) -> bool:
    return peer.passed >= set(TRIED)


def _datagrams(kind: str) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.IPPROTO_IP, _MTU_DISCOVER, _DO)
    if kind == PLAIN:
        one.setsockopt(socket.SOL_SOCKET, _NO_CHECK, 1)
    one.bind(("", PORT + 1 + (kind == SUMMED)))
    one.setblocking(False)
    return one


def _call(address: str) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    one.setblocking(False)
    one.connect_ex((address, PORT))
    return one


def _send(sockets: t.Dict[str, socket.socket], peer: Peer, size: int, now: t.Callable[[], float]) -> None:
    """Send on each of the ways, and say whether everything came from the peer: then it may end as well."""
    message = {"done": _whole(peer), "at": now()}
    for kind in (PLAIN, SUMMED, LARGE):
        text = json.dumps(dict(message, kind=kind)).encode()
        if kind == LARGE:
            text += b" " * (size - 28 - len(text))
        number = PORT + 1 + (kind != PLAIN)
        with contextlib.suppress(OSError):
            sockets[PLAIN if kind == PLAIN else SUMMED].sendto(text, (peer.inside, number))


def _receive(one: socket.socket, peers: t.Dict[str, Peer], now: t.Callable[[], float]) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        data, (source, _port) = one.recvfrom(65536)
        message = json.loads(data.decode())
        peer = peers[source]
        peer.passed.add(str(message["kind"]))
        peer.skew = now() - float(message["at"])
        if message["done"]:
            peer.done = True
