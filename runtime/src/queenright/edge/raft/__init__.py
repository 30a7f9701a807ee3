# SPDX-License-Identifier: Apache-2.0
"""The replicated log: fulfils the manager's proposer with PySyncObj over an fsynced log of our own.

The only room that may import ``pysyncobj``. May not import another edge.
"""

from __future__ import annotations
