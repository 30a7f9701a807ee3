# SPDX-License-Identifier: Apache-2.0
"""Stacks on a real engine: in order, whole, back, and away."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon import kit
from compat.daemon.kit import ApiError, Daemon, Machine, until
from compat.engine import IMAGE

SECRET = "open sesame 7413"
QUICK = {"delay": "0s", "monitor": "1s"}


@pytest.fixture(scope="module")
def host() -> Iterator[Machine]:
    for machines in kit.machines(()):
        yield machines[0]


@pytest.fixture
def daemon(host: Machine) -> Iterator[Daemon]:
    """The only manager of a swarm."""
    daemon = host.fresh().start()
    daemon.post("/swarm/init", {"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": host.address})
    daemon.becomes(state="active", ready=True)
    yield daemon
    host.clean()


def shop(**web: Any) -> dict[str, Any]:
    """A job that prepares, what awaits its end, and what awaits the health of that."""
    sleep = {"image": IMAGE, "command": ["sleep", "1000"], "stop_grace_period": "1s", "update_config": QUICK}
    return {
        "services": {
            "web": {**sleep, "depends_on": {"db": {"condition": "healthy"}}, **web},
            "db": {
                **sleep,
                "secrets": [{"secret_name": "key"}],
                "healthcheck": {"test": ["CMD", "test", "-s", "/run/secrets/key"], "interval": "1s"},
                "depends_on": {"init": {"condition": "completed"}},
            },
            "init": {
                "image": IMAGE,
                "command": ["sh", "-c", "sleep 1"],
                "mode": "replicated-job",
                "restart_policy": {"condition": "on-failure"},
            },
        },
        "secrets": {"key": {"data": base64.b64encode(SECRET.encode()).decode()}},
    }


def apply(daemon: Daemon, options: dict[str, Any], query: str = "", state: str = "present") -> Any:
    context = {"user": "ada", "resolve_image": "never"}
    wish = {"kind": "stack", "name": "shop", "state": state, "options": options, "context": context}
    return daemon.post(f"/queenright/v1/apply{query}", wish)


def becomes(daemon: Daemon, state: str) -> Any:
    """The stack, as soon as its roll-out stands there."""

    def fits() -> Any:
        shown = daemon.get("/queenright/v1/stacks/shop")
        return shown if shown["State"] == state else None

    return until(fits, lambda: daemon.get("/queenright/v1/stacks/shop"))


def begun(host: Machine, daemon: Daemon, service: str) -> str:
    """When the newest container of a service was started."""
    rows = [one for one in daemon.get("/tasks") if one["Spec"]["ContainerSpec"].get("Labels") is not None]
    services = {one["ID"]: one["Spec"]["Name"] for one in daemon.get("/services")}
    ids = [
        one["Status"]["ContainerStatus"]["ContainerID"]
        for one in rows
        if services.get(one["ServiceID"]) == service and one["Status"].get("ContainerStatus", {}).get("ContainerID")
    ]
    return max(str(host.inspect(key)["State"]["StartedAt"]) for key in ids)


def test_services_start_in_their_order_and_nothing_changes_the_second_time(host: Machine, daemon: Daemon) -> None:
    done = apply(daemon, shop())
    assert done["plan"]["order"] == [["shop_init"], ["shop_db"], ["shop_web"]]
    shown = becomes(daemon, "completed")
    assert shown["Drift"] == [] and [one["Waits"] for one in shown["Services"]] == [[], [], []]
    init, db, web = (begun(host, daemon, f"shop_{key}") for key in ("init", "db", "web"))
    assert init < db < web
    again = apply(daemon, shop())
    assert (again["changed"], again["revision"]) == (False, 1)


def test_a_broken_revision_is_taken_back_whole_and_says_why(host: Machine, daemon: Daemon) -> None:
    apply(daemon, shop())
    becomes(daemon, "completed")
    before = {one["Spec"]["Name"]: one["Spec"] for one in daemon.get("/services")}
    broken = shop(command=["no-such-program"], restart_policy={"delay": "0s"})
    broken["services"]["db"]["env"] = {"NEW": "1"}
    apply(daemon, broken)
    shown = becomes(daemon, "rollback_completed")
    assert shown["Failed"] == "shop_web" and "no-such-program" in shown["Message"]
    assert {one["Spec"]["Name"]: one["Spec"] for one in daemon.get("/services")} == before
    assert any("no-such-program" in one["Failure"] for one in shown["Revisions"])
    assert apply(daemon, shop())["changed"] is False


def test_what_is_set_by_hand_stays_and_the_rest_goes_with_the_stack(host: Machine, daemon: Daemon) -> None:
    apply(daemon, shop())
    becomes(daemon, "completed")
    daemon.scale("shop_web", 2)
    daemon.running("shop_web", 2)
    apply(daemon, shop(env={"NEW": "1"}))
    becomes(daemon, "completed")
    daemon.running("shop_web", 2)
    apply(daemon, {"rollback": True})
    becomes(daemon, "completed")
    daemon.running("shop_web", 2)
    assert "Env" not in daemon.get("/services/shop_web")["Spec"]["TaskTemplate"]["ContainerSpec"]
    apply(daemon, {}, state="absent")

    def gone() -> bool:
        try:
            daemon.get("/queenright/v1/stacks/shop")
        except ApiError as error:
            return error.status == 404
        return False

    until(gone)
    assert daemon.get("/services") == daemon.get("/secrets") == []
