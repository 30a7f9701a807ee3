# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with keys and certificates. No message ever holds a byte of a key."""

from __future__ import annotations


class PkiError(ValueError):
    """A key, request or certificate that is not as it must be; the text says what and how to put it right."""


class CertificateExpiredError(PkiError):
    """A certificate in the chain is past its end."""


class CertificateNotYetValidError(PkiError):
    """A certificate in the chain begins in the future: one of two clocks is wrong."""


class KeyStoreError(PkiError):
    """A file of the key store is damaged, missing or not safe to use."""
