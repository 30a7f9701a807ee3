# SPDX-License-Identifier: Apache-2.0
"""The machine's own apt sources, as sources for another Debian tree (mirrors, keys, proxies and all)."""

from __future__ import annotations

import pathlib
import re
import subprocess
from collections.abc import Iterator

ETC = pathlib.Path("/etc/apt")
DEBIAN = "http://deb.debian.org/debian"
KNOWN = ("bullseye", "bookworm", "trixie")
_CARRIED = re.compile(r"(?i)^(Acquire::(?:https?|ftp)::|Acquire::Check-|Acquire::AllowReleaseInfoChange)")


def sources(suite: str, etc: pathlib.Path = ETC) -> list[str]:
    """One-line ``deb`` entries for ``suite``: the machine's Debian entries with its release name exchanged.

    Entries of other archives (their suites are no Debian release) are left out. A machine without any Debian
    entry gets Debian's own mirror.
    """
    found = []
    for options, uri, name, components in _entries(etc):
        release, _, rest = name.partition("-")
        if release in KNOWN and "main" in components:
            suffix = f"-{rest}" if rest else ""
            if suffix in ("", "-updates", "-security"):
                found.append(f"deb {options}{uri} {suite}{suffix} main")
    if not any(f" {suite} main" in line for line in found):
        found.insert(0, f"deb {DEBIAN} {suite} main")
    return list(dict.fromkeys(found))


def options() -> list[str]:
    """The machine's apt settings that reach a mirror (proxies, date checks), as ``Key "value";`` lines."""
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    return [line for line in dump.splitlines() if _CARRIED.match(line) and not line.endswith('"";')]


def _entries(etc: pathlib.Path) -> Iterator[tuple[str, str, str, list[str]]]:
    for file in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]:
        if file.is_file():
            yield from _one_line_entries(file.read_text())
    for file in sorted((etc / "sources.list.d").glob("*.sources")):
        yield from _deb822_entries(file.read_text())


def _one_line_entries(text: str) -> Iterator[tuple[str, str, str, list[str]]]:
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line.strip())
        if match:
            opts = f"[{match[1].strip()}] " if match[1] else ""
            yield opts, match[2], match[3], match[4].split()


def _deb822_entries(text: str) -> Iterator[tuple[str, str, str, list[str]]]:
    plain = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", plain):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line[:1].isspace():
                fields[key] = f"{fields.get(key, '')} {line.strip()}"
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        signed = fields.get("signed-by", "")
        opts = f"[signed-by={signed}] " if signed.startswith("/") and " " not in signed else ""
        for uri in fields.get("uris", "").split():
            for name in fields.get("suites", "").split():
                yield opts, uri, name, fields.get("components", "").split()
