# SPDX-License-Identifier: GPL-3.0-or-later
"""What came out of a stage, and the table at the end."""

from __future__ import annotations

import dataclasses
import pathlib
import xml.etree.ElementTree as ET

OK, FAILED, MISSING, BLOCKED = "ok", "FAILED", "MISSING", "BLOCKED"


@dataclasses.dataclass
class Result:
    """Outcome of one stage. A stage without a JUnit report counts as one check."""

    name: str
    state: str
    seconds: float = 0.0
    passed: int = 0
    failed: int = 0
    note: str = ""


def count(junit: pathlib.Path) -> tuple[int, int, list[str]]:
    """(passed, failed, skipped test names) of a JUnit report. A report that is not there or torn counts nothing."""
    try:
        cases = list(ET.parse(junit).getroot().iter("testcase"))
    except (OSError, ET.ParseError):
        return 0, 0, []
    failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case.get("name", "?") for case in cases if case.find("skipped") is not None]
    return len(cases) - len(failed) - len(skipped), len(failed), skipped


def judge(name: str, seconds: float, code: int | None, junit: str | None, timeout: float) -> Result:
    """The result of a stage that ran: `code` is its exit status, None where it ran out of time."""
    result = Result(name, OK if code == 0 else FAILED, seconds)
    if junit is not None:
        result.passed, result.failed, skipped = count(pathlib.Path(junit))
        if code == 0 and not result.passed + result.failed + len(skipped):
            result.state, result.note = FAILED, "no tests ran"
        if skipped:
            result.state = FAILED
            result.failed += len(skipped)
            result.note = f"{len(skipped)} skipped, which counts as failed: {', '.join(skipped[:3])}"
    elif code == 0:
        result.passed = 1
    if code is None:
        result.note = f"stopped after {timeout:.0f} s"
    elif code != 0 and not result.note:
        result.note = f"exit status {code}"
    if result.state == FAILED and not result.failed:
        result.failed = 1
    return result


def table(results: list[Result], notes: list[str]) -> str:
    """The summary: a line for each stage, what this machine lacks, and last `N passed, N failed`."""
    width = max([len(result.name) for result in results], default=0)
    lines = ["", "summary"]
    for r in results:
        counts = f"{r.passed:5d} passed {r.failed:4d} failed"
        lines.append(f"  {r.name:{width}}  {r.state:8}{r.seconds:7.1f} s {counts}  {r.note}".rstrip())
    lines += ["", *notes] if notes else [""]
    lines.append(f"total time: {sum(r.seconds for r in results):.0f} s")
    lines.append(f"{sum(r.passed for r in results)} passed, {sum(r.failed for r in results)} failed")
    return "\n".join(lines)
