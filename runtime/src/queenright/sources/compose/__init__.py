# SPDX-License-Identifier: Apache-2.0
"""Compose files of version 3 as ``docker stack deploy`` takes them, read into drafts of stacks."""

from queenright.sources.compose.reading import needs, read

__all__ = ("needs", "read")
