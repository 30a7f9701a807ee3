# SPDX-License-Identifier: Apache-2.0
"""One room for each foreign language the runtime speaks: raft, grpc, docker, kernel, pki, http.

Rooms are blind to each other; each one fulfils Protocols that ``manager`` and ``agent`` own.
"""

from __future__ import annotations
