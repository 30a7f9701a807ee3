# SPDX-License-Identifier: Apache-2.0
"""``python -m queenright`` is the executable."""

from __future__ import annotations

import sys

from queenright.app.cli import main

sys.exit(main())
