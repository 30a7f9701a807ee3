# SPDX-License-Identifier: Apache-2.0
"""Calls with a request id: done once, remembered for a while, never mixed up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from runtime.api.kit import Api
from runtime.api.managers import Managers
from runtime.manager.kit import World, service_json

from queenright.edge.http.api import once
from queenright.edge.http.api.once import Once
from queenright.edge.http.errors import ApiError
from queenright.edge.http.messages import Request, Response
from queenright.model.errors import NotFound, OutcomeUnknown, Unavailable

ID = "x-queenright-request-id"


def request(body: bytes = b"", path: str = "/services/create", **query: list[str]) -> Request:
    return Request("POST", path, query=dict(query), body=body)


class Work:
    """Counts how often it is done; answers with the number, or raises what is next in ``errors``."""

    def __init__(self, *errors: Exception) -> None:
        self.times = 0
        self.errors = list(errors)
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Response:
        self.times += 1
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        return Response(201, b"%d" % self.times, {"A": "b"})


async def body(call: Any) -> Any:
    return (await call).body


async def test_the_same_call_has_the_same_answer_and_is_done_once() -> None:
    memory, work = Once(), Work()
    assert [await body(memory.run("a", request(), work)) for _ in range(3)] == [b"1"] * 3
    assert await body(memory.run("b", request(), work)) == b"2"


async def test_an_answer_is_each_caller_s_own() -> None:
    memory, work = Once(), Work()
    first = await memory.run("a", request(), work)
    assert isinstance(first, Response)
    first.headers["X"] = "y"
    second = await memory.run("a", request(), work)
    assert isinstance(second, Response)
    assert second.headers == {"A": "b"}


async def test_calls_at_the_same_time_are_one() -> None:
    memory, work = Once(), Work()
    work.gate.clear()
    tasks = [asyncio.create_task(body(memory.run("a", request(), work))) for _ in range(5)]
    await asyncio.sleep(0)
    work.gate.set()
    assert await asyncio.gather(*tasks) == [b"1"] * 5


async def test_a_caller_that_goes_leaves_the_work_going() -> None:
    memory, work = Once(), Work()
    work.gate.clear()
    task = asyncio.create_task(body(memory.run("a", request(), work)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    work.gate.set()
    assert await body(memory.run("a", request(), work)) == b"1"


@pytest.mark.parametrize(
    "other", [request(b"x"), request(path="/services/x"), request(version=["1"]), Request("DELETE", "/services/create")]
)
async def test_an_id_belongs_to_one_call(other: Request) -> None:
    memory, work = Once(), Work()
    await memory.run("a", request(), work)
    with pytest.raises(ApiError, match="used for another call") as caught:
        await memory.run("a", other, work)
    assert caught.value.status == 409
    assert work.times == 1


@pytest.mark.parametrize("error", [NotFound("no"), OutcomeUnknown("who knows"), ApiError(400, "no"), KeyError("x")])
async def test_a_refusal_is_an_answer_too(error: Exception) -> None:
    memory, work = Once(), Work(error)
    for _ in range(2):
        with pytest.raises(type(error)):
            await memory.run("a", request(), work)
    assert work.times == 1


async def test_what_was_not_done_may_be_done() -> None:
    memory, work = Once(), Work(Unavailable("no leader"))
    with pytest.raises(Unavailable):
        await memory.run("a", request(), work)
    assert await body(memory.run("a", request(), work)) == b"2"


async def test_old_answers_are_forgotten_and_only_those_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "MOST", 5)
    memory, work, slow = Once(), Work(), Work()
    slow.gate.clear()
    task = asyncio.create_task(body(memory.run("slow", request(), slow)))
    await asyncio.sleep(0)
    for number in range(20):
        await memory.run(str(number), request(), work)
    assert len(memory) == 5
    slow.gate.set()
    assert await body(memory.run("slow", request(), slow)) == await task == b"1"
    assert await body(memory.run("19", request(), work)) == b"20"
    assert await body(memory.run("0", request(), work)) == b"21"


async def test_answers_are_forgotten_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, work = Once(), Work()
    await memory.run("a", request(), work)
    monkeypatch.setattr(once, "KEEP_SECONDS", 0.0)
    assert await body(memory.run("a", request(), work)) == b"2"


# -- through the routes


async def test_a_leader_does_a_call_with_an_id_once_whoever_hands_it_on() -> None:
    managers = Managers()
    first = await managers.first.api.call("POST", "/services/create", service_json("web"), headers={ID: "r"})
    assert await managers.second.api.call("POST", "/services/create", service_json("web"), headers={ID: "r"}) == first
    assert (await managers.second.api.raw("POST", "/services/create", service_json("web")))[0] == 409
    status, message = await managers.second.api.error(
        "POST", "/services/create", service_json("other"), headers={ID: "r"}
    )
    assert (status, message) == (409, "request id r was used for another call: take a new one for each call")


@pytest.mark.parametrize("text", ["a b", "ä", "x" * 129, "a\tb", " "])
async def test_an_id_that_cannot_be_is_refused_on_every_manager(text: str) -> None:
    managers = Managers()
    for api in (Api.manager(World.make()), managers.first.api, managers.second.api):
        status, message = await api.error("DELETE", "/services/x", headers={ID: text})
        assert status == 400
        assert "X-Queenright-Request-Id" in message
    assert managers.second.way.calls == []
