# SPDX-License-Identifier: Apache-2.0
"""Which manager comes, moves or goes next; no order of events costs the group its quorum or its last member."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
from laws.builders import node

from queenright.decide import roles
from queenright.decide.roles import Add, Group, Move, Plan, Remove, Step, Transfer
from queenright.model.changes import Batch, Change, Create, Delete, Update
from queenright.model.objects import Node
from queenright.spec.cluster import MANAGER, WORKER
from queenright.store.store import Store


@dataclasses.dataclass(frozen=True)
class Seat:
    id: str
    addr: str = ""
    voter: bool = True


def manager(name: str, wish: str = MANAGER, role: str = MANAGER, addr: str | None = None) -> Node:
    made = node(name, role=role)
    where = f"{name}:2377" if addr is None else addr
    return dataclasses.replace(
        made, spec=dataclasses.replace(made.spec, role=wish), manager_addr=where if role == MANAGER else ""
    )


def store(*members: Node) -> Store:
    view = Store()
    write(view, *(Create(member) for member in members))
    return view


def write(view: Store, *changes: Change) -> None:
    assert view.apply(view.index + 1, Batch(1, changes)) is None


def group(*names: str, leader: str = "a", away: str = "", learners: str = "") -> Group:
    seats = tuple(Seat(name, f"{name}:2377", name not in learners) for name in names)
    return Group(leader, seats, frozenset(name for name in names if name not in away))


def test_a_group_that_is_as_it_shall_be_is_left_alone() -> None:
    view = store(manager("a"), manager("b"), manager("c"), node("w"))
    assert roles.decide(view, group("a", "b", "c", away="c")) == Plan()


def test_a_new_manager_is_taken_in_where_it_is_reached() -> None:
    view = store(manager("a"), manager("b", addr="192.0.2.7:4000"))
    assert roles.decide(view, group("a")) == Plan((Add("b", "192.0.2.7:4000"),))


def test_one_that_still_catches_up_is_gone_on_with() -> None:
    view = store(manager("a"), manager("b"))
    assert roles.decide(view, group("a", "b", learners="b")).steps == (Add("b", "b:2377"),)


def test_a_worker_that_shall_be_a_manager_has_to_ask_for_its_certificate_first() -> None:
    view = store(manager("a"), manager("b", role=WORKER))
    assert roles.decide(view, group("a")) == Plan()


def test_a_manager_that_never_said_where_it_is_reached_is_told_so() -> None:
    view = store(manager("a"), manager("b", addr=""))
    plan = roles.decide(view, group("a"))
    assert (plan.steps, list(plan.problems)) == ((), ["b"])
    assert "has not said where it is reached" in plan.problems["b"]


def test_a_manager_that_says_another_address_is_moved() -> None:
    view = store(manager("a"), manager("b", addr="b.new:2377"))
    assert roles.decide(view, group("a", "b")).steps == (Move("b", "b.new:2377"),)


def test_a_group_of_the_first_release_learns_its_one_address() -> None:
    view = store(manager("a"))
    assert roles.decide(view, Group("a", (Seat("a"),))).steps == (Move("a", "a:2377"),)


def test_a_demoted_manager_loses_its_seat_first_and_then_the_role() -> None:
    view = store(manager("a"), manager("b", wish=WORKER), manager("c"))
    plan = roles.decide(view, group("a", "b", "c"))
    assert (plan.steps, plan.changes) == ((Remove("b"),), ())
    (change,) = roles.decide(view, group("a", "c")).changes
    assert isinstance(change, Update)
    assert isinstance(change.object, Node)
    assert (change.object.id, change.object.role, change.object.manager_addr) == ("b", WORKER, "")


def test_the_seat_of_a_removed_node_goes() -> None:
    view = store(manager("a"), manager("b"))
    assert roles.decide(view, group("a", "b", "x", away="x")).steps == (Remove("x"),)


def test_a_seat_of_a_worker_goes() -> None:
    view = store(manager("a"), manager("b"), node("w"))
    assert roles.decide(view, group("a", "b", "w")).steps == (Remove("w"),)


def test_a_leader_hands_over_before_it_goes() -> None:
    view = store(manager("a", wish=WORKER), manager("b"), manager("c"))
    assert roles.decide(view, group("a", "b", "c")).steps == (Transfer("a"),)
    assert roles.decide(view, group("a", "b", "c", leader="b")).steps == (Remove("a"),)


def test_a_leader_that_goes_first_does_all_that_it_still_can() -> None:
    view = store(manager("a", wish=WORKER), manager("b", wish=WORKER), manager("c"), manager("d"))
    steps = roles.decide(view, group("a", "b", "c")).steps
    assert steps == (Add("d", "d:2377"), Remove("b"), Transfer("a"))


def test_who_does_not_answer_goes_before_others_come_and_who_answers_after_them() -> None:
    members = (manager("a"), manager("b", wish=WORKER), manager("c", wish=WORKER), manager("d"), manager("e"))
    steps = roles.decide(store(*members), group("a", "b", "c", "d", away="b")).steps
    assert steps == (Remove("b"), Add("e", "e:2377"), Remove("c"))


def test_a_removal_that_would_lose_the_quorum_waits_and_says_why() -> None:
    view = store(manager("a"), manager("b", wish=WORKER), manager("c"))
    plan = roles.decide(view, group("a", "b", "c", away="c"))
    assert plan.steps == ()
    assert plan.problems == {"b": f"cannot be removed from the managers: {roles.QUORUM}"}


def test_the_last_manager_stays() -> None:
    view = store(manager("a", wish=WORKER), manager("b"))
    plan = roles.decide(view, group("a", "b", learners="b"))
    assert plan.steps == (Add("b", "b:2377"),)
    assert plan.problems == {"a": f"cannot be removed from the managers: {roles.LAST}"}


def test_one_that_has_no_vote_goes_whatever_answers() -> None:
    view = store(manager("a"), manager("b"), manager("c"), manager("d", wish=WORKER))
    assert roles.decide(view, group("a", "b", "c", "d", learners="d", away="bcd")).steps == (Remove("d"),)


def test_a_member_that_is_silent_may_go_where_the_rest_is_enough() -> None:
    view = store(manager("a"), manager("b"), manager("c", wish=WORKER))
    assert roles.decide(view, group("a", "b", "c", away="c")).steps == (Remove("c"),)


NAMES = "abcde"
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wish"), st.sampled_from(NAMES), st.sampled_from([MANAGER, WORKER])),
        st.tuples(st.just("renew"), st.sampled_from(NAMES), st.just("")),
        st.tuples(st.just("away"), st.sampled_from(NAMES), st.just("")),
        st.tuples(st.just("back"), st.sampled_from(NAMES), st.just("")),
        st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from("123")),
        st.tuples(st.just("forget"), st.sampled_from(NAMES), st.just("")),
        st.tuples(st.just("step"), st.sampled_from("0123"), st.just("")),
        st.tuples(st.just("lead"), st.sampled_from(NAMES), st.just("")),
    ),
    max_size=60,
)


class Swarm:
    """A group that does what it is told, and a store with what is wished of it."""

    def __init__(self) -> None:
        self.view = store(manager("a"), *(node(name) for name in NAMES[1:]))
        self.seats: dict[str, Seat] = {"a": Seat("a", "a:2377")}
        self.leader = "a"
        self.away: set[str] = set()

    @property
    def voters(self) -> set[str]:
        return {seat.id for seat in self.seats.values() if seat.voter}

    @property
    def has_quorum(self) -> bool:
        return self.leader not in self.away and len(self.voters - self.away) > len(self.voters) // 2

    def plan(self) -> Plan:
        heard = frozenset(name for name in self.seats if name not in self.away)
        return roles.decide(self.view, Group(self.leader, tuple(self.seats.values()), heard))

    def do(self, event: tuple[str, str, str]) -> None:
        what, name, value = event
        held = self.view.nodes.get(name)
        if what == "step":
            self.step(int(name))
        elif what in ("away", "back"):
            (self.away.add if what == "away" else self.away.discard)(name)
        elif what == "lead" and name in self.voters - self.away:
            self.leader = name
        elif held is None:
            return
        elif what == "wish":
            write(self.view, Update(dataclasses.replace(held, spec=dataclasses.replace(held.spec, role=value))))
        elif what == "renew" and roles.wish(held) == MANAGER and held.role == WORKER:
            write(self.view, Update(dataclasses.replace(held, role=MANAGER, manager_addr=f"{name}:2377")))
        elif what == "move" and held.role == MANAGER:
            write(self.view, Update(dataclasses.replace(held, manager_addr=f"{name}{value}:2377")))
        elif what == "forget" and name not in self.seats:
            write(self.view, Delete("node", name))

    def step(self, choice: int = 0) -> bool:
        """One of the steps that are worth trying, whichever; and the changes. Whether there was anything to do."""
        if not self.has_quorum:
            return False
        plan = self.plan()
        write(self.view, *plan.changes)
        if plan.steps:
            self.take(plan.steps[choice % len(plan.steps)])
        return bool(plan.changes or plan.steps)

    def take(self, step: Step) -> None:
        match step:
            case Add(name, addr):
                if name not in self.away:
                    self.seats[name] = Seat(name, addr)
                else:
                    self.seats.setdefault(name, Seat(name, addr, voter=False))
            case Move(name, addr):
                self.seats[name] = dataclasses.replace(self.seats[name], addr=addr)
            case Remove(name):
                assert name != self.leader, "a leader does not remove itself"
                del self.seats[name]
            case Transfer(name):
                assert name == self.leader
                self.leader = min(self.voters - self.away - {name})
        assert self.voters, "the last manager stays"
        assert self.leader in self.voters
        assert self.has_quorum, f"{step} cost the quorum"


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_no_order_of_events_costs_the_quorum_and_in_the_end_everybody_is_what_it_shall_be(
    events: list[tuple[str, str, str]],
) -> None:
    swarm = Swarm()
    for event in events:
        swarm.do(event)
        assert swarm.plan() == swarm.plan(), "the same question has the same answer"
    swarm.away.clear()
    for _ in range(60):
        for name in NAMES:
            swarm.do(("renew", name, ""))
        if not swarm.step():
            break
    else:
        raise AssertionError("it does not settle")
    plan = swarm.plan()
    wished = {held.id for held in swarm.view.nodes if roles.wish(held) == MANAGER}
    if wished:
        assert plan == Plan()
        assert swarm.voters == set(swarm.seats) == wished
        assert {held.id for held in swarm.view.nodes.by("role", MANAGER)} == wished
    else:
        assert len(swarm.voters) == 1, "somebody has to keep the state"
        assert list(plan.problems) == list(swarm.voters)
