# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of options from the option tables: one doc fragment a table, as literal text. Standard library only."""

from __future__ import annotations

import pathlib
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
FRAGMENTS = ROOT / "plugins/doc_fragments"
sys.path.insert(0, str(ROOT / "plugins/module_utils"))

from _spec import cluster, data, fields, network, service  # noqa: E402

TABLES = {
    "service_options": service.ServiceSpec,
    "swarm_options": cluster.SwarmSpec,
    "node_options": cluster.NodeSpec,
    "secret_options": data.SecretSpec,
    "config_options": data.ConfigSpec,
    "registry_options": data.RegistrySpec,
    "network_options": network.NetworkSpec,
}
WIDTH = 110
FIRST = ("description", "type", "elements", "choices", "required", "suboptions")
FRAME = '''\
# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by scripts/docs from plugins/module_utils/_spec: change the rows there.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
{options}
"""
'''


def main(arguments: list[str]) -> int:
    """Write the fragments, or with ``--check`` name those that are stale."""
    if arguments not in ([], ["--check"]):
        print("usage: scripts/docs [--check]", file=sys.stderr)
        return 2
    stale = []
    for name, table in TABLES.items():
        path = FRAGMENTS / f"{name}.py"
        text = FRAME.format(options="\n".join(options(fields.documentation(table), 2)))
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if arguments:
            stale.append(path.relative_to(ROOT))
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    for path in stale:
        print(f"{path} is stale", file=sys.stderr)
    return 1 if stale else 0


def options(documented: dict[str, Any], indent: int) -> Iterator[str]:
    """The lines of an ``options:`` mapping, in the order of the table."""
    for name, item in documented.items():
        yield f"{' ' * indent}{name}:"
        for key in FIRST:
            if key in item:
                yield from entry(key, item[key], indent + 2)


def entry(key: str, value: Any, indent: int) -> Iterator[str]:
    """The lines of one key of an option."""
    margin = " " * indent
    if key == "suboptions":
        yield f"{margin}{key}:"
        yield from options(value, indent + 2)
    elif key == "description":
        yield f"{margin}{key}:"
        for paragraph in value:
            yield f"{margin}  - >-"
            yield from textwrap.wrap(
                paragraph,
                WIDTH,
                initial_indent=f"{margin}    ",
                subsequent_indent=f"{margin}    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
    elif isinstance(value, list):
        yield f"{margin}{key}:"
        yield from (f"{margin}  - {scalar(item)}" for item in value)
    else:
        yield f"{margin}{key}: {scalar(value)}"


def scalar(value: Any) -> str:
    """A plain value; texts that YAML would read as something else are quoted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}'" if text.lower() in ("none", "null", "yes", "no", "on", "off", "true", "false") else text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
