# SPDX-License-Identifier: Apache-2.0
"""Each join is written down, by the manager that was asked and by the one that leads; floods are not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from runtime.join.kit import NODE_ID, Admission, Joiner, Swarm, listening, raw

from queenright.app.logs import Trail, keep_trail
from queenright.edge.http import join_messages
from queenright.edge.http.join_forwarding import ForwardedAdmission
from queenright.edge.http.join_server import Limits
from queenright.manager.audit import Actor, acting
from queenright.model.ids import new_id
from queenright.model.join import BadToken, JoinGrant, JoinRequest
from queenright.model.tokens import make_join_token, parse_join_secret

TOKEN = make_join_token(b"root", b"x" * 16).text
NODE = new_id(b"\x01" * 17)
REQUEST = join_messages.encode_request(JoinRequest(b"csr", parse_join_secret(TOKEN)))


@pytest.fixture
def trail() -> Iterator[Trail]:
    held = keep_trail()
    yield held
    logging.getLogger("queenright.audit").removeHandler(held)


class Leader:
    def __init__(self, refused: bool) -> None:
        self.refused = refused

    async def admit(self, request: JoinRequest, source_ip: str) -> JoinGrant:
        if self.refused:
            raise BadToken
        return JoinGrant(NODE, "worker", new_id(b"\x02" * 17), b"PEM", ())


@pytest.mark.parametrize("refused", [False, True])
async def test_the_leader_writes_down_what_it_decided_for_another_manager(trail: Trail, refused: bool) -> None:
    with acting(Actor("member", node="m2", serial="ab", role="manager", address="10.0.0.3")):
        await ForwardedAdmission(Leader(refused)).admit(REQUEST, "10.0.0.9")
    (line,) = map(json.loads, trail.lines())
    assert line["event"] == "join"
    assert line["actor"] == {"kind": "member", "node": "m2", "serial": "ab", "role": "manager", "address": "10.0.0.3"}
    assert line["outcome"] == ("bad-token" if refused else "done")
    assert line["what"] == {"address": "10.0.0.9"} | ({} if refused else {"node": NODE, "role": "worker"})
    assert TOKEN not in trail.lines()[0]


def post(body: bytes) -> bytes:
    return b"POST /v1/join HTTP/1.1\r\nhost: manager\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


async def test_the_listener_writes_down_who_joined_and_who_was_refused_but_no_flood(
    swarm: Swarm, admission: Admission, joiner: Joiner, trail: Trail
) -> None:
    body = join_messages.encode_request(joiner.request)
    async with listening(swarm, admission, limits=Limits(failed_per_minute=2)) as (_, port):
        await raw(swarm, port, post(body))
        admission.refuse(BadToken())
        for _ in range(4):
            await raw(swarm, port, post(body))
    lines = [json.loads(line) for line in trail.lines()]
    assert [line["outcome"] for line in lines] == ["done", "bad-token", "bad-token"]
    assert {line["event"] for line in lines} == {"join"}
    assert all(line["actor"] == {"kind": "join", "address": "127.0.0.1"} for line in lines)
    assert lines[0]["what"] == {"node": NODE_ID, "role": "worker"}
