# SPDX-License-Identifier: Apache-2.0
"""What is raised when an invariant does not hold."""

from __future__ import annotations


class Broken(AssertionError):  # noqa: N818 - a law, not an error of the program
    """An invariant does not hold."""
