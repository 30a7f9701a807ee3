# SPDX-License-Identifier: Apache-2.0
"""The daemon: one process, one event loop, the host socket, and (where this host is in a swarm) a membership."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import grp
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from queenright import __version__
from queenright.app import logs, strictness, systemd, world
from queenright.app import settings as settings_room
from queenright.app.host import Host
from queenright.app.settings import Settings, SettingsError
from queenright.edge.http import listener
from queenright.edge.http.api.audit import AuditHandlers
from queenright.edge.http.api.errors import map_error
from queenright.edge.http.api.routes import Routes
from queenright.edge.http.engine_routes import EngineRoutes
from queenright.edge.http.listener import ListenError, Listening
from queenright.edge.http.router import Router
from queenright.edge.http.server import Server
from queenright.edge.http.upstream import Upstream
from queenright.lib import memory
from queenright.lib.tasks import Background

log = logging.getLogger(__name__)

IDLE_LOOK = 1.0
TEAR_DOWN = 1.0  # seconds of the stop timeout kept for what comes after the membership's end


class StartError(Exception):
    """The daemon cannot run here; the text says why and what to do."""


def run(settings: Settings, flags: Mapping[str, Any], config: Path | None) -> int:
    """Be the daemon until SIGTERM. ``flags`` and ``config`` are read again on SIGHUP. Gives the exit status."""
    os.umask(0o077)
    try:
        logs.configure(settings.log_level, settings.log_file)
    except OSError as error:
        print(f"queenright: the log file {settings.log_file} cannot be written: {error}", file=sys.stderr)
        return 1
    if ignored := strictness.without_proxies(os.environ):
        log.warning("proxies of the environment are ignored: %s", ", ".join(ignored))
    try:
        return asyncio.run(_Daemon(settings, flags, config).main())
    except (StartError, ListenError) as error:
        log.error("cannot start: %s", error)
        if settings.log_file is not None:
            print(f"queenright: {error}", file=sys.stderr)
        return 1


class _Daemon:
    def __init__(self, settings: Settings, flags: Mapping[str, Any], config: Path | None) -> None:
        self._settings = settings
        self._flags = flags
        self._config = config
        self._notifier = systemd.Notifier(os.environ)
        self._background = Background()
        self._stopping = asyncio.Event()
        self._loose = ""  # why what is in the state directory must not be used

    async def main(self) -> int:
        sys.setswitchinterval(0.001)  # the log's thread shall not wait 5 ms for its turn
        memory.tune()
        with self._lock():
            upstream = Upstream(str(self._settings.docker_socket))
            host = Host(self._settings, upstream, world.SystemClock())
            server = self._server(host, upstream)
            listening = self._listen()
            self._watch_signals()
            server.start(listening)
            await host.resume(self._loose)
            gc.freeze()  # what is here now stays: the collector need not look at it again
            gc.enable()
            self._notifier.tell(f"READY=1\nSTATUS={host.local_state().state}")
            log.info("ready", extra={"version": __version__, "state": host.local_state().state})
            self._background.start(self._keep_watchdog(), "watchdog")
            if listening.made is None:
                self._background.start(self._end_when_idle(host, server), "idle")
            await self._stopping.wait()
            await self._stop(host, server)
        return 0

    def _server(self, host: Host, upstream: Upstream) -> Server:
        router = Router()
        routes = Routes(host, upstream, version=__version__, forwarder=host, ids=world.ids)
        host.gateway = routes.gateway
        EngineRoutes(
            upstream,
            version=__version__,
            swarm_state=routes.swarm_state,
            swarm_info=routes.swarm_info,
            stale=routes.stale,
        ).register(router)
        routes.register(router)
        AuditHandlers(logs.keep_trail().lines).register(router)
        return Server(router, upstream, map_error=map_error)

    async def _stop(self, host: Host, server: Server) -> None:
        """New calls are refused first, then the membership goes; containers stay."""
        self._notifier.tell("STOPPING=1")
        log.info("stopping")
        signal.signal(signal.SIGALRM, _too_late)
        signal.setitimer(signal.ITIMER_REAL, self._settings.stop_timeout)
        budget = max(0.5, self._settings.stop_timeout - TEAR_DOWN)
        try:
            async with asyncio.timeout(budget):
                await server.stop(own_grace=min(3.0, budget / 3), stream_grace=0.5)
                # Containers outlive this daemon, but not the machine: then others are to take over at once.
                await host.stop(restarting=not await systemd.machine_stops())
        except TimeoutError:
            log.error("not everything ended within %s s", budget)
        await self._background.stop()

    def _listen(self) -> Listening:
        try:
            inherited = systemd.inherited_socket(os.environ)
        except OSError as error:
            raise StartError(f"descriptor {systemd.FIRST}, handed over by socket activation, is no socket: {error}")
        if inherited is not None:
            return listener.adopt(inherited)
        path = self._settings.socket
        try:
            _reachable_directory(path.parent)
        except OSError as error:
            raise StartError(f"the directory of the socket {path} cannot be made: {error}") from error
        return listener.bind(str(path), gid=self._group())

    def _group(self) -> int | None:
        try:
            return grp.getgrnam(self._settings.socket_group).gr_gid
        except KeyError:
            log.warning(
                "there is no group %s: only root may use %s", self._settings.socket_group, self._settings.socket
            )
            return None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One daemon per state directory."""
        directory = self._settings.state_dir
        try:
            self._loose = self._looseness(directory)
            handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise StartError(f"the state directory {directory} cannot be used: {error}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise StartError(
                f"another daemon uses {directory}: stop it, or give this one a --state-dir of its own"
            ) from None
        try:
            yield
        finally:
            os.close(handle)

    @staticmethod
    def _looseness(directory: Path) -> str:
        """What keeps a membership from going on shows in the status, so the daemon starts; not in a directory that is
        elsewhere.
        """
        try:
            strictness.private_state(directory)
        except strictness.LooseError as error:
            if directory.is_symlink():
                raise StartError(str(error)) from error
            return str(error)
        return ""

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        """Take a new log level and log file; what cannot change while running is said."""
        try:
            fresh = settings_room.load(self._flags, os.environ, self._config)
            logs.configure(fresh.log_level, fresh.log_file)
        except (SettingsError, OSError) as error:
            log.error("settings are kept as they were: %s", error)
            return
        kept = [
            name
            for name, value in fresh.shown().items()
            if name not in ("log_level", "log_file") and value != self._settings.shown()[name]
        ]
        log.info("settings reloaded", extra={"need_restart": kept})

    async def _end_when_idle(self, host: Host, server: Server) -> None:
        """Started by socket activation on a host that is in no swarm: end when nobody asks any more, so that who does
        not use a swarm pays nothing. The next client starts the daemon again.
        """
        idle = 0.0
        while idle < self._settings.idle_timeout:
            await asyncio.sleep(IDLE_LOOK)
            used = server.connections > 0 or host.local_state().state != "inactive"
            idle = 0.0 if used else idle + IDLE_LOOK
        log.info("nobody needs this daemon: ending until the next client comes")
        self._stopping.set()

    async def _keep_watchdog(self) -> None:
        while self._notifier.watchdog_interval is not None:
            self._notifier.tell("WATCHDOG=1")
            await asyncio.sleep(self._notifier.watchdog_interval)


def _too_late(*_: object) -> None:
    """Something that cannot be cancelled holds the end up, a thread that resolves a name say. What was answered is on
    disk, and containers stay: there is nothing to wait for.
    """
    log.error("ending without waiting any longer")
    os._exit(0)


def _reachable_directory(path: Path) -> None:
    """Make a directory whose sockets others can reach. One that is there is left as it is: it may be /run or /tmp."""
    if not path.is_dir():
        _reachable_directory(path.parent)
        path.mkdir(exist_ok=True)
        os.chmod(path, 0o755)  # noqa: S103 - members of the group have to reach the socket in it
