# SPDX-License-Identifier: Apache-2.0
"""The functions of templates, as Go has them: comparison, length, parts, labels and printing."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from queenright.model.template_words import TemplateError, encoded

NAMES = frozenset("and or not eq ne lt le gt ge len slice index join print println html urlquery".split())
_ORDERS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
_HTML = str.maketrans({'"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd"})


def call(name: str, values: Sequence[Any], trial: bool, text: Callable[[Any], str]) -> Any:
    """The value of a function. ``text`` writes a value. Raises TemplateError, which never quotes a value."""
    least, most = {"not": (1, 1), "len": (1, 1), "eq": (2, 1 << 30), "slice": (1, 3), "index": (1, 2)}.get(
        name, (2, 2) if name in _ORDERS or name == "ne" else (0, 1 << 30)
    )
    if not least <= len(values) <= most:
        raise TemplateError(f"{name} does not take {len(values)} value{'s' * (len(values) != 1)}")
    if name == "not":
        return not values[0]
    if name in ("eq", "ne"):
        return any(_equal(name, values[0], other) for other in values[1:]) == (name == "eq")
    if name in _ORDERS:
        return _less(name, values[0], values[1])
    if name == "len":
        if not isinstance(values[0], (str, Mapping)):
            raise TemplateError("len is of a text or of labels")
        return len(encoded(values[0])[0]) if isinstance(values[0], str) else len(values[0])
    if name == "index":
        if not isinstance(values[0], Mapping) or not all(isinstance(key, str) for key in values[1:]):
            raise TemplateError('write it as {{index .Service.Labels "key"}}')
        return values[0].get(values[1], "") if len(values) > 1 else values[0]
    if name == "slice":
        return _slice(values[0], values[1:], trial)
    if name == "join":
        if not all(isinstance(value, str) for value in values):
            raise TemplateError("join takes texts only")
        return values[0].join(values[1:])
    if name == "println":
        return " ".join(text(value) for value in values) + "\n"
    printed = _print(values, text)
    return {"html": lambda: printed.translate(_HTML), "urlquery": lambda: _query(printed)}.get(name, lambda: printed)()


def _query(text: str) -> str:
    return quote_plus(encoded(text)[0])


def _print(values: Sequence[Any], text: Callable[[Any], str]) -> str:
    out = ""
    for at, value in enumerate(values):
        spaced = at and not isinstance(value, str) and not isinstance(values[at - 1], str)
        out += (" " if spaced else "") + text(value)
    return out


def _equal(name: str, one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    if type(one) is not type(other) or not isinstance(one, (str, int, float)):
        raise TemplateError(f"{name}: values of different kinds, or groups of them, cannot be compared")
    return bool(one == other)


def _less(name: str, one: Any, other: Any) -> bool:
    if type(one) is not type(other) or isinstance(one, bool) or not isinstance(one, (str, int, float)):
        raise TemplateError(f"{name}: only two texts or two numbers of one kind have an order")
    if isinstance(one, str):
        one, other = encoded(one)[0], encoded(other)[0]
    return bool(_ORDERS[name](one, other))


def _slice(text: Any, bounds: Sequence[Any], trial: bool) -> str:
    if not isinstance(text, str) or not all(type(bound) is int for bound in bounds):
        raise TemplateError("slice takes a text and at most two numbers")
    data, errors = encoded(text)
    start = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(data)
    if not 0 <= start <= end <= len(data) and not trial:
        raise TemplateError("slice: the bounds are outside of the text")
    try:
        return data[start:end].decode("utf-8", "strict" if data.isascii() or errors != "surrogateescape" else errors)
    except UnicodeDecodeError:
        raise TemplateError("slice: a bound is within a character") from None
