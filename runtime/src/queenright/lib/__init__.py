# SPDX-License-Identifier: Apache-2.0
"""Helpers that know nothing of swarms: guarded tasks, backoff, atomic files, addresses.

May not import any other room of the package, nor a third-party library.
"""

from __future__ import annotations
