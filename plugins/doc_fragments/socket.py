# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  socket:
    description:
      - Path of the runtime's socket on the host.
      - If not given, the environment variable E(QUEENRIGHT_SOCKET) is used, if it is set for the host.
    type: path
    default: /run/queenright/engine.sock
requirements:
  - The runtime on the host, as M(queenright.swarm.swarm_runtime) installs it. Python on the host needs no packages.
"""
