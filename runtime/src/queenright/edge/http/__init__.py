# SPDX-License-Identifier: Apache-2.0
"""HTTP on the host socket (Docker Engine API, ``/queenright/v1``, the stream to dockerd) and the join listener.

The only room that may import ``h11``. TLS by ``ssl`` of the standard library. May not import another edge.

The way of a request on the host socket: ``listener`` (the file) -> ``server`` (accepts, stops) -> ``connection`` (one
client, request by request; ``heads`` and ``framing`` say what a request is and where it ends) -> ``router``: a route
of ours (``messages``, ``filters``, ``errors``; answered by ``writing``), or ``proxy`` to dockerd. ``upstream`` is
dockerd as our own handlers ask it, ``engine_routes`` the answers that are made of both. ``stream`` is the one socket
class below all that.
"""

from __future__ import annotations
