# SPDX-License-Identifier: Apache-2.0
"""The names' service of each network: answers from the table of names, and asks the host's resolvers for the rest.

It is given sockets that are open already, and imports no library. May not import another edge.
"""

from __future__ import annotations
