# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  wait:
    description:
      - Whether to wait until the runtime says that things are as declared. Nothing is waited for in check mode.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds to wait at most. When they are over the task fails with the reasons that the runtime knows.
    type: int
    default: 300
"""
