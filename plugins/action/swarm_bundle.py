# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The swarm_bundle task: read on the controller what it names, then done where there is a manager."""

from __future__ import annotations

from ansible_collections.queenright.swarm.plugins.plugin_utils._sources import Json, SourceError, StackAction


class ActionModule(StackAction):
    """The file that the option src names is sent as the option content."""

    module = "swarm_bundle"

    def prepared(self, given: Json) -> Json:
        source = given.pop("src", None)
        if source is not None:
            if given.get("content") is not None:
                raise SourceError("content and src exclude each other")
            try:
                given["content"] = self.content(str(source)).decode("utf-8")
            except UnicodeDecodeError as error:
                raise SourceError("%s is no bundle: %s" % (source, error)) from error
        return self.noted(given)
