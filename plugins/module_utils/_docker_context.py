# -*- coding: utf-8 -*-
# Copyright (c) 2026, the queenright authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The context C(swarm) of root's docker command line: `docker --context swarm` speaks to the runtime's socket.

Only where there is a docker command line; somebody's own context of that name is left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import shutil
import typing as t

from ansible_collections.queenright.swarm.plugins.module_utils._files import Files

NAME = "swarm"
DESCRIPTION = "The swarm of queenright"


def path_of(home: str) -> str:
    """Where docker keeps what it knows of the context."""
    folder = hashlib.sha256(NAME.encode("ascii")).hexdigest()
    return os.path.join(home, ".docker", "contexts", "meta", folder, "meta.json")


def root_home() -> str:
    return pwd.getpwuid(0).pw_dir


def docker_is_there() -> bool:
    return shutil.which("docker", path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin") is not None


def write(files: Files, home: str, socket: str) -> bool:
    """Make or mend the context; whether that is a change."""
    path = path_of(home)
    there = _read(path)
    if there and not _ours(there):
        return False
    wanted = {
        "Name": NAME,
        "Metadata": {"Description": DESCRIPTION},
        "Endpoints": {"docker": {"Host": "unix://%s" % socket, "SkipTLSVerify": False}},
    }
    if there == wanted:
        return False
    return files.write(path, json.dumps(wanted) + "\n", 0o644)


def remove(files: Files, home: str, check: bool) -> bool:
    """Remove the context if it is ours; whether there was one."""
    path = path_of(home)
    there = _read(path)
    if not there or not _ours(there):
        return False
    files.remove(path)
    if not check:
        with contextlib.suppress(OSError):  # not empty: somebody gave it certificates
            os.rmdir(os.path.dirname(path))
    return True


def _ours(context: t.Dict[str, t.Any]) -> bool:
    metadata = context.get("Metadata")
    return isinstance(metadata, dict) and metadata.get("Description") == DESCRIPTION


def _read(path: str) -> t.Dict[str, t.Any]:
    try:
        with open(path, encoding="utf-8") as handle:
            value = json.load(handle)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return {"Name": NAME}  # damaged, and so not ours to mend
    return value if isinstance(value, dict) else {"Name": NAME}
