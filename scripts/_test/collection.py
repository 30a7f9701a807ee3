# SPDX-License-Identifier: GPL-3.0-or-later
"""Stages that look at the collection as users get it: built, installed into an empty place, then checked.

`collection.py STEP [ARGUMENT]`. Trees are made under `.test-output/`: `checkout/` is what git would commit,
`installed/` is what `ansible-galaxy` installs from the tarball, both below `ansible_collections/queenright/swarm`
as the tools want it.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
import zipfile

import environment
from environment import HOME, OUTPUT, ROOT, VENV

PLACE = "ansible_collections/queenright/swarm"
CHECKOUT = OUTPUT / "checkout" / PLACE
INSTALLED = OUTPUT / "installed" / PLACE
DIST = OUTPUT / "dist"
SHIPPED = {
    *("plugins", "roles", "playbooks", "meta", "docs", "changelogs", "LICENSES"),
    *("README.md", "CHANGELOG.md", "CHANGELOG.rst", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "COPYING", "REUSE.toml"),
    *("MANIFEST.json", "FILES.json"),
}
MOST_BYTES = 20 * 1000 * 1000
"""Galaxy takes no larger tarball."""


def run(*command: str | pathlib.Path, cwd: pathlib.Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a command in the sight of the reader; a failure ends the stage with its status."""
    line = [str(part) for part in command]
    print("+", " ".join(line), flush=True)
    code = subprocess.run(line, cwd=cwd, env={**os.environ, **(env or {})}, check=False).returncode
    if code:
        sys.exit(code)


def git(*arguments: str, cwd: pathlib.Path = ROOT) -> str:
    """Standard output of a git command, whoever owns the folder."""
    command = ["git", "-c", "safe.directory=*", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def project_files() -> list[pathlib.Path]:
    """Files of the project relative to its root: what is committed and what is about to be, nothing ignored."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return [pathlib.Path(name) for name in names if name and os.path.lexists(ROOT / name)]


def _repository(tree: pathlib.Path) -> None:
    """ansible-test asks git which files there are."""
    git("init", "-q", cwd=tree)
    git("add", "-A", "-f", cwd=tree)
    git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", "tree", cwd=tree)


def _export(tree: pathlib.Path) -> None:
    for name in project_files():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target, follow_symlinks=False)


def _wheel(tree: pathlib.Path) -> None:
    """The runtime's wheel goes where the role looks for it. The same commit gives the same bytes."""
    moment = git("log", "-1", "--format=%ct").strip()
    target = tree / "roles/runtime/files"
    target.mkdir(parents=True, exist_ok=True)
    pip = (VENV / "bin/python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-cache-dir")
    run(*pip, "--wheel-dir", target, tree / "runtime", env={"SOURCE_DATE_EPOCH": moment})
    for leftover in ("build", "src/queenright.egg-info"):
        shutil.rmtree(tree / "runtime" / leftover, ignore_errors=True)


def build(folder: pathlib.Path) -> pathlib.Path:
    """Build the collection's tarball with the runtime's wheel in it into `folder`; answer its path."""
    shutil.rmtree(CHECKOUT, ignore_errors=True)
    CHECKOUT.mkdir(parents=True)
    _export(CHECKOUT)
    _wheel(CHECKOUT)
    folder.mkdir(parents=True, exist_ok=True)
    run(VENV / "bin/ansible-galaxy", "collection", "build", "--force", "--output-path", folder, cwd=CHECKOUT)
    return max(folder.glob("queenright-swarm-*.tar.gz"), key=lambda path: path.stat().st_mtime_ns)


def _inspect(tarball: pathlib.Path) -> None:
    size = tarball.stat().st_size
    with tarfile.open(tarball) as archive:
        names = archive.getnames()
    strangers = sorted({name.split("/")[0] for name in names} - SHIPPED)
    wheels = [name for name in names if name.endswith(".whl")]
    print(f"{tarball.name}: {size} bytes, {len(names)} entries, wheel {wheels}")
    if size >= MOST_BYTES:
        sys.exit(f"the tarball has {size} bytes and Galaxy takes {MOST_BYTES}: add to build_ignore in galaxy.yml")
    if strangers:
        sys.exit(
            f"these do not belong into the tarball: {', '.join(strangers)}: add them to build_ignore in galaxy.yml"
        )
    if len(wheels) != 1:
        sys.exit("the tarball must hold exactly one wheel, the runtime's, in roles/runtime/files")
    _inspect_wheel(CHECKOUT / wheels[0])


def _inspect_wheel(path: pathlib.Path) -> None:
    """Every module is in the wheel, the option tables (symbolic links in the sources) as files."""
    package = ROOT / "runtime/src/queenright"
    wanted = {f"queenright/{file.relative_to(package)}" for file in package.rglob("*.py")} | {"queenright/py.typed"}
    with zipfile.ZipFile(path) as archive:
        there = {info.filename for info in archive.infolist() if info.file_size or info.filename.endswith("py.typed")}
        scripts = archive.read(next(name for name in there if name.endswith("entry_points.txt"))).decode()
    if wanted - there:
        sys.exit(f"{path.name} lacks {sorted(wanted - there)}: has each folder its __init__.py?")
    if "queenright = queenright.app.cli:main" not in scripts:
        sys.exit(f"{path.name} brings no executable queenright")


def step_collection() -> None:
    """Build, inspect, install into an empty place."""
    tarball = build(DIST)
    _inspect(tarball)
    shutil.rmtree(OUTPUT / "installed", ignore_errors=True)
    target = OUTPUT / "installed"
    run(VENV / "bin/ansible-galaxy", "collection", "install", "--offline", "--force", "-p", target, tarball)
    _repository(INSTALLED)
    _repository(CHECKOUT)


def step_doc() -> None:
    """Each module, inventory plugin and role shows its page."""
    where = {"ANSIBLE_COLLECTIONS_PATH": str(OUTPUT / "installed"), "ANSIBLE_PAGER": "cat"}
    for kind in ("modules", "inventory", "lookup", "filter"):
        names = [path.stem for path in sorted((INSTALLED / "plugins" / kind).glob("*.py")) if path.stem != "__init__"]
        if names:
            plugin_type = "module" if kind == "modules" else kind
            run(VENV / "bin/ansible-doc", "-t", plugin_type, *(f"queenright.swarm.{name}" for name in names), env=where)
    roles = [f"queenright.swarm.{path.name}" for path in sorted((INSTALLED / "roles").iterdir())]
    run(VENV / "bin/ansible-doc", "-t", "role", *roles, env=where)


def _path_of_pythons() -> str:
    """PATH with every target version's real interpreter behind the venv's programs."""
    folders = [str(path.parent) for path in environment.target_pythons().values()]
    first, _, rest = os.environ["PATH"].partition(":")
    return ":".join([first, *dict.fromkeys(folders), rest])


def _controller() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def step_sanity() -> None:
    """Every sanity test, import and compile on each Python that is here; nothing is ignored."""
    ignored = [path.name for path in (ROOT / "tests/sanity").glob("ignore-*.txt") if path.read_text().strip()]
    if ignored:
        sys.exit(f"tests/sanity holds lines in {', '.join(ignored)}: mend the findings instead")
    run(VENV / "bin/python", ROOT / "tests/utils/seed_get_pip.py", HOME)
    run(VENV / "bin/ansible-test", "sanity", "--color", "no", cwd=INSTALLED, env={"PATH": _path_of_pythons()})


def step_units() -> None:
    """The plugins' unit tests as ansible-test runs them."""
    run(
        VENV / "bin/ansible-test",
        "units",
        "--color",
        "no",
        "--python",
        _controller(),
        "--num-workers",
        "2",
        cwd=CHECKOUT,
    )
    merged = ET.Element("testsuites")
    for report in sorted((CHECKOUT / "tests/output/junit").glob("*.xml")):
        merged.append(ET.parse(report).getroot())
    ET.ElementTree(merged).write(OUTPUT / "units.xml")


def step_ansible_lint() -> None:
    """The production profile over everything that ships; roles resolve to this tree."""
    where = {"ANSIBLE_COLLECTIONS_PATH": str(OUTPUT / "checkout")}
    run(VENV / "bin/ansible-lint", "--offline", "--profile", "production", "--nocolor", cwd=CHECKOUT, env=where)


def step_docs() -> None:
    """Markup, references and links of the collection's documentation."""
    where = {"ANSIBLE_COLLECTIONS_PATH": str(OUTPUT / "checkout")}
    options = ("--plugin-docs", "--validate-collection-refs", "self")
    run(VENV / "bin/antsibull-docs", "lint-collection-docs", *options, ".", cwd=CHECKOUT, env=where)


def step_shellcheck() -> None:
    """Every file of the project that a shell runs."""
    scripts = []
    for name in project_files():
        path = ROOT / name
        if path.is_symlink() or not path.is_file():
            continue
        first = path.open("rb").readline(80)
        if name.suffix == ".sh" or (first.startswith(b"#!") and first.rstrip().endswith((b"bash", b"/sh", b" sh"))):
            scripts.append(name)
    run("shellcheck", "--external-sources", "--severity", "style", *scripts)


def step_build() -> None:
    """`collection.py build FOLDER`: for releases and for the lab; the last line printed is the tarball's path.

    In a tree of its own: the stages work on theirs at the same time.
    """
    global CHECKOUT
    with tempfile.TemporaryDirectory(prefix="queenright-build") as tree:
        CHECKOUT = pathlib.Path(tree) / PLACE
        tarball = build(pathlib.Path(sys.argv[2]).resolve())
        _inspect(tarball)
    print(tarball)


if __name__ == "__main__":
    globals()["step_" + sys.argv[1].replace("-", "_")]()
