# SPDX-License-Identifier: GPL-3.0-or-later
"""The test command itself: it counts what ran, and neither a skip nor a missing tool passes for success."""

from __future__ import annotations

import pathlib
import time

import pytest

import results
import runner
import stages
from lint import house

REPORT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><error/></testcase>{more}
</testsuite></testsuites>"""


def _stage(**changes: object) -> stages.Stage:
    values = {"name": "x", "title": "", "lane": "fast", "command": ("/bin/true",), "timeout": 10.0, **changes}
    return stages.Stage(**values)  # type: ignore[arg-type]


def _ends(pid: int) -> bool:
    """Whether the process is gone, or will be before the deadline."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def _judged(tmp_path: pathlib.Path, code: int | None, more: str = "") -> results.Result:
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(more=more))
    return results.judge("x", 1.0, code, str(report), 10)


def test_tests_are_counted_from_the_report(tmp_path: pathlib.Path) -> None:
    result = _judged(tmp_path, 1)
    assert (result.state, result.passed, result.failed) == (results.FAILED, 1, 2)


def test_a_skip_counts_as_failed(tmp_path: pathlib.Path) -> None:
    result = _judged(tmp_path, 0, '<testcase name="lazy"><skipped/></testcase>')
    assert (result.state, result.failed) == (results.FAILED, 3)
    assert "lazy" in result.note


def test_a_stage_that_dies_without_a_report_counts_as_failed(tmp_path: pathlib.Path) -> None:
    result = results.judge("x", 1.0, 3, str(tmp_path / "none.xml"), 10)
    assert (result.state, result.failed, result.note) == (results.FAILED, 1, "exit status 3")


def test_a_stage_that_ran_out_of_time_counts_as_failed() -> None:
    result = results.judge("x", 10.0, None, None, 10)
    assert (result.state, result.failed, result.note) == (results.FAILED, 1, "stopped after 10 s")


def test_a_green_report_with_no_tests_in_it_counts_as_failed(tmp_path: pathlib.Path) -> None:
    report = tmp_path / "empty.xml"
    report.write_text("<testsuites/>")
    assert results.judge("x", 1.0, 0, str(report), 10).state == results.FAILED


def test_a_missing_tool_is_a_failure_that_names_it() -> None:
    result = runner.obstacle(_stage(tools=("no-such-tool-anywhere",)), {"PATH": "/usr/bin"}, {})
    assert result is not None
    assert (result.state, result.failed) == (results.MISSING, 1)
    assert "no-such-tool-anywhere" in result.note


def test_a_stage_waits_for_what_it_works_on() -> None:
    done = {"collection": results.Result("collection", results.FAILED, failed=1)}
    result = runner.obstacle(_stage(after=("collection",)), {"PATH": "/usr/bin"}, done)
    assert result is not None
    assert result.state == results.BLOCKED


def test_a_stage_that_hangs_is_ended_with_its_children(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "OUTPUT", tmp_path)
    command = ("/bin/sh", "-c", "(trap '' TERM; exec sleep 600) & echo child $!; wait")
    result = runner.run(_stage(command=command, timeout=1.0), {"PATH": "/usr/bin:/bin"})
    child = (tmp_path / "x.log").read_text().split()[-1]
    assert result.state == results.FAILED
    assert _ends(int(child))


def test_what_a_stage_leaves_running_is_ended_and_said(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "OUTPUT", tmp_path)
    result = runner.run(_stage(command=("/bin/sh", "-c", "sleep 600 & :")), {"PATH": "/usr/bin:/bin"})
    assert result.state == results.OK
    assert "left processes behind" in result.note


def test_the_last_line_sums_everything_up() -> None:
    rows = [
        results.Result("a", results.OK, 1.0, passed=7),
        results.Result("b", results.FAILED, 2.0, passed=1, failed=2),
    ]
    assert results.table(rows, ["missing here: x"]).splitlines()[-1] == "8 passed, 2 failed"


def test_lanes_grow_and_single_stages_bring_what_they_work_on() -> None:
    fast, full, long = ([stage.name for stage in stages.chosen(lane, [])] for lane in ("fast", "full", "long"))
    assert set(fast) < set(full) < set(long)
    assert [stage.name for stage in stages.chosen("full", ["sanity"])] == ["collection", "sanity"]
    with pytest.raises(ValueError, match="no stage is called 'nonsense'"):
        stages.chosen("full", ["nonsense"])


def test_every_shell_script_is_executable() -> None:
    scripts = [path for path in house.files() if path.read_bytes()[:2] == b"#!"]
    assert not [str(path.relative_to(house.ROOT)) for path in scripts if not path.stat().st_mode & 0o111]
