# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pathlib
from typing import Any

import pytest

from queenright.edge.docker.resolv_files import ResolvFiles, bind_resolv, has_own, host_search, resolv_conf
from queenright.spec.container import DNSConfig

TEXTS = [
    (DNSConfig(), (), "nameserver 10.0.1.2\noptions ndots:0\n"),
    (DNSConfig(), ("lan",), "nameserver 10.0.1.2\nsearch lan\noptions ndots:0\n"),
    (
        DNSConfig(search=("a.example", "b.example")),
        ("lan",),
        "nameserver 10.0.1.2\nsearch a.example b.example\noptions ndots:0\n",
    ),
    (DNSConfig(search=(".",)), ("lan",), "nameserver 10.0.1.2\noptions ndots:0\n"),
    (DNSConfig(options=("rotate",)), (), "nameserver 10.0.1.2\noptions ndots:0 rotate\n"),
    (DNSConfig(options=("ndots:5", "rotate")), (), "nameserver 10.0.1.2\noptions ndots:5 rotate\n"),
    (DNSConfig(nameservers=("9.9.9.9",)), (), "nameserver 10.0.1.2\noptions ndots:0\n"),
]


@pytest.mark.parametrize(("dns", "search", "text"), TEXTS)
def test_what_a_container_resolves_with(dns: DNSConfig, search: tuple[str, ...], text: str) -> None:
    assert resolv_conf("10.0.1.2", dns, search) == text


def test_the_nodes_last_search_domains_count(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "resolv.conf"
    assert host_search(file) == ()
    file.write_text("domain old.example\n# search no.example\nsearch a.example b.example\nnameserver 9.9.9.9\nsearch\n")
    assert host_search(file) == ("a.example", "b.example")


def test_a_file_is_written_once_and_readable_for_all(tmp_path: pathlib.Path) -> None:
    files = ResolvFiles(tmp_path / "resolv", tmp_path / "none")
    path = files.ensure("t1", "10.0.1.2", DNSConfig())
    assert path.stat().st_mode & 0o777 == 0o644
    path.write_text("changed in the container\n")
    assert files.ensure("t1", "10.0.1.2", DNSConfig()).read_text() == "changed in the container\n"
    files.drop("t1")
    files.drop("t1")
    assert not path.exists()


BODIES: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"HostConfig": {"Mounts": [{"Target": "/etc"}], "Binds": ["/a:/b"], "Tmpfs": {"/run": ""}}}, False),
    ({"HostConfig": {"Mounts": [{"Target": "/etc//resolv.conf"}]}}, True),
    ({"HostConfig": {"Binds": ["/a:/etc/resolv.conf:ro,z"]}}, True),
]


@pytest.mark.parametrize(("body", "own"), BODIES)
def test_what_a_service_mounts_there_itself_is_seen(body: dict[str, Any], own: bool) -> None:
    assert has_own(body) is own


def test_the_file_comes_beside_other_mounts() -> None:
    body: dict[str, Any] = {"HostConfig": {"Binds": ["/a:/b"]}}
    bind_resolv(body, pathlib.Path("/run/x"))
    assert body["HostConfig"]["Binds"] == ["/a:/b", "/run/x:/etc/resolv.conf:z"]
