# SPDX-License-Identifier: Apache-2.0
"""From the options of init and join to addresses."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from queenright.app import addressing
from queenright.app.addressing import for_force, for_init, for_join, for_resume, held_by, host_of, with_settings
from queenright.app.settings import Settings
from queenright.app.state import MemberState
from queenright.lib.addresses import Interface
from queenright.manager.ports import InitOptions, JoinOptions
from queenright.model.errors import FailedPrecondition, InvalidArgument


@pytest.fixture(autouse=True)
def one_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    found = (
        Interface("lo", (ip_address("127.0.0.1"),), loopback=True, up=True),
        Interface("eth0", (ip_address("10.0.0.5"),), loopback=False, up=True),
    )
    monkeypatch.setattr(addressing, "host_interfaces", lambda: found)


@pytest.mark.parametrize(
    ("listen", "advertise", "expected"),
    [
        ("", "", ("0.0.0.0:2377", "10.0.0.5:2377", "127.0.0.1:2377")),
        ("0.0.0.0:3000", "", ("0.0.0.0:3000", "10.0.0.5:3000", "127.0.0.1:3000")),
        ("10.0.0.5", "", ("10.0.0.5:2377", "10.0.0.5:2377", "10.0.0.5:2377")),
        ("eth0:3000", "", ("10.0.0.5:3000", "10.0.0.5:3000", "10.0.0.5:3000")),
        ("", "eth0", ("0.0.0.0:2377", "10.0.0.5:2377", "127.0.0.1:2377")),
        ("", "203.0.113.9:4000", ("0.0.0.0:2377", "203.0.113.9:4000", "127.0.0.1:2377")),
        ("", "queen.example", ("0.0.0.0:2377", "queen.example:2377", "127.0.0.1:2377")),
        ("[::]:2377", "2001:db8::1", ("[::]:2377", "[2001:db8::1]:2377", "[::1]:2377")),
        ("[2001:db8::1]", "", ("[2001:db8::1]:2377", "[2001:db8::1]:2377", "[2001:db8::1]:2377")),
    ],
)
def test_a_founder_listens_and_advertises(listen: str, advertise: str, expected: tuple[str, str, str]) -> None:
    found = for_init(InitOptions(listen_addr=listen, advertise_addr=advertise))
    assert (str(found.listen), found.advertise, found.local) == expected


def test_a_joiner_that_says_nothing_is_known_by_the_address_it_comes_from() -> None:
    found = for_join(JoinOptions())
    assert (str(found.listen), found.advertise, found.data_path) == ("0.0.0.0:2377", "", "")


def test_the_data_path_is_an_address_without_a_port() -> None:
    assert for_join(JoinOptions(data_path_addr="eth0")).data_path == "10.0.0.5"


@pytest.mark.parametrize("wrong", ["eth9:x", "a b", "10.0.0.5:99999", "[fe80::1", "http://x"])
@pytest.mark.parametrize("option", ["listen_addr", "advertise_addr", "data_path_addr"])
def test_what_is_no_address_is_refused(option: str, wrong: str) -> None:
    with pytest.raises(InvalidArgument):
        for_init(InitOptions(**{option: wrong}))
    with pytest.raises(InvalidArgument):
        for_join(JoinOptions(**{option: wrong}))


@pytest.mark.parametrize(("addr", "host"), [("", ""), ("h:1", "h"), ("[::1]:1", "::1"), ("10.0.0.1", "10.0.0.1")])
def test_the_host_of_an_address(addr: str, host: str) -> None:
    assert host_of(addr) == host


HELD = MemberState("n1", "c1", "manager", "0.0.0.0:2377", "10.0.0.5:2377", "10.0.0.6")


def resumed(**named: str) -> tuple[str, str, str]:
    found = for_resume(Settings(**named), HELD)  # type: ignore[arg-type]
    return str(found.listen), found.advertise, found.data_path


def test_a_member_keeps_its_addresses_but_for_what_the_settings_name() -> None:
    assert resumed() == ("0.0.0.0:2377", "10.0.0.5:2377", "10.0.0.6")
    assert resumed(listen_addr="10.0.0.5:3000") == ("10.0.0.5:3000", "10.0.0.5:2377", "10.0.0.6")
    assert resumed(advertise_addr="eth0") == ("0.0.0.0:2377", "10.0.0.5:2377", "10.0.0.6")
    assert resumed(listen_addr="eth0:3000", advertise_addr="q.example") == (
        "10.0.0.5:3000",
        "q.example:3000",
        "10.0.0.6",
    )
    with pytest.raises(FailedPrecondition, match="listen_addr and advertise_addr in the settings"):
        resumed(advertise_addr="a b")


def test_settings_stand_in_for_what_init_and_join_do_not_name() -> None:
    settings = Settings(listen_addr="eth0:3000", advertise_addr="queen.example")
    assert with_settings(InitOptions(listen_addr="0.0.0.0:2377"), settings) == InitOptions("eth0:3000", "queen.example")
    named = JoinOptions(listen_addr="10.0.0.5:4000", advertise_addr="10.0.0.5")
    assert with_settings(named, settings) == named
    assert with_settings(JoinOptions(listen_addr="0.0.0.0:2377"), Settings()) == JoinOptions(listen_addr="0.0.0.0:2377")


def test_a_forced_cluster_keeps_the_addresses_that_nobody_names() -> None:
    held = held_by(HELD)
    assert for_force(InitOptions(listen_addr="0.0.0.0:2377"), held) == held
    moved = for_force(InitOptions(listen_addr="10.0.0.5:3000", advertise_addr="eth0"), held)
    assert (str(moved.listen), moved.advertise, moved.data_path) == ("10.0.0.5:3000", "10.0.0.5:3000", "10.0.0.6")
