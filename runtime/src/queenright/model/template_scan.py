# SPDX-License-Identifier: Apache-2.0
"""Templates, scanned: text to literal parts and placeholders of tokens, in the notation of Go's text/template."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import NoReturn

from queenright.model.template_words import TemplateError

MOST_STEPS = 100  # parentheses and pipe signs in one placeholder
_SPACE = " \t\r\n"
_COMMENT = re.compile(r"/\*(.*?)\*/(?:[ \t\r\n]+(-))?\}\}", re.DOTALL)
_CLOSE = re.compile(r"[ \t\r\n]+(-)\}\}|[ \t\r\n]*\}\}")
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]*)(?:
    (?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<char>'(?:[^'\\\n]|\\.)+')|(?P<number>[+-]?\.?\d[\w.]*(?:(?<=[eE])[+-]\d+)?)
    |(?P<variable>\$\w*)|(?P<field>\.[^\W\d]\w*)|(?P<word>[^\W\d]\w*)|(?P<mark>:=|[.=|,()]))""",
    re.VERBOSE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    kind: str
    value: str
    spaced: bool


@dataclasses.dataclass(slots=True)
class Action:
    """One placeholder, and how far its tokens have been taken."""

    at: int
    source: str
    tokens: list[Token]
    position: int = 0
    steps: int = 0

    def peek(self) -> Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else Token("end", "}}", True)

    def take(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def skip(self, *values: str) -> str:
        """The mark or word that comes next, taken, if it is one of these; else nothing."""
        token = self.peek()
        if token.kind not in ("mark", "word") or token.value not in values:
            return ""
        self.position += 1
        return token.value

    def fail(self, reason: str) -> NoReturn:
        raise located(TemplateError(f"{self.source}: {reason}"), self.at)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            self.fail(f"more than {MOST_STEPS} parentheses and pipes in one placeholder")


def located(error: TemplateError, at: int) -> TemplateError:
    error.at = at
    return error


def scan(text: str) -> Iterator[str | Action]:
    """Literal text and placeholders in their order, trimmed, without comments."""
    position, trim = 0, False
    while (start := text.find("{{", position)) >= 0:
        inside = start + 2
        before = text[position:start].lstrip(_SPACE) if trim else text[position:start]
        if text[inside : inside + 1] == "-" and text[inside + 1 : inside + 2] in tuple(_SPACE):
            before = before.rstrip(_SPACE)
            inside += 2
        if before:
            yield before
        if text.startswith("/*", comment := _after_space(text, inside) if inside > start + 2 else inside):
            found = _COMMENT.match(text, comment)
            if found is None:
                raise located(
                    TemplateError(f"{text[start : start + 200]!r}: the comment is not closed by */}}}}"), start
                )
            position, trim = found.end(), found[2] is not None
            continue
        tokens, position, trim = _tokens(text, start, inside)
        yield Action(start, _quoted(text, start, position), tokens)
    if rest := text[position:].lstrip(_SPACE) if trim else text[position:]:
        yield rest


def _tokens(text: str, start: int, position: int) -> tuple[list[Token], int, bool]:
    """(tokens, where the placeholder ends, whether what follows is trimmed)."""
    tokens: list[Token] = []
    while (close := _CLOSE.match(text, position)) is None:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            position = _after_space(text, position)
            end = text.find("}}", position)
            if end < 0:
                reason = "the placeholder is not closed by }}"
                raise located(TemplateError(f"{text[start : start + 200].strip()!r}: {reason}"), start)
            reason = f"{text[position : min(end, position + 100)].strip()!r} is not supported"
            raise located(TemplateError(f"{_quoted(text, start, end + 2)}: {reason}"), start)
        tokens.append(Token(match.lastgroup, match[match.lastgroup], bool(match["space"])))
        position = match.end()
    return tokens, close.end(), close[1] is not None


def _after_space(text: str, position: int) -> int:
    while text[position : position + 1] in tuple(_SPACE):
        position += 1
    return position


def _quoted(text: str, start: int, end: int) -> str:
    return text[start:end] if end - start <= 200 else text[start : start + 200] + "..."
