# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""What the kernel can do, tried with commands in a namespace that is thrown away: for hosts without a runtime."""

from __future__ import annotations

import errno
import socket
import struct
import typing as t

from .finding import Finding, Host, error, ok, warning

_CONTROL, _GET_FAMILY, _NAME = 0x10, 3, 2
_THERE = {0: True, errno.ENOENT: False}


def kernel(host: Host, features: t.Any, backend: str) -> t.Iterator[Finding]:
    """``features``: the table of what is needed (``_spec/kernel.py``)."""
    code, _out, err = host.run(["unshare", "--net", "true"])
    if code:
        yield error("kernel", "%s (%s)" % (features.NO_ROOT, err.strip()), "run as root")
        return
    for link in features.LINKS:
        words = ["unshare", "--net", "ip", "link", "add", "swprobe1", *link.arguments.split()]
        code, _out, err = host.run(words)
        if code:
            text = features.NO_VXLAN % (link.kind, link.option, link.kind, link.without)
            yield error("kernel", "%s (%s)" % (text, err.strip()), "modprobe %s, or another kernel" % link.kind)
    yield from _nftables(host, features)
    if backend == "ipvs":
        yield _ipvs(host, features)


def _nftables(host: Host, features: t.Any) -> t.Iterator[Finding]:
    load = ["unshare", "--net", "nft", "-f", "-"]
    if host.run(["nft", "--version"])[0] == 127:
        yield error("kernel", features.NO_NFTABLES, "install the package nftables")
        return
    if host.run(load, features.script())[0] == 0:
        yield ok("kernel", "tunnels, bridges and nftables can do all that is needed")
        return
    for each in features.EXPRESSIONS:
        code, _out, err = host.run(load, features.script((each,)))
        if code:
            text = features.NO_EXPRESSION % (each.name, each.option, each.without)
            yield error("kernel", "%s (%s)" % (text, err.strip().split("\n")[0]), "another kernel or nftables")


def _ipvs(host: Host, features: t.Any) -> Finding:
    there = family("IPVS")
    if there is False:
        host.run(["modprobe", "-q", "ip_vs"])
        there = family("IPVS")
    if there:
        return ok("kernel", "the kernel has IPVS")
    if there is None:
        return warning("kernel", "the kernel does not say whether it has IPVS", "run as root")
    return error("kernel", features.NO_IPVS, "modprobe ip_vs, or mesh_backend=nftables")


def family(name: str) -> t.Optional[bool]:
    """Whether the kernel speaks a family of generic netlink; None if it cannot be asked."""
    raw = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(raw), _NAME) + raw + b"\0" * (-len(raw) % 4)
    body = struct.pack("=BBH", _GET_FAMILY, 1, 0) + attribute
    message = struct.pack("=IHHII", 16 + len(body), _CONTROL, 0x1 | 0x4, 1, 0) + body
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as asking:
            asking.settimeout(10)
            asking.bind((0, 0))
            asking.send(message)
            answer = asking.recv(65536)
    except OSError:
        return None
    if struct.unpack_from("=H", answer, 4)[0] != 2:  # no error: it told the family
        return True
    return _THERE.get(-struct.unpack_from("=i", answer, 16)[0])
