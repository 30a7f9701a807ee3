# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the runtime's wheel from the controller to the host, only where the module says that it is needed."""

from __future__ import annotations

import os

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.queenright.swarm.plugins.plugin_utils._wheel import WheelError, wheel_for


class ActionModule(ActionBase):
    """Asks the module first with the wheel's digest; copies and asks again if the host lacks that release."""

    TRANSFERS_FILES = True
    _requires_connection = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if arguments.get("bundle") is not None:
            raise AnsibleError("the option bundle is set by the action plugin; it is not for playbooks")
        if arguments.get("state", "present") != "present":
            result.update(self._execute_module("queenright.swarm.swarm_runtime", arguments, task_vars=task_vars))
            return result
        try:
            wheel = wheel_for(arguments.get("wheel"))
        except WheelError as error:
            raise AnsibleError(str(error)) from error
        bundle = {"release": wheel.release, "digest": wheel.digest}
        answer = self._ask(arguments, bundle, task_vars)
        if answer.get("needs_wheel") and not answer.get("failed"):
            answer = self._bring(arguments, bundle, wheel, task_vars)
        result.update(answer)
        return result

    def _ask(self, arguments, bundle, task_vars):
        given = dict(arguments, bundle=bundle)
        return self._execute_module("queenright.swarm.swarm_runtime", given, task_vars=task_vars)

    def _bring(self, arguments, bundle, wheel, task_vars):
        folder = self._make_tmp_path()
        try:
            bundle["path"] = self._copy(wheel.path, folder)
            house = arguments.get("wheelhouse")
            if house and not self._is_remote(arguments):
                bundle["wheelhouse"] = folder
                for name in sorted(os.listdir(house)):
                    if name.endswith(".whl") and name != os.path.basename(wheel.path):
                        self._copy(os.path.join(house, name), folder)
            return self._ask(arguments, bundle, task_vars)
        finally:
            self._remove_tmp_path(folder, force=True)

    def _copy(self, path, folder):
        target = self._connection._shell.join_path(folder, os.path.basename(path))
        self._transfer_file(path, target)
        self._fixup_perms2((folder, target))
        return target

    @staticmethod
    def _is_remote(arguments):
        return str(arguments.get("wheelhouse_remote", False)).lower() in ("true", "yes", "1", "on")
