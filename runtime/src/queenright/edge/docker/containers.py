# SPDX-License-Identifier: Apache-2.0
"""What is known of each container that is watched, put together from answers and events in whatever order they come."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from queenright.decide.task_step import Health, Phase, Seen
from queenright.spec.service import Port

HEALTH = {"starting": Health.STARTING, "healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY}


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """An event of the engine. ``action``: die, destroy, oom or health_status; ``detail``: exit code or health."""

    container_id: str
    action: str
    detail: str
    at: int  # nanoseconds since the epoch, by the engine


class Watched:
    """One container. A container's phase only goes forward: an answer that was overtaken by an event is not
    believed."""

    def __init__(self, container_id: str) -> None:
        self.seen = Seen(container_id=container_id)
        self.stop_signal = ""
        self.events = 0  # how many were taken; an answer asked for before the last one knows less of the health
        self._news = asyncio.Event()

    async def differs(self, seen: Seen) -> Seen:
        """Wait until what is known is not ``seen``."""
        while self.seen == seen:
            self._news.clear()
            await self._news.wait()
        return self.seen

    def take_event(self, event: Event) -> None:
        """An event that is repeated changes nothing."""
        self.events += 1
        match event.action:
            case "die":
                code = int(event.detail) if event.detail.isdigit() else 0
                self._forward(dataclasses.replace(self.seen, phase=Phase.EXITED, exit_code=code))
            case "destroy":
                self.gone()
            case "oom":
                self._set(dataclasses.replace(self.seen, out_of_memory=True))
            case "health_status" if event.detail in HEALTH:
                self._set(dataclasses.replace(self.seen, health=HEALTH[event.detail]))

    def take_created(self) -> None:
        """It was created by us a moment ago."""
        self._forward(dataclasses.replace(self.seen, phase=Phase.CREATED))

    def take_answer(self, inspected: dict[str, Any], events_before: int) -> None:
        """An answer to inspect that was asked for when ``events`` stood at ``events_before``."""
        self.stop_signal = inspected.get("Config", {}).get("StopSignal") or ""
        seen = read_inspect(inspected)
        if self.events != events_before and self.seen.health != Health.NONE:
            seen = dataclasses.replace(seen, health=self.seen.health)
        if self.seen.out_of_memory:
            seen = dataclasses.replace(seen, out_of_memory=True)
        self._forward(seen)

    def gone(self) -> None:
        """It was removed. (The end of the list: nothing can come after it.)"""
        self._set(Seen(phase=Phase.ABSENT, container_id=self.seen.container_id))

    def _forward(self, seen: Seen) -> None:
        gone = self.seen.phase == Phase.ABSENT
        if not gone and seen.phase >= self.seen.phase:
            known = self.seen
            self._set(
                dataclasses.replace(
                    seen,
                    pid=seen.pid or known.pid,
                    ports=seen.ports or known.ports,
                    exit_code=known.exit_code if known.phase == Phase.EXITED else seen.exit_code,
                )
            )

    def _set(self, seen: Seen) -> None:
        if seen != self.seen:
            self.seen = seen
            self._news.set()


def read_inspect(inspected: dict[str, Any]) -> Seen:
    """``GET /containers/ID/json`` as what is seen of it."""
    state = inspected.get("State", {})
    phase = {"created": Phase.CREATED, "exited": Phase.EXITED, "dead": Phase.EXITED, "removing": Phase.EXITED}.get(
        state.get("Status", ""), Phase.RUNNING
    )
    health = HEALTH.get((state.get("Health") or {}).get("Status", ""), Health.NONE)
    return Seen(
        phase=phase,
        container_id=inspected.get("Id", ""),
        pid=state.get("Pid") or 0,
        exit_code=state.get("ExitCode") or 0,
        health=health if phase == Phase.RUNNING else Health.NONE,
        out_of_memory=bool(state.get("OOMKilled")),
        ports=_bound_ports((inspected.get("NetworkSettings") or {}).get("Ports") or {}),
    )


def _bound_ports(bound: dict[str, list[dict[str, str]] | None]) -> tuple[Port, ...]:
    """``{"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, ...]}``; one entry for both address families."""
    ports: dict[tuple[int, str, int], Port] = {}
    for key in sorted(bound):
        target, _, protocol = key.partition("/")
        for binding in bound[key] or []:
            published = int(binding.get("HostPort") or 0)
            if published:
                ports[int(target), protocol, published] = Port(
                    target_port=int(target), published_port=published, protocol=protocol, mode="host"
                )
    return tuple(ports.values())
