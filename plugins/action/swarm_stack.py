# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_stack task: read on the controller what it names, then done where there is a manager."""

from __future__ import annotations

import typing as t

from ansible_collections.queenright.swarm.plugins.plugin_utils._sources import SECTIONS, Json, StackAction, plain


class ActionModule(StackAction):
    """Compose files become documents; what they name, and data, goes beside them."""

    module = "swarm_stack"

    def prepared(self, given: Json) -> Json:
        contents = {}  # type: Json
        compose = given.get("compose")
        if compose is not None:
            documents, folder = self._documents(compose if isinstance(compose, list) else [compose])
            given["compose"] = documents
            contents.update(self.named_files(documents, folder, given.get("variables") or {}))
        for section in SECTIONS:
            if section in given:
                given[section] = self.taken_out(given[section], section, contents)
        if contents:
            given["contents"] = contents
        return self.noted(given)

    def _documents(self, sources: t.List[t.Any]) -> t.Tuple[t.List[Json], str]:
        documents = []  # type: t.List[Json]
        folders = []  # type: t.List[str]
        for source in sources:
            if isinstance(source, dict):
                documents.append(plain(source))
                folders.append(str(self.vars.get("playbook_dir") or "."))
            else:
                document, folder = self.document(str(source))
                documents.append(document)
                folders.append(folder)
        return documents, folders[0] if folders else "."
