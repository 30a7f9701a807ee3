# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of `scripts/test`, in order: what each one runs, what it needs, how long it may take."""

from __future__ import annotations

import dataclasses

from environment import OUTPUT, ROOT, VENV

FAST, FULL, LONG = "fast", "full", "long"
_PYTHON = str(VENV / "bin/python")
_IMPORTS = ("--no-logo", "--cache-dir", str(OUTPUT / "imports"), "--config", "runtime/.importlinter")
_COLLECTION = [_PYTHON, str(ROOT / "scripts/_test/collection.py")]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One row of the table; `command` runs in the root of the repository."""

    name: str
    title: str
    lane: str
    command: tuple[str, ...]
    timeout: float
    """Seconds, several times what a slow machine takes."""
    junit: str | None = None
    """Where the stage leaves its JUnit report, if it counts tests."""
    after: tuple[str, ...] = ()
    """Stages that must have passed: this one works on what they made."""
    tools: tuple[str, ...] = ()
    """Programs that must be on PATH."""
    root: bool = False


def _tool(
    name: str, title: str, command: list[str], *, lane: str = FAST, timeout: float = 300, **more: object
) -> Stage:
    return Stage(name, title, lane, (str(VENV / "bin" / command[0]), *command[1:]), timeout, **more)  # type: ignore[arg-type]


def _pytest(name: str, title: str, arguments: list[str], *, lane: str, timeout: float, **more: object) -> Stage:
    junit = str(OUTPUT / f"{name}.xml")
    left_out = {LONG: "", FAST: "not long and not playbook and not group"}.get(lane, "not long")
    selection = ["-m", left_out] if left_out else []
    command = (_PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *selection, f"--junitxml={junit}", *arguments)
    return Stage(name, title, lane, command, timeout, junit=junit, **more)  # type: ignore[arg-type]


def _on_debian_13(name: str, title: str, selection: str, *, lane: str, timeout: float) -> Stage:
    """Tests of real hosts, on those of the newer release."""
    needs = {"after": ("collection",), "tools": ("dockerd", "docker", "ssh"), "root": True}
    stage = _pytest(name, title, ["-m", selection, "tests/cluster"], lane=lane, timeout=timeout, **needs)
    return dataclasses.replace(stage, command=("/usr/bin/env", "QUEENRIGHT_LAB_SUITE=trixie", *stage.command))


def _guest(name: str, title: str, *arguments: str, lane: str = FULL, timeout: float) -> Stage:
    """Emulated: it takes a busy machine many times as long as a quiet one."""
    limits = ("--limit", str(timeout - 60), "--result", str(OUTPUT / name))
    return Stage(
        name,
        title,
        lane,
        (_PYTHON, "tests/kernel/guest/boot.py", *limits, *arguments),
        timeout,
        junit=str(OUTPUT / name / "guest.xml"),
        tools=("qemu-system-x86_64", "busybox", "depmod", "dpkg-deb", "apt-get", "setpriv", "nft", "ip", "tc"),
        root=True,
    )


def _collection(name: str, title: str, *, timeout: float = 300, **more: object) -> Stage:
    return Stage(name, title, FULL, (*_COLLECTION, name), timeout, **{"after": ("collection",), **more})  # type: ignore[arg-type]


STAGES: tuple[Stage, ...] = (
    _tool("format", "ruff: every file is formatted", ["ruff", "format", "--check", "."]),
    _tool("lint", "ruff: lint", ["ruff", "check", "."]),
    _tool("types", "mypy: the runtime, strictly", ["mypy"], timeout=600),
    Stage(
        "imports",
        "import-linter: imports go down only",
        FAST,
        ("/usr/bin/env", "PYTHONPATH=runtime/src", str(VENV / "bin/lint-imports"), *_IMPORTS),
        300,
    ),
    _pytest("house", "the house rules (tests/lint)", ["-n2", "tests/lint"], lane=FAST, timeout=300),
    _pytest(
        "unit",
        "unit tests of the runtime and the plugins",
        ["-n2", "tests/unit", "tests/runtime", "tests/fuzz"],
        lane=FAST,
        timeout=900,
    ),
    _pytest("sim", "simulated groups, faults by seed (tests/sim)", ["-n2", "tests/sim"], lane=FAST, timeout=600),
    _pytest("stories", "transcripts (tests/stories)", ["-n2", "tests/stories"], lane=FAST, timeout=600),
    _pytest(
        "groups",
        "several managers at once, with their leaders coming and going",
        ["-n2", "-m", "group and not long", "tests/runtime"],
        lane=FULL,
        timeout=1500,
    ),
    Stage(
        "shellcheck",
        "shellcheck: every shell script",
        FULL,
        (*_COLLECTION, "shellcheck"),
        120,
        tools=("shellcheck", "git"),
    ),
    _tool("changelog", "antsibull-changelog: fragments", ["antsibull-changelog", "lint"], lane=FULL),
    _collection("collection", "build the tarball, install it into an empty place", after=(), tools=("git",)),
    _collection("doc", "ansible-doc: each module, plugin and role"),
    _collection("sanity", "ansible-test sanity on the installed tarball", timeout=900, tools=("git",)),
    _collection("units", "ansible-test units", timeout=600, tools=("git",), junit=str(OUTPUT / "units.xml")),
    _collection("ansible-lint", "ansible-lint: production profile", timeout=600),
    _collection("docs", "antsibull-docs: documentation of the collection"),
    _pytest(
        "kernel",
        "real packets between namespaces: tunnels, tables, published ports (tests/kernel)",
        ["--ignore=tests/kernel/guest", "tests/kernel"],
        lane=FULL,
        timeout=1800,
        tools=("ip", "bridge", "nft", "iptables", "nsenter"),
        root=True,
    ),
    _guest("guest", "IPVS and lost packets, on Debian's stock kernel (tests/kernel/guest)", "--short", timeout=1800),
    _pytest(
        "security",
        "negative tables, leak scan (tests/security)",
        ["tests/security"],
        lane=FULL,
        timeout=1500,
        tools=("dockerd", "docker"),
        root=True,
    ),
    _pytest(
        "compat",
        "docker CLI and SDKs against our socket, with a real engine (tests/compat)",
        ["tests/compat"],
        lane=FULL,
        timeout=1800,
        tools=("dockerd", "docker"),
        root=True,
    ),
    Stage(
        "integration",
        "integration targets of the modules",
        FULL,
        ("tests/integration/run",),
        900,
        after=("collection",),
        tools=("dockerd", "docker"),
        root=True,
    ),
    _pytest(
        "cluster",
        "real hosts over SSH, three and six of them (tests/cluster)",
        ["tests/cluster"],
        lane=FULL,
        timeout=3600,
        after=("collection",),
        tools=("dockerd", "docker", "ssh"),
        root=True,
    ),
    _on_debian_13(
        "cluster13",
        "hosts with Debian 13: what depends on the release (tests/cluster)",
        "releases and not long",
        lane=FULL,
        timeout=1800,
    ),
    Stage(
        "demo",
        "scripts/demo on a newcomer's machine, from what is committed",
        FULL,
        ("tests/cluster/lab", "fresh", "scripts/demo"),
        900,
        root=True,
    ),
    _pytest(
        "explore",
        "unit tests of the runtime, with examples never tried before",
        ["-n2", "--hypothesis-profile=explore", "tests/runtime", "tests/sim"],
        lane=LONG,
        timeout=1800,
    ),
    _on_debian_13("cluster13-all", "hosts with Debian 13: all of them", "not long", lane=LONG, timeout=3600),
    _guest("guest-long", "all kernel tests on Debian's stock kernel, with both backends", lane=LONG, timeout=7200),
    _pytest("soak", "the long ones: soaks", ["-m", "long", "tests"], lane=LONG, timeout=7200, root=True),
)


def chosen(lane: str, only: list[str]) -> list[Stage]:
    """The stages of a lane, or those named in `only` with what they work on. ValueError names an unknown one."""
    known = {stage.name: stage for stage in STAGES}
    if not only:
        lanes = {FAST: (FAST,), FULL: (FAST, FULL), LONG: (FAST, FULL, LONG)}[lane]
        return [stage for stage in STAGES if stage.lane in lanes]
    wanted: set[str] = set()
    for name in only:
        if name not in known:
            raise ValueError(f"no stage is called {name!r}; there are: {', '.join(known)}")
        wanted |= {name, *known[name].after}
    return [stage for stage in STAGES if stage.name in wanted]
