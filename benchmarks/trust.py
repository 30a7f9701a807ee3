# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the swarm keeps out who shall stay out, and goes on while certificates and roots are replaced.

One part needs root and Docker Engines in a sandbox: three managers with half-hour certificates, under a clock that is
moved on and under load. Everything else runs in this process over loopback: a control port with certificates of a real
authority, callers of every kind, each parser of the runtime under damaged inputs, a hundred handshakes at once while
the certificate changes, and a look for marked secrets in objects, answers and raw log lines. Each part can be run by
itself. It fails if one of them finds something. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

TESTS = pathlib.Path(__file__).parents[1] / "tests"
LIFETIME = pathlib.Path(__file__).with_name("_lib") / "lifetime.py"
CUT_WITHIN = 5.0  # seconds
Figures = dict[str, float]


def say(text: str) -> None:
    print(text, flush=True)


def _tests(name: str) -> Any:
    """What the tests share: the figures are of the same checks that the tests make."""
    if str(TESTS) not in sys.path:
        sys.path.insert(0, str(TESTS))
    return importlib.import_module(name)


def negative(options: argparse.Namespace) -> Figures:
    """Each call by each kind of caller that may not make it, and by those that reach for what is another node's."""
    table = _tests("security.table")

    async def run() -> Figures:
        checks = []
        async with table.site() as site:
            before = site.arrived()
            for made in (table.refusals(site), table.trespasses(site)):
                checks += [check async for check in made]
            came_through = sum(site.arrived()) - sum(before)
        wrong = [check for check in checks if not check.holds]
        for check in wrong:
            say(f"  {check.caller} at {check.method}: expected {check.code} ({check.words}), got {check.got}")
        callers = len({check.caller for check in checks})
        say(f"negative table: {len(checks)} checks by {callers} kinds of callers, {len(wrong)} failed")
        return {"negative_checks": len(checks), "negative_failed": len(wrong) + came_through, "caller_kinds": callers}

    return asyncio.run(run())


def cut(options: argparse.Namespace) -> Figures:
    """How long calls under way go on once their caller was removed or demoted."""
    table = _tests("security.table")

    async def run() -> list[float]:
        took = []
        for change in ("removed", "demoted") * 3:
            async with table.site() as site:
                took.append(await table.cut_seconds(site, change))
        return took

    took = asyncio.run(run())
    say(f"calls of managers that were removed or demoted ended after {min(took):.1f} to {max(took):.1f} s")
    return {"cut_s": round(max(took), 2), "cut_late": sum(each > CUT_WITHIN for each in took)}


def fuzz(options: argparse.Namespace) -> Figures:
    """Each parser under damaged inputs, for its share of the time."""
    parsers, fuzzer = _tests("fuzz.parsers"), _tests("fuzz.fuzzer")
    targets = list(parsers.targets())
    share = options.fuzz_seconds / len(targets)
    executions, crashes = 0, []
    for target in targets:
        result = fuzzer.fuzz(target, options.seed, options.most, until=time.monotonic() + share)
        executions += result.executions
        crashes += result.crashes
        say(
            f"fuzz {target.name:28}{result.executions:9} executions, {result.taken:8} taken, "
            f"{len(result.crashes)} crashes"
        )
    for crash in crashes[:20]:
        say(f"  {crash.target}: {crash.what[:200]} by {crash.data[:200]!r}")
    return {"fuzz_executions": executions, "fuzz_crashes": len(crashes), "fuzz_parsers": len(targets)}


def handshakes(options: argparse.Namespace) -> Figures:
    """A hundred connections at once, again and again, while the server's certificate changes."""
    made = _tests("security.handshakes")

    async def run() -> Figures:
        site = made.Changing()
        await site.start()
        try:
            outcomes = await made.storm(site, options.rounds)
        finally:
            await site.stop()
        failed = [outcome for outcome in outcomes if outcome[0] != "OK"]
        say(f"handshakes: {len(outcomes)} during {site.turns} changes of the certificate, {len(failed)} failed")
        return {"handshakes": len(outcomes), "certificate_changes": site.turns, "handshakes_failed": len(failed)}

    return asyncio.run(run())


def leaks(options: argparse.Namespace) -> Figures:
    """Marked secrets in what objects look like, in answers and in log lines."""
    scan = _tests("security.leaks").scan
    with tempfile.TemporaryDirectory(prefix="qr") as folder:
        looked_at, hits = asyncio.run(scan(pathlib.Path(folder)))
    for hit in hits:
        say(f"  {hit}")
    say(f"leak scan: {looked_at} texts, {len(hits)} with a secret")
    return {"leak_texts": looked_at, "leak_hits": len(hits)}


def lifetime(options: argparse.Namespace) -> Figures:
    """Three managers under load, through many certificates and three roots."""
    with tempfile.TemporaryDirectory(prefix="qr") as folder:
        told = pathlib.Path(folder) / "figures.json"
        subprocess.run([sys.executable, "-B", str(LIFETIME), f"--renewals={options.renewals}", str(told)], check=True)
        figures: Figures = json.loads(told.read_text())
    return figures


PARTS: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "negative": negative,
    "cut": cut,
    "handshakes": handshakes,
    "leaks": leaks,
    "fuzz": fuzz,
    "lifetime": lifetime,
}
MUST_BE_ZERO = (
    "failed_rpcs",
    "containers_restarted",
    "negative_failed",
    "cut_late",
    "fuzz_crashes",
    "handshakes_failed",
    "leak_hits",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="a part to run (default: all)")
    parser.add_argument("--fuzz-seconds", type=float, default=120.0, help="time for all parsers together")
    parser.add_argument("--most", type=int, default=10**7, help="executions of a parser at most")
    parser.add_argument("--rounds", type=int, default=10, help="of a hundred handshakes at once")
    parser.add_argument("--renewals", type=int, default=20, help="of each node's certificate, one after the other")
    parser.add_argument("--seed", type=int, default=6, help="of the fuzzer's dice")
    options = parser.parse_args()
    figures: Figures = {}
    for name, part in PARTS.items():
        if not options.only or name in options.only:
            figures |= part(options)
    print(json.dumps(figures))
    return int(any(figures.get(name, 0) for name in MUST_BE_ZERO))


if __name__ == "__main__":
    sys.exit(main())
