# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine behind the executor's Protocol: pull, create, start, stop, events.

The only room that may import ``docker``. Its threads hand over frozen values to the loop. May not import
another edge.
"""

from __future__ import annotations
