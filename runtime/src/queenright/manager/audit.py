# SPDX-License-Identifier: Apache-2.0
"""Who did what: one structured line for each signing, each write and each join, refused ones included.

The edges say who acts (``acting``), whoever does something says what (``record``). A line holds names, ids and serials,
never a body: so there is nothing in it to hide.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Iterator
from contextvars import ContextVar

from queenright.manager.ports import Peer

LOGGER = "queenright.audit"
LONGEST = 256  # characters of a value that others chose

log = logging.getLogger(LOGGER)


@dataclasses.dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. ``kind``: ``socket`` (a process of this host), ``member`` (a node, by its certificate), ``join`` (a
    host that is no member yet) or ``manager`` (this one, by itself). What is not known is left out of the line.
    """

    kind: str = "manager"
    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    node: str = ""
    serial: str = ""
    role: str = ""
    address: str = ""
    agent: str = ""  # what a client calls itself; not in the line

    def described(self) -> dict[str, object]:
        said = dataclasses.asdict(self)
        return {name: value for name, value in said.items() if value is not None and value != "" and name != "agent"}


_OURSELVES = Actor()
_acting: ContextVar[Actor] = ContextVar("queenright-actor", default=_OURSELVES)


def member(peer: Peer, address: str = "") -> Actor:
    """A node, as its certificate says."""
    return Actor("member", node=peer.node_id, serial=peer.serial, role=peer.role, address=address)


def actor() -> Actor:
    """Who acts now."""
    return _acting.get()


@contextlib.contextmanager
def acting(who: Actor) -> Iterator[None]:
    """What is done in this block, and in tasks begun in it, is done for ``who``."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def record(event: str, *, outcome: object = "done", **what: object) -> None:
    """Write a line: ``event`` is what was done (sign, write, join, ...), ``outcome`` a word or an HTTP status."""
    said = {name: _plain(value) for name, value in what.items() if value is not None and value != ""}
    fields = {"event": event, "outcome": outcome, "actor": actor().described(), "what": said}
    log.info("audit: %s", event, extra=fields)


def _plain(value: object) -> object:
    """Numbers and truths as they are; texts in one line and not too long."""
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    shown = text if text.isprintable() else "".join(filter(str.isprintable, text))
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"
