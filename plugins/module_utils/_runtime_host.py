# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The flow of M(queenright.swarm.swarm_runtime): release, settings, service, readiness; or all of it away."""

from __future__ import annotations

import contextlib
import grp
import json
import os
import shutil
import tarfile
import tempfile
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils import _docker_context, _mesh_host
from ansible_collections.queenright.swarm.plugins.module_utils._engine import DEFAULT_SOCKET, Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._files import Files
from ansible_collections.queenright.swarm.plugins.module_utils._install import (
    PREFIX,
    InstallError,
    Releases,
    pip_arguments,
)
from ansible_collections.queenright.swarm.plugins.module_utils._python import find_python
from ansible_collections.queenright.swarm.plugins.module_utils._service_manager import (
    STATE_FILE,
    InitScript,
    Systemd,
    detect,
)
from ansible_collections.queenright.swarm.plugins.module_utils._settings import refuse_bad, to_toml
from ansible_collections.queenright.swarm.plugins.module_utils._spare import agrees, await_spare, leads
from ansible_collections.queenright.swarm.plugins.module_utils._standing import LOCKED, LOCKED_WORDS
from ansible_collections.queenright.swarm.plugins.module_utils._units import LOG
from ansible_collections.queenright.swarm.plugins.module_utils._unlocking import UNLOCK_TIMEOUT

CONFIG = "/etc/queenright/config.toml"
STATE_DIR = "/var/lib/queenright"
GROUP = "docker"

Manager = t.Union[Systemd, InitScript]


class RuntimeHost:
    """One run of the module. ``actions`` collects what was done or, in check mode, would be."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._params = module.params
        self._check = bool(module.check_mode)
        self._files = Files(self._check)
        self._releases = Releases(PREFIX)
        self._engine = Engine(self._params["socket"], timeout=10)
        self._actions = []  # type: t.List[str]
        self._refused = ""  # why a manager stays locked though there is a key
        self._before = self._releases.current()
        self._python = ""
        self._agreed = False  # with the other managers, before a restart

    def run(self) -> t.Dict[str, t.Any]:
        """The module's result. Raises InstallError, PythonMissingError."""
        after = self._absent() if self._params["state"] == "absent" else self._present()
        needs_wheel = after is None
        release = {"before": "release %s\n" % self._before, "after": "release %s\n" % after}
        return {
            "changed": bool(self._actions) or needs_wheel,
            "actions": self._actions,
            "release": self._before if after is None else after,
            "python": self._python,
            "needs_wheel": needs_wheel,
            "leads": os.path.exists(STATE_FILE) and leads(self._engine),
            "network_packages": _mesh_host.packages() if self._wants_mesh() else [],
            "diff": ([release] if after is not None and self._before != after else []) + self._files.diffs,
        }

    # -- present

    def _present(self) -> t.Optional[str]:
        bundle = self._params["bundle"]
        if not bundle:
            raise InstallError("the wheel is not known: call this module through its action plugin, as a task does")
        release, digest = str(bundle["release"]), bundle["digest"]
        if not self._releases.complete(release, digest):
            python = find_python(self._module.run_command, self._params["python"])
            if not bundle.get("path") and not self._check:
                return None
            self._actions.append("install release %s with Python %s" % (release, python[1]))
            self._python = python[1]
            if not self._check:
                self._install(release, python, bundle)
        else:
            self._python = self._releases.marker(release).get("python", "")
        settings = self._settings(release)
        if not self._params["activate"]:
            return self._before
        if self._wants_mesh():  # before the daemon makes links
            self._actions += _mesh_host.keep_off(self._module.run_command, self._files, self._check)
        self._take_over(release, settings)
        self._context()
        for name in self._releases.superfluous(self._params["keep_releases"], release):
            self._actions.append("remove release %s" % name)
            if not self._check:
                self._releases.discard(name)
        return release

    def _install(self, release: str, python: t.Tuple[str, str], bundle: t.Dict[str, t.Any]) -> None:
        params = self._params
        with self._releases.locked(), tempfile.TemporaryDirectory(prefix="queenright-wheels") as folder:
            if self._releases.complete(release, bundle["digest"]):
                return  # whoever held the lock has done it
            house = params["wheelhouse"] if params["wheelhouse_remote"] else None
            if bundle.get("wheelhouse"):
                _unpack(bundle["wheelhouse"], folder)
                house = folder
            if house and not os.path.isdir(house):
                raise InstallError("the wheelhouse %s is no directory on this host" % house)
            arguments = pip_arguments(
                bundle["path"],
                house,
                params["index_url"],
                params["extra_index_urls"],
                params["index_ca_cert"],
                params["proxy"],
            )
            self._releases.install(self._module.run_command, release, bundle["digest"], python, arguments)

    def _settings(self, release: str) -> t.Optional[str]:
        """The text of the settings file, None where the playbook leaves it alone. Raises InstallError."""
        if self._params["settings"] is None:
            return None
        text = to_toml(self._params["settings"])
        program = os.path.join(self._releases.path(release), "venv/bin/queenright")
        if os.path.exists(program):
            refuse_bad(self._module.run_command, program, text, CONFIG)
        return text

    def _take_over(self, release: str, settings: t.Optional[str]) -> None:
        """Switch, write settings and service files, (re)start. A release that does not come up is taken back."""
        switched = self._before != release
        fresh = switched or self._releases.unused(release) or any(what.startswith("install") for what in self._actions)
        if os.path.exists(STATE_FILE) and (fresh or self._rewrites(settings)):
            patience = 0 if self._check else self._params["ready_timeout"]
            self._agreed = await_spare(self._engine, self._params["keep_quorum"], patience)
        if switched and self._before:
            self._actions.append("switch from release %s to %s" % (self._before, release))
        if switched and not self._check:
            self._releases.switch(release)
        if settings is not None and self._files.write(CONFIG, settings, 0o640):
            self._actions.append("write %s" % CONFIG)
            fresh = True
        manager = self._manager(self._files)
        try:
            if manager is not None:
                self._service(manager, fresh)
            if not self._check:
                self._releases.used(release)
        except InstallError as error:
            if not switched or not self._releases.marker(self._before):
                raise
            self._releases.switch(self._before)
            if manager is not None:
                manager.restart()
            raise InstallError("%s\nThe host runs release %s again" % (error, self._before)) from None

    def _rewrites(self, settings: t.Optional[str]) -> bool:
        """Whether settings or service files are about to change."""
        probe = Files(check=True)
        manager = self._manager(probe)
        changed = settings is not None and probe.write(CONFIG, settings, 0o640)
        return changed or (manager is not None and manager.write())

    def _service(self, manager: Manager, fresh: bool) -> None:
        written = manager.write()
        if written:
            self._actions.append("write the service files")
        runs = manager.enabled_and_started()
        if runs and not fresh and not written:
            return
        self._actions.append("restart the service" if runs else "start the service")
        if self._check:
            return
        try:
            if runs:
                manager.restart()
            else:
                manager.start()
        except InstallError as error:
            raise InstallError("%s\nThe daemon's log ends with:\n%s" % (error, manager.last_words())) from None
        self._wait_ready(manager)

    def _wait_ready(self, manager: Manager) -> None:
        """The daemon shall answer, a member have kept its membership, and a manager agree with the others again."""
        deadline = time.monotonic() + self._params["ready_timeout"]
        while True:
            try:
                status = self._engine.get("/queenright/v1/status")
                if status.get("state") == LOCKED and self._unlocked():
                    continue
                if not self._agreed or agrees(status) or status.get("state") in ("error", LOCKED):
                    break
                if time.monotonic() > deadline:
                    raise InstallError("the daemon was started, but its manager does not hear from the others")
                time.sleep(0.1)
            except EngineError as error:
                if time.monotonic() > deadline or manager.given_up():
                    words = "the daemon was started and does not answer: %s. Its log ends with:\n%s"
                    raise InstallError(words % (error, manager.last_words() or "nothing")) from None
                time.sleep(0.1)
        if status.get("state") == "error":
            raise InstallError("the daemon runs, but it cannot go on in its swarm: %s" % status.get("error"))
        if status.get("state") == LOCKED:
            self._module.warn("after its restart, %s%s" % (LOCKED_WORDS, self._refused))

    def _unlocked(self) -> bool:
        """Give a manager that was restarted the unlock key, if the task has one. It goes on when this returns."""
        if not self._params["unlock_key"]:
            return False
        try:
            self._engine.post("/swarm/unlock", {"UnlockKey": self._params["unlock_key"]}, timeout=UNLOCK_TIMEOUT)
        except EngineError as error:
            self._refused = ". The unlock key of the task did not help: %s" % error
            return False
        self._actions.append("unlock this host")
        return True

    def _manager(self, files: Files) -> t.Optional[Manager]:
        name = self._params["service_manager"]
        name = detect() if name == "auto" else name
        return None if name == "none" else self._managers(files)[name]

    def _managers(self, files: Files) -> t.Dict[str, Manager]:
        command = "%s/current/venv/bin/queenright run" % PREFIX
        socket = self._params["socket"]
        if socket != DEFAULT_SOCKET:
            command += " --socket %s" % socket
        run = self._module.run_command
        return {
            "systemd": Systemd(run, files, command, socket, _group()),
            "sysv": InitScript(run, files, command),
        }

    def _context(self) -> None:
        if not self._params["docker_context"] or not _docker_context.docker_is_there():
            return
        if _docker_context.write(self._files, _docker_context.root_home(), self._params["socket"]):
            self._actions.append("write the docker context %s" % _docker_context.NAME)

    def _wants_mesh(self) -> bool:
        return bool(self._params["mesh"]) and self._params["state"] == "present"

    # -- absent

    def _absent(self) -> str:
        member = _membership()
        managers = [manager for manager in self._managers(self._files).values() if manager.there()]
        installed = os.path.isdir(self._releases.prefix)
        if member and (installed or managers or self._params["purge"]):
            raise InstallError(
                "this host is in swarm %s: let it leave first, with queenright.swarm.swarm_leave or the playbook "
                "queenright.swarm.reset" % member
            )
        for manager in managers:
            self._actions.append("remove the service")
            manager.remove(self._check)
            if not self._check:
                _remove_socket(self._params["socket"])
        if installed:
            self._actions.append("remove %s" % self._releases.prefix)
            if not self._check:
                self._releases.remove()
        if _docker_context.remove(self._files, _docker_context.root_home(), self._check):
            self._actions.append("remove the docker context %s" % _docker_context.NAME)
        self._actions += _mesh_host.let_go(self._module.run_command, self._files, self._check)
        if self._params["purge"]:
            self._purge()
        return ""

    def _purge(self) -> None:
        for path in (STATE_DIR, os.path.dirname(CONFIG)):
            if os.path.isdir(path):
                self._actions.append("remove %s" % path)
                if not self._check:
                    shutil.rmtree(path)
        if os.path.lexists(LOG):
            self._actions.append("remove %s" % LOG)
            if not self._check:
                os.unlink(LOG)


def _remove_socket(path: str) -> None:
    """systemd leaves the file behind, and a folder that was made for it."""
    with contextlib.suppress(OSError):
        os.unlink(path)
        os.rmdir(os.path.dirname(path))


def _membership() -> str:
    """The swarm that this host is in by its state file, "" for none."""
    try:
        with open(STATE_FILE, encoding="utf-8") as handle:
            return str(json.load(handle).get("cluster_id") or "of an unknown id")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError):
        return "of an unknown id (%s cannot be read)" % STATE_FILE


def _group() -> str:
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        return "root"
    return GROUP


def _unpack(archive: str, folder: str) -> None:
    """The wheels of a tar file that the action plugin made, side by side into a folder."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            source = tar.extractfile(member)
            if source is not None:
                with source, open(os.path.join(folder, os.path.basename(member.name)), "wb") as target:
                    shutil.copyfileobj(source, target)
