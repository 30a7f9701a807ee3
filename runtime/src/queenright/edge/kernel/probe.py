# SPDX-License-Identifier: Apache-2.0
"""What this machine's kernel can do for the networks, found by doing it in a namespace that is thrown away.

No version and no configuration file is looked at: a feature may be built in, loadable, patched in or forbidden.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from queenright.agent.mesh_ports import Probe
from queenright.edge.kernel import conntrack, ipvs, namespaces, underlay
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.ipvs_link import Link, Real, Service, Virtual
from queenright.edge.kernel.netlink import NETFILTER, NetlinkSocket
from queenright.edge.kernel.nft import Nft, open_nft
from queenright.model.mesh import IPVS, NFTABLES
from queenright.spec import kernel as features


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``error``: what is missing, what does not work without it, what to do; "" if it works.

    ``fatal``: without it there is no mesh on this machine.
    """

    name: str
    error: str = ""
    fatal: bool = True


def examine(backend: str = NFTABLES) -> Probe:
    """What the machine can do with the wished backend. Blocks; for a thread of its own, which ends afterwards.

    The thread is in another network namespace from then on.
    """
    mtu, prefixes = underlay.mtu(), underlay.prefixes()
    errors = [finding.error for finding in probe(backend) if finding.error and finding.fatal]
    return Probe("" if errors else backend, "; ".join(errors[:3]), mtu, prefixes)


def probe(backend: str = NFTABLES) -> tuple[Finding, ...]:
    """Everything that was tried, in order. Blocks, and leaves the calling thread in a namespace that ends with it."""
    try:
        namespaces.enter_new()
    except KernelError as error:
        return (Finding("network namespaces", f"{features.NO_ROOT} ({error})"),)
    findings = [*_links(), *_nftables(), _conntrack()]
    if backend == IPVS:
        findings.append(_ipvs())
    return tuple(findings)


def _links() -> list[Finding]:
    """Make one link of each kind."""
    findings = []
    with IPRoute() as route:
        route.link("set", index=1, state="up")
        for number, link in enumerate(features.LINKS):
            error = ""
            try:
                _make(route, f"swprobe{number}", link.kind)
            except (NetlinkError, OSError) as refusal:
                error = features.NO_VXLAN % (link.kind, link.option, link.kind, link.without) + f" ({refusal})"
            findings.append(Finding(f"links of kind {link.kind}", error))
    return findings


def _make(route: IPRoute, name: str, kind: str) -> None:
    if kind == "veth":
        route.link("add", ifname=name, kind=kind, peer=f"{name}p")
    elif kind == "vxlan":
        tunnel = {"vxlan_id": 4096, "vxlan_local": "127.0.0.1", "vxlan_port": 4789}
        route.link("add", ifname=name, kind=kind, vxlan_learning=False, vxlan_proxy=True, **tunnel)
    else:
        route.link("add", ifname=name, kind=kind)


def _nftables() -> list[Finding]:
    """Load every expression at once; where that fails, one by one, to name the ones that are missing."""
    try:
        nft = open_nft()
    except KernelError as error:
        return [Finding("nftables", f"{features.NO_NFTABLES} ({error})")]
    try:
        if not _refused(lambda: nft.run(features.script())):
            return [Finding(f"nftables: {each.name}") for each in features.EXPRESSIONS]
        return [_expression(nft, each) for each in features.EXPRESSIONS]
    finally:
        nft.close()


def _expression(nft: Nft, each: features.Expression) -> Finding:
    refusal = _refused(lambda: nft.run(features.script((each,)) + f"delete table inet {features.PROBE_TABLE}0\n"))
    error = f"{features.NO_EXPRESSION % (each.name, each.option, each.without)} ({refusal})" if refusal else ""
    return Finding(f"nftables: {each.name}", error)


def _refused(call: Callable[[], object]) -> str:
    """What a refusal says; "" if there is none."""
    try:
        call()
    except KernelError as error:
        return str(error)
    return ""


def _conntrack() -> Finding:
    """Ask the connection tracker for its (empty) list."""
    name = "cutting connections"
    try:
        with NetlinkSocket(NETFILTER) as asking:
            conntrack.cut(asking, lambda _flow: False)
    except KernelError as error:
        return Finding(name, f"{features.NO_CONNTRACK} ({error})", fatal=False)
    return Finding(name)


def _ipvs() -> Finding:
    """A service by firewall mark, a backend, and the connection tracker's part in it."""
    name = "IPVS"
    try:
        link = Link()
    except KernelError:
        return Finding(name, features.NO_IPVS)
    try:
        wanted = {Virtual(4, 1): Service("rr", {Real("127.0.0.2", 0): 1})}
        link.do(ipvs.additions({}, wanted))
        if link.read() != wanted:
            return Finding(name, f"{features.NO_IPVS} (it does not keep what it is told)")
        if not (Path(ipvs.SYSCTLS) / "conntrack").exists():
            return Finding(name, f"{features.NO_IPVS} (it tracks no connections: CONFIG_IP_VS_NFCT)")
    except KernelError as error:
        return Finding(name, f"{features.NO_IPVS} ({error})")
    finally:
        link.close()
    return Finding(name)
