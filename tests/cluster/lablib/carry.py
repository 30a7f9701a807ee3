# SPDX-License-Identifier: Apache-2.0
"""What a fresh machine needs of this one to reach package mirrors: proxies, an index, trusted certificates."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES")
_BUNDLES = ("PIP_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
_OTHERS = ("TERM", "CI", "LANG")
_LOCAL = pathlib.Path("/usr/local/share/ca-certificates")
_BUNDLE = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")


def environment(tree: pathlib.Path) -> list[str]:
    """``NAME=value`` for ``env``: settings that make sense elsewhere too; files only where the tree has them."""
    kept = {name: os.environ[name] for name in _OTHERS if name in os.environ}
    for name in (*_PROXIES, *(name.upper() for name in _PROXIES), *_PIP):
        value = os.environ.get(name, "")
        if value and not value.startswith(("file:", "/")):
            kept[name] = value
    for name in _BUNDLES:
        value = os.environ.get(name, "")
        if value and (tree / value.lstrip("/")).exists():
            kept[name] = value
    kept.setdefault("LANG", "C.UTF-8")
    return [f"{name}={value}" for name, value in {**_pip_configuration(), **kept}.items()]


def certificates(upper: pathlib.Path, tree: pathlib.Path) -> None:
    """Make the machine's own certificate authorities trusted below ``upper`` as well, if it has any."""
    own = sorted(_LOCAL.glob("**/*.crt"))
    if not own:
        return
    target = upper / _LOCAL.relative_to("/")
    target.mkdir(parents=True, exist_ok=True)
    bundle = (tree / _BUNDLE.relative_to("/")).read_bytes()
    for file in own:
        shutil.copyfile(file, target / file.name)
        bundle += file.read_bytes().rstrip(b"\n") + b"\n"
    (upper / _BUNDLE.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
    (upper / _BUNDLE.relative_to("/")).write_bytes(bundle)


def _pip_configuration() -> dict[str, str]:
    """The index that the machine's pip is configured for, in pip's environment form."""
    argv = ["/usr/bin/python3", "-m", "pip", "config", "list"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition("=")
        name = f"PIP_{key.rpartition('.')[2].replace('-', '_').upper()}"
        value = value.strip().strip("'\"")
        if key.startswith("global.") and name in _PIP and not value.startswith(("file:", "/")):
            found[name] = value
    return found
