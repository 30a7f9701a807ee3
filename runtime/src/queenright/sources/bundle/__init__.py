# SPDX-License-Identifier: Apache-2.0
"""Docker's bundles (``.dab``, version 0.1): JSON in which services name their images by digest.

Keys are matched in any letter case, as Docker 1.12 does. What it did not look at is looked at here: the version, keys
that there are not, and images that are no digests.
"""

from queenright.sources.bundle.reading import read
from queenright.sources.bundle.text import parse
from queenright.sources.bundle.writing import write

__all__ = ("parse", "read", "write")
