# SPDX-License-Identifier: Apache-2.0
"""Keys, certificate requests, certificates and the root: everything that touches ``cryptography``.

The only room that may import ``cryptography``. Key bytes never reach a log or an exception. May not import
another edge.
"""

from __future__ import annotations
