# SPDX-License-Identifier: Apache-2.0
"""Which of the engine's three forms a mount is given, and what an engine that is too old is not asked for."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from queenright.agent.ports import TaskError
from queenright.edge.docker.mount_config import missing_source, mount_keys
from queenright.spec import fields
from queenright.spec.container import Mount


def mount(**said: Any) -> Mount:
    return fields.merge(Mount, None, {"target": "/t", **said})


def bind(**options: Any) -> Mount:
    read_only = options.pop("read_only", None)
    return mount(type="bind", source=options.pop("source", "/srv"), read_only=read_only, bind=options)


def test_a_mount_of_the_common_kinds_is_given_as_it_is() -> None:
    mounts = [mount(source="vol"), mount(type="tmpfs", tmpfs={"size": "1M"}), bind(propagation="rslave")]
    assert mount_keys(mounts, "") == {
        "Mounts": [
            {"Type": "volume", "Source": "vol", "Target": "/t"},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20}},
            {"Type": "bind", "Source": "/srv", "Target": "/t", "BindOptions": {"Propagation": "rslave"}},
        ]
    }
    assert mount_keys([], "") == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (bind(relabel="shared"), "/srv:/t:z"),
        (bind(relabel="private"), "/srv:/t:Z"),
        (bind(relabel="shared", read_only=True), "/srv:/t:ro,z"),
        (bind(relabel="private", propagation="rslave", read_only=True), "/srv:/t:ro,Z,rslave"),
    ],
)
def test_a_bind_that_is_relabelled_takes_the_form_that_knows_labels(given: Mount, expected: str) -> None:
    assert mount_keys([given], "28.0.1") == {"Binds": [expected]}


def test_a_tmpfs_with_options_takes_the_form_that_every_engine_understands() -> None:
    given = mount(type="tmpfs", read_only=True, tmpfs={"size": "1M", "mode": 0o1777, "options": ["exec", "uid=7"]})
    assert mount_keys([given], "20.10.24") == {"Tmpfs": {"/t": f"exec,uid=7,ro,size={1 << 20},mode=1777"}}


@pytest.mark.parametrize(
    ("given", "version", "says"),
    [
        (mount(source="v", volume={"subpath": "a"}), "20.10.24", "Subpath of a volume needs Docker Engine 26"),
        (mount(source="v", volume={"subpath": "a"}), "25.0.3", "this node has 25.0.3"),
        (bind(read_only_force_recursive=True), "24.0.7", "ReadOnlyForceRecursive of a bind needs Docker Engine 25"),
    ],
)
def test_an_engine_that_would_mount_something_else_is_not_asked(given: Mount, version: str, says: str) -> None:
    with pytest.raises(TaskError, match=says):
        mount_keys([given], version)
    assert list(mount_keys([given], "28.1.0")) == list(mount_keys([given], "")) == ["Mounts"]


def test_the_engine_makes_no_directory_of_a_source_that_is_missing(tmp_path: pathlib.Path) -> None:
    there, gone = str(tmp_path), str(tmp_path / "gone")
    assert missing_source([bind(source=there, relabel="shared"), mount(source="vol")]) is None
    assert missing_source([bind(source=there, relabel="shared"), bind(source=gone, relabel="private")]) == gone
    assert missing_source([bind(source=gone, relabel="shared", create_mountpoint=True)]) is None, "it shall be made"
    assert missing_source([bind(source=gone)]) is None, "the engine says so itself"
