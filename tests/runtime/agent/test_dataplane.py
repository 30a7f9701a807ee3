# SPDX-License-Identifier: Apache-2.0
"""The node's networks follow what a manager tells: kernel first, then the engine, and backwards when they go."""

from __future__ import annotations

import asyncio
import dataclasses
import pathlib
from collections.abc import AsyncIterator

import pytest

from queenright.agent import bridging, dataplane
from queenright.agent.link import LinkError
from queenright.agent.ports import TemporaryError
from queenright.model.mesh_rows import NetworksState
from tests.runtime.agent.kit import make_task, until
from tests.runtime.agent.mesh_kit import (
    FakeLink,
    MeshNode,
    attached,
    face_row,
    link_row,
    mesh_node,
    part,
    task_row,
    whole,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((dataplane, "RETRY_AFTER"), (dataplane, "AUDIT_SETTLE"), (bridging, "RETRY_AFTER")):
        monkeypatch.setattr(module, name, 0.01)
    monkeypatch.setattr(dataplane, "READY_PATIENCE", 0.05)


@pytest.fixture
async def node(tmp_path: pathlib.Path) -> AsyncIterator[MeshNode]:
    async with mesh_node(tmp_path) as made:
        yield made


async def begun(node: MeshNode, *rows: object) -> FakeLink:
    """A session in which the node was told of these rows, and has done what they ask for."""
    link = await node.connect()
    link.told.put_nowait(whole(*(rows or (link_row(), face_row(), task_row()))))  # type: ignore[arg-type]
    await until(lambda: node.plane.state.applied == "1", "a round")
    return link


async def test_a_node_without_networks_loads_nothing(node: MeshNode) -> None:
    link = await node.connect()
    link.told.put_nowait(whole())
    link.told.put_nowait(part(token="2"))
    await until(link.told.empty)
    await asyncio.sleep(0)
    await node.database.flush()
    assert (node.loads, node.calls, link.heard, node.plane.probe) == (0, [], [], None)


async def test_the_first_network_is_made_and_what_came_of_it_is_told(node: MeshNode) -> None:
    node.kernel.ports = {("tcp", 80): ""}
    link = await begun(node)
    assert set(node.kernel.has) == {"n"}
    await until(lambda: node.bridges.has == {"n"})
    await until(lambda: bool(link.heard))
    assert link.heard == [NetworksState("1", {}, {("tcp", 80): ""})]
    assert node.server.served == {"n": 1}
    await until(lambda: node.plane.probe is not None)
    assert node.loads == 1


async def test_changes_that_come_together_are_applied_together(node: MeshNode) -> None:
    link = await begun(node)
    rounds = len(node.kernel.pictures)
    for number in range(20):
        link.told.put_nowait(part(task_row(f"u{number}"), before=str(number + 1), token=str(number + 2)))
    await until(lambda: node.plane.state.applied == "21")
    assert len(node.kernel.pictures) <= rounds + 3
    [balanced] = node.kernel.has["n"].balanced
    assert len(balanced.backends) == 21


async def test_a_missing_difference_ends_the_session(node: MeshNode) -> None:
    link = await begun(node)
    link.told.put_nowait(part(task_row("u"), before="strange"))
    with pytest.raises(LinkError, match="missing"):
        await asyncio.wait_for(node.follows, 30)


async def test_a_manager_that_knows_of_no_networks_is_fine(node: MeshNode) -> None:
    link = await node.connect()
    link.told.put_nowait(LinkError("Unimplemented", "no such method"))
    await until(link.told.empty)
    await asyncio.sleep(0.02)
    assert not node.follows.done()


async def test_the_end_of_the_stream_ends_the_session(node: MeshNode) -> None:
    link = await begun(node)
    link.told.put_nowait(LinkError("Unavailable", "gone"))
    with pytest.raises(LinkError, match="gone"):
        await asyncio.wait_for(node.follows, 30)
    assert set(node.kernel.has) == {"n"}


async def test_a_network_goes_after_its_containers_and_the_engine_s_part(node: MeshNode) -> None:
    node.users = {"n"}
    link = await begun(node)
    await until(lambda: node.bridges.has == {"n"})
    link.told.put_nowait(part(removes=("n",)))
    await until(lambda: node.plane.state.applied == "2")
    assert set(node.kernel.has) == {"n"}
    assert node.kernel.has["n"].balanced == ()
    assert node.bridges.has == {"n"}
    node.users = set()
    await until(lambda: not node.kernel.has)
    assert not node.bridges.has
    assert not node.server.served


async def test_a_network_that_the_engine_does_not_let_go_stays_until_it_does(node: MeshNode) -> None:
    link = await begun(node)
    await until(lambda: node.bridges.has == {"n"})
    node.bridges.down = True
    link.told.put_nowait(part(removes=("n",)))
    await until(lambda: node.plane.errors.get("n") == "the engine does not answer")
    assert set(node.kernel.has) == {"n"}
    node.bridges.down = False
    await until(lambda: not node.kernel.has)


async def test_a_network_that_comes_back_on_its_way_out_is_made_whole_again(node: MeshNode) -> None:
    link = await begun(node)
    await until(lambda: node.bridges.has == {"n"})
    link.told.put_nowait(part(removes=("n",)))
    await until(lambda: not node.bridges.has)
    link.told.put_nowait(part(link_row(), before="2", token="3"))
    await until(lambda: node.bridges.has == {"n"} and node.plane.state.applied == "3")
    assert set(node.kernel.has) == {"n"}


async def test_an_engine_that_does_not_answer_holds_up_nothing_in_the_kernel(node: MeshNode) -> None:
    node.bridges.down = True
    link = await begun(node)
    await until(lambda: "n" in node.plane.errors)
    link.told.put_nowait(part(task_row(serving=False)))
    await until(lambda: node.plane.state.applied == "2")
    node.bridges.down = False
    await until(lambda: node.bridges.has == {"n"})
    await until(lambda: not node.plane.errors)


async def test_a_failure_is_told_and_tried_again(node: MeshNode) -> None:
    node.kernel.errors = {"n": "the kernel lacks vxlan"}
    link = await begun(node)
    await until(lambda: bool(link.heard))
    assert link.heard[0].errors == {"n": "the kernel lacks vxlan"}
    assert not node.bridges.has
    node.kernel.errors = {}
    await until(lambda: link.heard[-1].errors == {})
    await until(lambda: node.bridges.has == {"n"})


async def test_a_fault_of_ours_is_told_and_tried_again_with_a_look_at_everything(node: MeshNode) -> None:
    link = await begun(node)
    node.kernel.faults = [RuntimeError("broken")]
    link.told.put_nowait(part(task_row("u")))
    await until(lambda: any("RuntimeError: broken" in state.errors.get("n", "") for state in link.heard))
    await until(lambda: node.plane.state == NetworksState("2"))
    assert node.calls.count("audit") >= 2


async def test_what_cannot_be_loaded_is_said_and_tried_again(node: MeshNode) -> None:
    node.load_faults = [ImportError("no module named pyroute2")]
    link = await node.connect()
    link.told.put_nowait(whole(link_row()))
    await until(lambda: "no module named pyroute2" in node.plane.errors.get("n", "") or node.loads > 1)
    await until(lambda: node.bridges.has == {"n"})
    assert node.loads == 2


async def test_the_first_look_and_one_after_another_hand_s_change_compare_everything(node: MeshNode) -> None:
    await begun(node)
    assert node.calls[0] == "audit"
    audits = node.calls.count("audit")
    node.kernel.touched.set()
    await until(lambda: node.calls.count("audit") == audits + 1)


async def test_an_audit_comes_again_and_again(node: MeshNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataplane, "AUDIT_EVERY", 0.01)
    await begun(node)
    await until(lambda: node.calls.count("audit") > 3)
    await until(lambda: node.calls.count("ensure n") > 2)


async def test_an_engine_that_came_back_is_looked_at(node: MeshNode) -> None:
    await begun(node)
    await until(lambda: node.bridges.has == {"n"})
    node.bridges.has.clear()
    node.plane.engine_back()
    await until(lambda: node.bridges.has == {"n"})


async def test_a_sandbox_that_was_made_anew_gets_new_sockets(node: MeshNode) -> None:
    link = await begun(node)
    node.kernel.renewed = ("n",)
    link.told.put_nowait(part(task_row("u")))
    await until(lambda: node.server.served == {"n": 2})


async def test_names_are_known_as_soon_as_they_are_told(node: MeshNode) -> None:
    await begun(node)
    assert node.names.whole


async def test_what_was_told_is_in_force_after_a_restart_without_a_manager(node: MeshNode) -> None:
    await begun(node)
    before = node.kernel.has
    await node.stop()
    assert node.kernel.has == before  # the data path goes on
    node.kernel.has = {}  # a reboot
    await node.start()
    await until(lambda: node.kernel.has == before)
    assert not node.names.whole
    await until(lambda: node.bridges.has == {"n"})


async def test_what_was_taken_back_is_not_remembered(node: MeshNode) -> None:
    link = await begun(node)
    link.told.put_nowait(part(link_row("m"), removes=("n/t1",)))
    await until(lambda: node.plane.state.applied == "2")
    await node.stop()
    await node.start()
    await until(lambda: set(node.kernel.has) == {"n", "m"})
    assert node.kernel.has["n"].balanced[0].backends == ()


async def test_a_node_that_has_no_network_any_more_loads_nothing_at_its_next_start(node: MeshNode) -> None:
    link = await begun(node)
    link.told.put_nowait(part(removes=("n",)))
    await until(lambda: not node.kernel.has)
    await until(lambda: not node.plane._memory.in_use)
    await node.stop()
    await node.start()
    assert node.loads == 1


async def test_a_node_that_died_before_it_took_a_network_away_does_it_at_its_next_start(node: MeshNode) -> None:
    link = await begun(node)
    node.users = {"n"}
    link.told.put_nowait(part(removes=("n",)))
    await until(lambda: node.plane.state.applied == "2")
    await node.stop()
    node.users = set()
    await node.start()
    await until(lambda: node.loads == 2 and not node.kernel.has)
    await until(lambda: not node.bridges.has)


async def test_leaving_takes_everything_away_in_order(node: MeshNode) -> None:
    await begun(node)
    await until(lambda: node.bridges.has == {"n"})
    await node.plane.leave()
    assert (node.kernel.cleared, node.kernel.has, node.bridges.has) == (["c"], {}, set())
    assert node.calls[-2:] == ["sweep", "clear"]
    assert node.kernel.closed
    assert not node.server.served


async def test_leaving_takes_the_kernel_s_part_away_even_if_the_engine_is_gone(node: MeshNode) -> None:
    await begun(node)
    node.bridges.down = True
    await node.plane.leave()
    assert node.kernel.cleared == ["c"]


async def test_leaving_without_networks_does_nothing(node: MeshNode) -> None:
    await node.plane.leave()
    assert node.loads == 0


# -- what tasks ask


TASK = dataclasses.replace(make_task(), attachments=attached("n"))


async def test_a_task_waits_for_its_network(node: MeshNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataplane, "READY_PATIENCE", 60.0)
    waiting = asyncio.create_task(node.plane.ready(TASK))
    await begun(node)
    await asyncio.wait_for(waiting, 30)
    assert node.bridges.has == {"n"}


async def test_a_task_without_a_network_waits_for_nothing(node: MeshNode) -> None:
    await node.plane.ready(make_task())


async def test_a_task_is_told_what_its_network_lacks(node: MeshNode) -> None:
    with pytest.raises(TemporaryError, match="no manager has told this node of network n yet"):
        await node.plane.ready(TASK)
    node.kernel.hold.clear()
    link = await node.connect()
    link.told.put_nowait(whole(link_row()))
    await until(lambda: "audit" in node.calls)
    with pytest.raises(TemporaryError, match="network net-n is not made on this node yet"):
        await node.plane.ready(TASK)
    node.kernel.errors = {"n": "the kernel lacks vxlan"}
    node.kernel.hold.set()
    await until(lambda: bool(node.plane.errors))
    with pytest.raises(TemporaryError, match="the kernel lacks vxlan"):
        await node.plane.ready(TASK)


async def test_a_task_is_let_go_when_the_managers_say_that_all_nodes_did(node: MeshNode) -> None:
    link = await begun(node, link_row(), face_row(drain_ns=10**12), task_row())
    waiting = asyncio.create_task(node.plane.let_go(TASK))
    link.told.put_nowait(part(task_row(serving=False)))
    await until(lambda: node.plane.state.applied == "2")
    assert not waiting.done()
    link.told.put_nowait(part(task_row(serving=False, drained=True), before="2", token="3"))
    told = asyncio.get_running_loop().time()
    await asyncio.wait_for(waiting, 30)
    assert asyncio.get_running_loop().time() - told >= dataplane.SETTLE, "what was on its way to it is taken up first"


async def test_a_task_is_let_go_after_its_service_s_time_at_the_latest(node: MeshNode) -> None:
    await begun(node, link_row(), face_row(drain_ns=1_000_000), task_row())
    await asyncio.wait_for(node.plane.let_go(TASK), 30)


async def test_without_a_word_of_the_service_its_task_s_own_time_counts(node: MeshNode) -> None:
    endpoint = dataclasses.replace(TASK.endpoint, drain=1_000_000)
    await asyncio.wait_for(node.plane.let_go(dataclasses.replace(TASK, endpoint=endpoint)), 30)


async def test_many_rows_are_taken_in_steps_and_no_round_sees_a_part_of_them(
    node: MeshNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataplane, "AT_ONCE", 5)
    link = await begun(node)
    sizes: list[int] = []
    take = node.names.take

    def noted(put: object, gone: object) -> None:
        assert not node.names.whole, "what is not known may still come"
        sizes.append(len(put) + len(gone))  # type: ignore[arg-type]
        node.plane.engine_back()  # a round is wanted right now
        take(put, gone)  # type: ignore[arg-type]

    monkeypatch.setattr(node.names, "take", noted)
    monkeypatch.setattr(dataplane, "COALESCE", 0)
    rows = [task_row(f"u{number}", addresses=(f"10.0.1.{number + 20}",)) for number in range(50)]
    link.told.put_nowait(whole(*rows, face_row(), link_row(), token="2"))
    await until(lambda: node.plane.state.applied == "2")
    assert sum(sizes) == 51  # the old task went, the new ones came; link and face are as they were
    assert max(sizes) == 5
    assert node.names.whole
    assert {len(picture.overlays[0].balanced[0].backends) for picture in node.kernel.pictures} == {1, 50}


async def test_what_was_taken_of_a_message_that_was_cut_off_is_not_forgotten(
    node: MeshNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataplane, "AT_ONCE", 5)
    link = await begun(node)
    rows = [task_row(f"u{number}", addresses=(f"10.0.1.{number + 20}",)) for number in range(50)]
    take = node.names.take
    taken: list[object] = []

    def cut(put: list[object], gone: list[str]) -> None:
        take(put, gone)  # type: ignore[arg-type]
        taken.extend(put)
        if len(taken) == 20:
            node.follows.cancel()

    monkeypatch.setattr(node.names, "take", cut)
    link.told.put_nowait(whole(*rows, face_row(), link_row(), token="2"))
    await until(node.follows.done)
    assert (len(taken), node.names.whole) == (20, False)
    monkeypatch.setattr(node.names, "take", take)
    link = await node.connect()
    link.told.put_nowait(whole(*rows, face_row(), link_row(), token="3"))
    await until(lambda: node.plane.state.applied == "3")
    for number in range(50):
        assert node.names.answer("n", "10.0.1.20", f"web.1.u{number}", "A").values == (f"10.0.1.{number + 20}",)
    await node.stop()
    await node.start()
    assert set(node.database.rows) >= {row.key for row in rows}
