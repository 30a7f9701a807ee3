# SPDX-License-Identifier: Apache-2.0
"""Compose files as Docker's client parses them: the one place of the runtime that reads YAML, for a command alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from queenright.app.ask import AskError

_MAP, _BOOL, _INT, _TIME = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "bool", "int", "timestamp"))
_WHOLE = re.compile(r"^(?:[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)$")
_TRUTH = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """``22:22``, ``yes`` and dates are texts, and a key that stands twice is an error."""

    def construct_yaml_whole(self, node: Any) -> int:
        text = str(self.construct_scalar(node)).replace("_", "")
        return int(text, 0) if not re.fullmatch(r"[-+]?0[0-7]+", text) else int(text, 8)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {name} stands twice", key.start_mark)
            seen.add(name)
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rows if tag not in (_BOOL, _INT, _TIME)]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, _WHOLE, list("-+0123456789"))
_Loader.add_implicit_resolver(_BOOL, _TRUTH, list("tTfF"))
_Loader.add_constructor(_INT, _Loader.construct_yaml_whole)


def document(path: Path) -> dict[str, Any]:
    """What a file says. Raises AskError with the file, line and column."""
    try:
        found = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - a safe loader, see above
    except OSError as error:
        raise AskError(f"{path} cannot be read: {error.strerror or error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise AskError(f"{where}: this is no YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise AskError(f"{path}: this is no YAML: {str(error) or 'it is nested too deeply'}") from None
    if not isinstance(found, dict):
        raise AskError(f"{path}: a Compose file is a mapping")
    return found
