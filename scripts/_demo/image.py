# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a tar of an image's root for `docker import` to standard output: busybox, and a web server as /serve.

It answers with its image's version and its container's hostname.
"""

from __future__ import annotations

import io
import pathlib
import sys
import tarfile

SERVE = """#!/bin/busybox sh
busybox mkdir -p /www
echo "version $VERSION, container $(busybox hostname)" >/www/index.html
trap 'exit 0' TERM
busybox httpd -f -p 80 -h /www &
wait $!
"""


def main() -> None:
    busybox = pathlib.Path("/bin/busybox").read_bytes()
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
        for name, content in (("bin/busybox", busybox), ("serve", SERVE.encode())):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))


main()
