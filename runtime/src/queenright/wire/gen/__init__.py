# SPDX-License-Identifier: Apache-2.0
"""Generated from ``runtime/proto`` by ``scripts/proto``; edited by nobody, imported by ``wire`` and ``edge.grpc`` only."""
