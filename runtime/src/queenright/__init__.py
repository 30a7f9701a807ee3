# SPDX-License-Identifier: Apache-2.0
"""queenright: Docker's swarm mode in Python, brought to a fleet by the Ansible collection ``queenright.swarm``.

The package is a house of floors; imports go down only (``runtime/.importlinter`` holds it):

app > edge > manager | agent > decide | wire > store > model > spec > lib

Each room's docstring says what it is for and what it may not do; ``docs/design/`` has one page per floor.
"""

from __future__ import annotations

__version__ = "0.1.0"
