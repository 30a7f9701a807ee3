# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Tasks whose data may stand in a file on the controller."""

from __future__ import annotations

import base64
import typing as t

from ansible.errors import AnsibleError
from ansible_collections.queenright.swarm.plugins.plugin_utils._action import ManagerAction, failure
from ansible_collections.queenright.swarm.plugins.plugin_utils._remote import Result


class SendingAction(ManagerAction):
    """The file that the option src names is sent as the option data."""

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> Result:
        source = self._task.args.get("src")
        if source is None:
            return ManagerAction.run(self, tmp, task_vars)
        if self._task.args.get("data") is not None:
            return failure("parameters are mutually exclusive: data|src")
        try:
            data = self._content(str(source))
        except (AnsibleError, OSError) as error:
            return failure("src: cannot read the file on the controller: %s" % error)
        given = {key: value for key, value in self._task.args.items() if key != "src"}
        self._task.args = dict(given, data=base64.b64encode(data).decode("ascii"), data_is_b64=True)
        return ManagerAction.run(self, tmp, task_vars)

    def _content(self, source: str) -> bytes:
        """The bytes of a file that is looked for as that of copy is, and decrypted if it is in a vault."""
        path = self._loader.get_real_file(self._find_needle("files", source), decrypt=True)
        try:
            with open(path, "rb") as file:
                return file.read()
        finally:
            self._loader.cleanup_tmp_file(path)
