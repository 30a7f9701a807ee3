# SPDX-License-Identifier: Apache-2.0
"""A fuzzer by mutation: valid inputs, damaged in the ways that find holes, and a limit on what may come of it.

A parser answers, or refuses in its own words, within a moment. Anything else is a crash, with the input that does it.
The dice have a seed: what was found once is found again.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Sequence

SLOW = 5.0  # seconds of processor time for one small input; on a noisy machine, too
LARGEST = 20_000  # bytes of an input
TOKENS = (
    *(
        b"\x00",
        b"\xff",
        b"\r\n",
        b"\n",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"=",
        b"-",
        b"/",
        b"..",
        b"%00",
        b"%",
        b"&",
        b"?",
    ),
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"null", b"true", b"NaN", b"1e999", b"{{", b"}}"),
    *(
        b"0",
        b"-1",
        b"4294967296",
        b"18446744073709551616",
        b"9" * 400,
        b"0x",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xe2\x80\xa8",
    ),
    *(
        b"\x7f\xff\xff\xff",
        b"\xff" * 9 + b"\x01",
        b"\x80" * 10,
        b"\x0a\x00",
        b"\x12\xff\xff\xff\xff\x0f",
        b"\x30\x84\xff\xff\xff\xff",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A parser. ``seeds`` are valid inputs, ``run`` takes any, ``refuses`` are the errors that are its own words."""

    name: str
    seeds: tuple[bytes, ...]
    run: Callable[[bytes], object]
    refuses: tuple[type[BaseException], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Crash:
    target: str
    data: bytes
    what: str


@dataclasses.dataclass(slots=True)
class Result:
    """``taken``: how many of the executions ended with an answer: one that takes nothing was not tested."""

    executions: int = 0
    taken: int = 0
    crashes: list[Crash] = dataclasses.field(default_factory=list)


def mutated(dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, damaged a few times."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        _mutate(dice, data, seeds)
    return bytes(data[:LARGEST])


def _mutate(dice: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = dice.randrange(len(data) + 1)
    end = min(len(data), at + dice.choice((1, 2, 4, 16, 64)))
    match dice.randrange(9):
        case 0 if data:
            data[at % len(data)] ^= 1 << dice.randrange(8)
        case 1 if data:
            data[at % len(data)] = dice.randrange(256)
        case 2:
            del data[at:end]
        case 3:
            data[at:at] = dice.choice(TOKENS)
        case 4:
            data[at:end] = dice.choice(TOKENS)
        case 5:
            data[at:at] = data[at:end] * dice.choice((1, 2, 30))
        case 6:
            del data[at:]
        case 7:
            other = dice.choice(seeds)
            data[at:] = other[dice.randrange(len(other) + 1) :]
        case _:
            data[at:at] = dice.randbytes(dice.randrange(1, 40))


def execute(target: Target, data: bytes, result: Result) -> None:
    """One execution."""
    result.executions += 1
    began = time.thread_time()
    try:
        target.run(data)
        result.taken += 1
    except target.refuses:
        pass
    except Exception as error:  # whatever it is, it is a crash
        result.crashes.append(Crash(target.name, data, f"{type(error).__name__}: {error}"))
    took = time.thread_time() - began
    if took > SLOW:
        result.crashes.append(Crash(target.name, data, f"took {took:.1f} s"))


def fuzz(target: Target, seed: int, executions: int, *, until: float = float("inf")) -> Result:
    """As many executions as asked for, or until the monotonic time; the seeds themselves first."""
    dice, result = random.Random(seed), Result()
    for data in target.seeds:
        execute(target, data, result)
    while result.executions < executions and time.monotonic() < until:
        execute(target, mutated(dice, target.seeds), result)
    return result
