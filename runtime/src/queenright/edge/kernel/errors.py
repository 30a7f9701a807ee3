# SPDX-License-Identifier: Apache-2.0
"""What this room raises."""

from __future__ import annotations


class KernelError(Exception):
    """The kernel refused something. The text says what, where, and what to do about it."""
