# SPDX-License-Identifier: Apache-2.0
"""What an agent says of its machine, made fit to be stored by every manager and shown to people.

An engine that says odd things is no reason to have no node: texts are cleaned and cut, numbers are bounded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from queenright.model.objects import GenericResource, NodeDescription

MOST_NAME = 253  # characters of a host name or an address
MOST_WORD = 128
MOST_PEM = 64 * 1024
MOST_ITEMS = 256  # labels, plugins
MOST_VALUE = 1024  # characters of a label
MOST_CPUS = 1 << 20
MOST_MEMORY = 1 << 60  # bytes


def cleaned(said: NodeDescription) -> NodeDescription:
    """The description with every part within its bounds; one that is sound comes back equal."""
    labels = list(said.engine_labels.items())[:MOST_ITEMS]
    return dataclasses.replace(
        said,
        hostname=_line(said.hostname, MOST_NAME),
        architecture=_line(said.architecture, MOST_WORD),
        os=_line(said.os, MOST_WORD),
        nano_cpus=_number(said.nano_cpus, MOST_CPUS * 1_000_000_000),
        memory_bytes=_number(said.memory_bytes, MOST_MEMORY),
        engine_version=_line(said.engine_version, MOST_WORD),
        engine_labels={_line(key, MOST_VALUE): _line(value, MOST_VALUE) for key, value in labels},
        plugins=tuple(_lines(said.plugins[:MOST_ITEMS])),
        trust_root=said.trust_root[:MOST_PEM],
        issuer_subject=_line(said.issuer_subject, MOST_PEM),
        issuer_public_key=_line(said.issuer_public_key, MOST_PEM),
        runtime_version=_line(said.runtime_version, MOST_WORD),
        generic_resources=tuple(_generic(said.generic_resources[:MOST_ITEMS])),
    )


def cleaned_address(said: str) -> str:
    """A host that other nodes may try; nothing if it is none."""
    return said if said == _line(said, MOST_NAME) and " " not in said else ""


def _line(text: str, most: int) -> str:
    """The text in one line, without what terminals act on."""
    return text if text.isprintable() and len(text) <= most else "".join(filter(str.isprintable, text))[:most]


def _lines(texts: Iterable[str]) -> Iterable[str]:
    return (_line(text, MOST_VALUE) for text in texts)


def _generic(said: Iterable[GenericResource]) -> Iterable[GenericResource]:
    for one in said:
        kind, name = _line(one.kind, MOST_WORD), _line(one.name, MOST_WORD)
        if kind and (name or one.value > 0):
            yield GenericResource(kind, 0 if name else _number(one.value, MOST_MEMORY), name)


def _number(value: int, most: int) -> int:
    return max(0, min(value, most))
