# SPDX-License-Identifier: Apache-2.0
"""The grammar of placement constraints: ``node.labels.zone == a``, and whether a node meets them.

A constraint is ``KEY == VALUE`` or ``KEY != VALUE``. Values are compared as whole strings without regard to case; there
are no patterns. Keys: ``node.id``, ``node.hostname``, ``node.ip`` (an address or a CIDR), ``node.role`` (the observed
one), ``node.platform.os``, ``node.platform.arch``, ``node.labels.KEY`` and ``engine.labels.KEY`` (the label's key with
regard to case; a missing label is the empty text). A key that is none of these is met by no node.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import re
from collections.abc import Iterable

from queenright.model.errors import InvalidArgument
from queenright.model.objects import Node

_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE | re.ASCII)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE | re.ASCII)
_NODE_LABELS = "node.labels."
_ENGINE_LABELS = "engine.labels."
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclasses.dataclass(frozen=True, slots=True)
class Constraint:
    """One condition; ``equal`` False is ``!=``."""

    key: str
    equal: bool
    value: str

    def __str__(self) -> str:
        return f"{self.key} {'==' if self.equal else '!='} {self.value}"

    def met_by(self, node: Node) -> bool:
        """Whether the node meets it. Unknown keys and malformed addresses are met by none."""
        if self.key.lower() == "node.ip":
            inside = _within(self.value, node.status.addr)
            return inside is not None and inside == self.equal
        actual = label_value(node, self.key)
        if actual is None:
            actual = _attribute(node, self.key.lower())
        if actual is None:
            return False
        wanted = self.value
        if self.key.lower() == "node.platform.arch":
            actual, wanted = architecture(actual), architecture(wanted)
        return (actual.lower() == wanted.lower()) == self.equal


def parse(expression: str) -> Constraint:
    """One constraint; InvalidArgument, in the words clients know, for anything else."""
    for operator in ("==", "!="):
        key, found, value = expression.partition(operator)
        if not found:
            continue
        key, value = key.strip(), value.strip()
        if not _KEY.fullmatch(key):
            raise InvalidArgument(f"key '{key}' is invalid")
        if not _VALUE.fullmatch(value):
            raise InvalidArgument(f"value '{value}' is invalid")
        return Constraint(key, operator == "==", value)
    raise InvalidArgument("constraint expected one operator from ==, !=")


@functools.lru_cache(maxsize=4096)
def parse_all(expressions: tuple[str, ...]) -> tuple[Constraint, ...]:
    """All of a placement's constraints; raises InvalidArgument at the first that is none."""
    return tuple(parse(expression) for expression in expressions)


def unmet(node: Node, expressions: Iterable[str]) -> str | None:
    """The first constraint that the node does not meet, as text; None if it meets all.

    A text that is no constraint (older writers may have stored one) is met by no node.
    """
    given = tuple(expressions)
    try:
        constraints = parse_all(given)
    except InvalidArgument:
        return next(text for text in given if _malformed(text))
    return next((str(constraint) for constraint in constraints if not constraint.met_by(node)), None)


def label_value(node: Node, key: str) -> str | None:
    """The value of ``node.labels.KEY`` or ``engine.labels.KEY``: empty if the label is missing, None for other keys."""
    lowered = key.lower()
    for prefix, labels in (
        (_NODE_LABELS, node.spec.labels),
        (_ENGINE_LABELS, node.description.engine_labels),
    ):
        if lowered.startswith(prefix) and len(key) > len(prefix):
            return labels.get(key[len(prefix) :], "")
    return None


def architecture(name: str) -> str:
    """One name per architecture: kernels say x86_64 and aarch64, images amd64 and arm64."""
    return _ARCHITECTURES.get(name.lower(), name.lower())


def _attribute(node: Node, key: str) -> str | None:
    return {
        "node.id": node.id,
        "node.hostname": node.description.hostname,
        "node.role": node.role,
        "node.platform.os": node.description.os,
        "node.platform.arch": node.description.architecture,
    }.get(key)


def _within(value: str, addr: str) -> bool | None:
    """Whether ``addr`` lies in the address or network ``value``; None if ``value`` is neither."""
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    try:
        return ipaddress.ip_address(addr.strip("[]")) in network
    except ValueError:
        return False


def _malformed(expression: str) -> bool:
    try:
        parse(expression)
    except InvalidArgument:
        return True
    return False
