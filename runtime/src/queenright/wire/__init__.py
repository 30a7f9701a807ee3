# SPDX-License-Identifier: Apache-2.0
"""Protobuf messages of the cluster and the codec between them and the model.

``wire/gen`` is generated from ``runtime/proto`` by ``scripts/proto`` and edited by nobody; only this room and
``edge.grpc`` may import it. May import ``store``, ``model``, ``spec`` and ``lib``; knows nothing of ``decide``.
"""

from __future__ import annotations
