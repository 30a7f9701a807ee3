# SPDX-License-Identifier: Apache-2.0
"""What is written down of Docker's own client (``golden.json``) is what the real one does.

With ``REWRITE_GOLDEN=1`` in the environment, it is written anew.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compat.compose import generated
from compat.compose.recorder import CLIENTS, Said, deploy
from runtime.sources.compose import cases as cases_room
from runtime.sources.compose.cases import FILES, HOME, OVER, split
from runtime.sources.compose.cases import VALID as SINGLE
from runtime.sources.compose.cases_over import LAID
from runtime.sources.compose.cases_refused import REFUSED, STRICTER
from runtime.sources.compose.forms import of_client, of_draft

from queenright.sources import compose

NEWEST = CLIENTS[:1]
MODERN = int(subprocess.check_output([*NEWEST, "--version"], text=True).split()[2].split(".")[0]) >= 25
NEWER = {
    *("version 3.13", "healthcheck list", "volumes long", "networks map", "network driver_opts", "deploy job"),
    *("deploy job of one", "deploy global job", "over: command", "over: volumes", "over: volumes untouched"),
    *("over: networks", "over: network entry", "over: volume entry", "over: secret entry", "over: deploy"),
    *("over: healthcheck", "over: network driver_opts", "cluster volume", "no image", "build only"),
}
"""What clients before version 25 do not know, refuse for their reading of YAML, or merge otherwise."""
VALID = SINGLE | LAID
GOLDEN = Path(cases_room.__file__).with_name("golden.json")
GENERATED, PORTION = int(os.environ.get("GENERATED_CASES", "60")), 20
REWRITE = "REWRITE_GOLDEN" in os.environ


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of all cases lie."""
    place = tmp_path_factory.mktemp("compose")
    for name, content in FILES.items():
        if not name.startswith("/"):
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_bytes(content)
    return place


@pytest.fixture(scope="module")
def golden() -> Iterator[dict[str, Any]]:
    held: dict[str, Any] = {} if REWRITE else json.loads(GOLDEN.read_text())
    yield held
    if REWRITE:
        rows = [f"{json.dumps(key)}: {json.dumps(held[key], sort_keys=True)}" for key in sorted(held)]
        GOLDEN.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def cases(*names: str) -> list[str]:
    """Those that the client is compared by."""
    return sorted(name for name in names if MODERN or name not in NEWER)


def said(client: str, text: str, folder: Path) -> Said:
    files, variables = split(text)
    paths = []
    for number, one in enumerate(files):
        paths.append(folder / f"compose.{number}.yml")
        paths[-1].write_text(one if MODERN or "version:" in one else _with_version(one))
    socket = folder / "engine.sock"
    socket.unlink(missing_ok=True)
    return deploy(client, socket, "shop", paths, variables, folder)


def _with_version(text: str) -> str:
    return f'{{"version": "3.9", {text[1:]}' if text.startswith("{") else f"version: '3.9'\n{text}"


@pytest.mark.parametrize("client", NEWEST)
@pytest.mark.parametrize("name", cases(*VALID))
def test_docker_makes_of_it_what_is_written_down(name: str, client: str, folder: Path, golden: dict[str, Any]) -> None:
    found = said(client, VALID[name], folder)
    assert found.status == 0, found.errors
    if REWRITE:
        golden[name] = of_client(found.created)
    assert of_client(found.created) == golden[name]


@pytest.mark.parametrize("client", NEWEST)
@pytest.mark.parametrize("name", cases(*REFUSED))
def test_docker_refuses_it_too(name: str, client: str, folder: Path) -> None:
    found = said(client, REFUSED[name][0], folder)
    assert found.status != 0, found.created


@pytest.mark.parametrize("client", NEWEST)
@pytest.mark.parametrize("name", cases(*(STRICTER.keys() - {"condition"})))
def test_docker_takes_what_only_we_refuse(name: str, client: str, folder: Path) -> None:
    found = said(client, STRICTER[name][0], folder)
    assert found.status == 0 or "secret" in name or "template" in name, found.errors


@pytest.mark.parametrize("start", range(0, GENERATED, PORTION))
def test_files_by_dice_are_read_as_docker_reads_them(start: int, folder: Path) -> None:
    for seed in range(start, start + PORTION):
        files = generated.files(seed, modern=MODERN)
        found = said(CLIENTS[0], OVER.join(map(json.dumps, files)), folder)
        assert found.status == 0, (seed, found.errors)
        draft = compose.read("shop", files, variables=HOME, files=FILES)
        assert of_draft(draft) == of_client(found.created), seed
