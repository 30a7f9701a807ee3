# SPDX-License-Identifier: Apache-2.0
"""Several members: elections, what is acknowledged, what is read, who belongs to the group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from runtime.raft.group import Group
from runtime.raft.kit import until

from queenright.edge.raft import MembershipError, NotLeaderError, RaftError, RaftLog
from queenright.edge.raft.core import ELECTION_MOST

pytestmark = pytest.mark.group


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[Group]:
    made = Group(tmp_path)
    yield made
    await made.stop_all()
    assert made.failures == []


async def put(log: RaftLog, *keys: str) -> None:
    await asyncio.gather(*(log.propose(f"{key}=v{key}".encode()) for key in keys))


async def put_somewhere(group: Group, key: str, among: list[str]) -> RaftLog:
    """Write through whoever leads among these."""
    while True:
        leader = await group.leader(among)
        try:
            await put(leader, key)
        except RaftError:
            await asyncio.sleep(0.01)
        else:
            return leader


async def test_a_founder_takes_in_two_more_and_all_hold_the_same(group: Group) -> None:
    leader = await group.start("m1", founding=True)
    await put(leader, "a", "b")
    for name in ("m2", "m3"):
        await group.start(name)
        assert group.log(name).members() == ()
        await leader.add_member(name, f"{name}:2377")
    assert group.voters(leader) == ["m1", "m2", "m3"]
    await put(leader, "c")
    await group.equal()
    assert set(group.machines["m3"].data) == {b"a", b"b", b"c"}
    assert [log.leader_id for log in group.logs()] == ["m1"] * 3
    assert group.leaderships == [("m1", True, leader.term)]


async def test_a_member_that_nobody_took_in_never_leads(group: Group) -> None:
    log = await group.start("m2")
    with pytest.raises(NotLeaderError):
        await log.propose(b"a=1")
    with pytest.raises(NotLeaderError):
        await log.barrier()
    assert not log.has_quorum
    assert log.term == 0


async def test_taking_in_the_same_member_twice_changes_nothing(group: Group) -> None:
    leader = await group.form(2)
    before = leader.last_index
    await leader.add_member("m2", "m2:2377")
    assert leader.last_index == before


async def test_when_the_leader_is_gone_another_takes_over_with_all_that_was_acknowledged(group: Group) -> None:
    leader = await group.form(3)
    await put(leader, *"abcdef")
    await group.stop("m1")
    successor = await put_somewhere(group, "g", ["m2", "m3"])
    assert set(group.machines[group.name_of(successor)].data) == {key.encode() for key in "abcdefg"}
    await group.start("m1")
    await group.equal()


async def test_a_minority_takes_no_writes_and_answers_no_reads(group: Group) -> None:
    await group.form(3)
    group.fabric.isolate("m1")
    await until(lambda: not group.log("m1").is_leader)
    with pytest.raises(NotLeaderError):
        await group.log("m1").propose(b"x=1")
    with pytest.raises(NotLeaderError):
        await group.log("m1").barrier()
    assert not group.log("m1").has_quorum
    assert ("m1", False, group.leaderships[0][2]) in group.leaderships


async def test_a_write_of_a_leader_that_was_cut_off_is_never_told_as_done(group: Group) -> None:
    leader = await group.form(3)
    group.fabric.isolate("m1")
    with pytest.raises(RaftError) as refused:
        await leader.propose(b"lost=1")
    assert type(refused.value).__name__ in ("UnknownOutcomeError", "NotLeaderError")
    await put_somewhere(group, "kept", ["m2", "m3"])
    group.fabric.heal()
    await group.equal()
    assert all(b"lost" not in machine.data for machine in group.machines.values())


async def test_a_read_that_began_before_the_cut_is_not_answered_by_the_old_leader(group: Group) -> None:
    leader = await group.form(3)
    group.fabric.isolate("m1")
    with pytest.raises(NotLeaderError):
        await leader.barrier()


async def test_a_member_that_hears_nobody_does_not_disturb_the_others(group: Group) -> None:
    leader = await group.form(3)
    await until(lambda: group.log("m3").has_quorum)
    term = leader.term
    group.fabric.isolate("m3")
    await until(lambda: not group.log("m3").has_quorum)
    for number in range(20):
        await put(leader, f"k{number}")
        await asyncio.sleep(0.05)
    group.fabric.heal()
    await group.equal()
    assert leader.is_leader
    assert leader.term == term


async def test_a_member_that_was_cut_off_counts_as_behind_until_it_has_what_it_missed(group: Group) -> None:
    leader = await group.form(3)
    await until(lambda: group.log("m3").has_quorum)
    group.fabric.isolate("m3")
    await until(lambda: not group.log("m3").has_quorum)
    await put(leader, *(f"k{number}" for number in range(500)))
    group.fabric.heal()
    held: list[int] = []
    await until(lambda: group.log("m3").has_quorum and not held.append(len(group.machines["m3"].data)))
    assert held == [500]


async def test_a_member_that_was_away_gets_what_it_missed(group: Group) -> None:
    leader = await group.form(3)
    await group.stop("m3")
    await put(leader, *(f"k{number}" for number in range(300)))
    await group.start("m3")
    await group.equal()
    assert len(group.machines["m3"].data) == 300
    assert group.fabric.snapshots == 0


async def test_a_member_that_was_away_for_long_gets_a_snapshot(tmp_path: Path) -> None:
    group = Group(tmp_path, snapshot_every=50, keep_entries=10)
    try:
        leader = await group.form(3)
        await group.stop("m3")
        for number in range(300):
            await put(leader, f"k{number}")
        await group.start("m3")
        await group.equal()
        assert len(group.machines["m3"].data) == 300
        assert group.fabric.snapshots >= 1
        await put(leader, "after")
        await group.stop("m3")
        await group.start("m3")
        await group.equal()
        assert group.failures == []
    finally:
        await group.stop_all()


async def test_a_new_member_begins_with_a_snapshot_and_becomes_a_voter(tmp_path: Path) -> None:
    group = Group(tmp_path, snapshot_every=20, keep_entries=5)
    try:
        leader = await group.start("m1", founding=True)
        for number in range(100):
            await put(leader, f"k{number}")
        await group.start("m2")
        await leader.add_member("m2", "m2:2377")
        await group.equal()
        assert len(group.machines["m2"].data) == 100
        assert group.machines["m2"].restored_at > 1
        assert [member.voter for member in group.log("m2").members()] == [True, True]
    finally:
        await group.stop_all()


async def test_the_leadership_is_handed_over_without_a_lost_write(group: Group) -> None:
    leader = await group.form(3)

    async def writer() -> int:
        done = 0
        for number in range(200):
            await put_somewhere(group, f"k{number}", ["m1", "m2", "m3"])
            done += 1
        return done

    writing = asyncio.create_task(writer())
    await put(leader, "a")
    await leader.transfer_leadership()
    assert leader.leader_id in ("m2", "m3")
    assert await writing == 200
    await group.equal()
    assert len(group.machines["m1"].data) == 201


async def test_nobody_to_hand_over_to_is_said(group: Group) -> None:
    leader = await group.start("m1", founding=True)
    with pytest.raises(MembershipError, match="nobody to hand"):
        await leader.transfer_leadership()
    await put(leader, "a")


async def test_a_member_is_removed_and_told_why_it_is_not_heard(group: Group) -> None:
    leader = await group.form(3)
    await leader.remove_member("m3")
    assert group.voters(leader) == ["m1", "m2"]
    await put(leader, "a")
    assert "no longer" in (leader.reception.refusal("m3", 0) or "")
    await group.stop("m3")
    await group.equal()


async def test_a_leader_does_not_remove_itself(group: Group) -> None:
    leader = await group.form(3)
    with pytest.raises(MembershipError, match="hands its leadership over"):
        await leader.remove_member("m1")
    await leader.transfer_leadership()
    successor = await group.leader(["m2", "m3"])
    await successor.remove_member("m1")
    assert group.voters(successor) == ["m2", "m3"]


async def test_a_removal_that_would_lose_the_majority_is_refused(group: Group) -> None:
    leader = await group.form(3)
    await group.stop("m3")
    await until(lambda: "m3" not in leader.answering)
    with pytest.raises(MembershipError, match="only 1 of the 2"):
        await leader.remove_member("m2")
    await leader.remove_member("m3")
    assert group.voters(leader) == ["m1", "m2"]


async def test_a_member_moves_to_another_address(group: Group) -> None:
    leader = await group.form(2)
    await leader.move_member("m2", "elsewhere:2377")
    await until(lambda: any(member.addr == "elsewhere:2377" for member in group.log("m2").members()))


async def test_down_to_one_and_up_again(group: Group) -> None:
    leader = await group.form(3)
    await leader.remove_member("m3")
    await leader.remove_member("m2")
    await put(leader, "alone")
    assert group.voters(leader) == ["m1"]


async def test_members_are_found_again_after_everybody_was_away(group: Group) -> None:
    leader = await group.form(3)
    await put(leader, "a")
    await group.stop_all()
    for name in ("m1", "m2", "m3"):
        await group.start(name)
    await put_somewhere(group, "b", ["m1", "m2", "m3"])
    await group.equal()
    assert all(group.voters(log) == ["m1", "m2", "m3"] for log in group.logs())
    assert set(group.machines["m2"].data) == {b"a", b"b"}


async def test_a_proposal_of_an_earlier_leadership_is_refused(group: Group) -> None:
    leader = await group.form(3)
    with pytest.raises(NotLeaderError):
        await leader.propose(b"a=1", term=leader.term - 1)
    await leader.propose(b"a=1", term=leader.term)


async def test_writes_go_on_while_members_come_and_go(group: Group) -> None:
    leader = await group.form(3)
    stopping = asyncio.Event()
    written = []

    async def writer(number: int) -> None:
        while not stopping.is_set():
            key = f"w{number}-{len(written)}"
            await put(leader, key)
            written.append(key)

    writers = [asyncio.create_task(writer(number)) for number in range(8)]
    for name in ("m4", "m5"):
        await group.start(name)
        await leader.add_member(name, f"{name}:2377")
    await leader.remove_member("m4")
    stopping.set()
    await asyncio.gather(*writers)
    await group.stop("m4")
    await group.equal()
    assert {key.encode() for key in written} == set(group.machines["m5"].data)


async def test_members_that_were_left_behind_by_a_forced_cluster_lead_no_more(group: Group) -> None:
    leader = await group.form(3)
    leader.reception.met_epoch("m2", 0)
    leader.reception.met_epoch("stranger", 9)
    await put(leader, "a")
    await group.stop("m2")
    for name in ("m1", "m3"):
        group.log(name).reception.met_epoch("m2", 1)
    await until(lambda: not any(log.is_leader or log.has_quorum for log in group.logs()))
    terms = [log.term for log in group.logs()]
    with pytest.raises(NotLeaderError):
        await leader.propose(b"b=1")
    await asyncio.sleep(2 * ELECTION_MOST)
    assert [log.term for log in group.logs()] == terms
