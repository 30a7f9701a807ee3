# SPDX-License-Identifier: Apache-2.0
"""The ``lab`` command: words to requests."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable

from lablib import client, fresh, inventory, wheels
from lablib.paths import Lab, LabError
from lablib.rootfs import SUITES


def parser() -> argparse.ArgumentParser:
    """All verbs. HOSTS is a comma-separated list or ``all``."""
    what = "Real Debian hosts with systemd, sshd and Docker, on this machine."
    top = argparse.ArgumentParser(prog="lab", description=what)
    top.add_argument("--name", default=os.environ.get("QUEENRIGHT_LAB") or "lab", help="which lab (default: lab)")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, *arguments: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=text, description=text)
        for argument in arguments:
            one.add_argument(argument)
        return one

    up = verb("up", "start a lab of N hosts; returns when all answer ssh")
    up.add_argument("count", type=int, metavar="N")
    up.add_argument("--suite", choices=SUITES, default=SUITES[0], help="Debian release of the hosts")
    up.add_argument("--keep", action="store_true", help="keep the disks of the last lab of this name")
    up.add_argument("--tied", action="store_true", help="the lab ends when stdin does (for programs)")
    verb("down", "end the lab").add_argument("--wipe", action="store_true", help="remove the disks too")
    verb("status", "what is up").add_argument("--json", action="store_true")
    for name, text in (
        ("ssh", "a shell or a command on a host, over ssh"),
        ("exec", "a command on a host, past its network and sshd"),
    ):
        one = verb(name, text, "host")
        one.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD...")
    verb("run", "a command on the control side").add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD...")
    for name, text in (
        ("kill", "power off, as if the mains plug were pulled"),
        ("start", "power on"),
        ("reboot", "power off and on"),
        ("reimage", "power off, empty disk, power on: another machine at the same address"),
        ("wait", "wait until hosts answer ssh"),
        ("freeze", "stop all processes of a host (its kernel still answers ping)"),
        ("thaw", "let a frozen host go on"),
        ("unplug", "network cable out"),
        ("plug", "network cable in"),
    ):
        verb(name, text, "hosts")
    split = verb("split", "cut the network between two sides", "one", "other")
    split.add_argument("--one-way", action="store_true", help="drop only what ONE sends to OTHER")
    verb("loss", "lose PCT %% of the frames between a host and other hosts", "hosts").add_argument("percent", type=int)
    slow = verb("slow", "at most QUOTA %% of one core for a host ('off': no limit)", "hosts")
    slow.add_argument("percent", type=lambda text: None if text == "off" else float(text), metavar="QUOTA")
    verb("heal", "undo every split, loss, unplug, freeze and slow")
    verb("inventory", "print the Ansible inventory")
    new = verb("fresh", "a command on a newcomer's machine: minbase, git, python3 and a clone of HEAD")
    new.add_argument("--suite", choices=SUITES, default=SUITES[0], help="its Debian release")
    new.add_argument("--keep", action="store_true", help="keep its disk for a look")
    new.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD...")
    verb("wheels", "put the wheelhouse of this checkout into the hosts' /srv/lab/wheels")
    return top


def main(argv: list[str]) -> int:
    """Run one command; returns its exit code."""
    given = vars(parser().parse_args(argv))
    verb = given.pop("verb")
    try:
        lab = Lab(given.pop("name"))
        special = _SPECIAL.get(verb)
        if special:
            code = special(lab, **given)
            sys.stdout.flush()
            return code
        client.ask(lab, verb, **given)
        return 0
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our stdout has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _up(lab: Lab, count: int, suite: str, keep: bool, tied: bool) -> int:
    client.up(lab, count, suite=suite, keep=keep, tied=tied)
    return 0


def _down(lab: Lab, wipe: bool) -> int:
    client.down(lab, wipe=wipe)
    return 0


def _status(lab: Lab, json: bool) -> int:
    if not client.is_up(lab):
        print("{}" if json else f"the lab {lab.name!r} is not up")
        return 1
    status = client.ask(lab, "status")
    if json:
        print(_dump(status))
        return 0
    print(f"lab {status['name']} of {status['tree']}")
    for host in status["hosts"]:
        marks = ", ".join(host["faults"])
        print(f"  {host['host']:8} {host['address']:12} {host['power']:3}  {host['memory_mib']:5} MiB  {marks}")
    for fault in status["network"]:
        print(f"  network: {fault}")
    return 0


def _dump(value: object) -> str:
    return json.dumps(value, indent=2)


def _ssh(lab: Lab, host: str, argv: list[str]) -> int:
    return client.run(client.ssh(lab, host, argv, tty=sys.stdin.isatty()))


def _exec(lab: Lab, host: str, argv: list[str]) -> int:
    return client.run(client.inside(lab, client.ask(lab, "exec", host=host, argv=argv or ["bash"])))


def _run(lab: Lab, argv: list[str]) -> int:
    return client.run(client.inside(lab, argv or ["bash"]))


def _inventory(lab: Lab) -> int:
    print(inventory.ansible(lab, client.facts(lab)["count"]), end="")
    return 0


def _wheels(lab: Lab) -> int:
    print(wheels.place(lab, client.facts(lab)["suite"]))
    return 0


def _fresh(lab: Lab, suite: str, keep: bool, argv: list[str]) -> int:
    return fresh.run(argv or ["bash"], suite=suite, keep=keep)


_SPECIAL: dict[str, Callable[..., int]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "ssh": _ssh,
    "exec": _exec,
    "run": _run,
    "inventory": _inventory,
    "wheels": _wheels,
    "fresh": _fresh,
}
