# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The flow of M(queenright.swarm.swarm_runtime): release, settings, service, readiness; or all of it away."""

from __future__ import annotations

import grp
import json
import os
import shutil
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.queenright.swarm.plugins.module_utils._engine import Engine, EngineError
from ansible_collections.queenright.swarm.plugins.module_utils._install import (
    PREFIX,
    InstallError,
    Releases,
    find_python,
    pip_arguments,
    write_if_changed,
)
from ansible_collections.queenright.swarm.plugins.module_utils._service_manager import (
    STATE_FILE,
    InitScript,
    Systemd,
    detect,
)

CONFIG = "/etc/queenright/config.toml"
STATE_DIR = "/var/lib/queenright"
GROUP = "docker"
_TOML_TYPES = (str, bool, int)


class RuntimeHost:
    """One run of the module. ``actions`` collects what was done or, in check mode, would be."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._params = module.params
        self._check = bool(module.check_mode)
        self._releases = Releases()
        self._engine = Engine(self._params["socket"], timeout=10)
        self._actions: t.List[str] = []
        self._before = self._releases.current()
        self._python = ""

    def run(self) -> t.Dict[str, t.Any]:
        """The module's result."""
        after = self._absent() if self._params["state"] == "absent" else self._present()
        if after is None:
            return {"changed": True, "needs_wheel": True, "release": self._before, "python": "", "actions": []}
        return {
            "changed": bool(self._actions),
            "actions": self._actions,
            "release": after,
            "python": self._python,
            "needs_wheel": False,
            "diff": {"before": {"release": self._before}, "after": {"release": after}},
        }

    # -- present

    def _present(self) -> t.Optional[str]:
        bundle = self._params["bundle"]
        if not bundle:
            raise InstallError("the wheel is not known: call this module through its action plugin, as a task does")
        release = bundle["release"]
        complete = self._releases.complete(release, bundle["digest"])
        if not complete:
            python, self._python = find_python(self._module.run_command, self._params["python"])
            if not bundle.get("path") and not self._check:
                return None
            self._actions.append("install release %s with Python %s" % (release, self._python))
            if not self._check:
                self._install(release, python, bundle)
        switched = self._before != release
        if switched and complete:
            self._actions.append("switch to release %s" % release)
        if switched and not self._check:
            self._releases.switch(release)
        self._service(new_code=switched or not complete, settings=self._settings())
        if not self._check:
            for name in self._releases.prune(self._params["keep_releases"]):
                self._actions.append("remove release %s" % name)
        return str(release)

    def _install(self, release: str, python: str, bundle: t.Dict[str, t.Any]) -> None:
        params = self._params
        house = params["wheelhouse"] if params["wheelhouse_remote"] else bundle.get("wheelhouse")
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
        self._releases.install(self._module.run_command, release, bundle["digest"], python, arguments, {})

    def _settings(self) -> bool:
        settings = self._params["settings"]
        if settings is None:
            return False
        changed = write_if_changed(CONFIG, _toml(settings), 0o640, self._check)
        if changed:
            self._actions.append("write %s" % CONFIG)
        return changed

    def _service(self, new_code: bool, settings: bool) -> None:
        manager = self._manager()
        if manager is None:
            return
        units = manager.write(self._check)
        if units:
            self._actions.append("write the service files")
        if not manager.enabled_and_started():
            self._actions.append("start the service")
            if not self._check:
                manager.start()
        elif new_code or settings or units:
            self._actions.append("restart the service")
            if not self._check:
                manager.restart()
        if not self._check:
            self._wait_ready()

    def _manager(self) -> t.Union[Systemd, InitScript, None]:
        name = self._params["service_manager"]
        name = detect() if name == "auto" else name
        if name == "none":
            return None
        if name == "systemd":
            return Systemd(self._module.run_command, PREFIX, _group())
        return InitScript(self._module.run_command, PREFIX)

    def _wait_ready(self) -> None:
        """A member is ready once it has a session with a manager; that is not waited for here, only the daemon is."""
        deadline = time.monotonic() + self._params["ready_timeout"]
        while True:
            try:
                self._engine.get("/queenright/v1/status")
                return
            except EngineError as error:
                if time.monotonic() > deadline:
                    raise InstallError(
                        "the daemon was started but does not answer: %s. Its log says why: journalctl -u queenright, or "
                        "/var/log/queenright.log where systemd does not run" % error
                    ) from None
                time.sleep(0.1)

    # -- absent

    def _absent(self) -> str:
        member = _membership()
        if member and os.path.isdir(self._releases.prefix):
            raise InstallError(
                "this host is in swarm %s: leave it first, with queenright.swarm.swarm_leave or the playbook "
                "queenright.swarm.reset" % member
            )
        for manager in (
            Systemd(self._module.run_command, PREFIX, _group()),
            InitScript(self._module.run_command, PREFIX),
        ):
            if manager.remove(self._check):
                self._actions.append("remove the service")
        if os.path.isdir(self._releases.prefix):
            self._actions.append("remove %s" % self._releases.prefix)
            if not self._check:
                self._releases.remove()
        if self._params["purge"]:
            for path in (STATE_DIR, os.path.dirname(CONFIG)):
                if os.path.isdir(path):
                    self._actions.append("remove %s" % path)
                    if not self._check:
                        shutil.rmtree(path)
        return ""


def _membership() -> str:
    """The swarm that this host is in by its state file, "" for none."""
    try:
        with open(STATE_FILE, encoding="utf-8") as handle:
            return str(json.load(handle).get("cluster_id") or "")
    except (OSError, ValueError):
        return ""


def _group() -> str:
    try:
        grp.getgrnam(GROUP)
    except KeyError:
        return "root"
    return GROUP


def _toml(settings: t.Dict[str, t.Any]) -> str:
    lines = ["# Managed by queenright.swarm.swarm_runtime."]
    for key in sorted(settings):
        value = settings[key]
        if not isinstance(value, _TOML_TYPES):
            raise InstallError("settings.%s must be a text, a number or a truth value" % key)
        lines.append("%s = %s" % (key, json.dumps(value)))
    return "\n".join(lines) + "\n"
