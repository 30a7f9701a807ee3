# SPDX-License-Identifier: Apache-2.0
"""Jobs on nodes that die, engines that stand still, health checks that fail: on three real hosts."""

from __future__ import annotations

from swarmlib import SLOW, Swarm, containers


def of_job(swarm: Swarm, name: str) -> list[dict[str, object]]:
    """The tasks of a job that completed."""
    return [task for task in swarm.get("/tasks", service=[name]) if task["Status"]["State"] == "complete"]


def running(swarm: Swarm, name: str) -> list[dict[str, object]]:
    """The tasks that run, whatever they are to become."""
    return [task for task in swarm.get("/tasks", service=[name]) if task["Status"]["State"] == "running"]


def test_a_job_completes_each_of_its_tasks_although_a_node_dies(swarm: Swarm) -> None:
    total = 6
    options = ["--mode", "replicated-job", "--replicas", str(total), "--max-concurrent", "3"]
    swarm.docker(
        *("service", "create", "--detach", "--name", "sums", *options),
        *("--env", "SECONDS_TO_RUN=8", "--restart-condition", "on-failure", swarm.lab.image("exit:latest")),
    )
    swarm.lab.poll(lambda: len({task["NodeID"] for task in running(swarm, "sums")}) == 3, 60 * SLOW)
    lost = swarm.hosts[-1]
    lost.kill()
    swarm.lab.poll(lambda: len(of_job(swarm, "sums")) == total, 120 * SLOW, f"{total} tasks to complete", pause=1)
    assert len({task.get("Slot", 0) for task in of_job(swarm, "sums")}) == total, "each of them once"
    service = next(one for one in swarm.get("/services?status=true") if one["Spec"]["Name"] == "sums")
    assert service["ServiceStatus"]["CompletedTasks"] == total
    lost.start()
    swarm.await_ready()
    assert len(of_job(swarm, "sums")) == total, "who comes back runs nothing again"


def test_an_update_to_an_image_that_never_gets_healthy_pauses_and_leaves_the_others_alone(swarm: Swarm) -> None:
    swarm.create("web", "web:healthy", 4, "--update-failure-action", "pause", "--update-parallelism", "1")
    before = {task["ID"] for task in swarm.tasks("web")}
    swarm.docker("service", "update", "--detach", "--image", swarm.lab.image("web:unhealthy"), "web")
    swarm.lab.poll(
        lambda: swarm.get("/services/web").get("UpdateStatus", {}).get("State") == "paused",
        120 * SLOW,
        "the update to pause",
        pause=1,
    )
    assert len(before & {task["ID"] for task in swarm.tasks("web")}) == 3
    swarm.docker("service", "rollback", "--detach", "web")
    swarm.await_running("web", 4, lambda task: "web:healthy" in task["Spec"]["ContainerSpec"]["Image"])


def test_an_engine_that_stands_still_loses_no_container_and_goes_on(swarm: Swarm) -> None:
    swarm.create("web", "web:v1", 6)
    stuck = swarm.hosts[1]
    before = containers(stuck)
    stuck.run("kill -STOP $(pidof dockerd)")
    try:
        swarm.docker("service", "scale", "--detach", "web=9")
        node = swarm.node(stuck)["ID"]
        there = lambda: [task for task in swarm.tasks("web") if task["NodeID"] != node]  # noqa: E731
        swarm.lab.poll(lambda: len(there()) >= 6, 60 * SLOW, "the other nodes to start theirs")
    finally:
        stuck.run("kill -CONT $(pidof dockerd)")
    swarm.await_running("web", 9)
    after = containers(stuck)
    assert before.items() <= after.items(), "what ran there went on"
