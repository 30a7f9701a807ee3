# SPDX-License-Identifier: Apache-2.0
"""Tiny container images made of nothing but busybox-static, without any engine: pushed to a registry or loaded.

``web`` answers ``<version> <hostname>`` on port 80 (``PORT`` moves it). Its tags differ in what a test needs:

=============  ======================================================================================
v1, v2, v3     the same server, another ``VERSION``
healthy        with a health check that passes
kept           talks on port 81 besides: answers each line that a connection says with ``more LINE``. When it
               is told to stop, it answers the next one with ``last LINE`` and ends when all are ended
unhealthy      with a health check that never passes
broken         ends at once with exit code 1
stubborn       ignores SIGTERM, so that only the end of the grace period stops it
=============  ======================================================================================

``exit`` ends with the code given as its argument (or ``CODE``, or 0), after ``SECONDS_TO_RUN`` seconds (0).
``python3 images.py web:v1 FILE.tar`` writes a file for ``docker load``.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.client
import io
import json
import pathlib
import sys
import tarfile
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SECOND = 1_000_000_000
_APPLETS = (
    "cat chmod cp date dd df echo env false grep head hostname httpd id ip kill ls mkdir mv nc nslookup pidof ping "
    "ps pwd rm sed sh sleep stat tail tee test touch true uname wc wget"
).split()
_SERVE = """#!/bin/sh
mkdir -p /www
echo "$VERSION $(hostname)" > /www/index.html
httpd -f -p "${PORT:-80}" -h /www &
trap 'kill $!; exit 0' TERM INT
wait $!
"""
_KEPT = """#!/bin/sh
echo "$VERSION $(hostname)" > /www/index.html
httpd -p "${PORT:-80}" -h /www
nc -ll -p 81 -e /bin/talk &
trap 'touch /stopping; kill $!' TERM INT
wait $!
while pidof talk > /dev/null; do sleep 0.1; done
"""
_TALK = """#!/bin/sh
while read -r line; do
    if [ -e /stopping ]; then
        echo "last $line"
        exit
    fi
    echo "more $line"
done
"""
_STUBBORN = """#!/bin/sh
trap '' TERM
echo "$VERSION $(hostname)" > /index.html
exec httpd -f -p "${PORT:-80}" -h /
"""
_EXIT = """#!/bin/sh
sleep "${SECONDS_TO_RUN:-0}"
exit "${1:-${CODE:-0}}"
"""
_CREATED = "2024-01-01T00:00:00Z"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Image:
    """What an image is made of. ``scripts``: path inside to text; ``config``: keys of the image's ``config``."""

    reference: str
    scripts: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)


def _health(command: str) -> dict[str, Any]:
    return {"Test": ["CMD-SHELL", command], "Interval": SECOND, "Timeout": 5 * SECOND, "Retries": 3}


def _web(tag: str, script: str = _SERVE, **config: Any) -> Image:
    full = {"Entrypoint": ["/bin/serve"], "ExposedPorts": {"80/tcp": {}}, **config}
    return Image(f"web:{tag}", {"bin/serve": script}, {**full, "Env": ["PATH=/bin", f"VERSION={tag}"]})


CATALOGUE = {
    image.reference: image
    for image in (
        _web("v1"),
        _web("v2"),
        _web("v3"),
        _web("healthy", Healthcheck=_health('wget -q -O /dev/null "http://127.0.0.1:${PORT:-80}/"')),
        Image(
            "web:kept",
            {"bin/serve": _KEPT, "bin/talk": _TALK},
            {
                "Entrypoint": ["/bin/serve"],
                "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
                "Healthcheck": _health('wget -q -O /dev/null "http://127.0.0.1:${PORT:-80}/"'),
                "Env": ["PATH=/bin", "VERSION=kept"],
            },
        ),
        _web("unhealthy", Healthcheck=_health("exit 1")),
        _web("broken", Entrypoint=["/bin/false"]),
        _web("stubborn", _STUBBORN),
        Image("exit:latest", {"bin/end": _EXIT}, {"Entrypoint": ["/bin/end"], "Env": ["PATH=/bin"]}),
    )
}
"""All images by reference, without a registry's name."""


@dataclass(frozen=True)
class Built:
    """The bytes of an image. The image id is the digest of ``config``; ``layers`` are plain tars, lowest first."""

    reference: str
    config: bytes
    layers: tuple[bytes, ...]

    @property
    def image_id(self) -> str:
        """``sha256:...`` as the engine shows it."""
        return digest(self.config)


def digest(data: bytes) -> str:
    """``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def build(image: Image, busybox: pathlib.Path = pathlib.Path("/bin/busybox")) -> Built:
    """Make the image's bytes; the same input gives the same bytes. ``busybox`` must be linked statically."""
    binary = busybox.read_bytes()
    if b"/lib64/ld-linux" in binary or b"/lib/ld-" in binary:
        raise ValueError(f"{busybox} is not linked statically: install the package busybox-static")
    layers = (_busybox_layer(binary), _script_layer(image.scripts))
    machine = {62: "amd64", 183: "arm64"}.get(int.from_bytes(binary[18:20], "little"), "amd64")
    config = {
        "architecture": machine,
        "os": "linux",
        "created": _CREATED,
        "config": dict(image.config),
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        "history": [{"created": _CREATED, "created_by": text} for text in ("busybox", image.reference)],
    }
    return Built(image.reference, json.dumps(config, sort_keys=True).encode(), layers)


@functools.cache
def _busybox_layer(busybox: bytes) -> bytes:
    """The same in every image, so that a registry and an engine keep it once."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("www", 0o755)):
            _add(tar, folder, mode, kind=tarfile.DIRTYPE)
        _add(tar, "bin/busybox", 0o755, busybox)
        _add(tar, "etc/passwd", 0o644, b"root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        _add(tar, "etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n")
        for applet in _APPLETS:
            _add(tar, f"bin/{applet}", 0o777, kind=tarfile.SYMTYPE, target="busybox")
    return buffer.getvalue()


def _script_layer(scripts: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, text in sorted(scripts.items()):
            _add(tar, path, 0o755, text.encode())
    return buffer.getvalue()


@functools.cache
def _compressed(layer: bytes) -> bytes:
    return gzip.compress(layer, compresslevel=6, mtime=0)


def _add(
    tar: tarfile.TarFile, path: str, mode: int, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, target: str = ""
) -> None:
    entry = tarfile.TarInfo(path)
    entry.mode, entry.size, entry.type, entry.linkname = mode, len(data), kind, target
    tar.addfile(entry, io.BytesIO(data))


def push(built: Built, registry: str) -> str:
    """Upload to a plain HTTP registry (``host:port``); returns the manifest's digest, the image's repo digest."""
    repository, _, tag = built.reference.rpartition(":")
    layers = [_compressed(layer) for layer in built.layers]
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(built.config), "digest": digest(built.config)},
            "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": digest(layer)} for layer in layers],
        }
    ).encode()
    connection = http.client.HTTPConnection(registry, timeout=60)
    try:
        for blob in (built.config, *layers):
            _push_blob(connection, repository, blob)
        _request(connection, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, _MANIFEST, expect=201)
    finally:
        connection.close()
    return digest(manifest)


def _push_blob(connection: http.client.HTTPConnection, repository: str, blob: bytes) -> None:
    name = digest(blob)
    if _request(connection, "HEAD", f"/v2/{repository}/blobs/{name}", expect=None).status == 200:
        return
    begun = _request(connection, "POST", f"/v2/{repository}/blobs/uploads/", expect=202)
    place = urllib.parse.urlsplit(begun.headers["Location"])
    query = f"{place.query}&" if place.query else ""
    target = f"{place.path}?{query}digest={urllib.parse.quote(name)}"
    _request(connection, "PUT", target, blob, "application/octet-stream", expect=201)


def _request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes = b"",
    kind: str = "",
    *,
    expect: int | None,
) -> http.client.HTTPResponse:
    headers = {"Content-Length": str(len(body)), **({"Content-Type": kind} if kind else {})}
    connection.request(method, path, body=body or None, headers=headers)
    answer = connection.getresponse()
    text = answer.read()
    if expect is not None and answer.status != expect:
        raise RuntimeError(f"registry: {method} {path}: {answer.status} {text[:300]!r}")
    return answer


def push_all(registry: str, busybox: pathlib.Path = pathlib.Path("/bin/busybox")) -> dict[str, str]:
    """Upload the whole catalogue; returns reference -> manifest digest."""
    return {reference: push(build(image, busybox), registry) for reference, image in CATALOGUE.items()}


def archive(built: Built, name: str | None = None) -> bytes:
    """A tar for ``docker load``; ``name`` is the tag that the loaded image gets (default: its reference)."""
    config = f"{built.image_id.removeprefix('sha256:')}.json"
    layers = {f"layer{number}.tar": layer for number, layer in enumerate(built.layers)}
    manifest = [{"Config": config, "RepoTags": [name or built.reference], "Layers": list(layers)}]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, config, 0o644, built.config)
        for path, layer in layers.items():
            _add(tar, path, 0o644, layer)
        _add(tar, "manifest.json", 0o644, json.dumps(manifest).encode())
    return buffer.getvalue()


def main(argv: list[str]) -> int:
    """``REFERENCE FILE [NAME]``: write a file for ``docker load``."""
    if len(argv) not in (2, 3) or argv[0] not in CATALOGUE:
        print(
            f"usage: images.py REFERENCE FILE.tar [NAME]   where REFERENCE is one of: {' '.join(CATALOGUE)}",
            file=sys.stderr,
        )
        return 2
    pathlib.Path(argv[1]).write_bytes(archive(build(CATALOGUE[argv[0]]), *argv[2:]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
