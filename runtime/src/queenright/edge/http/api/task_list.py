# SPDX-License-Identifier: Apache-2.0
"""Tasks as JSON, each encoded once for each of its versions, so that lists of many thousands stay cheap."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from queenright.edge.http.api import render
from queenright.edge.http.messages import encode
from queenright.model.objects import Task

SPARE = 1000  # entries of tasks that are gone, before they are looked for


class TaskJson:
    """JSON text by task. An entry belongs to one frozen task and is used for no other."""

    def __init__(self) -> None:
        self._texts: dict[str, tuple[Task, bytes]] = {}

    def __len__(self) -> int:
        return len(self._texts)

    def text(self, task: Task) -> bytes:
        """The task's JSON."""
        known = self._texts.get(task.id)
        if known is not None and known[0] is task:
            return known[1]
        text = encode(render.task(task))
        self._texts[task.id] = (task, text)
        return text

    def texts(self, tasks: Iterable[Task]) -> Iterator[bytes]:
        """The JSON of each, made as it is taken."""
        return map(self.text, tasks)

    def forget_but(self, alive: int, known: Iterable[str]) -> None:
        """Drop what is no task any more once there is much of it. ``known``: the ids of the ``alive`` tasks."""
        if len(self._texts) > alive + SPARE:
            ids = set(known)
            self._texts = {key: entry for key, entry in self._texts.items() if key in ids}
