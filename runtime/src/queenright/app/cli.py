# SPDX-License-Identifier: Apache-2.0
"""The executable ``queenright``: ``run`` is the daemon, the other commands ask it."""

from __future__ import annotations

import argparse
import gc
import ipaddress
import json
import os
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from queenright import __version__
from queenright.app import settings as settings_room
from queenright.app.ask import AskError, ask
from queenright.app.settings import Settings, SettingsError
from queenright.lib.clockface import of_day


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit status (0 good, 1 failed, 2 wrong usage or settings)."""
    arguments = _parser().parse_args(argv)
    config = Path(arguments.config) if arguments.config else None
    try:
        settings = settings_room.load(_flags(arguments), os.environ, config)
    except SettingsError as error:
        print(f"queenright: {error}", file=sys.stderr)
        return 2
    try:
        return int(arguments.command_function(settings, arguments))
    except AskError as error:
        print(f"queenright: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _flags(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name, None) for name in settings_room.FIELDS}


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help=f"settings file (default {settings_room.CONFIG})")
    for name, metadata in settings_room.FIELDS.items():
        flag = "--" + name.replace("_", "-")
        common.add_argument(flag, dest=name, metavar=name.rpartition("_")[2].upper(), help=metadata["doc"])
    parser = argparse.ArgumentParser(
        prog="queenright", description="Docker's swarm mode, for any fleet Ansible reaches."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, function, words in (
        ("run", _run, "be the daemon"),
        ("status", _status, "what this host is in the swarm"),
        ("version", _version, "the version"),
        ("config", _config, "the settings in force"),
        ("why", _why, "why a task is where it is, or is not running"),
        ("stack", _stack, "what is declared as one, and how far it is"),
        ("doctor", _doctor, "what is wrong with this host, and what to do about it"),
    ):
        command = commands.add_parser(
            name, help=words, description=f"Say {words}." if name != "run" else None, parents=[common]
        )
        command.set_defaults(command_function=function)
        if name == "stack":
            _stack_arguments(command)
        elif name != "run":
            command.add_argument("--json", action="store_true", help="one JSON object instead of text")
        if name == "why":
            command.add_argument("task", help="id, name or unique id prefix of a task")
        if name == "doctor":
            _doctor_arguments(command)
    _bundle_commands(commands, common)
    return parser


def _bundle_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """``bundle`` has commands of its own."""
    words = "make bundles (.dab) of Compose files"
    inner = commands.add_parser("bundle", help=words, description=f"To {words}.").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    words = "Write Compose files as a bundle: images by their digests, and nothing left out that the files say."
    create = inner.add_parser("create", help="write a bundle", description=words, parents=[common])
    create.set_defaults(command_function=_bundle_create)
    create.add_argument("files", nargs="+", metavar="FILE", help="Compose files; later ones go before earlier ones")
    create.add_argument("-o", "--output", metavar="FILE", help="write it there, and not to standard output")
    kept = "keep the tags of images whose digests are not known"
    create.add_argument("--keep-tags", action="store_true", help=kept)


def _bundle_create(settings: Settings, arguments: argparse.Namespace) -> int:
    from queenright.app import bundle

    return bundle.create(settings, arguments, os.environ, lambda text: print(text, file=sys.stderr))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no address; names cannot be used")


def _addresses(text: str) -> list[str]:
    return [_address(each) for each in text.split(",")]


def _doctor_arguments(command: argparse.ArgumentParser) -> None:
    listed = "try tunnels with these hosts, on which the same is run now"
    command.add_argument("--peers", default=[], metavar="ADDR,ADDR", type=_addresses, help=listed)
    command.add_argument("--own-addr", metavar="ADDR", type=_address, help="this host's address among them")
    command.add_argument("--seconds", type=float, default=20.0, help="how long to wait for them (default 20)")
    command.add_argument("--backend", choices=("nftables", "ipvs"), default="nftables", help="what shall balance")
    command.add_argument("--control-port", type=int, default=2377, metavar="PORT")
    command.add_argument("--data-path-port", type=int, default=4789, metavar="PORT")


def _doctor(settings: Settings, arguments: argparse.Namespace) -> int:
    from queenright.app import doctor

    return doctor.doctor(settings, arguments, lambda text: print(text, flush=True))


def _stack_arguments(command: argparse.ArgumentParser) -> None:
    from queenright.app import stacks

    stacks.arguments(command)


def _stack(settings: Settings, arguments: argparse.Namespace) -> int:
    from queenright.app import stacks

    return stacks.stack(settings, arguments, print)


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    gc.disable()  # until the daemon is ready: importing and loading make much and drop nothing
    from queenright.app.daemon import run

    return run(settings, _flags(arguments), Path(arguments.config) if arguments.config else None)


def _version(settings: Settings, arguments: argparse.Namespace) -> int:
    print(json.dumps({"version": __version__}) if arguments.json else __version__)
    return 0


def _config(settings: Settings, arguments: argparse.Namespace) -> int:
    shown = settings.shown()
    if arguments.json:
        print(json.dumps(shown))
    else:
        for key, value in shown.items():
            print(f"{key} = {json.dumps(value) if value is not None else '# unset'}")
    return 0


def _status(settings: Settings, arguments: argparse.Namespace) -> int:
    status = ask(settings.socket, "GET", "/queenright/v1/status")
    if arguments.json:
        print(json.dumps(status))
    else:
        print("\n".join(_status_lines(status)))
    return 0 if status["state"] in ("active", "inactive") and status.get("ready", True) else 1


def _status_lines(status: dict[str, Any]) -> list[str]:
    lines = [f"queenright {status['version']}: {status['state']}"]
    if status.get("role"):
        lines.append(f"  {status['role']} {status['node_id']} at {status.get('node_addr') or 'an unknown address'}")
        lines.append(f"  swarm {status['cluster_id']}")
        lines.extend(_manager_lines(status))
        tasks = status.get("tasks", {})
        lines.append(f"  {tasks.get('running', 0)} of {tasks.get('total', 0)} tasks on this node are running")
    engine = status.get("engine", {})
    lines.append(
        f"  engine {engine.get('version') or 'not reachable'}" + (f": {engine['error']}" if engine.get("error") else "")
    )
    if status.get("error"):
        lines.append(f"  error: {status['error']}")
    return lines


def _manager_lines(status: dict[str, Any]) -> list[str]:
    """The managers, with what a manager knows of each; a worker knows their addresses."""
    raft = status.get("raft")
    if not raft:
        return [f"  manager {peer['node_id']} at {peer['addr']}" for peer in status.get("managers", ())]
    lines = [
        f"  manager {member['node_id']} at {member.get('addr') or 'an unknown address'} ({_standing(member)})"
        for member in raft.get("members", ())
    ]
    if not status.get("leader"):
        lines.append("  the swarm has no leader: nothing can be changed")
    if status.get("stale"):
        lines.append("  this manager has no contact to more than half of the managers: what it shows may be old")
    return lines


def _standing(member: dict[str, Any]) -> str:
    """One manager's part in the group, in a word or two."""
    words = ["leader"] if member.get("leader") else []
    if not member.get("voter", True):
        words.append("learner")
    if not member.get("leader"):
        words.append("reachable" if member.get("reachable") else "not reachable")
    return ", ".join(words)


def _why(settings: Settings, arguments: argparse.Namespace) -> int:
    answer = ask(settings.socket, "GET", "/queenright/v1/why/" + urllib.parse.quote(arguments.task, safe=""))
    if arguments.json:
        print(json.dumps(answer))
        return 0
    if "task" not in answer:
        print("\n".join(_local_lines(arguments.task, answer)))
        return 0
    task, node = answer["task"], answer.get("node") or {}
    where = f" on {node.get('hostname') or node.get('id')}" if node else ""
    print(f"{task['name']}: {answer['state']} (wanted: {answer['desired_state']}){where}")
    chain = answer.get("chain") or {}
    if chain.get("text"):
        print(f"  ({chain['text']})")
    for line in answer.get("explanation", ()):
        print(f"  {line}")
    for step in chain.get("steps", ()):
        print(f"  {of_day(step['at']) if step['at'] else '--:--:--'} {step['task'][:12]} {step['text']}")
    for entry in answer.get("filters", ()):
        for name, reason in entry["verdicts"].items():
            print(f"  {entry['name']}: {name}: {reason or 'fits'}")
    for entry in answer.get("history", ()):
        err = f": {entry['err']}" if entry.get("err") else ""
        print(f"  {entry['id'][:12]} {entry['state']} on {entry.get('node') or 'no node'}{err}")
    return 0


def _local_lines(ref: str, answer: dict[str, Any]) -> list[str]:
    """What a worker knows of a task of its own."""
    container = answer.get("container") or {}
    lines = [f"{ref}: {answer['state']} (wanted: {answer['desired_state']}) on this node"]
    lines.extend(f"  {text}" for text in (answer.get("message"), answer.get("err"), answer.get("trouble")) if text)
    if container.get("id"):
        lines.append(f"  container {container['id'][:12]}: {container.get('seen')}, health {container.get('health')}")
    return [*lines, "  ask a manager for the rest"]
