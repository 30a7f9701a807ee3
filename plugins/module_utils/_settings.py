# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The daemon's settings file, checked by the release that will read it before it is written."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._files import replace
from ansible_collections.queenright.swarm.plugins.module_utils._install import InstallError

Run = t.Callable[..., t.Tuple[int, str, str]]

_TYPES = (str, bool, int)


def to_toml(settings: t.Dict[str, t.Any]) -> str:
    """The file's text. Raises InstallError for what TOML cannot hold in one line."""
    lines = ["# Managed by queenright.swarm.swarm_runtime."]
    for key in sorted(settings):
        value = settings[key]
        if not isinstance(value, _TYPES):
            raise InstallError("settings.%s must be a text, a number or a truth value" % key)
        lines.append("%s = %s" % (key, json.dumps(value, ensure_ascii=False)))
    return "\n".join(lines) + "\n"


def refuse_bad(run: Run, program: str, text: str, path: str) -> None:
    """Let the release say whether it takes this text as ``path``. Raises InstallError in its words."""
    with tempfile.TemporaryDirectory(prefix="queenright-config") as folder:
        trial = os.path.join(folder, "config.toml")
        replace(trial, text, 0o600)
        rc, out, err = run([program, "config", "--config", trial])
    if rc != 0:
        raise InstallError((err or out).strip().replace(trial, "the option settings, as %s" % path))
