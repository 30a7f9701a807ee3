# SPDX-License-Identifier: Apache-2.0
"""Templates, first half: text to a tree of literals, placeholders and blocks, in the notation of Go's text/template.

Named templates (define, template, block) are refused. Depth is bounded, so that no text can exhaust the stack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from queenright.model.template_scan import Action, Token, scan
from queenright.model.template_words import TemplateError, number, unquote

MOST_BLOCKS = 50  # if, with and range in each other
_BLOCKS = ("if", "with", "range")
_NAMED = ("define", "template", "block")


@dataclasses.dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | float | bool | None


@dataclasses.dataclass(frozen=True, slots=True)
class Variable:
    """``$x``; ``$`` itself is what the whole template is about. An empty name is the dot."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """Fields of a value, one of the other."""

    base: Expression
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments; what a pipe brings is the last of them."""

    name: str
    arguments: tuple[Expression, ...]


Expression = Literal | Variable | Chain | Call


@dataclasses.dataclass(frozen=True, slots=True)
class Pipe:
    """One placeholder. ``names`` are the variables that it sets; ``at`` is where it begins, ``source`` quotes it."""

    at: int
    source: str
    names: tuple[str, ...]
    declares: bool
    value: Expression


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """``if`` and ``with`` have one arm for each ``else if``, ``range`` has one. Without ``otherwise`` it is empty."""

    kind: str
    arms: tuple[tuple[Pipe, tuple[Node, ...]], ...]
    otherwise: tuple[Node, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Jump:
    """``break`` or ``continue``."""

    kind: str


Node = str | Pipe | Block | Jump


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """``fields`` are all chains that begin at what the template is about, in branches taken or not."""

    nodes: tuple[Node, ...]
    fields: tuple[tuple[Pipe, tuple[str, ...]], ...]


def parse(text: str, functions: Collection[str]) -> Template:
    """The tree of a template that may call these functions. Raises TemplateError."""
    parser = _Parser(iter(scan(text)), functions)
    nodes, _ = parser.body(None)
    return Template(tuple(nodes), tuple(parser.fields))


class _Parser:
    def __init__(self, parts: Iterator[str | Action], functions: Collection[str]) -> None:
        self.fields: list[tuple[Pipe, tuple[str, ...]]] = []
        self._parts = parts
        self._functions = functions
        self._variables = ["$"]
        self._kinds: list[str] = []  # of the blocks around
        self._moved = 0  # how many of them moved the dot
        self._chains: list[tuple[str, ...]] = []

    def body(self, opener: Action | None) -> tuple[list[Node], Action | None]:
        """(nodes, the else or end that closes them). ``opener`` is named if none does."""
        nodes: list[Node] = []
        for part in self._parts:
            if isinstance(part, str):
                nodes.append(part)
                continue
            first = part.peek()
            word = first.value if first.kind == "word" else ""
            if word in ("end", "else"):
                if opener is None:
                    part.fail(f"{word} without if, with or range")
                return nodes, part
            if word in _NAMED:
                part.fail(f"{word} is not supported: there are no named templates here")
            if word in _BLOCKS:
                nodes.append(self._block(part))
            elif word in ("break", "continue"):
                part.take()
                self._finish(part)
                if "range" not in self._kinds:
                    part.fail(f"{word} outside of range")
                nodes.append(Jump(word))
            else:
                nodes.append(self._pipe(part))
        if opener is not None:
            opener.fail("there is no {{end}} to it")
        return nodes, None

    def _block(self, opener: Action) -> Block:
        kind = opener.take().value
        if len(self._kinds) >= MOST_BLOCKS:
            opener.fail(f"more than {MOST_BLOCKS} blocks in each other")
        mark = len(self._variables)
        arms: list[tuple[Pipe, tuple[Node, ...]]] = []
        otherwise: list[Node] = []
        action = opener
        while True:
            pipe = self._pipe(action, kind)
            nodes, closer = self._inside(opener, kind, kind != "if")
            arms.append((pipe, tuple(nodes)))
            assert closer is not None  # without one, body has raised
            if closer.take().value == "else":
                if kind != "range" and closer.skip(kind):
                    action = closer
                    continue
                self._finish(closer)
                otherwise, closer = self._inside(opener, "else", False)
                assert closer is not None
                if closer.take().value == "else":
                    closer.fail("a second else")
            self._finish(closer)
            del self._variables[mark:]
            return Block(kind, tuple(arms), tuple(otherwise))

    def _inside(self, opener: Action, kind: str, moves: bool) -> tuple[list[Node], Action | None]:
        """The body of a block, with variables of its own."""
        mark = len(self._variables)
        self._kinds.append(kind)
        self._moved += moves
        done = self.body(opener)
        self._moved -= moves
        self._kinds.pop()
        del self._variables[mark:]
        return done

    def _pipe(self, action: Action, block: str = "") -> Pipe:
        if action.peek().kind == "end":
            action.fail(f"{block} needs a value" if block else "an empty placeholder")
        names, mark = self._targets(action, block)
        if mark == "=":
            for name in names:
                self._known(action, name)
        self._chains = []
        value = self._expression(action)
        self._finish(action)
        if value == Literal(None):
            action.fail("nil is not a value to write or to keep")
        pipe = Pipe(action.at, action.source, names, mark == ":=", value)
        self._variables += names if mark == ":=" else ()
        self.fields += [(pipe, chain) for chain in self._chains]
        return pipe

    def _targets(self, action: Action, block: str) -> tuple[tuple[str, ...], str]:
        """(variables that are set, how); without any the position has not moved."""
        start = action.position
        names: list[str] = []
        while action.peek().kind == "variable" and len(names) < (2 if block == "range" else 1):
            names.append(action.take().value)
            if mark := action.skip(":=", "="):
                if "$" in names:
                    action.fail("$ cannot be set")
                return tuple(names), mark
            if not action.skip(","):
                break
        action.position = start
        return (), ""

    def _expression(self, action: Action) -> Expression:
        value = self._command(action, ())
        while action.skip("|"):
            action.step()
            if action.peek().kind != "word" or action.peek().value in ("true", "false", "nil"):
                action.fail("a function has to follow the |")
            value = self._command(action, (value,))
        return value

    def _command(self, action: Action, last: tuple[Expression, ...]) -> Expression:
        first = action.peek()
        if first.kind != "word" or first.value in ("true", "false", "nil"):
            value = self._operand(action)
            if action.peek().kind != "end" and action.peek().value not in ("|", ")"):
                action.fail("one value was expected; is a function missing, or a sign between two values?")
            return value
        self._function(action, action.take().value)
        arguments: list[Expression] = []
        while action.peek().kind != "end" and not (action.peek().kind == "mark" and action.peek().value in "|)"):
            if not action.peek().spaced:
                action.fail(f"a space is missing before {action.peek().value[:50]!r}")
            arguments.append(self._operand(action))
        return Call(first.value, (*arguments, *last))

    def _operand(self, action: Action) -> Expression:
        token = action.take()
        value: Expression
        if token.kind in ("text", "number", "char"):
            value = Literal(self._read(action, token))
        elif token.kind == "word":
            words = {"true": True, "false": False, "nil": None}
            if token.value in words:
                value = Literal(words[token.value])
            else:
                self._function(action, token.value)
                value = Call(token.value, ())
        elif token.kind == "variable":
            self._known(action, token.value)
            value = Variable(token.value)
        elif token.kind == "field" or (token.kind == "mark" and token.value == "."):
            action.position -= token.kind == "field"
            value = Variable("")
        elif token.kind == "mark" and token.value == "(":
            action.step()
            value = self._expression(action)
            if not action.skip(")"):
                action.fail("a parenthesis is not closed")
        else:
            action.fail(f"a value was expected before {token.value[:50]!r}")
        return self._chain(action, value, token.kind == "field")

    def _chain(self, action: Action, base: Expression, begun: bool) -> Expression:
        """The value with the fields that follow it without a space."""
        names: list[str] = []
        while action.peek().kind == "field" and (begun or not action.peek().spaced):
            names.append(action.take().value[1:])
            begun = False
        if not names:
            return base
        if isinstance(base, Literal):
            action.fail("a literal has no fields")
        if base == Variable("$") or (base == Variable("") and not self._moved):
            self._chains.append(tuple(names))
        return Chain(base, tuple(names))

    def _read(self, action: Action, token: Token) -> str | int | float:
        try:
            return unquote(token.value) if token.kind == "text" else number(token.value)
        except TemplateError as error:
            action.fail(str(error))

    def _known(self, action: Action, name: str) -> None:
        if name not in self._variables:
            action.fail(f"there is no variable {name}")

    def _function(self, action: Action, name: str) -> None:
        if name not in self._functions:
            action.fail(f"there is no function {name!r}; known are {', '.join(sorted(self._functions))}")

    def _finish(self, action: Action) -> None:
        token = action.peek()
        if token.kind != "end":
            action.fail(f"{token.value[:50]!r} was not expected")
