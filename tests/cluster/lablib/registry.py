# SPDX-License-Identifier: Apache-2.0
"""The lab's image registry on the control side: Debian's docker-registry, plain HTTP, data in the lab's folder."""

from __future__ import annotations

import http.client
import json
import subprocess

from lablib.paths import REGISTRY, Lab
from lablib.shell import until


def config(lab: Lab) -> str:
    """Its configuration: JSON, which is YAML too."""
    return json.dumps(
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(lab.registry)}, "delete": {"enabled": True}},
            "http": {"addr": REGISTRY, "secret": "of this lab only"},
        },
        indent=2,
    )


def serve(lab: Lab) -> subprocess.Popen[bytes]:
    """Start it (a child of the holder) and wait until it answers."""
    lab.registry.mkdir(parents=True, exist_ok=True)
    file = lab.directory / "registry.yml"
    file.write_text(config(lab))
    served = subprocess.Popen(["docker-registry", "serve", str(file)], stdin=subprocess.DEVNULL)
    until(answers, 30, f"the registry at {REGISTRY} to answer (is docker-registry installed?)")
    return served


def answers(registry: str = REGISTRY, status: int = 200) -> bool:
    """Whether a registry speaks the v2 protocol there (``status`` 401: and wants to know who asks)."""
    connection = http.client.HTTPConnection(registry, timeout=5)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status == status
    except OSError:
        return False
    finally:
        connection.close()
