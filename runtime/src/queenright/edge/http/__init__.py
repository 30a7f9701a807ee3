# SPDX-License-Identifier: Apache-2.0
"""HTTP on the host socket (Docker Engine API, ``/queenright/v1``, the stream to dockerd) and the join listener.

The only room that may import ``h11``. TLS by ``ssl`` of the standard library. May not import another edge.
"""

from __future__ import annotations
