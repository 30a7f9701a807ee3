# SPDX-License-Identifier: Apache-2.0
"""The lab's parts that need neither root nor a lab."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from lablib import apt, carry, cgroups, client, images, inventory, rootfs
from lablib.paths import Lab, LabError, host_address, host_index

STATIC = b"\x7fELF" + bytes(14) + (62).to_bytes(2, "little") + b"busybox"


@pytest.fixture
def busybox(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "busybox"
    path.write_bytes(STATIC)
    return path


def test_names_lead_to_addresses_and_wrong_ones_are_refused() -> None:
    assert host_index("host2") == host_index("2") == 2
    assert host_address(2) == "10.77.0.12"
    for wrong in ("host0", "two", "host1000", "", "host-1"):
        with pytest.raises(LabError, match="hosts are called host1"):
            host_index(wrong)
    with pytest.raises(LabError, match="cannot name a lab"):
        Lab("../x")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "sources.list",
            "# a note\ndeb [signed-by=/k.gpg] http://m/debian bookworm main contrib\n"
            "deb-src http://m bookworm main\n"
            "deb [signed-by=/k.gpg] http://m/sec bookworm-security main\n",
        ),
        (
            "sources.list.d/debian.sources",
            "Types: deb deb-src\nURIs: http://m/debian\n# a note\nSuites: bookworm\n"
            "Components: main contrib\nSigned-By: /k.gpg\n\nTypes: deb\nURIs: http://m/sec\n"
            "Suites: bookworm-security\nComponents:\n main\nSigned-By: /k.gpg\n",
        ),
    ],
)
def test_apt_sources_of_both_forms_serve_another_release(tmp_path: pathlib.Path, file: str, text: str) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / file).write_text(text)
    (tmp_path / "sources.list.d/other.list").write_text("deb https://example.test/node nodistro main\n")
    assert apt.sources("trixie", tmp_path) == [
        "deb [signed-by=/k.gpg] http://m/debian trixie main",
        "deb [signed-by=/k.gpg] http://m/sec trixie-security main",
    ]


def test_a_machine_without_debian_sources_gets_debians_mirror(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources.list").write_text("deb http://example.test/ubuntu jammy main\n")
    assert apt.sources("bookworm", tmp_path) == ["deb http://deb.debian.org/debian bookworm main"]


def test_a_switched_off_source_stays_off(tmp_path: pathlib.Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    text = "Types: deb\nEnabled: no\nURIs: http://m/debian\nSuites: bookworm\nComponents: main\n"
    (tmp_path / "sources.list.d/debian.sources").write_text(text)
    assert apt.sources("bookworm", tmp_path) == ["deb http://deb.debian.org/debian bookworm main"]


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("0::/user.slice\n", ["unified"]),
        ("4:memory:/\n3:cpu,cpuacct:/x\n1:name=systemd:/\n0::/\n", ["memory", "cpu,cpuacct", "systemd", "unified"]),
        ("2:pids:/\n0::/\n", ["pids", "unified", "systemd"]),
    ],
)
def test_hierarchies_are_read_from_the_machine(text: str, folders: list[str]) -> None:
    assert [each.folder for each in cgroups.hierarchies(text)] == folders


def test_on_version_2_freezing_and_throttling_use_its_files(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "VIEW", tmp_path)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [cgroups.Hierarchy("")])
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified/cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "unified/queenright-lab-x").mkdir()
    (tmp_path / "unified/queenright-lab-x/cgroup.controllers").write_text("cpu memory\n")
    host = cgroups.HostCgroup(Lab("x"), "host1")
    host.create()
    path = host.paths["unified"]
    assert (path.parent / "cgroup.subtree_control").read_text() == "+memory"
    host.freeze(True)
    assert (path / "cgroup.freeze").read_text() == "1"
    host.limit_cpu(25)
    assert (path / "cpu.max").read_text() == "25000 100000"
    host.limit_cpu(None)
    assert (path / "cpu.max").read_text() == "max 100000"


def test_a_changed_recipe_has_another_name_and_a_changed_preparation_keeps_the_tarball(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = rootfs.Recipe("host")
    tree, tarball = host.tree, host.tarball
    assert rootfs.Recipe("host", "trixie").tarball != tarball
    monkeypatch.setattr(rootfs.prepare, "fingerprint", lambda: "changed")
    assert (host.tree != tree, host.tarball == tarball) == (True, True)
    monkeypatch.setattr(rootfs, "_HOST", "systemd")
    assert host.tarball != tarball
    with pytest.raises(LabError, match="no recipe for Debian 'sid'"):
        rootfs.Recipe("host", "sid")


def test_images_are_the_same_bytes_each_time_and_share_their_lowest_layer(busybox: pathlib.Path) -> None:
    built = {name: images.build(image, busybox) for name, image in images.CATALOGUE.items()}
    assert built == {name: images.build(image, busybox) for name, image in images.CATALOGUE.items()}
    assert len({one.image_id for one in built.values()}) == len(built)
    assert len({one.layers[0] for one in built.values()}) == 1
    with tarfile.open(fileobj=io.BytesIO(built["web:v1"].layers[1])) as tar:
        assert [(entry.name, entry.mode) for entry in tar] == [("bin/serve", 0o755)]


def test_a_busybox_with_a_loader_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "busybox").write_bytes(STATIC + b"/lib64/ld-linux-x86-64.so.2")
    with pytest.raises(ValueError, match="install the package busybox-static"):
        images.build(images.CATALOGUE["web:v1"], tmp_path / "busybox")


def test_an_archive_holds_what_its_manifest_names(busybox: pathlib.Path) -> None:
    built = images.build(images.CATALOGUE["web:v2"], busybox)
    with tarfile.open(fileobj=io.BytesIO(images.archive(built, "demo/web:v2"))) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))
        assert manifest["RepoTags"] == ["demo/web:v2"]
        config = tar.extractfile(manifest["Config"]).read()
        layers = [tar.extractfile(name).read() for name in manifest["Layers"]]
    assert manifest["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
    assert json.loads(config)["rootfs"]["diff_ids"] == [images.digest(layer) for layer in layers]
    assert "VERSION=v2" in json.loads(config)["config"]["Env"]


class _Registry(BaseHTTPRequestHandler):
    """Takes uploads and checks their digests, as a registry does."""

    protocol_version = "HTTP/1.1"
    blobs: dict[str, bytes]
    manifests: dict[str, bytes]

    def do_HEAD(self) -> None:
        self._answer(200 if self.path.rpartition("/")[2] in self.blobs else 404)

    def do_POST(self) -> None:
        self._answer(202, Location=f"http://{self.headers['Host']}/upload/1?_state=abc")

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if "/manifests/" in self.path:
            self.manifests[self.path] = data
        else:
            name = self.path.partition("digest=")[2].replace("%3A", ":")
            if "_state=abc" not in self.path or images.digest(data) != name:
                self._answer(400)
                return
            self.blobs[name] = data
        self._answer(201)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": "0", **headers}.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_a_push_uploads_every_blob_once_and_then_the_manifest(busybox: pathlib.Path) -> None:
    handler = type("Handler", (_Registry,), {"blobs": {}, "manifests": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            pushed = images.push_all(f"127.0.0.1:{server.server_port}", busybox)
        finally:
            server.shutdown()
    assert {path.rpartition("/")[2] for path in handler.manifests} >= {"v1", "v2", "broken", "latest"}
    assert pushed["web:v1"] == images.digest(handler.manifests["/v2/web/manifests/v1"])
    for text in handler.manifests.values():
        manifest = json.loads(text)
        for blob in (manifest["config"], *manifest["layers"]):
            assert len(handler.blobs[blob["digest"]]) == blob["size"]


def test_a_refused_push_says_what_the_registry_answered(busybox: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = type("Handler", (_Registry,), {"blobs": {}, "manifests": {}})
    monkeypatch.setattr(images, "digest", lambda data: "sha256:wrong")
    monkeypatch.setattr(
        handler, "do_PUT", lambda self: (self.rfile.read(int(self.headers["Content-Length"])), self._answer(400))
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(RuntimeError, match=r"registry: PUT .*: 400"):
                images.push(images.build(images.CATALOGUE["web:v1"], busybox), f"127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()


def test_the_inventory_has_one_manager_and_the_rest_as_workers() -> None:
    tree = json.loads(inventory.ansible(Lab("x"), 3))["all"]
    assert tree["hosts"] == {f"host{i}": {"ansible_host": f"10.77.0.1{i}"} for i in (1, 2, 3)}
    assert tree["children"] == {
        "swarm_managers": {"hosts": {"host1": {}}},
        "swarm_workers": {"hosts": {"host2": {}, "host3": {}}},
    }


def test_a_fresh_machine_gets_proxies_and_an_index_but_no_local_paths(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carry, "_pip_configuration", lambda: {"PIP_INDEX_URL": "https://configured.test/simple"})
    for name, value in {
        "https_proxy": "http://proxy.test:3128",
        "PIP_EXTRA_INDEX_URL": "file:///opt/simple",
        "PIP_CERT": "/no/such/file",
        "SSL_CERT_FILE": "/etc/bundle",
        "SECRET": "x",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/bundle").write_text("")
    given = carry.environment(tmp_path)
    assert {
        "https_proxy=http://proxy.test:3128",
        "PIP_INDEX_URL=https://configured.test/simple",
        "SSL_CERT_FILE=/etc/bundle",
    } <= set(given)
    assert not [line for line in given if line.startswith(("PIP_EXTRA", "PIP_CERT", "SECRET"))]


def test_an_inventory_says_who_manages_and_leaves_the_others_out() -> None:
    usual = json.loads(inventory.ansible(Lab("x"), 3))["all"]["children"]
    assert [list(usual[group]["hosts"]) for group in ("swarm_managers", "swarm_workers")] == [
        ["host1"],
        ["host2", "host3"],
    ]
    said = json.loads(inventory.ansible(Lab("x"), 5, managers=["host1", "host3"], workers=["host2"]))["all"]
    groups = said["children"]
    assert [list(groups[group]["hosts"]) for group in ("swarm_managers", "swarm_workers")] == [
        ["host1", "host3"],
        ["host2"],
    ]
    assert len(said["hosts"]) == 5, "each can be reached all the same"


def test_labs_of_runs_that_are_gone_are_swept_and_no_others(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEENRIGHT_LAB_DIR", str(tmp_path))
    monkeypatch.setattr(client, "is_up", lambda lab: lab.name == "test-4194305-wide")
    ended: list[str] = []
    monkeypatch.setattr(client, "down", lambda lab, wipe: ended.append(lab.name))
    gone, alive = 4194305, os.getpid()  # pids end at 2 ** 22
    for name in (f"test-{gone}", f"test-{gone}-wide", f"test-{alive}", "test-mine", "lab", "test"):
        (tmp_path / "labs" / name).mkdir(parents=True)
    assert client.sweep("test") == ended == [f"test-{gone}"]
