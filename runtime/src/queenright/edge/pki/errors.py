# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with keys and certificates. No message ever holds a byte of a key."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import DuplicateExtension, InvalidVersion, UnsupportedGeneralNameType

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    InvalidVersion,
    DuplicateExtension,
    UnsupportedGeneralNameType,
)
"""What ``cryptography`` raises when it reads what somebody else has written; the last three are no ValueErrors."""


class PkiError(ValueError):
    """A key, request or certificate that is not as it must be; the text says what and how to put it right."""


class CertificateExpiredError(PkiError):
    """A certificate in the chain is past its end."""


class CertificateNotYetValidError(PkiError):
    """A certificate in the chain begins in the future: one of two clocks is wrong."""


class KeyStoreError(PkiError):
    """A file of the key store is damaged, missing or not safe to use."""


class LockedError(KeyStoreError):
    """What is asked for is closed, and the unlock key was not given yet."""

    def __init__(self, path: object) -> None:
        super().__init__(f"the keys of this host are locked ({path}): unlock it first")


class WrongKeyError(PkiError):
    """The unlock key is not the one of this lock, which is whole."""
