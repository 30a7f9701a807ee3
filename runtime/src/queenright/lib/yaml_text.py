# SPDX-License-Identifier: Apache-2.0
"""YAML for people and for Ansible, written from plain values. Nothing here reads YAML.

What only looks like a number, a truth value or a date is quoted. Text with Ansible's template marks is marked
``!unsafe``, so that it arrives as it is; an :class:`Expression` is a template that Ansible shall evaluate.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+=-]*(?:[: ][A-Za-z0-9_./@+=-]+)*", re.ASCII)
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_LONGEST_PLAIN = 120


class Expression(str):
    """A template that Ansible evaluates."""


def dump(value: Any) -> str:
    """A document's text."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [line for key, item in value.items() for line in _entry(_scalar(str(key), key=True) + ":", item)]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return [line for item in value for line in _item(item)]
    return [_scalar(value)]


def _entry(head: str, value: Any) -> list[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        return [head, *(f"  {line}" if line else line for line in _lines(value))]
    if _is_block(value):
        return _block(head, value)
    return [f"{head} {_scalar(value)}"]


def _item(value: Any) -> list[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        first, *rest = _lines(value)
        return [f"- {first}", *(f"  {line}" if line else line for line in rest)]
    return _block("-", value) if _is_block(value) else [f"- {_scalar(value)}"]


def _is_block(value: Any) -> bool:
    """Whether it is text of several lines that can stand as it is: it begins with no space, ends with no more than one
    break, and no line is of spaces alone.
    """
    if not isinstance(value, str) or isinstance(value, Expression):
        return False
    lines = value.removesuffix("\n").split("\n")
    return (
        len(lines) > 1
        and lines[0][:1].strip() != ""
        and lines[-1] != ""
        and all(line.strip() or not line for line in lines)
        and all(_printable(character) or character in "\n\t" for character in value)
    )


def _block(head: str, value: str) -> list[str]:
    mark = "!unsafe " if _TEMPLATE.search(value) else ""
    end = "" if value.endswith("\n") else "-"
    return [f"{head} {mark}|{end}", *(f"  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))]


def _scalar(value: Any, *, key: bool = False) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return json.dumps(value) if isinstance(value, int) else _float(value)
    if isinstance(value, Expression):
        return _quoted(value)
    if isinstance(value, str):
        if _TEMPLATE.search(value) and not key:
            return f"!unsafe {_quoted(value)}"
        return value if _is_plain(value) else _quoted(value)
    return "{}" if isinstance(value, Mapping) else "[]"


def _is_plain(text: str) -> bool:
    """Whether it needs no quotes: it begins with a letter or a slash, and is no word that YAML takes for something."""
    return (
        len(text) <= _LONGEST_PLAIN
        and _PLAIN.fullmatch(text) is not None
        and text.lower() not in _WORDS
        and not text.startswith("=")
    )


def _float(value: float) -> str:
    """Never with an exponent and no point, which YAML 1.1 takes for text."""
    text = repr(value)
    mantissa, exponent = text.partition("e")[::2]
    if exponent and "." not in mantissa:
        mantissa += ".0"
    return f"{mantissa}e{exponent if exponent[0] in '+-' else '+' + exponent}" if exponent else text


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if named is not None:
        return named
    if _printable(character):
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _printable(character: str) -> bool:
    """Whether it may stand in YAML without an escape; breaks of lines and marks of byte order are not among it."""
    code = ord(character)
    return (
        0x20 <= code <= 0x7E
        or (0xA0 <= code <= 0xD7FF and code not in (0x2028, 0x2029))
        or (0xE000 <= code <= 0xFFFD and code != 0xFEFF)
        or 0x10000 <= code <= 0x10FFFF
    )
