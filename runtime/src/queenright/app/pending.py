# SPDX-License-Identifier: Apache-2.0
"""A join that is wanted by both sides and cannot be granted yet, since nobody can sign: it goes on by itself.

It is on disk until it ends, so that it outlives the daemon. It ends when the node has joined, when somebody says no for
good, or when it is given up by leaving.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from queenright.app.state import StateError
from queenright.lib import atomic
from queenright.lib.backoff import Backoff
from queenright.manager.ports import JoinOptions
from queenright.model.errors import Refusal

log = logging.getLogger(__name__)

MAGIC = "queenright-join"
AGAIN_FIRST = 0.5  # seconds before it is tried again; longer each time
AGAIN_MOST = 10.0
_TEXTS = ("secret", "listen_addr", "advertise_addr", "data_path_addr", "availability")


def may_pass(error: BaseException) -> bool:
    """Whether the same join may be granted later, with nobody changing what was asked for."""
    return isinstance(error, Refusal) and error.code == "Unavailable"


class LastingJoin:
    """Tries until it is done, or until it cannot be. ``once`` is one try, ``dice`` gives numbers in [0, 1).

    ``problem`` is why it waits, ``ended`` why the last one came to nothing. ``join.json`` in the state directory (0600)
    holds what is asked for, and a secret, for as long as it lasts.
    """

    def __init__(
        self, directory: Path, once: Callable[[JoinOptions], Awaitable[None]], dice: Callable[[], float]
    ) -> None:
        self.path = directory / "join.json"
        self.problem = ""
        self.ended = ""
        self._once = once
        self._dice = dice
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        return self._task is not None

    def begin(self, options: JoinOptions, problem: str) -> None:
        """Go on after a try that failed by ``problem``; durable when this returns. Raises OSError."""
        data = json.dumps({"magic": MAGIC, **dataclasses.asdict(options)})
        atomic.replace_file(self.path, data.encode())
        self._start(options, problem)

    def resume(self) -> None:
        """Go on with what the last daemon of this host was at. Raises StateError."""
        if (options := self._load()) is not None:
            self._start(options, "")

    async def wait(self, seconds: float) -> bool:
        """Whether it is done within that time. Raises what nothing can be done about."""
        if (task := self._task) is None:
            return True
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if self._failure is not None and done:
            raise self._failure
        return bool(done) and not task.cancelled()

    async def stop(self) -> None:
        """Try no more until the next start; a try that is under way is undone."""
        if (task := self._task) is not None:
            task.cancel()
            await asyncio.wait({task})

    async def give_up(self) -> bool:
        """Whether there was one, and it is over without a membership. Raises OSError."""
        if (task := self._task) is None:
            return False
        await self.stop()
        if not task.cancelled():  # it was done at the last moment, one way or the other
            return self._failure is not None
        self._task = None
        self.forget()
        return True

    def forget(self) -> None:
        """Leave nothing of it. Raises OSError."""
        self.ended = ""
        atomic.shred_file(self.path)

    def _start(self, options: JoinOptions, problem: str) -> None:
        self.problem, self.ended, self._failure = problem, "", None
        self._task = asyncio.get_running_loop().create_task(self._run(options), name="joining")

    async def _run(self, options: JoinOptions) -> None:
        pause = Backoff(lambda: 0.5 + self._dice() / 2, first=AGAIN_FIRST, most=AGAIN_MOST)
        if self.problem:
            await asyncio.sleep(pause.next())
        while True:
            try:
                await self._once(options)
                break
            except Exception as error:
                if not may_pass(error):
                    log.error("this node cannot join: %s", error)
                    self._failure, self.ended = error, str(error)
                    break
                if str(error) != self.problem:
                    log.warning("this node cannot join yet, and tries again: %s", error)
                self.problem = str(error)
            await asyncio.sleep(pause.next())
        self._task = None
        try:
            atomic.shred_file(self.path)
        except OSError as error:
            log.error("%s, which holds a join token, cannot be removed: %s", self.path, error)

    def _load(self) -> JoinOptions | None:
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StateError(f"{self.path} cannot be read ({error}): leave with force, then join again") from error
        remotes = data.get("remote_addrs") if isinstance(data, dict) and data.get("magic") == MAGIC else None
        texts = {name: data.get(name) for name in _TEXTS} if isinstance(remotes, list) else {}
        if not isinstance(remotes, list) or not all(isinstance(text, str) for text in [*remotes, *texts.values()]):
            raise StateError(f"{self.path} is damaged: leave with force, then join again")
        return JoinOptions(remote_addrs=tuple(remotes), **texts)
