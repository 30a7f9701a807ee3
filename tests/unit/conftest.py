# Copyright (c) 2026, the queenright contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets plain pytest import the checkout as ``ansible_collections.queenright.swarm``; ansible-test has its own way."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _alias_the_checkout() -> None:
    for name, path in (
        ("ansible_collections", []),
        ("ansible_collections.queenright", []),
        ("ansible_collections.queenright.swarm", [str(ROOT)]),
    ):
        package = types.ModuleType(name)
        package.__path__ = path
        sys.modules[name] = package


if "ansible_collections" not in sys.modules and importlib.util.find_spec("ansible_collections") is None:
    _alias_the_checkout()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "playbook: runs ansible-playbook; too slow for the fast lane")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who asks for the fleet runs playbooks on it."""
    for item in items:
        if "fleet" in getattr(item, "fixturenames", ()):
            item.add_marker("playbook")
