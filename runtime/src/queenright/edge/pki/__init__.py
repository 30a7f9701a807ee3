# SPDX-License-Identifier: Apache-2.0
"""Keys, certificate requests, certificates, the root, and seals: everything that touches ``cryptography``.

The only room that may import ``cryptography``. Key bytes never reach a log or an exception. May not import another
edge. ``keys`` makes and checks keys and requests, ``authority`` issues, ``peer`` reads and verifies, ``keystore`` keeps
the node's own on disk. ``sealing`` seals what a node keeps on disk, with the keys of ``data_keys``. All times are
handed in, aware and in UTC.
"""

from __future__ import annotations
