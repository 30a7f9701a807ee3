# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The error of all that reads the tables, apart from them: who has none to read does not load them."""

from __future__ import annotations


class SpecError(ValueError):
    """A value that cannot be taken.

    ``path`` names the key (``TaskTemplate.Resources.Limits.Pids``), ``reason`` says what is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        ValueError.__init__(self, "%s: %s" % (path, reason) if path else reason)
        self.path = path
        self.reason = reason
