# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# Apache License 2.0 (see LICENSES/Apache-2.0.txt or https://www.apache.org/licenses/LICENSE-2.0)
# SPDX-License-Identifier: Apache-2.0
"""The codecs of plain values: text, numbers, durations, sizes, CPUs, maps and lists."""

from __future__ import annotations

import fractions
import re
import typing as t

from .fields import Codec

UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
SIZES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h|d)")
_SIZE = re.compile(r"^([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?$", re.IGNORECASE)


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a string, got %s" % type(value).__name__)
    return value


def _integer(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("expected an integer, got %s" % type(value).__name__)
    return value


def _number(value: t.Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("expected a number, got %s" % type(value).__name__)
    return float(value)


def _boolean(value: t.Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false, got %s" % type(value).__name__)
    return value


def _texts(value: t.Any) -> t.Tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ValueError("expected a list of strings, got %s" % type(value).__name__)
    return tuple(_text(item) for item in value)


def _map(value: t.Any) -> t.Dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("expected a map of strings, got %s" % type(value).__name__)
    return {_text(key): _text(item) for key, item in value.items()}


def _map_option(value: t.Any) -> t.Dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError("expected a dictionary, got %s" % type(value).__name__)
    return {str(key): _scalar(item) for key, item in value.items()}


def _scalar(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        raise ValueError("expected a plain value, got %s; quote it if it is meant as text" % type(value).__name__)
    return "" if value is None else str(value)


def _environment(value: t.Any) -> t.Tuple[str, ...]:
    if isinstance(value, dict):
        return tuple("%s=%s" % (key, _scalar(value[key])) for key in sorted(value))
    return _texts(value)


def _command(value: t.Any) -> t.Tuple[str, ...]:
    return tuple(_scalar(item) for item in value) if isinstance(value, (list, tuple)) else _texts(value)


def duration(text: t.Any) -> int:
    """``1h30m``, ``500ms``, ``10s``, ``90d`` or a bare number of seconds -> nanoseconds."""
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        return _whole(text, UNITS["s"])
    text = _text(text).strip()
    if re.match(r"^[0-9]+(\.[0-9]+)?$", text):
        return _whole(text, UNITS["s"])
    parts = _DURATION.findall(text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise ValueError("%r is no duration: write it as 10s, 1m30s, 2h or 90d" % text)
    return sum(_whole(n, UNITS[u]) for n, u in parts)


def duration_text(nanoseconds: int) -> str:
    """Nanoseconds -> the shortest exact text that :func:`duration` reads back."""
    if nanoseconds == 0:
        return "0s"
    out = ""
    for unit in ("h", "m", "s", "ms", "us", "ns"):
        count, nanoseconds = divmod(nanoseconds, UNITS[unit])
        if count:
            out += "%d%s" % (count, unit)
    return out


def size(text: t.Any) -> int:
    """``64M``, ``1.5G``, ``512KiB`` (all powers of 1024) or a bare number of bytes -> bytes."""
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    match = _SIZE.match(_text(text).strip())
    if not match:
        raise ValueError("%r is no size: write it as 64M, 1.5G or a number of bytes" % text)
    return _whole(match.group(1), SIZES[match.group(2).upper()])


def swap(text: t.Any) -> int:
    """As :func:`size`; ``-1`` is no limit."""
    return -1 if str(text).strip() == "-1" else size(text)


def permissions(value: t.Any) -> int:
    """Permissions of a file: a number, or its octal digits as text (``"0440"``)."""
    if isinstance(value, str):
        if not re.match(r"^(0o?)?[0-7]{1,4}$", value):
            raise ValueError("%r are no permissions: write them as '0440'" % value)
        return int(value.replace("o", ""), 8)
    return _integer(value)


def _flags(value: t.Any) -> t.Tuple[str, ...]:
    """``[["noexec"], ["uid", "1"]]`` of the Engine -> ``noexec``, ``uid=1``."""
    if not isinstance(value, (list, tuple)):
        raise ValueError("expected a list of options, got %s" % type(value).__name__)
    items = [_texts(item) for item in value]
    if not all(1 <= len(item) <= 2 and item[0] for item in items):
        raise ValueError("an option is a name, or a name and a value")
    return tuple("=".join(item) for item in items)


def size_text(count: int) -> str:
    """Bytes -> the shortest exact text that :func:`size` reads back."""
    for unit in ("T", "G", "M", "K"):
        if count and count % SIZES[unit] == 0:
            return "%d%s" % (count // SIZES[unit], unit)
    return str(count)


def _whole(number: t.Any, unit: int) -> int:
    """A decimal number of units, rounded once: a binary fraction has no room for the nanoseconds of a long time."""
    return round(fractions.Fraction(number) * unit)


def _cpus(value: t.Any) -> int:
    try:
        return int(round(float(value) * 10**9))
    except (TypeError, ValueError):
        raise ValueError("%r is no number of CPUs: write it as 0.5 or 2" % (value,)) from None


def _cpus_text(nano: int) -> float:
    return nano / 1e9


class FlagList(Codec):
    """Options of a mount: in the Engine lists of one or two texts, in playbooks ``noexec`` and ``size=1``."""

    def __init__(self) -> None:
        Codec.__init__(self, "list", _flags, elements="str", from_option=_texts, empty=())

    def to_api(self, value: t.Any) -> t.Any:
        return [item.split("=", 1) for item in value]


class Presence(Codec):
    """An empty object that says something by being there."""

    def __init__(self) -> None:
        Codec.__init__(self, "bool", _present, from_option=_boolean)

    def to_api(self, value: t.Any) -> t.Any:
        return {}


def _present(value: t.Any) -> bool:
    if not isinstance(value, dict):
        raise ValueError("expected an object, got %s" % type(value).__name__)
    return True


STR = Codec("str", _text)
WORD = Codec("str", _text, empty="")
COUNT = Codec("int", _integer, empty=0)
INT = Codec("int", _integer)
FLOAT = Codec("float", _number)
BOOL = Codec("bool", _boolean)
DURATION = Codec("str", _integer, from_option=duration, to_option=duration_text)
SIZE = Codec("str", _integer, from_option=size, to_option=size_text)
SWAP = Codec("str", _integer, from_option=swap, to_option=size_text)
PERMISSIONS = Codec("raw", _integer, from_option=permissions)
FLAGS = FlagList()
PRESENCE = Presence()
CPUS = Codec("float", _integer, from_option=_cpus, to_option=_cpus_text)
LABELS = Codec("dict", _map, from_option=_map_option, empty={})
STR_LIST = Codec("list", _texts, elements="str", empty=())
ARGV = Codec("list", _texts, elements="str", from_option=_command, empty=())
ENV = Codec("raw", _texts, from_option=_environment, empty=())
