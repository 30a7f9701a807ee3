# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that every stage runs in: the same on each machine, with nothing of the caller's shell in it."""

from __future__ import annotations

import ast
import os
import pathlib
import pwd
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
OUTPUT = ROOT / ".test-output"
HOME = OUTPUT / "home"
TARGET_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
"""Versions that modules may meet on hosts of ansible-core 2.17 to 2.19."""

_KEPT = (
    "USER",
    "LOGNAME",
    "TERM",
    "COLUMNS",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "PYENV_ROOT",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
_KEPT_PREFIXES = (
    "PIP_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "REQUESTS_",
    "QR_",
)
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def target_pythons() -> dict[str, pathlib.Path]:
    """Real interpreters (no shims) of the target versions on this machine: version -> path."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT") or f"{pwd.getpwuid(os.getuid()).pw_dir}/.pyenv")
    found = {}
    for version in TARGET_PYTHONS:
        candidates = [*sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)]
        candidates += [pathlib.Path(folder) / f"python{version}" for folder in _SYSTEM_PATH.split(":")]
        for candidate in candidates:
            probe = [str(candidate), "-c", "import ssl, venv, sys; print('%d.%d' % sys.version_info[:2])"]
            if candidate.exists() and _output(probe) == version:
                found[version] = candidate
                break
    return found


def clean() -> dict[str, str]:
    """The variables of a stage: plain locale, venv first on PATH, a home of its own, what pip and proxies need."""
    env = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    path = [str(VENV / "bin"), _SYSTEM_PATH]
    env.update(
        HOME=str(HOME),
        PATH=":".join(path),
        LC_ALL="C.UTF-8",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONUNBUFFERED="1",
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_LOCALHOST_WARNING="0",
        ANSIBLE_DEPRECATION_WARNINGS="0",
    )
    env.setdefault("TERM", "dumb")
    return env


def prepare_home() -> None:
    """Make the stages' home: tools may cache in it, and pip is configured there as it is for the caller.

    ansible-test hands its children HOME and no PIP_ variable, so the merged configuration is written out.
    """
    target = HOME / ".config/pip/pip.conf"
    target.parent.mkdir(parents=True, exist_ok=True)
    listing = subprocess.run(
        [str(VENV / "bin/pip"), "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    values: dict[str, str] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        scope, _, name = key.partition(".")
        if scope in ("global", "install", ":env:"):
            values[name] = str(ast.literal_eval(value)).replace("\n", "\n    ")
    target.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in values.items()))
    netrc = pathlib.Path.home() / ".netrc"
    if netrc.exists() and netrc.parent != HOME:
        shutil.copy2(netrc, HOME / ".netrc")
