# SPDX-License-Identifier: Apache-2.0
"""The kernel's side of the host: links, addresses, modules.

The only room that may import ``pyroute2``. May not import another edge.
"""

from __future__ import annotations
