# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the runtime's wheel from the controller to the host, only where the module says that it is needed."""

from __future__ import annotations

import os
import tarfile
import tempfile
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.queenright.swarm.plugins.plugin_utils._wheel import Wheel, WheelError, wheel_for

Json = t.Dict[str, t.Any]


class ActionModule(ActionBase):
    """Asks the module first with the wheel's digest; copies and asks again if the host lacks that release."""

    TRANSFERS_FILES = False  # mostly there is nothing to bring
    _requires_connection = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[Json] = None) -> Json:
        result = t.cast("Json", super().run(tmp, task_vars))
        arguments = dict(self._task.args)
        if arguments.get("bundle") is not None:
            raise AnsibleActionFail("the option bundle is set by the action plugin; it is not for playbooks")
        if arguments.get("state", "present") != "present":
            result.update(self._ask(arguments, {}, task_vars))
            return result
        try:
            wheel = wheel_for(self._on_controller(arguments.get("wheel")))
        except WheelError as error:
            raise AnsibleActionFail(str(error)) from error
        bundle = {"bundle": {"release": wheel.release, "digest": wheel.digest}}
        answer = self._ask(arguments, bundle, task_vars)
        if answer.get("needs_wheel") and not answer.get("failed"):
            answer = self._bring(arguments, wheel, task_vars)
        result.update(answer)
        return result

    def _ask(self, arguments: Json, more: Json, task_vars: t.Optional[Json]) -> Json:
        answer = self._execute_module(
            module_name="queenright.swarm.swarm_runtime",
            module_args=dict(arguments, **more),
            task_vars=task_vars,
            wrap_async=False,
        )
        return t.cast("Json", answer)

    def _bring(self, arguments: Json, wheel: Wheel, task_vars: t.Optional[Json]) -> Json:
        bundle = {"release": wheel.release, "digest": wheel.digest}
        folder = self._make_tmp_path()
        try:
            bundle["path"] = self._copy(wheel.path, folder)
            house = self._wheelhouse(arguments)
            if house:
                with tempfile.NamedTemporaryFile(prefix="queenright-wheels", suffix=".tar") as archive:
                    _pack(house, archive.name)
                    bundle["wheelhouse"] = self._copy(archive.name, folder)
            return self._ask(arguments, {"bundle": bundle}, task_vars)
        finally:
            self._remove_tmp_path(folder, force=True)

    def _copy(self, path: str, folder: str) -> str:
        target = self._connection._shell.join_path(folder, os.path.basename(path))
        self._transfer_file(path, target)
        self._fixup_perms2((folder, target))
        return t.cast("str", target)

    def _wheelhouse(self, arguments: Json) -> t.Optional[str]:
        remote = str(arguments.get("wheelhouse_remote", False)).lower() in ("true", "yes", "1", "on", "y", "t")
        house = None if remote else self._on_controller(arguments.get("wheelhouse"))
        if house is not None and not os.path.isdir(house):
            raise AnsibleActionFail(
                "the wheelhouse %s is no directory on the controller: the playbook queenright.swarm.wheelhouse makes "
                "one; with wheelhouse_remote it is looked for on the host" % house
            )
        return house

    def _on_controller(self, path: t.Optional[str]) -> t.Optional[str]:
        return t.cast("str", self._loader.path_dwim(str(path))) if path else None


def _pack(house: str, archive: str) -> None:
    """All wheels of a folder in one file: one transfer instead of one for each."""
    names = sorted(name for name in os.listdir(house) if name.endswith(".whl"))
    if not names:
        raise AnsibleActionFail(
            "there are no wheels in %s: the playbook queenright.swarm.wheelhouse makes some" % house
        )
    with tarfile.open(archive, "w") as tar:
        for name in names:
            tar.add(os.path.join(house, name), arcname=name)
