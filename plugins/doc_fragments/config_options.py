# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by scripts/docs from plugins/module_utils/_spec: change the rows there.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  labels:
    description:
      - >-
        Labels of the config.
    type: dict
  template_driver:
    description:
      - >-
        Template language of the data; none takes the data as it is.
    type: str
    choices:
      - golang
"""
