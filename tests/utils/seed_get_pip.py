# SPDX-License-Identifier: GPL-3.0-or-later
"""Give ansible-test the pip it bootstraps its venvs with, from the package index instead of from its own server.

``ansible-test sanity`` downloads ``get-pip-VERSION.py`` from ci-files.testing.ansible.com, which many networks do not
reach; all the rest comes from the index that pip is configured for. This script puts a file of that name into the
cache: it runs pip from a wheel beside it.

Usage: seed_get_pip.py HOME (the home directory that ansible-test will see)
"""

from __future__ import annotations

import importlib.util
import pathlib
import re
import subprocess
import sys

STARTER = '''"""Runs pip from the wheel beside this file, as get-pip.py does from the one inside it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "{wheel}"))
from pip._internal.cli.main import main

wanted = [a for a in sys.argv[1:] if a not in ("--no-setuptools", "--no-wheel")]
sys.exit(main(["install", "--upgrade", "--force-reinstall"] + wanted))
'''


def bootstrap_version() -> str:
    """The version of pip that the installed ansible-test asks for. RuntimeError where its sources no longer tell."""
    spec = importlib.util.find_spec("ansible_test")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("ansible_test is not installed beside this interpreter: run this with the tests' venv")
    source = pathlib.Path(spec.submodule_search_locations[0]) / "_internal/python_requirements.py"
    found = re.search(r"""pip=['"]([0-9.]+)['"]""", source.read_text())
    if found is None:
        raise RuntimeError(f"{source} names no version of pip any more: adapt {__file__}")
    return found[1]


def main() -> None:
    """Download the wheel once and write the starter."""
    version = bootstrap_version()
    cache = pathlib.Path(sys.argv[1]) / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    wheel = f"pip-{version}-py3-none-any.whl"
    if not (cache / wheel).exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            str(cache),
            f"pip=={version}",
        ]
        subprocess.run(command, check=True)
    (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(STARTER.format(wheel=wheel))


if __name__ == "__main__":
    main()
