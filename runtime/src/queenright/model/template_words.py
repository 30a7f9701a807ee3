# SPDX-License-Identifier: Apache-2.0
"""Literals of the template language, as Go writes them, and the error that all of it raises."""

from __future__ import annotations

import math
import re

_ESCAPE = re.compile(
    r'\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))', re.S
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class TemplateError(ValueError):
    """A placeholder that cannot be expanded. The text quotes it and names what there is; ``at`` is where it begins."""

    at = 0


class MissingTargetError(TemplateError):
    """A placeholder names a file that the task does not have. The text says no more than that."""


def unquote(literal: str) -> str:
    """What a string literal stands for, in double quotes or in backquotes. Raises TemplateError."""
    if literal.startswith("`"):
        return literal[1:-1].replace("\r", "")
    return _text(literal, literal[1:-1])


def number(literal: str) -> int | float:
    """The value of a number, or of a character in single quotes. Raises TemplateError."""
    if literal.startswith("'"):
        inside = literal[1:-1]
        text = "'" if inside == "\\'" else '"' if inside == '"' else _text(literal, inside)
        if len(text) != 1:
            raise TemplateError(f"{literal[:50]} is not one character")
        return ord(text)
    digits = literal.lstrip("+-")
    try:
        if re.fullmatch(r"0[0-7_]+", digits):
            value: int | float = int(digits, 8) * (-1 if literal[0] == "-" else 1)
        elif re.fullmatch(r"0[xXbBoO]\w+|[\d_]+", digits):
            value = int(literal, 0)
        else:
            value = float(literal)
    except ValueError:
        raise TemplateError(f"{literal[:50]} is no number") from None
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise TemplateError(f"{literal[:50]} is too large a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise TemplateError(f"{literal[:50]} is too large a number")
    return value


def encoded(text: str) -> tuple[bytes, str]:
    """(the bytes of a text, how they are decoded to it again); bytes that were no text count one each."""
    try:
        return text.encode("utf-8", "surrogateescape"), "surrogateescape"
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass"), "surrogatepass"


def _text(literal: str, inside: str) -> str:
    def replace(match: re.Match[str]) -> str:
        plain, byte, octal, short, long, _ = match.groups()
        if plain:
            return _PLAIN.get(plain, plain)
        if byte or octal:
            code = int(byte, 16) if byte else int(octal, 8)
            if code < 256:
                return chr(code) if code < 128 else chr(0xDC00 + code)
        elif short or long:
            code = int(short or long, 16)
            if code < 0x110000 and not 0xD800 <= code < 0xE000:
                return chr(code)
        raise TemplateError(f"{literal[:50]} is no string: it has no escape {match[0][:10]}")

    text = _ESCAPE.sub(replace, inside)
    data, errors = encoded(text)
    return data.decode("utf-8", errors)
