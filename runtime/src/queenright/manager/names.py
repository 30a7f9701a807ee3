# SPDX-License-Identifier: Apache-2.0
"""Names for services that were created without one: two words of the apiary."""

from __future__ import annotations

from collections.abc import Callable

_FIRST = (
    "amber autumn brave bright busy calm clever coastal dancing dawn early eager fair fleet gentle gilded golden "
    "happy humming kind lively lucky mellow merry mild nimble noble patient plucky quick quiet ready rosy scenic "
    "silver snug spry steady stout sunny sweet swift tidy upland valiant warm wild wise young zesty"
).split()
_SECOND = (
    "acacia apiary aster bee beebread blossom borage brood bumble cell clover cluster colony comb drone fennel "
    "field forager frame garden heather hive honey keeper larkspur lavender linden mallow meadow mead nectar orchard "
    "pollen poppy propolis queen rosemary sage skep smoker sting sunflower super swarm thicket thyme veil waggle wax "
    "willow wing worker"
).split()


def two_words(random_bytes: Callable[[int], bytes]) -> str:
    """``merry_clover``, from four random bytes."""
    dice = random_bytes(4)
    first = _FIRST[int.from_bytes(dice[:2], "big") % len(_FIRST)]
    return f"{first}_{_SECOND[int.from_bytes(dice[2:], 'big') % len(_SECOND)]}"
