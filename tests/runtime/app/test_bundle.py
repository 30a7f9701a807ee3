# SPDX-License-Identifier: Apache-2.0
"""``queenright bundle create``: Compose files become a bundle whose images are digests, or an error by path."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from queenright.app import cli, settings
from queenright.app.ask import AskError
from queenright.app.compose_yaml import document
from queenright.sources import bundle

DIGEST = "sha256:" + "ab" * 32
COMPOSE = """
services:
  web:
    image: web:${TAG:-1}
    command: serve
    environment: {A: yes, B: 22:22}
    networks: [back]
  db: {image: reg.example:5000/team/db}
networks: {back: }
"""


class Engine(socketserver.ThreadingUnixStreamServer):
    """Knows the digest of every image except those whose names have ``none`` in them."""

    daemon_threads = True
    asked: list[str]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Engine)
        self.server.asked.append(self.path)
        known = "none" not in self.path
        body = json.dumps({"Descriptor": {"digest": DIGEST}} if known else {"message": "manifest unknown"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    with tempfile.TemporaryDirectory(prefix="qr") as name:
        monkeypatch.setattr(settings, "CONFIG", pathlib.Path(name) / "config.toml")
        yield pathlib.Path(name)


@pytest.fixture
def engine(folder: pathlib.Path) -> Iterator[Engine]:
    with Engine(str(folder / "s"), Handler) as server:
        server.asked = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


def create(folder: pathlib.Path, *arguments: str) -> int:
    return cli.main(["bundle", "create", *arguments, f"--socket={folder / 's'}", f"--docker-socket={folder / 'none'}"])


def compose(folder: pathlib.Path, text: str, name: str = "compose.yml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_bundle_is_written_with_the_digests_that_the_engine_names(folder: pathlib.Path, engine: Engine) -> None:
    target = folder / "app.dab"
    assert create(folder, compose(folder, COMPOSE), "-o", str(target)) == 0
    found = json.loads(target.read_text())
    assert found == {
        "Version": "0.1",
        "Services": {
            "db": {"Image": f"reg.example:5000/team/db:latest@{DIGEST}", "Networks": ["default"]},
            "web": {
                "Image": f"web:1@{DIGEST}",
                "Args": ["serve"],
                "Env": ["A=yes", "B=22:22"],
                "Networks": ["back"],
            },
        },
    }
    assert engine.asked == ["/distribution/web:1/json", "/distribution/reg.example:5000/team/db/json"]
    assert target.stat().st_mode & 0o777 == 0o644
    assert [one.key for one in bundle.read("x", bundle.parse(target.read_text())).services] == ["db", "web"]
    assert sorted(os.listdir(folder)) == ["app.dab", "compose.yml", "s"]


def test_it_goes_to_standard_output_and_variables_are_those_of_the_caller(
    folder: pathlib.Path, engine: Engine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAG", "7")
    assert create(folder, compose(folder, COMPOSE)) == 0
    assert json.loads(capsys.readouterr().out)["Services"]["web"]["Image"] == f"web:7@{DIGEST}"


def test_several_files_are_laid_over_each_other_and_files_lie_beside_the_first(
    folder: pathlib.Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "web.env").write_text("C=d\n")
    over = compose(folder, "services: {web: {image: 'web:2', env_file: web.env}}", "over.yml")
    assert create(folder, compose(folder, COMPOSE), over) == 0
    web = json.loads(capsys.readouterr().out)["Services"]["web"]
    assert (web["Image"], web["Env"]) == (f"web:2@{DIGEST}", ["A=yes", "B=22:22", "C=d"])


def test_an_image_without_a_digest_is_refused_unless_its_tag_may_stay(
    folder: pathlib.Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    path = compose(folder, "services: {web: {image: 'none:1'}, db: {image: db}}")
    target = folder / "app.dab"
    assert create(folder, path, "-o", str(target)) == 1
    assert capsys.readouterr().err == (
        "queenright: services.web.image: no digest of none:1 is known: manifest unknown. "
        "Push it to a registry first, or say --keep-tags\n"
    )
    assert not target.exists()
    assert create(folder, path, "--keep-tags") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["Services"]["web"]["Image"] == "none:1"
    assert json.loads(out)["Services"]["db"]["Image"] == f"db:latest@{DIGEST}"
    assert err == ("queenright: services.web.image: no digest of none:1 is known: manifest unknown; its tag is kept\n")


def test_without_an_engine_pinned_images_do(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = compose(folder, f"services: {{web: {{image: 'web@{DIGEST}', build: .}}}}")
    assert create(folder, path) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["Services"]["web"]["Image"] == f"web@{DIGEST}"
    assert err == "queenright: services.web.build: is ignored: images are built elsewhere\n"
    assert create(folder, compose(folder, "services: {web: {image: web}}")) == 1
    assert "none does not exist" in capsys.readouterr().err


ERRORS = {
    "services: {web: {image: 'web:1', ports: ['80:80']}}": "services.web.ports: a bundle says ports of containers",
    "services: {web: {image: 'web:1', volumes: ['/a:/a']}}": "services.web.volumes: a bundle of version 0.1 cannot",
    "services: {web: {image: 'web:1', env_file: gone}}": "/gone cannot be read: No such file or directory",
    "services: {web: {image: 'web:1', imag: x}}": "services.web.imag: there is no such key",
    "services: [": "compose.yml:1:12: this is no YAML: ",
    "a: 1\na: 2\n": "compose.yml:2:1: this is no YAML: the key a stands twice",
    "- a\n": "compose.yml: a Compose file is a mapping",
    "a: 1\n---\nb: 1\n": "this is no YAML: ",
    "a: !!python/object/apply:os.system [x]\n": "this is no YAML: could not determine a constructor",
    "[" * 5000: "this is no YAML: ",
}


@pytest.mark.parametrize("text", ERRORS, ids=range(len(ERRORS)))
def test_errors_say_where_and_leave_what_was_written_before(
    text: str, folder: pathlib.Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    target = folder / "app.dab"
    target.write_text("old")
    assert create(folder, compose(folder, text), "-o", str(target)) == 1
    assert ERRORS[text] in capsys.readouterr().err
    assert target.read_text() == "old"


def test_a_place_that_cannot_be_written_is_told(
    folder: pathlib.Path, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert create(folder, compose(folder, COMPOSE), "-o", str(folder / "no" / "app.dab")) == 1
    assert "app.dab cannot be written: No such file or directory" in capsys.readouterr().err
    with pytest.raises(AskError, match="gone cannot be read"):
        document(folder / "gone")


def test_plain_values_are_read_as_by_docker(folder: pathlib.Path) -> None:
    """As ``docker stack deploy`` of version 28 reads them."""
    (folder / "f").write_text(
        "{a: 0x10, b: 0o17, c: 017, d: 1_000, e: 12:30:00, f: 0b11, g: +1, h: -0x1f, i: on, j: True, k: 2020-01-01}"
    )
    assert document(folder / "f") == {
        "a": 16,
        "b": 15,
        "c": 15,
        "d": 1000,
        "e": "12:30:00",
        "f": 3,
        "g": 1,
        "h": -31,
        "i": "on",
        "j": True,
        "k": "2020-01-01",
    }


def test_the_daemon_loads_nothing_that_reads_yaml() -> None:
    script = (
        "import sys; import queenright.app.cli, queenright.app.daemon, queenright.app.host, queenright.app.managing;"
        "from queenright.sources import bundle, compose; sys.exit('yaml' in sys.modules)"
    )
    path = os.pathsep.join(one for one in sys.path if one)
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": path})
