# SPDX-License-Identifier: Apache-2.0
"""Which tracked connections lead to somebody who is gone. Pure: pictures in, a judge out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from queenright.edge.kernel.balancer import LINK4, LINK6, family_of
from queenright.edge.kernel.conntrack import PROTOCOLS, Flow, Sent
from queenright.edge.kernel.neighbours import packed
from queenright.model.mesh import Backend, Balanced, Overlay, Published

Judge = Callable[[Flow], bool]
_LINKS = frozenset({packed(LINK4), packed(LINK6)})
_NOBODY: frozenset[bytes] = frozenset()
_TCP = PROTOCOLS["tcp"]


def lost_in_sandbox(overlay: Overlay) -> Judge:
    """Judges flows of a sandbox: lost is what was handed to somebody who is not a backend of where it was sent to.

    So is a TCP connection that somebody who shall get no more connections has not even begun to answer: what its client
    sends again goes to another one then.
    """
    by_vip = {packed(vip): (service.backends, vip) for service in overlay.balanced for vip in service.vips}
    by_port = {
        (packed(link), PROTOCOLS[port.protocol], port.port): (port.backends, link)
        for port in overlay.published
        for link in (LINK4, LINK6)
    }
    known: dict[object, tuple[frozenset[bytes], frozenset[bytes]]] = {}  # worked out for those alone that have flows

    def lost(flow: Flow) -> bool:
        if flow.target == flow.answered_by:
            return False  # not handed to anybody: it ends here
        key = (flow.target, flow.protocol, flow.port) if flow.target in _LINKS else flow.target
        backends = known.get(key)
        if backends is None:
            found = by_port.get(key) if isinstance(key, tuple) else by_vip.get(key)
            backends = known[key] = _addresses(*found) if found else (_NOBODY, _NOBODY)
        everybody, serving = backends
        if flow.answered_by not in everybody:
            return True
        return flow.protocol == _TCP and not flow.answered and flow.answered_by not in serving

    return lost


def lost_on_host(ports: Iterable[Published], before: Iterable[Published]) -> Judge:
    """Judges flows of the host that were translated: to a sandbox for a port that is not published any more, and to a
    backend of this node that is gone.
    """
    now = {(PROTOCOLS[port.protocol], port.port): port for port in ports}
    all_ports = {(PROTOCOLS[port.protocol], port.port): port for port in before} | now
    backends = {key: _all(port.backends) for key, port in now.items()}
    direct = {key for key, port in all_ports.items() if port.local_first}

    def lost(flow: Flow) -> bool:
        key = flow.protocol, flow.port
        if flow.answered_by in _LINKS:
            return key not in now
        return key in direct and flow.target != flow.answered_by and flow.answered_by not in backends.get(key, _NOBODY)

    return lost


def lost_ports(ports: Iterable[Published], before: Iterable[Published]) -> set[Sent]:
    """The ports whose flows on the host may be lost by this change; without any the connections need not be listed."""
    now = {(port.protocol, port.port): port for port in ports}
    found = set()
    for old in before:
        new = now.get((old.protocol, old.port))
        if new is None or (old.local_first and _all(old.backends) - _all(new.backends)):
            found.add(Sent(PROTOCOLS[old.protocol], old.port))
    return found


def sent_to(ports: Collection[Sent]) -> Sent | None:
    """What all flows to these ports have in common, as far as a kernel can be told; None: nothing."""
    if len(ports) == 1:
        return next(iter(ports))
    protocols = {port.protocol for port in ports}
    return Sent(protocols.pop()) if len(protocols) == 1 else None


def unbound_on_host(added: Collection[Published], own: Collection[bytes]) -> Judge:
    """Judges flows of the host that were not translated: UDP to one of its ``own`` addresses and a port that is
    published from now on. As long as they are remembered they would go on to where nobody listens.
    """
    numbers = {port.port for port in added if port.protocol == "udp"}
    udp = PROTOCOLS["udp"]

    def lost(flow: Flow) -> bool:
        ends_here = flow.target == flow.answered_by and flow.target in own
        return flow.protocol == udp and flow.port in numbers and ends_here

    return lost


def somebody_left(old: Overlay, new: Overlay) -> bool:
    """Whether :func:`lost_in_sandbox` may find any flow by this change that it did not before: a backend is gone from
    where it was, or serves TCP no more; or an address, or all of a service, that had backends. Else the connections
    need not be listed.
    """
    before, after = _by_name(old), _by_name(new)
    return any(_left(source, after.get(key)) for key, source in before.items())


def _left(source: Balanced | Published, successor: Balanced | Published | None) -> bool:
    if successor is source:
        return False
    had = _all(source.backends)
    if not had:
        return False  # whoever came was refused
    if successor is None or had - _all(successor.backends):
        return True
    if isinstance(source, Balanced):
        assert isinstance(successor, Balanced)
        if set(source.vips) - set(successor.vips):
            return True
    elif source.protocol != "tcp":
        return False
    return bool(_all(_serving(source.backends)) - _all(_serving(successor.backends)))


def _by_name(overlay: Overlay) -> dict[tuple[str, ...], Balanced | Published]:
    found: dict[tuple[str, ...], Balanced | Published] = {
        (service.service_id,): service for service in overlay.balanced
    }
    found.update(((port.protocol, str(port.port)), port) for port in overlay.published)
    return found


def _all(backends: Iterable[Backend]) -> frozenset[bytes]:
    return frozenset(packed(address) for backend in backends for address in backend.addresses)


def _serving(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    return tuple(backend for backend in backends if backend.serving)


def _addresses(backends: Collection[Backend], like: str) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Those of all, and of the serving ones."""
    family = family_of(like)

    def of(some: Iterable[Backend]) -> frozenset[bytes]:
        return frozenset(
            packed(address) for backend in some for address in backend.addresses if family_of(address) == family
        )

    return of(backends), of(_serving(backends))
