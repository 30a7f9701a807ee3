# SPDX-License-Identifier: Apache-2.0
"""The functions of templates, as Go has them: comparison, length, parts, labels and printing."""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus

from queenright.model.template_words import TemplateError, encoded

NAMES = frozenset("and or not eq ne lt le gt ge len slice index join print printf println html urlquery".split())
_DIRECTIVE = re.compile(r"%([-+ 0]*)(\d*)(?:\.(\d*))?(.?)", re.DOTALL)
_KINDS: dict[str, tuple[type, ...]] = {
    "s": (str,),
    "q": (str,),
    "d": (int,),
    "x": (int, str),
    "f": (int, float),
    "t": (bool,),
}
WIDEST = 100
"""Characters that a width of printf may ask for, and digits that a precision may."""
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
    if name == "printf":
        return _printf(values, text)
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


def _printf(values: Sequence[Any], text: Callable[[Any], str]) -> str:
    """What Go would print as a fault of its caller, such as a value too many, is an error."""
    if not values or not isinstance(values[0], str):
        raise TemplateError("printf takes a text with directives first, such as %s")
    rest = list(values[1:])

    def written(found: re.Match[str]) -> str:
        flags, width, precision, verb = found.groups()
        if verb == "%" and found[0] == "%%":
            return "%"
        if verb != "v" and verb not in _KINDS:
            raise TemplateError(f"printf knows %v %s %q %d %x %f %t and %%, not {found[0]!r}")
        if max(int(width or 0), int(precision or 0)) > WIDEST:
            raise TemplateError(f"printf: a width or precision is at most {WIDEST}")
        if not rest:
            raise TemplateError(f"printf: there is no value for {found[0]}")
        return _padded(_verbal(rest.pop(0), verb, flags, precision, text), flags, int(width or 0), verb)

    done = _DIRECTIVE.sub(written, values[0])
    if rest:
        raise TemplateError(f"printf: {len(rest)} of its values have no directive")
    return done


def _verbal(value: Any, verb: str, flags: str, precision: str | None, text: Callable[[Any], str]) -> str:
    if verb == "v":
        return text(value)
    if not isinstance(value, _KINDS[verb]) or (isinstance(value, bool) and verb != "t"):
        raise TemplateError(f"printf: %{verb} does not print a value of this kind; %v prints any")
    if verb == "t":
        return text(value)
    if isinstance(value, str):
        if verb == "x":
            return encoded(value)[0].hex()
        cut = value if precision is None else value[: int(precision or 0)]
        return json.dumps(cut, ensure_ascii=False) if verb == "q" else cut
    sign = "+" if "+" in flags else " " if " " in flags else ""
    digits = 6 if precision is None else int(precision or 0)
    return format(value, f"{sign}.{digits}f" if verb == "f" else sign + verb)


def _padded(written: str, flags: str, width: int, verb: str) -> str:
    if "-" in flags:
        return written.ljust(width)
    return written.zfill(width) if "0" in flags and verb in "dxf" else written.rjust(width)


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
