# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver of `scripts/test`: runs the stages one after another and sums them up. Standard library only."""

from __future__ import annotations

import argparse
import signal
import sys
import types

import environment
import results
import runner
import stages


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/test", description="Check the repository.")
    lane = parser.add_mutually_exclusive_group()
    lane.add_argument(
        "--fast", dest="lane", action="store_const", const=stages.FAST, help="format, types, walls, unit tests"
    )
    lane.add_argument("--long", dest="lane", action="store_const", const=stages.LONG, help="everything, and the soaks")
    parser.add_argument(
        "--only", action="append", default=[], metavar="STAGE", help="only this stage and what it works on"
    )
    parser.add_argument("--list", action="store_true", help="show the stages and end")
    parser.set_defaults(lane=stages.FULL)
    return parser.parse_args()


def _list() -> None:
    for stage in stages.STAGES:
        print(f"{stage.name:14}{stage.lane:6}{stage.title}")


def _notes(results_: list[results.Result], pythons: set[str]) -> list[str]:
    notes = [f"missing here: {r.note} (stage {r.name})" for r in results_ if r.state == results.MISSING]
    absent = [version for version in environment.TARGET_PYTHONS if version not in pythons]
    if absent and any(r.name == "sanity" for r in results_):
        notes.append(f"not on this machine, so modules were not imported on it: Python {', '.join(absent)}")
    return notes


def _end(number: int, _frame: types.FrameType | None) -> None:
    sys.exit(128 + number)  # on the way out the running stage is ended


def main() -> int:
    """Exit status 0 where every stage passed, 1 where one did not, 2 for a wrong argument."""
    arguments = _arguments()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored
    if arguments.list:
        _list()
        return 0
    try:
        plan = stages.chosen(arguments.lane, arguments.only)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    environment.OUTPUT.mkdir(exist_ok=True)
    environment.prepare_home()
    pythons = environment.target_pythons()
    env = environment.clean()
    done: dict[str, results.Result] = {}
    for number, stage in enumerate(plan, 1):
        print(f"[{number:2}/{len(plan)}] {stage.name}: {stage.title}", flush=True)
        result = runner.obstacle(stage, env, done)
        if result is None:
            result = runner.run(stage, env)
            if result.state != results.OK:
                runner.show_failure(stage)
        done[stage.name] = result
        print(f"      {result.state}  {result.seconds:.1f} s  {result.note}".rstrip(), flush=True)
    outcome = list(done.values())
    print(results.table(outcome, _notes(outcome, set(pythons))), flush=True)
    return 0 if all(r.state == results.OK for r in outcome) else 1


if __name__ == "__main__":
    sys.exit(main())
