# SPDX-License-Identifier: Apache-2.0
"""Texts of a Compose file that say more: durations, sizes, CPUs, command lines, pairs, and numbers as texts."""

from __future__ import annotations

import fractions
import re
from collections.abc import Mapping
from typing import Any

from queenright.sources.draft import SourceError

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"\+?(?:{_PART.pattern})+", re.ASCII)
_SIZE = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+) ?(?:([kmgtp])(?:i?b)?|b)?", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_CPUS = re.compile(r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)(/[0-9]+|e[+-]?[0-9]{1,2})?", re.IGNORECASE | re.ASCII)
_LARGEST = (1 << 63) - 1
_LONGEST = 64
_NANO = 10**9
_EXPONENT = 1_000_000


def duration(text: str, path: str) -> int:
    """``1m30s`` in nanoseconds."""
    if text in ("0", "+0"):
        return 0
    if len(text) > _LONGEST or _DURATION.fullmatch(text) is None:
        raise SourceError(path, f"{text[:_LONGEST]!r} is no duration: write it as 10s, 1m30s or 2h")
    parts = _PART.findall(text)
    total = sum(int(fractions.Fraction(number) * _UNITS[unit]) for number, unit in parts)
    return _bounded(total, text, path)


def size(text: str | int, path: str) -> int:
    """``64M`` in bytes; all letters are powers of 1024."""
    if isinstance(text, int):
        return text
    match = _SIZE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise SourceError(path, f"{text[:_LONGEST]!r} is no size: write it as 64M, 1.5G or a number of bytes")
    total = int(fractions.Fraction(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()])
    return _bounded(total, text, path)


def cpus(text: str, path: str) -> int:
    """``0.5`` in billionths of a CPU."""
    match = _CPUS.fullmatch(text) if len(text) <= _LONGEST else None
    try:
        nano = fractions.Fraction(text) * _NANO if match is not None else None
    except (ValueError, ZeroDivisionError):
        nano = None
    if nano is None:
        raise SourceError(path, f"{text[:_LONGEST]!r} is no number of CPUs: write it as '0.5' or '2'")
    if nano.denominator != 1:
        raise SourceError(path, f"{text!r} is more exact than a billionth of a CPU")
    return _bounded(int(nano), text, path)


def _bounded(number: int, text: str, path: str) -> int:
    if number > _LARGEST:
        raise SourceError(path, f"{text!r} is too large")
    return number


# -- plain values as texts


def as_text(value: object) -> str:
    """A plain value as Docker's client writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float_text(value) if isinstance(value, float) else str(value)


def _float_text(value: float) -> str:
    """The shortest digits that mean it; with an exponent below 1e-4 and from 1e6 on."""
    digits, _, exponent = repr(value).partition("e")
    if not exponent and abs(value) < _EXPONENT:
        return digits.removesuffix(".0")
    sign, digits = ("-", digits[1:]) if value < 0 else ("", digits)
    whole, _, part = digits.partition(".")
    power = len(whole) - 1 + int(exponent or 0)
    figures = (whole + part).rstrip("0")
    return f"{sign}{figures[:1]}{'.' if figures[1:] else ''}{figures[1:]}e{power:+03d}"


# -- lists and objects


def texts(value: Any) -> list[str] | None:
    """A text or a list of texts as a list."""
    if value is None:
        return None
    return [value] if isinstance(value, str) else list(value)


def pairs(value: Any) -> dict[str, str] | None:
    """``{a: b}`` or ``[a=b]`` as an object of texts."""
    found = optional_pairs(value)
    return None if found is None else {key: one or "" for key, one in found.items()}


def optional_pairs(value: Any) -> dict[str, str | None] | None:
    """The same, with None where no value is said."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {key: None if one is None else as_text(one) for key, one in value.items()}
    found: dict[str, str | None] = {}
    for item in value:
        key, sign, one = item.partition("=")
        found[key] = one if sign else None
    return found


def hosts(value: Any) -> list[str] | None:
    """``{name: address}`` or ``[name:address]`` as the latter."""
    if value is None or isinstance(value, list):
        return value
    return sorted(f"{key}:{as_text(one)}" for key, one in value.items() if one is not None)


def command(value: Any, path: str) -> list[str] | None:
    """A program and its arguments; a text is split as a shell would."""
    if value is None or isinstance(value, list):
        return value
    return split(value, path)


def split(text: str, path: str) -> list[str]:
    """The words of a command line: quotes, ``\\`` and comments as in a shell, nothing else."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"':
                if at == len(text):
                    raise SourceError(path, "the command line ends after a \\")
                _add(word, text[at])
                at += 1
            else:
                _add(word, char)
        elif char in " \t\r\n":
            if word is not None:
                words.append("".join(word))
            word = None
        elif char == "#" and word is None:
            at = _end_of_line(text, at)
        else:
            word = [] if word is None else word
            if char in "\"'":
                quote = char
            elif char == "\\":
                if at == len(text):
                    raise SourceError(path, "the command line ends after a \\")
                word.append(text[at])
                at += 1
            else:
                word.append(char)
    if quote:
        raise SourceError(path, f"a {quote} is not closed in the command line")
    return words if word is None else [*words, "".join(word)]


def _add(word: list[str] | None, char: str) -> None:
    assert word is not None, "a quote begins a word"
    word.append(char)


def _end_of_line(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found
