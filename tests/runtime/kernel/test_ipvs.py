# SPDX-License-Identifier: Apache-2.0
"""The backend ipvs without a kernel: what it wants, in which order it goes there, what it tells nftables."""

from __future__ import annotations

import dataclasses
import pathlib
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queenright.edge.kernel import ipvs, ipvs_link
from queenright.edge.kernel.errors import KernelError
from queenright.edge.kernel.ipvs import additions, mark_of, mark_of_port, removals, rules, wanted
from queenright.edge.kernel.ipvs_link import Real, Service, Step, Table, Virtual
from queenright.edge.kernel.tables import emptied, removal
from queenright.model.mesh import Backend, Balanced, Overlay, Published
from queenright.model.objects import Subnet

VIP = "10.0.1.3"
NEW_SERVICE, SET_SERVICE, DEL_SERVICE = 1, 2, 3
NEW_DEST, SET_DEST, DEL_DEST = 5, 6, 7


def backend(number: int, serving: bool = True, six: bool = False) -> Backend:
    addresses = (f"10.0.1.{number}", *((f"fd00::{number}",) if six else ()))
    return Backend(f"task{number}", addresses, serving, local=False)


def overlay(balanced: Iterable[Balanced] = (), published: Iterable[Published] = ()) -> Overlay:
    return Overlay(
        network_id="n1",
        name="mynet",
        vni=4096,
        mtu=1450,
        subnets=(Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"),),
        dns=("10.0.1.2",),
        internal=False,
        ingress=True,
        addresses=("10.0.1.9/24", "fd00::9/64"),
        vtep="192.0.2.1",
        vxlan_port=4789,
        balanced=tuple(balanced),
        published=tuple(published),
    )


def play(table: Table, steps: Iterable[Step]) -> Table:
    """What a kernel makes of steps; it refuses what a real one would."""
    held = {virtual: Service(service.scheduler, dict(service.reals)) for virtual, service in table.items()}
    for step in steps:
        if step.command == NEW_SERVICE:
            assert step.virtual not in held
            held[step.virtual] = Service(step.scheduler, {})
        elif step.command == SET_SERVICE:
            held[step.virtual] = Service(step.scheduler, held[step.virtual].reals)
        elif step.command == DEL_SERVICE:
            del held[step.virtual]
        else:
            reals = dict(held[step.virtual].reals)
            assert step.real is not None
            assert (step.real in reals) == (step.command != NEW_DEST)
            if step.command == DEL_DEST:
                del reals[step.real]
            else:
                reals[step.real] = step.weight
            held[step.virtual] = dataclasses.replace(held[step.virtual], reals=reals)
    return held


class FakeLink:
    """IPVS of one namespace, held by the class: it outlives the agent."""

    held: Table = {}
    timeouts: tuple[int, ...] = ()
    log: list[str] = []

    def read(self) -> Table:
        return dict(self.held)

    def do(self, steps: Iterable[Step]) -> None:
        steps = list(steps)
        self.log.extend(str(step) for step in steps)
        type(self).held = play(self.held, steps)

    def set_timeouts(self, *seconds: int) -> None:
        type(self).timeouts = seconds

    def close(self) -> None:
        pass


class FakeNft:
    def __init__(self) -> None:
        self.table = ""
        self.fail = ""

    def run(self, text: str) -> str:
        if text.startswith("list"):
            if not self.table:
                raise KernelError("nftables refused: no such table")
            return self.table
        if self.fail:
            raise KernelError(self.fail)
        FakeLink.log.append("marks")
        self.table = text.removeprefix(removal("swlb")).removeprefix(emptied("swlb"))
        return ""

    def close(self) -> None:
        pass


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch, tmp_path) -> FakeNft:
    for name in ("conntrack", "expire_nodest_conn", "expire_quiescent_template", "conn_reuse_mode"):
        (tmp_path / name).write_text("0\n" if name != "conn_reuse_mode" else "5\n")
    monkeypatch.setattr(ipvs, "SYSCTLS", tmp_path)
    monkeypatch.setattr(ipvs, "Link", FakeLink)
    monkeypatch.setattr(FakeLink, "held", {})
    monkeypatch.setattr(FakeLink, "timeouts", ())
    monkeypatch.setattr(FakeLink, "log", [])
    return FakeNft()


# -- what is wanted


def test_a_virtual_address_is_a_service_of_its_mark() -> None:
    table, marks = wanted(overlay([Balanced("s1", (VIP,), (backend(5), backend(6)))]))
    assert table == {Virtual(4, 0x0A000103): Service("rr", {Real("10.0.1.5", 0): 1, Real("10.0.1.6", 0): 1})}
    assert marks.addresses == {VIP: 0x0A000103}


def test_a_published_port_leads_to_the_target_port_in_each_family() -> None:
    published = Published("tcp", 8080, 80, "s1", (backend(5, six=True), backend(6)))
    table, marks = wanted(overlay(published=[published]))
    mark = 6 << 16 | 8080
    assert table[Virtual(4, mark)].reals == {Real("10.0.1.5", 80): 1, Real("10.0.1.6", 80): 1}
    assert table[Virtual(6, mark)].reals == {Real("fd00::5", 80): 1}
    assert marks.ports == {("tcp", 8080, 4): mark, ("tcp", 8080, 6): mark}


def test_a_backend_that_does_not_serve_weighs_nothing() -> None:
    table, _marks = wanted(overlay([Balanced("s1", (VIP,), (backend(5), backend(6, serving=False)))]))
    assert table[Virtual(4, mark_of(VIP))].reals == {Real("10.0.1.5", 0): 1, Real("10.0.1.6", 0): 0}


def test_without_a_serving_backend_there_is_no_mark_and_connections_that_are_there_go_on() -> None:
    drained = backend(5, serving=False)
    table, marks = wanted(overlay([Balanced("s1", (VIP,), (drained,))], [Published("tcp", 80, 8000, "s1", (drained,))]))
    assert table[Virtual(4, mark_of(VIP))].reals == {Real("10.0.1.5", 0): 0}
    assert table[Virtual(4, mark_of_port("tcp", 80))].reals == {Real("10.0.1.5", 8000): 0}
    assert marks == ipvs.Marks({}, {})


def test_a_sticky_service_hashes_the_source() -> None:
    table, _marks = wanted(overlay([Balanced("s1", (VIP,), (backend(5),), sticky=True)]))
    assert table[Virtual(4, mark_of(VIP))].scheduler == "sh"


def test_marks_of_ports_protocols_and_addresses_are_never_the_same() -> None:
    ports = {mark_of_port(name, port) for name in ("tcp", "udp", "sctp") for port in (1, 80, 65535)}
    assert len(ports) == 9
    assert max(ports) < mark_of("1.0.0.0")
    assert max(ports) < mark_of("fd00::1")


def test_two_addresses_with_one_mark_are_an_error_that_names_the_network() -> None:
    services = [Balanced("s1", ("fd00::1:3",), (backend(5, six=True),)), Balanced("s2", ("fd01::1:3",), (backend(6),))]
    with pytest.raises(KernelError, match="fd01::1:3 of network mynet"):
        wanted(overlay(services))


# -- the way there

reals = st.dictionaries(
    st.builds(Real, st.sampled_from(["10.0.1.5", "10.0.1.6", "10.0.1.7"]), st.sampled_from([0, 80])),
    st.integers(0, 1),
    min_size=1,
)
tables = st.dictionaries(
    st.builds(Virtual, st.just(4), st.integers(1, 4)), st.builds(Service, st.sampled_from(["rr", "sh"]), reals)
)


@given(tables, tables)
def test_additions_and_removals_lead_from_any_table_to_any_other(before: Table, after: Table) -> None:
    assert play(play(before, additions(before, after)), removals(before, after)) == after


@given(tables, tables)
def test_who_serves_before_and_after_serves_all_the_time(before: Table, after: Table) -> None:
    held = before
    for step in [*additions(before, after), *removals(before, after)]:
        held = play(held, [step])
        for virtual in before.keys() & after.keys():
            both = before[virtual].reals.items() & after[virtual].reals.items()
            assert both <= held[virtual].reals.items()


@given(tables)
def test_what_is_there_needs_no_step(table: Table) -> None:
    assert [*additions(table, table), *removals(table, table)] == []


def test_one_changed_service_costs_no_step_in_the_others() -> None:
    services = [Balanced(f"s{n}", (f"10.0.{n}.3",), (backend(5), backend(6))) for n in range(50)]
    before, _marks = wanted(overlay(services))
    services[7] = dataclasses.replace(services[7], backends=(backend(5), backend(7)))
    after, _marks = wanted(overlay(services))
    steps = [*additions(before, after), *removals(before, after)]
    assert [(step.command, step.real) for step in steps] == [
        (NEW_DEST, Real("10.0.1.7", 0)),
        (DEL_DEST, Real("10.0.1.6", 0)),
    ]


# -- the rules


def test_the_table_is_filled_anew_in_one_transaction_and_snats_to_the_sandbox() -> None:
    state = overlay([Balanced("s1", (VIP,), (backend(5),))], [Published("udp", 53, 5353, "s1", (backend(5),))])
    text = rules(state, wanted(state)[1])
    assert text.startswith(emptied("swlb") + "table inet swlb {\n")
    assert "elements = { 10.0.1.3 : 0xa000103 }" in text
    assert "elements = { udp . 53 : 0x110035 }" in text
    assert 'oifname "eth0" meta nfproto ipv4 meta mark != 0 snat ip to 10.0.1.9' in text
    assert 'oifname "eth0" meta nfproto ipv6 meta mark != 0 snat ip6 to fd00::9' in text
    assert text.count("{") == text.count("}")


def test_a_network_without_ipv6_has_no_source_for_it() -> None:
    state = dataclasses.replace(overlay(), addresses=("10.0.1.9/24",))
    assert "snat ip6" not in rules(state, wanted(state)[1])


# -- the backend


def test_backends_are_there_before_the_marks_and_go_after_them(nft: FakeNft) -> None:
    balancer = ipvs.Ipvs(nft)
    balancer.apply(overlay([Balanced("s1", (VIP,), (backend(5),))]))
    FakeLink.log.clear()
    balancer.apply(overlay([Balanced("s2", ("10.0.1.4",), (backend(6),))]))
    assert FakeLink.log == [
        "add the service of mark 0xa000104 (IPv4)",
        "add the backend 10.0.1.6 port 0 of mark 0xa000104 (IPv4)",
        "marks",
        "remove the service of mark 0xa000103 (IPv4)",
    ]


def test_what_an_earlier_agent_left_is_taken_over(nft: FakeNft) -> None:
    state = overlay([Balanced("s1", (VIP,), (backend(5), backend(6)))])
    ipvs.Ipvs(nft).apply(state)
    FakeLink.held[Virtual(4, 77)] = Service("rr", {Real("10.9.9.9", 0): 1})
    FakeLink.log.clear()
    ipvs.Ipvs(nft).apply(state)
    assert FakeLink.log == ["marks", "remove the service of mark 0x4d (IPv4)"]


def test_the_same_picture_again_costs_nothing(nft: FakeNft) -> None:
    balancer = ipvs.Ipvs(nft)
    state = overlay([Balanced("s1", (VIP,), (backend(5),))])
    balancer.apply(state)
    FakeLink.log.clear()
    balancer.apply(state)
    assert FakeLink.log == []


def test_a_change_of_backends_leaves_the_rules_alone(nft: FakeNft) -> None:
    balancer = ipvs.Ipvs(nft)
    balancer.apply(overlay([Balanced("s1", (VIP,), (backend(5),))]))
    FakeLink.log.clear()
    balancer.apply(overlay([Balanced("s1", (VIP,), (backend(5), backend(6)))]))
    assert FakeLink.log == ["add the backend 10.0.1.6 port 0 of mark 0xa000103 (IPv4)"]


@pytest.mark.parametrize("what", ["a backend", "the rules"])
def test_an_audit_finds_and_mends_what_another_hand_changed(nft: FakeNft, what: str) -> None:
    balancer = ipvs.Ipvs(nft)
    state = overlay([Balanced("s1", (VIP,), (backend(5), backend(6)))])
    balancer.apply(state)
    assert balancer.audit(state) is False
    good = dict(FakeLink.held), nft.table
    if what == "a backend":
        FakeLink.held = {Virtual(4, mark_of(VIP)): Service("rr", {Real("10.0.1.5", 0): 0})}
    else:
        nft.table = ""
    assert balancer.audit(state) is True
    assert (FakeLink.held, nft.table) == good
    assert balancer.audit(state) is False


def test_after_a_failure_the_kernel_is_read_again(nft: FakeNft) -> None:
    balancer = ipvs.Ipvs(nft)
    state = overlay([Balanced("s1", (VIP,), (backend(5),))])
    nft.fail = "nftables refused: no room"
    with pytest.raises(KernelError, match="no room"):
        balancer.apply(state)
    nft.fail = ""
    balancer.apply(state)
    assert "elements = { 10.0.1.3" in nft.table
    assert FakeLink.held == wanted(state)[0]


def test_a_table_that_leaves_no_room_is_put_aside(nft: FakeNft, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def run(text: str) -> str:
        if not text.startswith("list"):
            texts.append(text)
            if len(texts) == 1:
                raise KernelError("nftables refused: File exists")
        return ""

    monkeypatch.setattr(nft, "run", run)
    ipvs.Ipvs(nft).apply(overlay([Balanced("s1", (VIP,), (backend(5),))]))
    assert texts[1] == removal("swlb") + texts[0]


def test_one_that_retires_keeps_its_services_while_connections_use_them(
    nft: FakeNft, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "ip_vs_conn"
    monkeypatch.setattr(ipvs, "CONNECTIONS", listed)
    balancer = ipvs.Ipvs(nft)
    balancer.apply(overlay([Balanced("s1", (VIP,), (backend(5),))]))
    held, table = FakeLink.held, nft.table
    listed.write_text("Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires\nTCP 0A000109 ...\n")
    assert balancer.retire() is False
    assert FakeLink.held == held
    listed.write_text("Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires\n")
    assert balancer.retire() is True
    assert FakeLink.held == {}
    assert nft.table == table  # which is the successor's


def test_silent_connections_are_kept_as_long_as_by_the_other_backend(nft: FakeNft) -> None:
    ipvs.Ipvs(nft).apply(overlay())
    assert FakeLink.timeouts == (432_000, 120, 300)
    assert (ipvs.SYSCTLS / "conntrack").read_text() == "1"
    assert (ipvs.SYSCTLS / "conn_reuse_mode").read_text() in ("0", "1")


def test_a_kernel_whose_ipvs_does_not_track_connections_is_an_error_that_says_so(nft: FakeNft) -> None:
    (ipvs.SYSCTLS / "conntrack").unlink()
    with pytest.raises(KernelError, match=r"conntrack cannot be set to 1 .*CONFIG_IP_VS_NFCT"):
        ipvs.Ipvs(nft).apply(overlay())


def test_timeouts_are_numbers_to_the_kernel_whatever_was_said_to_it_before() -> None:
    """pyroute2 keeps tables by class, made with the first message."""
    service = Virtual(4, 7)
    before = ipvs_link._step_message(Step(NEW_SERVICE, service, scheduler="rr"))
    before.encode()
    message = ipvs_link._timeouts(900, 120, 300)
    message.encode()
    body = bytes(message.data)[20:]  # behind the heads of netlink and of the family
    found = [struct.unpack_from("=HHI", body, at) for at in range(0, len(body), 8)]
    assert found == [(8, 4, 900), (8, 5, 120), (8, 6, 300)]
