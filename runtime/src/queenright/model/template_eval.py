# SPDX-License-Identifier: Apache-2.0
"""Templates, second half: what a parsed one writes. Pure, and bounded in what it writes and how long it runs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TypeVar, cast

from queenright.model import template_functions
from queenright.model.template_parse import Block, Call, Chain, Expression, Jump, Literal, Node, Pipe, Template
from queenright.model.template_scan import located
from queenright.model.template_words import MissingTargetError, TemplateError, encoded

T = TypeVar("T")
MOST_TEXT = 16 << 20  # characters that one template writes and computes
MOST_TURNS = 100_000  # nodes evaluated in ranges


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Values by name, such as all of ``.Service``. ``path`` is how it is written."""

    path: str
    values: Mapping[str, Value]


Value = str | int | float | bool | None | Group | Mapping[str, str]


class Evaluation:
    """One run of a template. ``trial`` is one with made-up values: cuts outside of them are no error."""

    def __init__(self, root: Group, functions: Mapping[str, Callable[[str], str]], known: str, trial: bool) -> None:
        self._root, self._functions, self._known, self._trial = root, functions, known, trial
        self._variables: list[tuple[str, Value]] = [("$", root)]
        self._out: list[str] = []
        self._spent = self._turns = self._ranges = 0

    def run(self, template: Template) -> str:
        """What the template writes. Raises TemplateError."""
        if self._trial:
            for pipe, names in template.fields:
                self._guarded(pipe, functools.partial(self._check, names))
        self._walk(template.nodes, self._root)
        return "".join(self._out)

    def _check(self, names: tuple[str, ...]) -> None:
        value: Value = self._root
        for name in names:
            if isinstance(value, Mapping):
                return
            value = self._field(value, name)

    def _walk(self, nodes: tuple[Node, ...], dot: Value) -> str:
        """Write nodes; the answer is break or continue if one of them was met."""
        for node in nodes:
            self._turns += self._ranges > 0
            if self._turns > MOST_TURNS:
                raise TemplateError(f"the template's ranges take more than {MOST_TURNS} steps")
            if isinstance(node, str):
                self._write(node)
            elif isinstance(node, Jump):
                return node.kind
            elif isinstance(node, Block):
                mark = len(self._variables)
                jump = self._range(node, dot) if node.kind == "range" else self._branch(node, dot)
                del self._variables[mark:]
                if jump:
                    return jump
            else:
                value = self._pipe(node, dot)
                if not node.names:
                    self._guarded(node, functools.partial(self._write_value, value))
        return ""

    def _branch(self, block: Block, dot: Value) -> str:
        for pipe, nodes in block.arms:
            value = self._pipe(pipe, dot)
            if truth(value):
                return self._walk(nodes, value if block.kind == "with" else dot)
        return self._walk(block.otherwise, dot)

    def _range(self, block: Block, dot: Value) -> str:
        pipe, nodes = block.arms[0]
        values = self._guarded(pipe, lambda: self._value(pipe.value, dot))
        if not isinstance(values, Mapping):
            raise located(TemplateError(f"{pipe.source}: range is over labels only, not over {kind(values)}"), pipe.at)
        if not values:
            return self._walk(block.otherwise, dot)
        self._ranges += 1
        mark = len(self._variables)
        for key in sorted(values, key=lambda key: encoded(key)[0]):
            self._set(pipe, (key, values[key])[-len(pipe.names) :] if pipe.names else ())
            jump = self._walk(nodes, values[key])
            del self._variables[mark:]
            if jump == "break":
                break
        self._ranges -= 1
        return ""

    def _pipe(self, pipe: Pipe, dot: Value) -> Value:
        value = self._guarded(pipe, lambda: self._value(pipe.value, dot))
        self._set(pipe, (value,) if pipe.names else ())
        return value

    def _set(self, pipe: Pipe, values: tuple[Value, ...]) -> None:
        for name, value in zip(pipe.names, values, strict=True):
            if pipe.declares:
                self._variables.append((name, value))
            else:
                at = max(at for at, (other, _) in enumerate(self._variables) if other == name)
                self._variables[at] = (name, value)

    def _guarded(self, pipe: Pipe, action: Callable[[], T]) -> T:
        try:
            return action()
        except MissingTargetError as error:
            raise located(error, pipe.at) from None
        except TemplateError as error:
            raise located(TemplateError(f"{pipe.source}: {error}"), pipe.at) from None

    def _value(self, node: Expression, dot: Value) -> Value:
        if isinstance(node, Literal):
            return node.value
        if isinstance(node, Chain):
            value = self._value(node.base, dot)
            for name in node.names:
                value = self._field(value, name)
            return value
        if isinstance(node, Call):
            return self._call(node, dot)
        if not node.name:
            return dot
        return next(value for name, value in reversed(self._variables) if name == node.name)

    def _field(self, value: Value, name: str) -> Value:
        if isinstance(value, Group):
            if name in value.values:
                return value.values[name]
            raise TemplateError(f"there is no {value.path.rstrip('.')}.{name}; {self._known}")
        if isinstance(value, Mapping):
            if name in value:
                return value[name]
            raise TemplateError(f"the service has no label {name!r}")
        raise TemplateError(f"there is no .{name} of {kind(value)}")

    def _call(self, call: Call, dot: Value) -> Value:
        name = call.name
        if name in ("and", "or"):
            value: Value = None
            need(name, call.arguments, 1)
            for argument in call.arguments:
                value = self._value(argument, dot)
                if truth(value) == (name == "or"):
                    break
            return value
        values = [self._value(argument, dot) for argument in call.arguments]
        size = sum(len(value) for value in values if isinstance(value, str))
        self._spend(size)
        if name in self._functions:
            if len(values) != 1 or not isinstance(values[0], str):
                raise TemplateError(f'write it as {{{{{name} "name"}}}}')
            return self._spend_text(self._functions[name](values[0]))
        if name == "join":
            need(name, values, 1, "join needs a separator")
            self._spend(len(values[0]) * len(values) if isinstance(values[0], str) else 0)
        result: Value = template_functions.call(name, values, self._trial, self._text)
        return self._spend_text(result) if isinstance(result, str) else result

    def _text(self, value: Value) -> str:
        if isinstance(value, Group):
            raise TemplateError(f"there is no {value.path} to write, only what is in it; {self._known}")
        return written(value)

    def _write_value(self, value: Value) -> None:
        self._write(self._text(value))

    def _spend_text(self, text: str) -> str:
        self._spend(len(text))
        return text

    def _write(self, text: str) -> None:
        self._spend(len(text))
        self._out.append(text)

    def _spend(self, count: int) -> None:
        self._spent += count
        if self._spent > MOST_TEXT:
            raise TemplateError(f"the template writes and computes more than {MOST_TEXT >> 20} Mi characters")


def truth(value: Value) -> bool:
    """Whether a value counts as true: not if it is empty, 0, false or nil."""
    return isinstance(value, Group) or bool(value)


def kind(value: Value) -> str:
    """What a value is, for messages; never what it holds."""
    if isinstance(value, Group):
        return value.path
    if isinstance(value, Mapping):
        return "labels"
    return {str: "a text", bool: "a bool", int: "a number", float: "a fraction"}.get(type(value), "nil")


def written(value: Value) -> str:
    """A value as Go prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{value[key]}' for key in sorted(value))}]"
    if isinstance(value, float):
        if value == 0 or 1e-4 <= abs(value) < 1e21:
            return f"{value:.0f}" if value.is_integer() else repr(value)
        return repr(value)
    return "<nil>" if value is None else str(value)


def need(name: str, values: object, least: int, reason: str = "") -> None:
    if len(cast(list[Value], values)) < least:
        raise TemplateError(reason or f"{name} needs {least} value{'s' * (least > 1)}")
