# SPDX-License-Identifier: Apache-2.0
"""``queenright stack``: what is declared as one, how far it is, what was changed by hand, and the way back."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

from queenright.app.ask import ask
from queenright.app.settings import Settings

Json = dict[str, Any]
Say = Callable[[str], None]

ZERO = "0001-"  # how Go's zero time begins
LONGEST = 60  # characters of a value in a line


def arguments(command: argparse.ArgumentParser) -> None:
    """What may stand after ``queenright stack``."""
    actions = command.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="action")
    for name, words in (
        ("ls", "the stacks, those of clients too"),
        ("show", "services, and what was changed by hand"),
        ("history", "the revisions that are kept: who made them, when and why"),
        ("rollback", "put a former revision back, all of it"),
    ):
        one = actions.add_parser(name, help=words)
        one.add_argument("--json", action="store_true", help="JSON instead of text")
        if name != "ls":
            one.add_argument("stack", help="name of a stack")
        if name == "rollback":
            one.add_argument("--to", type=int, metavar="NUMBER", help="that revision, instead of the one before")
            one.add_argument("--message", default="", help="why, for those who look at the history")
            one.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")


def stack(settings: Settings, given: argparse.Namespace, say: Say) -> int:
    """Do what is asked; gives the exit status."""
    if given.action == "ls":
        _say(ask(settings.socket, "GET", _path("stacks")), list_lines, given, say)
    elif given.action == "rollback":
        return _roll_back(settings, given, say)
    else:
        lines = history_lines if given.action == "history" else show_lines
        _say(ask(settings.socket, "GET", _path("stacks", given.stack)), lines, given, say)
    return 0


def _roll_back(settings: Settings, given: argparse.Namespace, say: Say) -> int:
    options: Json = {"rollback": True} if given.to is None else {"rollback_to": given.to}
    context = {"user": os.environ.get("SUDO_USER") or getpass.getuser(), "message": given.message}
    wish = {"kind": "stack", "name": given.stack, "options": options, "context": context}
    answer = ask(settings.socket, "POST", _path("apply") + ("?dry_run=1" if given.dry_run else ""), wish, 60.0)
    _say(answer, plan_lines, given, say)
    return 0


def _path(*parts: str) -> str:
    return "/".join(("/queenright/v1", *(urllib.parse.quote(part, safe="") for part in parts)))


def _say(document: Any, lines: Callable[[Any], Sequence[str]], given: argparse.Namespace, say: Say) -> None:
    say(json.dumps(document) if given.json else "\n".join(lines(document)))


# -- as text


def list_lines(rows: Sequence[Json]) -> list[str]:
    """A line for each stack."""
    found = []
    for row in rows:
        services = _count(row["Services"], "service")
        if not row["Managed"]:
            found.append(f"{row['Name']}: {services}, made by a client")
            continue
        why = f": {_reason(row)}" if row["Message"] else ""
        found.append(f"{row['Name']}: revision {row['Revision']}, {services}, {row['State']}{why}")
    return found or ["there are no stacks"]


def show_lines(one: Json) -> list[str]:
    """A stack with its services."""
    head = [f"{one['Name']}: made by a client"]
    if one["Managed"]:
        head = [f"{one['Name']}: revision {one['Revision']}, {one['State']}"]
    if one.get("Message"):
        head.append(f"  {_reason(one)}")
    for service in one["Services"]:
        waits = f", waits for {', '.join(service['Waits'])}" if service["Waits"] else ""
        counts = f"{service['Running']} of {service['Desired']} running"
        head.append(f"  {service['Name']}: {service['State']}, {counts}{waits} ({service['Image']})")
    for row in one.get("Drift", ()):
        by = f" by {row['By']}" if row["By"] else ""
        field = f" {row['Field']}" if row["Field"] else ""
        head.append(
            f"  not as declared: {row['Kind']} {row['Name']}{field} is {_short(row['Found'])}, not "
            f"{_short(row['Declared'])}{by}"
        )
    for row in one.get("Leftovers", ()):
        head.append(f"  to be removed when nothing uses it: {row['Kind']} {row['Name']}")
    return head


def history_lines(one: Json) -> list[str]:
    """The revisions, newest first."""
    if not one["Managed"]:
        return [f"{one['Name']} was made by a client: it has no revisions"]
    found = []
    for number, row in enumerate(one["Revisions"]):
        words = [f"by {row['User']}" if row["User"] else "", f"from {row['Playbook']}" if row["Playbook"] else ""]
        words += [f"at {row['GitRevision'][:12]}" if row["GitRevision"] else "", row["Actor"]]
        who = ", ".join(word for word in words if word)
        mark = "*" if not number else " "
        when = "" if row["At"].startswith(ZERO) else f" {row['At'][:19]}Z"
        found.append(f"{mark} {row['Number']}{when} {row['Source']}, {_count(row['Services'], 'service')}: {who}")
        for text in (row["Message"], row.get("Failure", "")):
            if text:
                found.append(f"    {text}")
    return found


def plan_lines(answer: Json) -> list[str]:
    """What was done, or would be."""
    if not answer["changed"]:
        return ["nothing to change"]
    lines = list(answer["actions"])
    for row in answer["plan"]["restarts"]:
        lines.append(f"  restarts {_count(row['tasks'], 'task')} of {row['service']} in {row['batches']} batches")
    return [*lines, *(f"warning: {text}" for text in answer["warnings"])]


def _reason(row: Json) -> str:
    return f"{row['Failed']}: {row['Message']}" if row.get("Failed") else str(row["Message"])


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _short(value: Any) -> str:
    if value is None:
        return "unset"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
