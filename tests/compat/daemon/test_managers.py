# SPDX-License-Identifier: Apache-2.0
"""Three managers: any of them takes any call of the plain docker command line, and losing one loses nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from compat.daemon.kit import DOCKER, PATIENCE, ApiError, Daemon, Machine, Swarm, service_spec, until
from compat.engine import IMAGE

NO_LEADER = "The swarm does not have a leader"


class Managers(Swarm):
    """Three of them."""

    def __init__(self, machines: list[Machine]) -> None:
        super().__init__(machines)
        self.ids: dict[str, Daemon] = {}

    def learn(self) -> Managers:
        """Note who is who, as long as all answer."""
        self.ids = {daemon.status()["node_id"]: daemon for daemon in self.daemons}
        return self

    def alive(self) -> list[Daemon]:
        return [daemon for daemon in self.daemons if daemon.process is not None]

    def leader(self, among: Iterable[Daemon] | None = None) -> Daemon:
        """The one that leads by its own word, once there is one."""
        daemons = list(among or self.alive())
        return until(lambda: next((each for each in daemons if leads(each)), None), lambda: [tell(d) for d in daemons])

    def followers(self) -> list[Daemon]:
        leader = self.leader()
        return [daemon for daemon in self.alive() if daemon is not leader]

    def whole(self) -> Daemon:
        """The leader, once all three are voters that answer it and every node is ready."""

        def fits() -> Daemon | None:
            leader = next((each for each in self.daemons if leads(each)), None)
            if leader is None:
                return None
            members = leader.status()["raft"]["members"]
            voters = {each["node_id"] for each in members if each["voter"] and each["reachable"]}
            ready = {key for key, node in leader.nodes().items() if node["Status"]["State"] == "ready"}
            return leader if voters == set(self.ids) <= ready else None

        return until(fits, lambda: [tell(each) for each in self.daemons])

    def agree(self) -> dict[str, Any]:
        """What all hold, once they hold the same; a service written now is among it."""
        name = f"marker{time.monotonic_ns()}"
        until(lambda: written(self.leader(), name), self.manager.tail)
        until(lambda: all(name in names(each) for each in self.alive()))
        until(lambda: all(held(each) == held(self.alive()[0]) for each in self.alive()), self.manager.tail)
        found = held(self.alive()[0])
        self.leader().api("DELETE", f"/services/{name}")
        return found


def leads(daemon: Daemon) -> bool:
    try:
        status = daemon.status()
    except (OSError, http.client.HTTPException):
        return False
    leader = status["leader"]
    return bool(leader and leader["node_id"] == status["node_id"] and status["has_quorum"])


def members(daemon: Daemon) -> set[str]:
    """Ids of the members of the group, by a manager's word."""
    return {each["node_id"] for each in daemon.status()["raft"]["members"]}


def tell(daemon: Daemon) -> Any:
    try:
        status = daemon.status()
    except (OSError, http.client.HTTPException) as error:
        return repr(error), daemon.tail()[-1500:]
    return {key: status.get(key) for key in ("node_id", "role", "state", "error", "leader", "has_quorum", "raft")}


def names(daemon: Daemon) -> set[str]:
    return {service["Spec"]["Name"] for service in daemon.get("/services")}


def held(daemon: Daemon) -> dict[str, Any]:
    """Objects as a manager has them, but for what it says of managers as it sees them."""
    nodes = {key: {**node, "ManagerStatus": None} for key, node in daemon.nodes().items()}
    return {
        "nodes": nodes,
        **{kind: {one["ID"]: one for one in daemon.get(f"/{kind}")} for kind in ("services", "tasks")},
    }


def written(daemon: Daemon, name: str) -> bool:
    """Whether a write was acknowledged."""
    try:
        daemon.service(name, 0)
    except (OSError, http.client.HTTPException):
        return False
    except ApiError as error:
        assert error.status == 503, error
        return False
    return True


def docker(daemon: Daemon, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The plain docker command line on a manager's socket."""
    done = subprocess.run(
        [DOCKER, "-H", f"unix://{daemon.socket}", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def managers(machines: list[Machine]) -> Iterator[Managers]:
    """Three managers, whatever the tests did to them whole again at the end."""
    made = Managers(machines)
    try:
        made.form(managers=3)
        yield made.learn()
    finally:
        made.close()


@pytest.fixture
def group(managers: Managers) -> Iterator[Managers]:
    """The three, whole; services of a test are gone after it."""
    managers.whole()
    yield managers
    for machine in managers.machines:
        machine.plugged(True)
        if machine.daemon.process is None:
            machine.daemon.start()
        machine.daemon.signal(signal.SIGCONT)
    leader = managers.whole()
    for service in leader.get("/services"):
        leader.api("DELETE", f"/services/{service['ID']}")


def test_three_managers_are_one_group_with_one_leader(group: Managers) -> None:
    leader = group.whole()
    for daemon in group.daemons:
        status = daemon.status()
        assert (status["role"], status["has_quorum"], status["stale"]) == ("manager", True, False)
        until(lambda daemon=daemon: daemon.status()["leader"]["node_id"] == leader.status()["node_id"])
        assert len(status["managers"]) == 3
        form = "{{.ID}} {{.ManagerStatus}}"
        shown = dict(line.split() for line in docker(daemon, "node", "ls", "--format", form).stdout.splitlines())
        assert shown == {key: "Leader" if one is leader else "Reachable" for key, one in group.ids.items()}
        swarm = json.loads(docker(daemon, "info", "--format", "{{json .Swarm}}").stdout)
        assert (swarm["Managers"], swarm["Nodes"], swarm["ControlAvailable"]) == (3, 3, True)
        assert len(swarm["RemoteManagers"]) == 3


def test_a_follower_takes_every_call_of_the_command_line_and_shows_its_effect(group: Managers) -> None:
    follower = group.followers()[0]
    quick = ["--detach", "--restart-delay", "100ms", "--stop-grace-period", "0s"]
    docker(follower, "service", "create", *quick, "--name", "web", "--replicas", "2", IMAGE, "sleep", "100000")
    assert docker(follower, "service", "ls", "--format", "{{.Name}}").stdout.split() == ["web"]
    follower.running("web", 2)
    docker(follower, "service", "scale", "--detach", "web=3")
    assert follower.get("/services/web")["Spec"]["Mode"] == {"Replicated": {"Replicas": 3}}
    follower.running("web", 3)
    assert len(docker(follower, "service", "ps", "-q", "web").stdout.split()) >= 3
    node = follower.status()["node_id"]
    docker(follower, "node", "update", "--label-add", "zone=a", node)
    assert json.loads(docker(follower, "node", "inspect", node).stdout)[0]["Spec"]["Labels"] == {"zone": "a"}
    docker(follower, "node", "update", "--label-rm", "zone", node)
    token = docker(follower, "swarm", "join-token", "--quiet", "worker").stdout
    assert token == docker(group.leader(), "swarm", "join-token", "--quiet", "worker").stdout
    docker(follower, "service", "rm", "web")
    assert docker(follower, "service", "ls", "-q").stdout == ""
    group.agree()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("service", "create", "--detach", "--name", "bad name", "x"), "name must be valid as a DNS name component"),
        (("service", "rm", "nothing"), "No such service: nothing"),
        (("node", "update", "--availability", "drain", "nobody"), "nobody"),
        (("node", "demote", "nobody"), "nobody"),
    ],
)
def test_a_refusal_through_a_follower_reads_as_the_leaders_own(
    group: Managers, arguments: tuple[str, ...], says: str
) -> None:
    own = docker(group.leader(), *arguments, check=False)
    passed_on = docker(group.followers()[0], *arguments, check=False)
    assert passed_on.returncode == own.returncode != 0
    assert passed_on.stderr == own.stderr
    assert says in own.stderr


def test_of_two_updates_of_one_reading_through_two_managers_one_is_out_of_sequence(group: Managers) -> None:
    one, other = group.followers()
    one.service("web", 0)
    until(lambda: "web" in names(other))
    read = one.get("/services/web")
    path = f"/services/{read['ID']}/update?version={read['Version']['Index']}"
    one.post(path, {**read["Spec"], "Labels": {"by": "one"}})
    with pytest.raises(ApiError, match="update out of sequence"):
        other.post(path, {**read["Spec"], "Labels": {"by": "other"}})
    until(lambda: other.get("/services/web")["Spec"]["Labels"] == {"by": "one"})


def test_a_killed_leader_is_followed_by_another_and_nothing_acknowledged_is_lost(
    group: Managers, record_property: pytest.Function
) -> None:
    leader = group.whole()
    leader.service("web", 3)
    leader.running("web", 3)
    started = group.started()
    acknowledged = [f"before{number}" for number in range(20)]
    for name in acknowledged:
        leader.service(name, 0)
    leader.kill()
    began = time.monotonic()
    survivors = group.alive()
    until(lambda: any(written(each, "after") for each in survivors))
    took = time.monotonic() - began
    record_property("failover_s", f"{took:.2f}")
    print(f"a survivor wrote {took:.2f} s after the leader was killed")
    for daemon in survivors:
        until(lambda daemon=daemon: {"after", *acknowledged} <= names(daemon))
    assert group.started() == started, "no container has noticed"
    leader.start()
    group.whole()
    assert {"after", *acknowledged} <= {one["Spec"]["Name"] for one in group.agree()["services"].values()}
    assert group.started() == started


def test_a_leader_that_is_told_to_end_hands_over_first(group: Managers, record_property: pytest.Function) -> None:
    leader = group.whole()
    follower = group.followers()[0]
    assert leader.stop() == 0
    began = time.monotonic()
    until(lambda: written(follower, "after"))
    record_property("handover_s", f"{time.monotonic() - began:.2f}")
    assert any("lead" in str(line.get("message")) for line in leader.logged()), leader.tail()
    leader.start()
    group.whole()
    group.agree()


def test_a_manager_alone_refuses_writes_in_dockers_words_and_marks_what_it_reads(group: Managers) -> None:
    leader = group.whole()
    leader.service("before", 0)
    alone, *others = group.followers()
    until(lambda: "before" in names(alone))
    for daemon in (*others, leader):
        daemon.kill()
    until(lambda: not alone.status()["has_quorum"])
    for attempt in range(2):
        began = time.monotonic()
        with pytest.raises(ApiError) as refused:
            alone.service(f"refused{attempt}", 0)
        assert refused.value.status == 503 and NO_LEADER in refused.value.message
        assert time.monotonic() - began < PATIENCE / 2, "at once, not after a long wait"
    status, headers, body = alone.exchange("GET", "/services")
    assert (status, headers["X-Queenright-Stale"]) == (200, "true")
    assert [one["Spec"]["Name"] for one in json.loads(body)] == ["before"]
    assert alone.status()["stale"]
    shown = docker(alone, "service", "ls", "--format", "{{.Name}}")
    assert shown.stdout.split() == ["before"]
    for daemon in (*others, leader):
        daemon.start()
    group.whole()
    assert alone.exchange("GET", "/services")[1]["X-Queenright-Stale"] is None
    found = {one["Spec"]["Name"] for one in group.agree()["services"].values()}
    assert "before" in found and not {"refused0", "refused1"} & found


def test_a_manager_whose_cable_is_out_catches_up_when_it_is_in_again(group: Managers) -> None:
    group.whole()
    for lost in (group.leader(), group.followers()[0]):
        machine = next(each for each in group.machines if each.daemon is lost)
        others = [each for each in group.daemons if each is not lost]
        machine.plugged(False)
        name = f"without-{machine.number}"
        until(lambda others=others, name=name: any(written(each, name) for each in others))
        until(lambda lost=lost: lost.status()["stale"], lost.tail)
        with pytest.raises(ApiError, match=NO_LEADER):
            lost.service("by-the-lost", 0)
        assert name not in names(lost)
        machine.plugged(True)
        until(lambda lost=lost, name=name: name in names(lost), lost.tail)
        group.whole()
        found = {one["Spec"]["Name"] for one in group.agree()["services"].values()}
        assert "by-the-lost" not in found
        group.leader().api("DELETE", f"/services/{name}")


def test_a_stopped_leader_answers_nothing_from_the_past_when_it_goes_on(group: Managers) -> None:
    leader = group.whole()
    follower, other = group.followers()
    leader.service("register", 0)
    until(lambda: "register" in names(follower))
    dry = {"kind": "service", "name": "register", "state": "present", "options": {}}
    leader.signal(signal.SIGSTOP)
    try:
        until(lambda: leads(follower) or leads(other))
        read = follower.get("/services/register")
        path = f"/services/{read['ID']}/update?version={read['Version']['Index']}"
        follower.post(path, {**read["Spec"], "Labels": {"round": "new"}})
    finally:
        leader.signal(signal.SIGCONT)
    with contextlib.suppress(ApiError):
        answer = leader.post("/queenright/v1/apply?dry_run=1", dry)
        assert answer["before"]["Labels"] == {"round": "new"}
    status, headers, body = leader.exchange("GET", "/services/register")
    behind = status == 200 and json.loads(body)["Spec"]["Labels"] != {"round": "new"}
    assert not behind or headers["X-Queenright-Stale"] == "true"
    group.whole()
    group.agree()


def test_a_manager_is_demoted_and_promoted_by_the_command_line(group: Managers) -> None:
    leader = group.whole()
    follower = group.followers()[0]
    node = follower.status()["node_id"]
    docker(leader, "node", "demote", node)
    follower.becomes(role="worker", ready=True)
    until(lambda: len(leader.status()["raft"]["members"]) == 2, lambda: tell(leader))
    assert "This node is not a swarm manager" in docker(follower, "node", "ls", check=False).stderr
    assert written(leader, "with-two")
    docker(leader, "node", "promote", node)
    follower.becomes(role="manager", ready=True)
    group.whole()
    until(lambda: "with-two" in names(follower))
    assert written(follower, "with-three")
    group.agree()


def test_a_demoted_leader_hands_over_first(group: Managers) -> None:
    leader = group.whole()
    follower = group.followers()[0]
    node = leader.status()["node_id"]
    docker(follower, "node", "demote", node)
    leader.becomes(role="worker", ready=True)
    assert written(group.leader(each for each in group.daemons if each is not leader), "without-it")
    docker(follower, "node", "promote", node)
    leader.becomes(role="manager", ready=True)
    group.whole()
    group.agree()


def test_a_demotion_that_would_lose_the_quorum_is_refused(group: Managers) -> None:
    leader = group.whole()
    one, other = group.followers()
    one.kill()
    until(lambda: len([m for m in leader.status()["raft"]["members"] if m["reachable"]]) == 2, lambda: tell(leader))
    refused = docker(leader, "node", "demote", other.status()["node_id"], check=False)
    assert refused.returncode and "quorum" in refused.stderr
    assert other.status()["role"] == "manager"
    assert written(other, "still-served")
    one.start()


def test_a_manager_in_the_group_is_not_removed_as_a_node(group: Managers) -> None:
    leader = group.whole()
    node = group.followers()[0].status()["node_id"]
    refused = docker(leader, "node", "rm", "--force", node, check=False)
    assert refused.returncode and "demote" in refused.stderr


def test_a_manager_leaves_by_force_only_and_joins_again(group: Managers) -> None:
    leader = group.whole()
    follower = group.followers()[0]
    machine = next(each for each in group.machines if each.daemon is follower)
    node = follower.status()["node_id"]
    refused = docker(follower, "swarm", "leave", check=False)
    assert refused.returncode and "--force" in refused.stderr
    docker(follower, "swarm", "leave", "--force")
    assert follower.status()["state"] == "inactive"
    until(lambda: node not in members(leader), lambda: (tell(leader), leader.tail(), follower.tail()))
    leader.node_is(node, "down")
    docker(leader, "node", "rm", node)
    token = leader.token("Manager")
    remote = next(each.address for each in group.machines if each.daemon is leader)
    machine.daemon.post("/swarm/join", {"RemoteAddrs": [remote], "JoinToken": token})
    follower.becomes(state="active", ready=True, role="manager")
    group.learn().whole()
    group.agree()


def test_a_survivor_goes_on_alone_by_force_with_all_data(group: Managers) -> None:
    leader = group.whole()
    leader.service("before", 0)
    survivor, other = group.followers()
    until(lambda: "before" in names(survivor))
    leader.kill()
    other.kill()
    until(lambda: not survivor.status()["has_quorum"])
    address = next(each.address for each in group.machines if each.daemon is survivor)
    docker(survivor, "swarm", "init", "--force-new-cluster", "--advertise-addr", address)
    until(lambda: leads(survivor), lambda: tell(survivor))
    assert "before" in names(survivor)
    assert written(survivor, "after")
    for daemon in (leader, other):
        daemon.start()
    for number in range(5):
        assert written(survivor, f"later{number}")
    assert [each["node_id"] for each in survivor.status()["raft"]["members"]] == [survivor.status()["node_id"]]
    for daemon in (leader, other):
        node = next(key for key, one in group.ids.items() if one is daemon)
        daemon.post("/swarm/leave?force=1")
        survivor.node_is(node, "down")
        survivor.api("DELETE", f"/nodes/{node}?force=1")
        daemon.post("/swarm/join", {"RemoteAddrs": [address], "JoinToken": survivor.token("Manager")})
        daemon.becomes(state="active", ready=True, role="manager")
    group.learn().whole()
    assert {"before", "after", "later4"} <= {one["Spec"]["Name"] for one in group.agree()["services"].values()}


def test_the_spec_of_a_service_reads_the_same_on_all(group: Managers) -> None:
    spec = service_spec("full", 2, Env=["A=b"], Labels={"x": "y"})
    group.followers()[0].post("/services/create", spec)
    group.agree()
    shown = [each.get("/services/full")["Spec"] for each in group.daemons]
    assert shown[0] == shown[1] == shown[2]
    assert shown[0]["TaskTemplate"]["ContainerSpec"]["Env"] == ["A=b"]
