# SPDX-License-Identifier: GPL-3.0-or-later
"""Nox sessions for those who are used to them; ``scripts/test`` is what they run, in its own venv."""

from __future__ import annotations

import nox

nox.options.sessions = ["fast"]


@nox.session(venv_backend="none")
def fast(session: nox.Session) -> None:
    """Formatting, types, walls, unit tests."""
    session.run("scripts/test", "--fast", *session.posargs, external=True)


@nox.session(venv_backend="none")
def full(session: nox.Session) -> None:
    """Everything that a change must pass (as root on a Debian)."""
    session.run("scripts/test", *session.posargs, external=True)
