# SPDX-License-Identifier: Apache-2.0
"""Members talk here: gRPC servers and clients over mutual TLS, and the table of who may call what.

The only room that may import ``grpc``, and with ``wire`` the only one that imports ``wire.gen``. May not import
another edge, nor ``cryptography``: certificates come in as files and bytes.
"""

from __future__ import annotations
