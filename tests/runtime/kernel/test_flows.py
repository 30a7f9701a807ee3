"""Which flows are cut: those to who is gone, and no others."""

from __future__ import annotations

import dataclasses

from queenright.edge.kernel import flows
from queenright.edge.kernel.balancer import LINK4
from queenright.edge.kernel.conntrack import Flow, Sent
from queenright.edge.kernel.neighbours import packed
from queenright.model.mesh import Backend, Balanced, Overlay, Published
from queenright.model.objects import Subnet

TCP, UDP = 6, 17
A = Backend("a", ("10.0.0.5",), True, True)
B = Backend("b", ("10.0.0.6",), False, False)
WEB = Balanced("web", ("10.0.0.4",), (A, B))
PORT = Published("tcp", 80, 8080, "web", (A, B))
OVERLAY = Overlay(
    network_id="n",
    name="n",
    vni=4096,
    mtu=1450,
    subnets=(Subnet(subnet="10.0.0.0/24", gateway="10.0.0.1"),),
    dns=("10.0.0.2",),
    internal=False,
    ingress=True,
    addresses=("10.0.0.3/24",),
    vtep="192.0.2.1",
    vxlan_port=4789,
    balanced=(WEB,),
    published=(PORT,),
)


def flow(target: str, port: int, by: str, protocol: int = TCP, *, answered: bool = True) -> Flow:
    return Flow(protocol, packed(target), port, packed(by), answered)


def test_flows_of_backends_are_kept_whether_they_serve_or_not() -> None:
    lost = flows.lost_in_sandbox(OVERLAY)
    assert not lost(flow("10.0.0.4", 1234, "10.0.0.5"))
    assert not lost(flow("10.0.0.4", 1234, "10.0.0.6", UDP))
    assert not lost(flow(LINK4, 80, "10.0.0.6"))


def test_what_is_not_answered_yet_is_lost_where_no_connection_is_sent_any_more() -> None:
    lost = flows.lost_in_sandbox(OVERLAY)
    assert lost(flow("10.0.0.4", 1234, "10.0.0.6", answered=False))
    assert lost(flow(LINK4, 80, "10.0.0.6", answered=False))
    assert not lost(flow("10.0.0.4", 1234, "10.0.0.5", answered=False))
    assert not lost(flow("10.0.0.4", 1234, "10.0.0.6", UDP, answered=False))


def test_flows_to_who_is_no_backend_are_lost() -> None:
    lost = flows.lost_in_sandbox(OVERLAY)
    assert lost(flow("10.0.0.4", 1234, "10.0.0.7"))
    assert lost(flow(LINK4, 80, "10.0.0.7"))
    assert lost(flow(LINK4, 80, "10.0.0.5", UDP))  # that port is published for TCP alone
    assert lost(flow("10.0.0.99", 80, "10.0.0.5"))  # a service that is gone


def test_what_ends_in_the_sandbox_is_not_a_backends() -> None:
    lost = flows.lost_in_sandbox(OVERLAY)
    assert not lost(flow("10.0.0.2", 53, "10.0.0.2", UDP))
    assert not lost(flow("10.0.0.4", 0, "10.0.0.4", 1))


def test_the_connections_are_looked_at_only_when_somebody_left_or_serves_no_more() -> None:
    def after(**changes: object) -> bool:
        return flows.somebody_left(OVERLAY, dataclasses.replace(OVERLAY, **changes))  # type: ignore[arg-type]

    serving_no_more = dataclasses.replace(A, serving=False)
    assert not after()
    assert not after(balanced=(dataclasses.replace(WEB, backends=(A, dataclasses.replace(B, serving=True))),))
    assert not after(neighbours=(), mtu=1400)
    assert after(balanced=(dataclasses.replace(WEB, backends=(A,)),))
    assert after(balanced=(dataclasses.replace(WEB, backends=(serving_no_more, B)),))
    assert after(balanced=())
    assert after(balanced=(dataclasses.replace(WEB, vips=("10.0.0.44",)),))
    assert after(published=(dataclasses.replace(PORT, backends=(B,)),))
    assert after(balanced=(dataclasses.replace(WEB, vips=("10.0.0.44",)),))
    assert after(published=())


def test_the_connections_are_not_looked_at_where_none_is_lost() -> None:
    def between(old: dict[str, object], new: dict[str, object]) -> bool:
        before = dataclasses.replace(OVERLAY, **old)  # type: ignore[arg-type]
        return flows.somebody_left(before, dataclasses.replace(OVERLAY, **new))  # type: ignore[arg-type]

    nobody, datagrams = dataclasses.replace(WEB, backends=()), dataclasses.replace(PORT, protocol="udp")
    serving_no_more = dataclasses.replace(A, serving=False)
    assert not between({"balanced": (nobody,)}, {"balanced": ()})
    assert not between({"balanced": (nobody,)}, {"balanced": (dataclasses.replace(nobody, vips=("10.0.0.44",)),)})
    assert not between({}, {"balanced": (dataclasses.replace(WEB, vips=(*WEB.vips, "10.0.0.44")),)})
    assert not between({}, {"published": (dataclasses.replace(PORT, target=81),)})  # who is connected stays so
    assert not between(
        {"published": (datagrams,)}, {"published": (dataclasses.replace(datagrams, backends=(serving_no_more, B)),)}
    )
    assert between({"published": (datagrams,)}, {"published": (dataclasses.replace(datagrams, backends=(B,)),)})


def test_the_host_loses_what_went_to_a_port_that_is_not_published_any_more() -> None:
    lost = flows.lost_on_host([PORT], [PORT])
    assert not lost(flow("192.0.2.1", 80, LINK4))
    assert lost(flow("192.0.2.1", 81, LINK4))
    assert not lost(flow("192.0.2.1", 81, "172.17.0.2"))  # somebody else's translation


def test_the_host_loses_direct_flows_to_a_local_task_that_is_gone() -> None:
    direct = dataclasses.replace(PORT, local_first=True)
    lost = flows.lost_on_host([dataclasses.replace(direct, backends=(B,))], [direct])
    assert lost(flow("192.0.2.1", 80, "10.0.0.5"))
    assert not lost(flow("192.0.2.1", 80, "10.0.0.6"))
    assert flows.lost_on_host([], [direct])(flow("192.0.2.1", 80, "10.0.0.5"))


def test_connections_are_listed_only_where_one_may_be_lost() -> None:
    direct = dataclasses.replace(PORT, local_first=True)
    other = dataclasses.replace(PORT, port=81)
    more = Backend("c", ("10.0.0.7",), True, False)
    assert flows.lost_ports([PORT], [PORT, other]) == {Sent(TCP, 81)}
    assert flows.lost_ports([dataclasses.replace(direct, backends=(B,))], [direct]) == {Sent(TCP, 80)}
    assert not flows.lost_ports([dataclasses.replace(direct, backends=(A, B, more)), other], [direct])
    assert not flows.lost_ports([dataclasses.replace(PORT, backends=(B,))], [PORT])  # the sandbox sees to that


def test_the_kernel_is_told_what_the_ports_have_in_common() -> None:
    assert flows.sent_to({Sent(UDP, 53)}) == Sent(UDP, 53)
    assert flows.sent_to({Sent(UDP, 53), Sent(UDP, 54)}) == Sent(UDP)
    assert flows.sent_to({Sent(UDP, 53), Sent(TCP, 53)}) is None
    assert flows.sent_to(()) is None


def test_udp_to_a_port_that_is_published_from_now_on_is_looked_at_anew() -> None:
    lost = flows.unbound_on_host([dataclasses.replace(PORT, protocol="udp"), PORT], {packed("192.0.2.1")})
    assert not lost(flow("198.51.100.7", 80, "198.51.100.7", UDP))  # a conversation with somebody outside
    assert lost(flow("192.0.2.1", 80, "192.0.2.1", UDP))
    assert not lost(flow("192.0.2.1", 81, "192.0.2.1", UDP))
    assert not lost(flow("192.0.2.1", 80, "192.0.2.1", TCP))
