# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages tell the truth about the tree: links lead somewhere, each floor has its page, named rooms exist."""

from __future__ import annotations

import pathlib
import re

import pytest

from lint import house

FLOORS = ("lib", "spec", "model", "store", "decide", "wire", "manager", "agent", "edge", "app")
PAGES = [path for path in house.files() if path.suffix == ".md"]
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
ROOM_FILE = re.compile(r"`((?:lib|spec|model|store|decide|wire|manager|agent|edge|app)/[\w/]+(?:\.py)?)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(house.ROOT)))
def test_links_lead_somewhere(page: pathlib.Path) -> None:
    dead = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert not dead


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [("modules", "plugins/modules/*.py"), ("roles", "roles/*/meta"), ("playbooks", "playbooks/*.yml")],
)
def test_the_readme_lists_what_is_in_the_collection(kind: str, pattern: str) -> None:
    row = re.search(rf"^\| {kind} \|(.*)\|$", (house.ROOT / "README.md").read_text(), re.MULTILINE)
    assert row is not None
    found = {path.parent.name if path.is_dir() else path.stem for path in house.ROOT.glob(pattern)}
    assert set(re.findall(r"`(\w+)`", row[1])) == found - {"__init__"}


@pytest.mark.parametrize("floor", FLOORS)
def test_each_floor_has_its_page_and_its_rooms_say_what_they_are_for(floor: str) -> None:
    page = house.ROOT / f"docs/design/{floor}.md"
    assert page.read_text().startswith(f"# {floor}"), f"{page} has no such title"
    doc = (house.PACKAGE / floor / "__init__.py").read_text()
    assert len(doc.split('"""')[1]) > 80


@pytest.mark.parametrize(
    "page", [house.ROOT / "runtime/README.md", *sorted((house.ROOT / "docs/design").glob("*.md"))], ids=lambda p: p.stem
)
def test_pages_name_rooms_that_exist(page: pathlib.Path) -> None:
    gone = [name for name in ROOM_FILE.findall(page.read_text()) if not (house.PACKAGE / name).exists()]
    assert not gone, f"{page.relative_to(house.ROOT)} names what is not there: {gone}"
