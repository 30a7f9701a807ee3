# SPDX-License-Identifier: Apache-2.0
"""The join listener's other door: for members whose certificates open no connection any more.

``GET /v1/challenge`` gives bytes that are good for one try within a minute, ``POST /v1/home`` takes a proof that was
made with them. Everything is bounded for each source, as joins are.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from queenright.edge.http import home_messages, join_messages
from queenright.edge.http.join_exchange import Answer, error_answer
from queenright.edge.http.join_limits import TokenBuckets
from queenright.edge.http.join_server import refusal_of
from queenright.manager.audit import record
from queenright.model.errors import Refusal
from queenright.model.home import HomeGrant, HomeRequest
from queenright.model.join import BadRequest, JoinLimited, JoinRefused, NotLeader

log = logging.getLogger(__name__)

LIFE = 60.0  # seconds of a challenge
MOST = 1024  # challenges that were given and not used
TRIES_PER_MINUTE = 30  # of one source
ANSWER = 30.0  # seconds for the leader to decide

Come = Callable[[HomeRequest], Awaitable[HomeGrant]]


class HomeDoor:
    """Answers what the join listener hands to it. ``come`` is the leader's use case, or the way to it; ``dice`` gives
    bytes that nobody can guess, ``clock`` seconds that never jump.
    """

    def __init__(self, come: Come, *, clock: Callable[[], float], dice: Callable[[int], bytes]) -> None:
        self._come = come
        self._clock = clock
        self._dice = dice
        self._given: OrderedDict[bytes, float] = OrderedDict()  # challenge -> until when
        self._tries = TokenBuckets(TRIES_PER_MINUTE, clock)

    async def answer(self, method: bytes, path: str, body: bytes, ip: str, source: str) -> Answer | None:
        """None: the path is none of this door's."""
        if path == home_messages.CHALLENGE_PATH:
            if method != b"GET":
                return error_answer(405, "only GET is possible here", ("allow", "GET"))
            return self._limited(source) or Answer(200, home_messages.encode_challenge(self._challenge()))
        if path != home_messages.HOME_PATH:
            return None
        if method != b"POST":
            return error_answer(405, "only POST is possible here", ("allow", "POST"))
        return self._limited(source) or await self._let_in(body, ip)

    def _limited(self, source: str) -> Answer | None:
        wait = self._tries.take(source)
        if not wait:
            return None
        return _refused(JoinLimited("too many tries from this address: wait a minute", retry_after=wait))

    def _challenge(self) -> bytes:
        now = self._clock()
        while self._given and (len(self._given) >= MOST or next(iter(self._given.values())) <= now):
            self._given.popitem(last=False)
        challenge = self._dice(home_messages.CHALLENGE_BYTES)
        self._given[challenge] = now + LIFE
        return challenge

    async def _let_in(self, body: bytes, ip: str) -> Answer:
        try:
            request = home_messages.decode_request(body)
            if self._given.pop(request.challenge, 0.0) <= self._clock():
                raise BadRequest("the challenge was not given here, was used, or is over: ask for another one")
            async with asyncio.timeout(ANSWER):
                grant = await self._come(request)
        except TimeoutError:
            return _refused(NotLeader("the manager could not decide in time: try again"))
        except Refusal as error:
            refusal = refusal_of(error)
            log.warning("a node at %s does not come home: %s", ip, refusal.reason)
            record("home", outcome=refusal.reason, address=ip)
            return _refused(refusal)
        except Exception:
            log.exception("a node at %s that comes home was not answered", ip)
            return error_answer(500, "the manager failed to answer; its log says why")
        record("home", address=ip, role=grant.role)
        return Answer(200, home_messages.encode_grant(grant))


class ForwardedHome:
    """The leader's side of both doors, for other managers, in bytes. ``admit`` is that of joins."""

    def __init__(self, admit: Callable[[bytes, str], Awaitable[bytes]], come: Come) -> None:
        self._admit = admit
        self._come = come

    async def admit(self, body: bytes, source: str) -> bytes:
        """The grant or the refusal. The other manager has given the challenge."""
        if not home_messages.is_request(body):
            return await self._admit(body, source)
        try:
            return home_messages.encode_grant(await self._come(home_messages.decode_request(body)))
        except Refusal as refusal:
            return join_messages.encode_refusal(refusal_of(refusal))[1]


async def ask_leader(ask: Callable[[bytes, str], Awaitable[bytes]], request: HomeRequest) -> HomeGrant:
    """What the leader grants. Raises a kind of JoinRefused: the leader's, or NotLeader where it did not answer."""
    try:
        return home_messages.decode_outcome(await ask(home_messages.encode_request(request), ""))
    except JoinRefused:
        raise
    except Refusal as refusal:
        raise NotLeader(f"this manager has no answer of the leader: {refusal}") from refusal
    except ValueError as error:
        raise NotLeader(f"this manager cannot read the leader's answer: {error}") from error


def _refused(refusal: JoinRefused) -> Answer:
    status, text = join_messages.encode_refusal(refusal)
    return Answer(status, text)
