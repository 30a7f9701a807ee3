# SPDX-License-Identifier: Apache-2.0
"""What each name means to whom."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from queenright.decide.names import INSIDE, TASK_TTL, VIP_TTL, Answer, NameTable, Verdict, address_of
from queenright.model.mesh_rows import Endpoint, Face, Link, Row
from queenright.model.objects import Subnet

LINK = Link(
    network_id="n1",
    name="mynet",
    subnets=(Subnet(subnet="10.0.1.0/24", gateway="10.0.1.1"), Subnet(subnet="fd00:1::/64", gateway="fd00:1::1")),
)
OTHER = Link(network_id="n2", name="back", subnets=(Subnet(subnet="10.0.2.0/24", gateway="10.0.2.1"),))
WEB = Face(network_id="n1", service_id="s-web", name="web", aliases=("www",), vips=("10.0.1.9", "fd00:1::9"))
RR = Face(network_id="n1", service_id="s-rr", name="rr", aliases=("round",), dnsrr=True)


def task(number: int, service: str = "web", network: str = "n1", **options: Any) -> Endpoint:
    name = options.pop("name", f"{service}.{number}.t{number}")
    subnet = {"n1": 1, "n2": 2}[network]
    return Endpoint(
        network_id=network,
        holder=f"t{number}",
        task_id=f"t{number}",
        service_id=f"s-{service}",
        addresses=options.pop("addresses", (f"10.0.{subnet}.{number}",)),
        name=name,
        serving=options.pop("serving", True),
        **options,
    )


ROWS: tuple[Row, ...] = (
    LINK,
    OTHER,
    WEB,
    RR,
    task(11),
    task(12),
    task(13, serving=False),
    task(21, "rr"),
    task(22, "rr", addresses=("10.0.1.22", "fd00:1::22")),
    Face(network_id="n2", service_id="s-db", name="db", vips=("10.0.2.9",)),
    task(11, network="n2"),
    task(31, "db", network="n2"),
)


def table(*rows: Row, whole: bool = True) -> NameTable:
    made = NameTable()
    made.take(rows or ROWS, ())
    made.whole = whole
    return made


def ask(names: NameTable, name: str, kind: str = "A", source: str = "10.0.1.11", network: str = "n1") -> Answer:
    return names.answer(network, source, name, kind)


def values(name: str, kind: str = "A", **options: Any) -> tuple[str, ...]:
    answer = ask(table(), name, kind, **options)
    assert answer.verdict == Verdict.FOUND
    return tuple(sorted(answer.values))


FOUND = [
    ("web", ("10.0.1.9",)),
    ("WeB.", ("10.0.1.9",)),
    ("www", ("10.0.1.9",)),
    ("tasks.web", ("10.0.1.11", "10.0.1.12")),
    ("tasks.www", ("10.0.1.11", "10.0.1.12")),
    ("rr", ("10.0.1.21", "10.0.1.22")),
    ("round", ("10.0.1.21", "10.0.1.22")),
    ("tasks.rr", ("10.0.1.21", "10.0.1.22")),
    ("web.1.t11", ()),
    ("web.11.t11", ("10.0.1.11",)),
    ("web.13.t13", ("10.0.1.13",)),  # a task may be named before it serves
    ("web.mynet", ("10.0.1.9",)),
    ("tasks.web.mynet", ("10.0.1.11", "10.0.1.12")),
    ("web.11.t11.mynet", ("10.0.1.11",)),
    ("localhost", ("127.0.0.1",)),
]


@pytest.mark.parametrize(("name", "addresses"), [row for row in FOUND if row[1]])
def test_names_stand_for_addresses(name: str, addresses: tuple[str, ...]) -> None:
    assert values(name) == addresses


def test_a_virtual_address_may_be_remembered_longer_than_tasks() -> None:
    assert ask(table(), "web").ttl == VIP_TTL
    assert ask(table(), "tasks.web").ttl == ask(table(), "rr").ttl == TASK_TTL < VIP_TTL


@pytest.mark.parametrize("kind", ["AAAA", "MX", "TXT", ""])
def test_a_name_that_has_nothing_of_that_kind_is_there_all_the_same(kind: str) -> None:
    answer = ask(table(), "tasks.web", kind)
    assert (answer.verdict, answer.values) == (Verdict.FOUND, ())


def test_both_families_are_answered() -> None:
    assert values("web", "AAAA") == ("fd00:1::9",)
    assert values("tasks.rr", "AAAA") == ("fd00:1::22",)
    assert values("web", "ANY") == ("10.0.1.9", "fd00:1::9")


def test_a_service_without_running_tasks_is_there_and_has_no_address() -> None:
    names = table(LINK, RR, task(11, "rr", serving=False))
    for name in ("rr", "tasks.rr", "round"):
        assert (ask(names, name).verdict, ask(names, name).values) == (Verdict.FOUND, ())


def test_tasks_of_a_node_that_is_down_are_not_named() -> None:
    lost = task(12, lost=True)
    names = table(LINK, WEB, task(11), lost)
    assert ask(names, "tasks.web").values == ("10.0.1.11",)
    assert ask(names, lost.name).values == ()


@pytest.mark.parametrize("name", ["nosuch", "tasks.nosuch", "nosuch.", "host" + INSIDE])
def test_what_only_we_could_know_is_said_to_be_absent(name: str) -> None:
    assert ask(table(), name).verdict == Verdict.ABSENT


@pytest.mark.parametrize(
    "name", ["example.com", "web.example", "tasks.web.example", "x.ec2.internal", "nosuch.mynet", ""]
)
def test_what_others_may_know_is_forwarded(name: str) -> None:
    assert ask(table(), name).verdict == Verdict.FORWARD


def test_nothing_is_absent_before_a_manager_has_told_all() -> None:
    names = table(whole=False)
    assert ask(names, "nosuch").verdict == Verdict.UNSURE
    assert ask(names, "tasks.nosuch").verdict == Verdict.UNSURE
    assert ask(names, "10.0.1.99", "A").doubt
    assert ask(names, "99.1.0.10.in-addr.arpa", "PTR").verdict == Verdict.UNSURE
    assert ask(names, "web").values == ("10.0.1.9",)
    names.whole = True
    assert ask(names, "nosuch").verdict == Verdict.ABSENT


def test_names_for_others_are_doubted_until_something_is_known_or_remembered() -> None:
    names = NameTable()
    assert ask(names, "example.com") == Answer(Verdict.FORWARD, doubt=True)
    assert ask(names, "web").verdict == Verdict.UNSURE
    names.remember(ROWS)
    assert not ask(names, "example.com").doubt
    assert ask(names, "web").values == ("10.0.1.9",)
    assert ask(names, "nosuch").verdict == Verdict.UNSURE


def test_nothing_is_absent_for_who_is_not_known_yet() -> None:
    names = table()
    assert ask(names, "nosuch", source="10.0.1.77").verdict == Verdict.UNSURE
    assert ask(names, "web", source="10.0.1.77").values == ("10.0.1.9",)
    assert ask(names, "nosuch", source="10.0.1.1").verdict == Verdict.ABSENT  # the gateway: the node itself


def test_a_task_is_answered_from_all_its_networks_and_others_from_that_of_the_question() -> None:
    assert ask(table(), "db", source="10.0.1.11").values == ("10.0.2.9",)
    assert ask(table(), "db", source="10.0.1.12").verdict == Verdict.ABSENT
    assert ask(table(), "db.back", source="10.0.1.11").values == ("10.0.2.9",)
    assert ask(table(), "db.mynet", source="10.0.1.11").verdict == Verdict.FORWARD
    assert ask(table(), "tasks.db", source="10.0.1.11").asker == "t11"


def test_the_network_of_the_question_comes_first() -> None:
    same = (dataclasses.replace(WEB, network_id="n2", vips=("10.0.2.77",)),)
    names = table(*ROWS, *same)
    assert ask(names, "web").values == ("10.0.1.9",)
    assert ask(names, "web", source="10.0.2.11", network="n2").values == ("10.0.2.77",)
    assert ask(names, "web.back").values == ("10.0.2.77",)


def test_an_alias_of_a_task_never_shadows_a_service() -> None:
    names = table(LINK, WEB, task(11, aliases=("web", "www", "cache")), task(12, name="web"))
    assert ask(names, "web").values == ("10.0.1.9",)
    assert ask(names, "www").values == ("10.0.1.9",)
    assert ask(names, "cache").values == ("10.0.1.11",)


def test_services_may_share_an_alias() -> None:
    green = Face(network_id="n1", service_id="s-green", name="green", aliases=("WWW",), vips=("10.0.1.8",))
    assert sorted(ask(table(*ROWS, green), "www").values) == ["10.0.1.8", "10.0.1.9"]


def test_the_ingress_network_has_no_names() -> None:
    link = dataclasses.replace(LINK, ingress=True)
    names = table(link, WEB, task(11))
    for name in ("web", "tasks.web", "web.11.t11"):
        assert ask(names, name).verdict in (Verdict.ABSENT, Verdict.FORWARD)
    assert ask(names, "example.com").verdict == Verdict.FORWARD


POINTERS = [
    ("11.1.0.10.in-addr.arpa", ("web.11.t11.mynet",)),
    ("9.1.0.10.in-addr.arpa.", ("web.mynet",)),
    ("9.2.0.10.in-addr.arpa", ("db.back",)),
    ("2.2.0.0" + ".0" * 20 + ".1.0.0.0.0.0.d.f.ip6.arpa", ("rr.22.t22.mynet",)),
]


@pytest.mark.parametrize(("name", "names"), POINTERS)
def test_addresses_have_names(name: str, names: tuple[str, ...]) -> None:
    assert values(name, "PTR") == names
    assert values(name, "A") == ()


def test_the_names_of_other_peoples_addresses_are_asked_of_others() -> None:
    assert ask(table(), "8.8.8.8.in-addr.arpa", "PTR").verdict == Verdict.FORWARD
    assert ask(table(), "1.0.10.in-addr.arpa", "PTR").verdict == Verdict.FORWARD
    assert ask(table(), "9.2.0.10.in-addr.arpa", "PTR", source="10.0.1.12").verdict == Verdict.FORWARD
    assert ask(table(), "250.1.0.10.in-addr.arpa", "PTR").verdict == Verdict.ABSENT


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("5.1.0.10.in-addr.arpa", "10.0.1.5"),
        ("x.1.0.10.in-addr.arpa", "None"),
        ("1.0.10.in-addr.arpa", "None"),
        ("300.1.0.10.in-addr.arpa", "None"),
        ("1" + ".0" * 31 + ".ip6.arpa", "::1"),
        ("g" + ".0" * 31 + ".ip6.arpa", "None"),
        ("10.0" + ".0" * 30 + ".ip6.arpa", "None"),
    ],
)
def test_names_of_addresses_are_read(name: str, address: str) -> None:
    assert str(address_of(name)) == address


def test_what_is_gone_is_not_answered_any_more() -> None:
    names = table()
    names.take((), ("n1/t12",))
    assert ask(names, "tasks.web").values == ("10.0.1.11",)
    assert ask(names, "web.12.t12").verdict == Verdict.FORWARD
    names.take((), ("n1/s-web",))
    assert ask(names, "web").verdict == Verdict.ABSENT
    assert ask(names, "9.1.0.10.in-addr.arpa", "PTR").verdict == Verdict.ABSENT
    names.take((), ("n2",))
    assert ask(names, "db").verdict == Verdict.ABSENT
    names.take((), ("n1", "n1/t11"))
    assert ask(names, "rr").verdict == Verdict.UNSURE


def test_a_row_that_changes_takes_its_old_names_along() -> None:
    names = table()
    names.take((dataclasses.replace(WEB, name="shop", aliases=(), vips=("10.0.1.10",)),), ())
    assert ask(names, "shop").values == ("10.0.1.10",)
    assert ask(names, "web").verdict == ask(names, "www").verdict == Verdict.ABSENT
    names.take((task(11, addresses=("10.0.1.50",), name="web.1.new"),), ())
    assert ask(names, "web.1.new", source="10.0.1.50").values == ("10.0.1.50",)
    assert ask(names, "nosuch", source="10.0.1.11").verdict == Verdict.UNSURE  # that address is nobody's now


def test_an_address_that_was_given_on_stays_with_its_new_holder() -> None:
    names = table()
    names.take((task(40, addresses=("10.0.1.11",)),), ())
    names.take((), ("n1/t11",))
    assert ask(names, "web").asker == "t40"


def test_names_do_not_depend_on_the_way_the_rows_came() -> None:
    backwards = table(*reversed(ROWS))
    for name, _ in FOUND:
        assert sorted(ask(backwards, name).values) == sorted(ask(table(), name).values)
