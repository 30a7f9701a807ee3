# SPDX-License-Identifier: Apache-2.0
"""Writes on a manager that does not lead: handed on to who leads, and answered once they can be read here."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtime.api.managers import DEADLINE, Manager, Managers
from runtime.manager.kit import key_digest, service_json

from queenright.edge.http.api import handing, progress
from queenright.edge.http.messages import Response
from queenright.model.errors import OutcomeUnknown, Unavailable
from queenright.wire.messages import ForwardAnswer, ForwardCall

NO_LEADER = (
    "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the "
    "managers are online."
)
V1 = "/queenright/v1"
WEB = {"kind": "service", "name": "web", "options": {"image": "busybox:1"}}
REQUEST_ID = {"x-queenright-request-id": "r1"}


CALLS = st.builds(
    ForwardCall,
    method=st.sampled_from(["POST", "DELETE", "GET", "PUT", ""]),
    path=st.one_of(
        st.text(max_size=20),
        st.sampled_from(["/services/create", "/nodes/queen/update", "/swarm/update", f"{V1}/apply", f"{V1}/tickets"]),
    ),
    query=st.one_of(st.text(max_size=20), st.sampled_from(["version=1", "version=1&force=x", "%ff=%zz&=&a"])),
    api_version=st.sampled_from(["", "1.41", "1.24", "0.0", "9.99", "x"]),
    headers=st.dictionaries(
        st.sampled_from(["content-type", "Content-Type", "x-registry-auth", "x-queenright-here", "x-queenright-again"]),
        st.one_of(st.text(max_size=20), st.just("application/json")),
    ),
    body=st.one_of(
        st.binary(max_size=20), st.sampled_from([b"{}", b'{"Role":"worker"}', b'{"kind":"swarm"}', b"null"])
    ),
    request_id=st.sampled_from(["", "r1", "a b", "\n"]),
)


def names(manager: Manager) -> list[str]:
    return sorted(service.name for service in manager.store.services)


def document(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


async def lost() -> None:
    raise OutcomeUnknown("gone")


async def not_taken() -> None:
    raise Unavailable("not reached")


@pytest.fixture
def managers() -> Managers:
    return Managers()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience ends soon."""
    monkeypatch.setattr(handing, "PATIENCE", 0.2)


async def test_a_write_on_a_follower_is_done_by_the_leader_and_read_at_once(managers: Managers) -> None:
    api = managers.second.api
    status, made = await api.call("POST", "/services/create", service_json("web"))
    assert status == 201
    assert managers.second.store.services.get(made["ID"]) == managers.first.store.services.get(made["ID"])
    assert (await api.get("/services/web"))["ID"] == made["ID"]
    assert managers.first.way.calls == []


async def test_the_call_arrives_as_it_came_in(managers: Managers) -> None:
    api, queen = managers.second.api, managers.first.store.node("queen")
    spec = {"Role": "manager", "Availability": "drain", "Labels": {"a": "ü"}}
    headers = {"x-registry-auth": "c2VjcmV0", "cookie": "no", "host": "no", "x-queenright-here": "9.9.9.9:1"}
    target = f"/nodes/queen/update?version={queen.version}&more=a%20b&more="
    assert await api.raw("POST", target, spec, headers=headers, version=(1, 39)) == (200, b"")
    (call,) = managers.second.way.calls
    assert (call.method, call.path, call.api_version) == ("POST", "/nodes/queen/update", "1.39")
    assert call.query == f"version={queen.version}&more=a+b&more="
    assert json.loads(call.body) == spec
    assert call.headers == {
        "content-type": "application/json",
        "x-registry-auth": "c2VjcmV0",
        "x-queenright-here": "192.0.2.2:2377",
    }
    assert managers.second.store.node("queen").spec.labels == {"a": "ü"}


async def test_credentials_reach_the_leader_and_old_clients_are_read_as_old(managers: Managers) -> None:
    body = service_json("web", container={"Sysctls": {"a": "b"}})
    headers = {"x-registry-auth": "c2VjcmV0"}
    assert (await managers.second.api.raw("POST", "/services/create", body, headers=headers, version=(1, 39)))[0] == 201
    made = managers.first.store.service("web")
    assert made.registry_auth == "c2VjcmV0"
    assert made.spec.task.container.sysctls == {}


async def test_what_the_leader_refuses_is_refused_in_its_words(managers: Managers) -> None:
    for manager in (managers.first, managers.second):
        assert await manager.api.error("DELETE", "/services/nosuch") == (404, "service nosuch not found")
        assert (await manager.api.error("POST", "/services/create", {}))[0] == 400
        assert await manager.api.error(
            "POST", "/nodes/king/update?version=1", {"Role": "manager", "Availability": "active"}
        ) == (
            500,
            "rpc error: code = Unknown desc = update out of sequence",
        )
    assert len(managers.second.way.calls) == 3


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/swarm/update?version=77", {}),
        ("DELETE", "/nodes/x", None),
        ("POST", "/nodes/x/update?version=1", {}),
        ("POST", "/services/create", {}),
        ("DELETE", "/services/x", None),
        ("POST", "/services/x/update?version=1", {}),
        ("POST", "/secrets/create", {}),
        ("DELETE", "/secrets/x", None),
        ("POST", "/secrets/x/update", {}),
        ("POST", "/configs/create", {}),
        ("POST", f"{V1}/apply", {}),
        ("POST", f"{V1}/tickets", {}),
    ],
)
async def test_every_write_is_the_leader_s(managers: Managers, method: str, target: str, body: object) -> None:
    there = await managers.first.api.raw(method, target, body)
    assert await managers.second.api.raw(method, target, body) == there
    assert [call.method for call in managers.second.way.calls] == [method]


async def test_what_is_about_this_host_stays_here(managers: Managers) -> None:
    api = managers.second.api
    assert (await api.raw("POST", "/swarm/leave?force=1"))[0] == 200
    assert (await api.raw("POST", f"{V1}/leave?force=1"))[0] == 200
    assert (await api.error("POST", "/swarm/init", {}))[0] == 503
    assert (await api.error("POST", "/swarm/join", {}))[0] == 400
    assert (await api.error("POST", "/swarm/unlock", {}))[0] == 409
    assert (await api.raw("POST", f"{V1}/join/key", {}))[0] == 200
    assert managers.second.way.calls == []


async def test_reads_are_answered_from_memory(managers: Managers) -> None:
    for target in ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/swarm/unlockkey", "/nodes/queen"):
        assert await managers.second.api.get(target) == await managers.first.api.get(target)
    assert (await managers.second.api.get(f"{V1}/wait?kind=node&id=queen&timeout=0"))["converged"] is True
    assert managers.second.way.calls == []


# -- no leader


@pytest.mark.parametrize("method", ["first", "second"])
async def test_without_a_leader_a_write_is_refused_at_once(managers: Managers, method: str) -> None:
    managers.group.elect("")
    api = getattr(managers, method).api
    async with asyncio.timeout(handing.PATIENCE - 1):
        assert await api.error("POST", "/services/create", service_json("web")) == (503, NO_LEADER)
        assert await api.error("POST", f"{V1}/apply", WEB) == (503, NO_LEADER)
    assert managers.second.way.calls == []


async def test_a_follower_that_hears_of_no_majority_asks_nobody(managers: Managers) -> None:
    managers.second.consensus.has_quorum = False
    assert await managers.second.api.error("POST", "/services/create", service_json("web")) == (503, NO_LEADER)
    assert managers.second.way.calls == []


async def test_a_manager_that_only_believes_to_lead_hands_on(managers: Managers) -> None:
    managers.first.consensus.believes = (managers.first.node_id, managers.group.term)
    managers.group.elect(managers.second.node_id)
    assert (await managers.first.api.raw("POST", "/services/create", service_json("web")))[0] == 201
    assert len(managers.first.way.calls) == 1
    assert names(managers.first) == names(managers.second) == ["web"]


async def test_a_refusal_out_of_an_old_leader_s_memory_is_not_told(managers: Managers) -> None:
    assert (await managers.first.api.raw("POST", "/services/create", service_json("web")))[0] == 201
    managers.flowing = False
    managers.first.consensus.believes = (managers.first.node_id, managers.group.term)
    managers.group.elect(managers.second.node_id)
    assert (await managers.second.api.raw("DELETE", "/services/web"))[0] == 200
    managers.first.way.after.append(lambda: asyncio.sleep(0, managers.flow()))
    # The old leader knows a service of that name still, which is no reason to refuse.
    assert (await managers.first.api.raw("POST", "/services/create", service_json("web")))[0] == 201


async def test_a_plan_is_made_of_what_is_certain(managers: Managers) -> None:
    assert (await managers.first.api.raw("POST", f"{V1}/apply", WEB))[0] == 200
    managers.flowing = False
    managers.first.consensus.believes = (managers.first.node_id, managers.group.term)
    managers.group.elect(managers.second.node_id)
    assert (await managers.second.api.raw("DELETE", "/services/web"))[0] == 200
    managers.first.way.after.append(lambda: asyncio.sleep(0, managers.flow()))
    status, answer = await managers.first.api.call("POST", f"{V1}/apply", WEB)
    assert (status, answer["changed"]) == (200, True)


async def test_a_call_that_was_not_taken_is_tried_until_somebody_leads(managers: Managers) -> None:
    async def begin_an_election() -> None:
        managers.group.elect("")
        asyncio.get_running_loop().call_later(0.2, managers.group.elect, managers.first.node_id)
        raise Unavailable("not reached")

    managers.second.way.before += [not_taken, begin_an_election]
    async with asyncio.timeout(DEADLINE):
        assert (await managers.second.api.raw("POST", "/services/create", service_json("web")))[0] == 201
    assert len(managers.second.way.calls) == 3
    assert names(managers.second) == ["web"]


async def test_a_follower_that_becomes_the_leader_does_it_itself(managers: Managers) -> None:
    async def win() -> None:
        managers.group.elect(managers.second.node_id)
        raise Unavailable("not reached")

    managers.second.way.before.append(win)
    assert (await managers.second.api.raw("POST", "/services/create", service_json("web")))[0] == 201
    assert len(managers.second.way.calls) == 1
    assert names(managers.first) == ["web"]


async def test_patience_with_a_leader_that_takes_nothing_ends(managers: Managers, hasty: None) -> None:
    managers.second.way.before += [not_taken] * 1000
    assert await managers.second.api.error("POST", "/services/create", service_json("web")) == (503, NO_LEADER)
    assert names(managers.first) == []


async def test_a_manager_without_a_way_to_others_says_that_it_cannot(managers: Managers, hasty: None) -> None:
    managers.second.api = type(managers.second.api)(managers.second.host)
    assert await managers.second.api.error("POST", "/services/create", service_json("web")) == (503, NO_LEADER)


# -- the leader's side


async def test_a_manager_that_does_not_lead_hands_nothing_on_again(managers: Managers) -> None:
    call = ForwardCall("POST", "/services/create", headers={"content-type": "application/json"}, body=b"{}")
    answer = await managers.second.api.routes.gateway.forward(call)
    assert (answer.status, json.loads(answer.body)["message"]) == (503, NO_LEADER)
    assert managers.second.way.calls == managers.first.way.calls == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nodes"),
        ("POST", "/swarm/leave"),
        ("POST", "/swarm/init"),
        ("POST", f"{V1}/join/key"),
        ("POST", "/networks/create"),
        ("POST", "/containers/create"),
        ("GET", "/_ping"),
        ("POST", "/services/nosuch/path"),
        ("", ""),
    ],
)
async def test_only_writes_of_the_swarm_are_taken_from_other_managers(
    managers: Managers, method: str, path: str
) -> None:
    answer = await managers.first.api.routes.gateway.forward(ForwardCall(method, path))
    assert answer.status in (400, 404)
    assert managers.first.host.calls == []


async def test_a_call_with_a_wrong_version_is_refused(managers: Managers) -> None:
    for version in ("x", "1", "1.2.3", "99999.1", "1.41\n"):
        call = ForwardCall("POST", "/services/create", api_version=version)
        assert (await managers.first.api.routes.gateway.forward(call)).status == 400


async def test_a_write_at_a_leader_that_only_begins_waits_for_it(managers: Managers) -> None:
    managers.first.consensus.begins = True
    asyncio.get_running_loop().call_later(0.1, setattr, managers.first.consensus, "begins", False)
    async with asyncio.timeout(DEADLINE):
        here, there = await asyncio.gather(
            managers.first.api.raw("POST", "/services/create", service_json("a")),
            managers.second.api.raw("POST", "/services/create", service_json("b")),
        )
    assert (here[0], there[0]) == (201, 201)
    assert managers.first.way.calls == []


@given(call=CALLS)
def test_whatever_another_manager_sends_is_answered(call: ForwardCall) -> None:
    async def ask() -> ForwardAnswer:
        return await Managers().first.api.routes.gateway.forward(call)

    assert 200 <= asyncio.run(ask()).status < 600


async def test_an_unforeseen_fault_is_an_answer(managers: Managers, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> str:
        raise KeyError("what")

    monkeypatch.setattr(managers.first.control.services, "create", fail)
    status, message = await managers.second.api.error("POST", "/services/create", service_json("web"))
    assert status == 500
    assert "KeyError" in message


async def test_what_the_leader_began_ends_though_the_other_manager_is_gone(managers: Managers) -> None:
    call = ForwardCall(
        "POST",
        "/services/create",
        headers={"content-type": "application/json"},
        body=json.dumps(service_json("web")).encode(),
    )
    task = asyncio.create_task(managers.first.api.routes.gateway.forward(call))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(DEADLINE):
        await managers.written.wait()
    assert names(managers.first) == ["web"]


# -- reading one's own writes


async def test_the_answer_waits_for_this_manager_s_own_store(managers: Managers) -> None:
    managers.flowing = False
    task = asyncio.create_task(managers.second.api.raw("POST", "/services/create", service_json("web")))
    async with asyncio.timeout(DEADLINE):
        await managers.written.wait()
    await asyncio.sleep(3 * progress.LOOK)
    assert not task.done()
    managers.flow()
    assert (await task)[0] == 201
    assert names(managers.second) == ["web"]


async def test_an_answer_that_cannot_be_read_here_yet_is_marked(
    managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "CATCH_UP_SECONDS", 0.05)
    managers.flowing = False
    response = await managers.second.api.respond("POST", "/services/create", service_json("web"))
    assert (response.status, response.headers["X-Queenright-Stale"]) == (201, "true")
    managers.flow()
    response = await managers.second.api.respond("DELETE", "/services/web")
    managers.flow()
    assert response.headers["X-Queenright-Stale"] == "true"
    managers.flowing = True
    response = await managers.second.api.respond("POST", "/services/create", service_json("web"))
    assert "X-Queenright-Stale" not in response.headers


async def test_a_manager_that_its_own_call_made_a_worker_does_not_wait_for_what_it_will_not_hear(
    managers: Managers,
) -> None:
    async def demote() -> None:
        managers.second.host.world = None

    managers.flowing = False
    managers.second.way.after.append(demote)
    async with asyncio.timeout(progress.CATCH_UP_SECONDS - 1):
        response = await managers.second.api.respond("POST", "/services/create", service_json("web"))
    assert (response.status, response.headers["X-Queenright-Stale"]) == (201, "true")


# -- lost answers


async def test_an_answer_that_was_lost_leaves_the_outcome_unknown(managers: Managers) -> None:
    managers.second.way.after.append(lost)
    status, message = await managers.second.api.error("POST", "/services/create", service_json("web"))
    assert status == 503
    assert "may have taken effect or not" in message
    assert len(managers.second.way.calls) == 1
    assert names(managers.first) == ["web"]


async def test_a_call_with_a_request_id_is_asked_again_and_done_once(managers: Managers) -> None:
    managers.second.way.after.append(lost)
    status, made = await managers.second.api.call("POST", "/services/create", service_json("web"), headers=REQUEST_ID)
    assert (status, made) == (201, {"ID": managers.first.store.service("web").id})
    assert [call.request_id for call in managers.second.way.calls] == ["r1", "r1"]


async def test_a_request_id_lost_with_its_leader_stays_unknown(managers: Managers) -> None:
    async def fall() -> None:
        managers.group.elect(managers.second.node_id)
        raise OutcomeUnknown("gone")

    managers.second.way.after.append(fall)
    status, message = await managers.second.api.error(
        "POST", "/services/create", service_json("web"), headers=REQUEST_ID
    )
    assert status == 503
    assert "may have taken effect or not" in message
    assert len(managers.second.way.calls) == 1


async def test_a_leader_of_another_term_does_not_repeat_what_it_may_have_forgotten(managers: Managers) -> None:
    async def fall_and_rise_unseen() -> None:
        managers.second.consensus.believes = (managers.first.node_id, managers.group.term)
        managers.group.elect(managers.first.node_id)
        raise OutcomeUnknown("gone")

    async def learn() -> None:
        managers.second.consensus.believes = None

    way = managers.second.way
    way.before.append(fall_and_rise_unseen)
    way.after += [learn]
    status, message = await managers.second.api.error(
        "POST", "/services/create", service_json("web"), headers=REQUEST_ID
    )
    assert status == 503
    assert "may have taken effect or not" in message
    assert len(way.calls) == 2
    assert names(managers.first) == []


async def test_a_lost_call_and_no_leader_is_unknown_and_not_refused(managers: Managers, hasty: None) -> None:
    async def fall() -> None:
        managers.group.elect("")
        raise OutcomeUnknown("gone")

    managers.second.way.after.append(fall)
    status, message = await managers.second.api.error("POST", f"{V1}/apply", WEB)
    assert status == 503
    assert "may have taken effect or not" in message


async def test_an_apply_is_repeated_by_its_own_id_and_tells_the_first_answer(managers: Managers) -> None:
    managers.second.way.after.append(lost)
    status, answer = await managers.second.api.call("POST", f"{V1}/apply", WEB)
    assert (status, answer["changed"], answer["warnings"]) == (200, True, [])
    assert [call.request_id for call in managers.second.way.calls] == ["second-0", "second-0"]


async def test_an_apply_is_repeated_with_the_next_leader_too_and_warns(managers: Managers) -> None:
    async def fall() -> None:
        managers.group.elect(managers.second.node_id)
        raise OutcomeUnknown("gone")

    managers.second.way.after.append(fall)
    status, answer = await managers.second.api.call("POST", f"{V1}/apply", WEB)
    assert (status, answer["changed"]) == (200, False)
    assert "it may have made the change" in answer["warnings"][0]


def fall_after_writing(managers: Managers, node_id: str) -> None:
    """The first manager writes, and loses the leadership to ``node_id`` before it knows that it is written."""

    def fall() -> None:
        managers.group.elect(node_id)
        raise OutcomeUnknown("the leadership was lost")

    managers.first.proposer.after.append(fall)


@pytest.mark.parametrize("asked", ["first", "second"])
async def test_a_leader_that_falls_while_it_writes_leaves_the_outcome_unknown(managers: Managers, asked: str) -> None:
    fall_after_writing(managers, managers.second.node_id)
    response = await getattr(managers, asked).api.respond("POST", "/services/create", service_json("web"))
    assert (response.status, response.headers["X-Queenright-Outcome"]) == (503, "unknown")
    assert "the leadership was lost" in document(response)["message"]
    assert names(managers.second) == ["web"]


@pytest.mark.parametrize("asked", ["first", "second"])
async def test_an_apply_goes_on_with_the_next_leader(managers: Managers, asked: str) -> None:
    fall_after_writing(managers, managers.second.node_id)
    status, answer = await getattr(managers, asked).api.call("POST", f"{V1}/apply", WEB)
    assert (status, answer["changed"]) == (200, False)
    assert "it may have made the change" in answer["warnings"][0]


async def test_an_apply_goes_on_with_the_same_leader_risen_again(managers: Managers) -> None:
    fall_after_writing(managers, managers.first.node_id)
    status, answer = await managers.first.api.call("POST", f"{V1}/apply", WEB, headers=REQUEST_ID)
    assert (status, answer["changed"]) == (200, False)
    fall_after_writing(managers, managers.first.node_id)
    gone = {"kind": "service", "name": "web", "state": "absent"}
    status, answer = await managers.second.api.call("POST", f"{V1}/apply", gone)
    assert (status, answer["changed"]) == (200, False)
    assert names(managers.first) == []


async def test_an_apply_that_nobody_can_finish_is_unknown(managers: Managers, hasty: None) -> None:
    fall_after_writing(managers, "")
    response = await managers.first.api.respond("POST", f"{V1}/apply", WEB)
    assert (response.status, response.headers["X-Queenright-Outcome"]) == (503, "unknown")


async def test_what_may_be_done_is_never_called_undone(managers: Managers, hasty: None) -> None:
    async def gone() -> None:
        managers.group.elect("")
        raise Unavailable("not reached")

    fall_after_writing(managers, managers.second.node_id)
    managers.first.way.before.append(gone)
    response = await managers.first.api.respond("POST", f"{V1}/apply", WEB)
    assert (response.status, response.headers["X-Queenright-Outcome"]) == (503, "unknown")
    assert names(managers.second) == ["web"]


async def test_a_leader_that_fell_silent_is_waited_for_only_while_it_leads(
    managers: Managers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "GRACE", 0.05)

    async def fall_silent() -> None:
        managers.group.elect("")
        await asyncio.Event().wait()

    managers.second.way.before.append(fall_silent)
    async with asyncio.timeout(DEADLINE):
        status, message = await managers.second.api.error("POST", "/services/create", service_json("web"))
    assert status == 503
    assert "may have taken effect or not" in message


async def test_a_ticket_is_given_through_any_manager(managers: Managers) -> None:
    managers.second.way.after.append(lost)
    body = {"role": "worker", "key_digest": key_digest("k")}
    status, answer = await managers.second.api.call("POST", f"{V1}/tickets", body)
    assert status == 201
    assert answer["managers"] == ["192.0.2.1:2377", "192.0.2.2:2377"]
    assert len(managers.second.store.tickets) == 1


async def test_apply_compares_the_addresses_of_the_manager_that_was_asked(managers: Managers) -> None:
    def wish(addr: str) -> dict[str, Any]:
        return {"kind": "swarm", "context": {"advertise_addr": addr}}

    assert (await managers.second.api.raw("POST", f"{V1}/apply", wish("192.0.2.2")))[0] == 200
    status, message = await managers.second.api.error("POST", f"{V1}/apply", wish("192.0.2.1"))
    assert status == 400
    assert "it is 192.0.2.2:2377" in message
    assert (await managers.first.api.raw("POST", f"{V1}/apply", wish("192.0.2.1")))[0] == 200
