# SPDX-License-Identifier: Apache-2.0
"""A join that nobody can sign yet: it goes on until it is granted, refused for good or given up, over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from queenright.app import pending
from queenright.app.pending import LastingJoin, may_pass
from queenright.app.state import StateError
from queenright.manager.ports import JoinOptions
from queenright.model.errors import FailedPrecondition, InvalidArgument, Unavailable
from queenright.model.join import REFUSALS, BadToken, JoinLimited, NotLeader, NotSigned, TicketExpired

OPTIONS = JoinOptions(
    remote_addrs=("a:1", "b:2"), secret="SWMTKN-1-x-y", listen_addr="0.0.0.0:2377", availability="drain"
)
AWAY = NotSigned("the CA is away")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "AGAIN_FIRST", 0.01)
    monkeypatch.setattr(pending, "AGAIN_MOST", 0.02)


class Tries:
    """What one try after the other comes to: an error, or None for a membership; the last goes on for ever."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[JoinOptions] = []
        self.more = asyncio.Event()

    async def __call__(self, options: JoinOptions) -> None:
        self.asked.append(options)
        self.more.set()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if outcome is not None:
            raise outcome


def make(folder: Path, tries: Callable[[JoinOptions], object]) -> LastingJoin:
    return LastingJoin(folder, tries, lambda: 0.5)  # type: ignore[arg-type]


def kept(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (NotSigned(), True),
        (NotLeader(), True),
        (JoinLimited(), True),
        (Unavailable("no manager is reached"), True),
        (BadToken(), False),
        (TicketExpired(), False),
        (InvalidArgument("the root is another"), False),
        (FailedPrecondition("dockerd is in a swarm itself"), False),
        (ValueError("a defect"), False),
    ],
)
def test_only_what_may_pass_is_waited_for(error: Exception, passes: bool) -> None:
    assert may_pass(error) is passes


def test_of_all_refusals_those_that_may_pass_are_known() -> None:
    assert {name for name, kind in REFUSALS.items() if may_pass(kind())} == {"not-leader", "not-signed", "rate-limited"}


async def test_it_is_tried_again_until_it_is_granted(tmp_path: Path) -> None:
    tries = Tries(AWAY, Unavailable("no manager"), None)
    join = make(tmp_path, tries)
    join.begin(OPTIONS, "the CA is away")
    assert (join.pending, join.problem, join.path.stat().st_mode & 0o777) == (True, "the CA is away", 0o600)
    assert await join.wait(30)
    assert tries.asked == [OPTIONS] * 3
    assert (join.pending, join.ended, kept(tmp_path)) == (False, "", [])


async def test_the_reason_is_the_latest(tmp_path: Path) -> None:
    tries = Tries(Unavailable("no manager answers"))
    join = make(tmp_path, tries)
    join.begin(OPTIONS, "the CA is away")
    await tries.more.wait()
    assert not await join.wait(0.05)
    assert (join.pending, join.problem) == (True, "no manager answers")
    await join.stop()


async def test_a_no_for_good_ends_it_and_is_remembered(tmp_path: Path) -> None:
    join = make(tmp_path, Tries(AWAY, BadToken("the token is old")))
    join.begin(OPTIONS, "the CA is away")
    with pytest.raises(BadToken, match="the token is old"):
        await join.wait(30)
    assert (join.pending, join.ended, kept(tmp_path)) == (False, "the token is old", [])
    assert not await join.give_up()
    join.forget()
    assert join.ended == ""


async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    before = make(tmp_path, Tries(AWAY))
    before.begin(OPTIONS, "the CA is away")
    await before.stop()
    tries = Tries(None)
    after = make(tmp_path, tries)
    after.resume()
    assert after.pending and await after.wait(30)
    assert tries.asked == [OPTIONS]
    third = make(tmp_path, tries)
    third.resume()
    assert not third.pending


async def test_giving_up_undoes_a_try_that_is_under_way_and_leaves_no_secret(tmp_path: Path) -> None:
    began, undone = asyncio.Event(), asyncio.Event()

    async def hangs(options: JoinOptions) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            undone.set()

    join = make(tmp_path, hangs)
    join.begin(OPTIONS, "")
    await began.wait()
    waiting = asyncio.create_task(join.wait(30))
    assert await join.give_up()
    assert undone.is_set() and not await waiting
    assert (join.pending, kept(tmp_path)) == (False, [])
    assert not await join.give_up()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"magic": "queenright-join", "remote_addrs": [1]}', "{"])
async def test_a_damaged_file_is_said(tmp_path: Path, text: str) -> None:
    join = make(tmp_path, Tries(None))
    join.path.write_text(text)
    with pytest.raises(StateError, match="leave with force"):
        join.resume()
    assert not join.pending
    join.forget()
    assert kept(tmp_path) == []
