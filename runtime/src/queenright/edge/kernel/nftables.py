# SPDX-License-Identifier: Apache-2.0
"""The backend nftables: one table in each sandbox, changed in transactions, so no connection falls between two states.

In a sandbox nobody else writes nftables. The kernel counts the transactions of a namespace; as long as the count is
the one after our last, everything is as we left it, and an audit costs one question.
"""

from __future__ import annotations

import struct

from queenright.edge.kernel import netlink
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.netlink import NetlinkSocket, attributes
from queenright.edge.kernel.nft import Nft
from queenright.edge.kernel.tables import Table, removal, sandbox, step, whole
from queenright.model.mesh import SANDBOX_TABLE, Overlay

_GET_GENERATION = (10 << 8) | 16
_HEAD = struct.Struct("=BBH")
_GENERATION = 1


class Nftables:
    """Fulfils :class:`balancer.Balancer`."""

    def __init__(self, nft: Nft) -> None:
        self._nft = nft
        self._table: Table | None = None  # what the kernel has; None: not known
        self._chains: set[str] = set()
        self._generation = 0
        # Held open: closing one waits until the kernel has cleared away after the last transaction.
        self._sock = NetlinkSocket(netlink.NETFILTER)

    def apply(self, overlay: Overlay) -> None:
        self._bring(sandbox(overlay))

    def audit(self, overlay: Overlay) -> bool:
        touched = self._table is None or self._generation != generation(self._sock)
        if touched:
            self._table = None
        self._bring(sandbox(overlay))
        return touched

    def retire(self) -> bool:
        """What it handed on is the connection tracker's, which needs no table of ours for that."""
        self._table = None
        return True

    def close(self) -> None:
        """The context is the sandbox's."""
        self._sock.close()

    def _bring(self, wanted: Table) -> None:
        present, self._table = self._table, None  # after an error nothing is known
        if present is None:
            fill(self._nft, whole(SANDBOX_TABLE, wanted, self._chains))
        elif text := step(SANDBOX_TABLE, present, wanted, self._chains):
            self._nft.run(text)
        else:
            self._table = wanted
            return
        self._generation = generation(self._sock)
        self._table = wanted


def fill(nft: Nft, text: str) -> None:
    """Fill a sandbox's table by a text that empties it first. One that has no room for it, as another hand or release
    made it, goes. Raises KernelError.
    """
    try:
        nft.run(text)
    except KernelError:
        nft.run(removal(SANDBOX_TABLE) + text)


def generation(sock: NetlinkSocket) -> int:
    """The number of the last transaction in the namespace of a netfilter socket. Raises KernelError."""
    try:
        body = sock.ask(_GET_GENERATION, _HEAD.pack(0, 0, 0))
    except OSError as error:
        raise KernelError(f"nftables does not answer ({error.strerror}): the kernel needs CONFIG_NF_TABLES")
    return int.from_bytes(dict(attributes(body, _HEAD.size)).get(_GENERATION, b""), "big")
