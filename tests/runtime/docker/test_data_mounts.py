# SPDX-License-Identifier: Apache-2.0
"""Files of tasks on a kernel made of paper; a real one is in ``tests/compat/daemon/test_data.py``."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
from typing import Any

import pytest

from queenright.edge.docker import data_mounts
from queenright.edge.docker.data_mounts import GUARDS, DataMountError, DataMounts
from queenright.edge.docker.task_files import bind, owner_of
from queenright.lib.mounts import MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY, MS_REMOUNT
from queenright.model.payloads import Payload

T1, T2, T3, T4 = (f"task{number}".ljust(25, "0") for number in range(1, 5))
ME = os.getuid(), os.getgid()


class Kernel:
    """Remembers what is mounted where. A mount hides nothing: the folder itself is written to."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.mounted: dict[str, int] = {}
        self.fails: dict[int, OSError] = {}  # number of the call of mount -> what comes of it

    def mount(self, source: str, target: str, kind: str, flags: int, options: str) -> None:
        number = sum(call[0] == "mount" for call in self.calls)
        self.calls.append(("mount", target, kind, flags, options))
        if number in self.fails:
            raise self.fails[number]
        self.mounted[target] = flags

    def unmount(self, target: str) -> None:
        self.calls.append(("unmount", target))
        del self.mounted[target]
        for entry in pathlib.Path(target).iterdir():
            entry.unlink()

    def is_mount(self, target: str) -> bool:
        return target in self.mounted


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Kernel:
    monkeypatch.setattr(data_mounts, "SELINUX", tmp_path / "none")
    return Kernel()


def mounts(kernel: Kernel, root: pathlib.Path) -> DataMounts:
    return DataMounts(root, mount=kernel.mount, unmount=kernel.unmount, is_mount=kernel.is_mount)


def payload(name: str = "db", data: bytes = b"open sesame", **more: Any) -> Payload:
    return Payload(kind="secret", name=name, target=name, path=f"/run/secrets/{name}", data=data, **more)


def test_each_file_is_written_in_memory_and_then_nothing_can_be_written_any_more(
    kernel: Kernel, tmp_path: pathlib.Path
) -> None:
    root = tmp_path / "run/data"
    files = (payload("a", b"one", mode=0o440), payload("b", b"two" * 2000))
    binds = mounts(kernel, root).lay_out(T1, files, ME)
    assert [(bind.source, bind.target) for bind in binds] == [
        (f"{root}/{T1}/0", "/run/secrets/a"),
        (f"{root}/{T1}/1", "/run/secrets/b"),
    ]
    assert (root / T1 / "0").read_bytes() == b"one" and (root / T1 / "1").read_bytes() == b"two" * 2000
    assert stat.S_IMODE((root / T1 / "0").stat().st_mode) == 0o440
    first, last = kernel.calls
    assert first[:4] == ("mount", f"{root}/{T1}", "tmpfs", MS_NODEV | MS_NOSUID | MS_NOEXEC)
    assert last[3] == GUARDS | MS_REMOUNT | MS_RDONLY
    size = int(first[4].partition("size=")[2].partition(",")[0])
    assert 3 * 4096 < size < 100_000


def test_nobody_gets_past_the_folder_of_all_tasks(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    root = tmp_path / "data"
    mounts(kernel, root).lay_out(T1, (payload(),), ME)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("owner", "ids", "text"),
    [
        ((0, 0), {"uid": 2**32 - 1}, r"secret 'db': uid 4294967295 is no id a file can have$"),
        ((0, 0), {"gid": 2**32}, r"secret 'db': gid 4294967296 is no id a file can have$"),
        ((100_000, 0), {"uid": 2**32 - 2}, r"uid 4294967294 .*, counted from 100000 on this node$"),
    ],
)
def test_owners_that_no_file_can_have_are_refused(
    kernel: Kernel, tmp_path: pathlib.Path, owner: tuple[int, int], ids: dict[str, int], text: str
) -> None:
    with pytest.raises(DataMountError, match=text):
        mounts(kernel, tmp_path).lay_out(T1, (payload(**ids),), owner)
    assert list(tmp_path.iterdir()) == [] and kernel.mounted == {}


def test_a_number_that_the_kernel_does_not_take_leaves_nothing(
    kernel: Kernel, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflow(*_arguments: object) -> None:
        raise OverflowError("uid is greater than maximum")

    monkeypatch.setattr(os, "fchown", overflow)
    with pytest.raises(DataMountError, match="too large for the kernel"):
        mounts(kernel, tmp_path).lay_out(T1, (payload(),), ME)
    assert list(tmp_path.iterdir()) == [] and kernel.mounted == {}


def test_what_a_crash_left_half_done_is_made_anew(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    held = mounts(kernel, tmp_path)
    held.lay_out(T1, (payload(data=b"old"), payload("x")), ME)
    held.lay_out(T1, (payload(data=b"new"),), ME)
    assert (tmp_path / T1 / "0").read_bytes() == b"new"
    assert not (tmp_path / T1 / "1").exists()
    assert [call[0] for call in kernel.calls] == ["mount", "mount", "unmount", "mount", "mount"]


@pytest.mark.parametrize("number", [0, 1])
def test_when_mounting_fails_nothing_is_left_and_the_text_says_where(
    kernel: Kernel, tmp_path: pathlib.Path, number: int
) -> None:
    kernel.fails[number] = OSError(errno.EPERM, os.strerror(errno.EPERM))
    with pytest.raises(DataMountError, match=rf"{tmp_path}/{T1}: .*CAP_SYS_ADMIN") as caught:
        mounts(kernel, tmp_path).lay_out(T1, (payload(),), ME)
    assert "sesame" not in str(caught.value)
    assert not (tmp_path / T1).exists() and not kernel.mounted


def test_under_selinux_the_files_carry_a_label_that_containers_may_read(
    kernel: Kernel, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_mounts, "SELINUX", tmp_path)
    mounts(kernel, tmp_path / "data").lay_out(T1, (payload(),), ME)
    assert kernel.calls[0][4].endswith(',context="system_u:object_r:container_file_t:s0"')


def test_a_policy_that_does_not_know_the_label_gets_the_older_one_or_none(
    kernel: Kernel, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_mounts, "SELINUX", tmp_path)
    kernel.fails = {number: OSError(errno.EINVAL, "Invalid argument") for number in (0, 1)}
    mounts(kernel, tmp_path / "data").lay_out(T1, (payload(),), ME)
    assert "svirt_sandbox_file_t" in kernel.calls[1][4] and "context" not in kernel.calls[2][4]


def test_the_files_are_never_swapped_out_where_the_kernel_can_promise_that(
    kernel: Kernel, tmp_path: pathlib.Path
) -> None:
    mounts(kernel, tmp_path).lay_out(T1, (payload(),), ME)
    assert kernel.calls[0][4].endswith(",noswap") and kernel.calls[1][4] == "noswap"
    kernel.fails = {2: OSError(errno.EINVAL, "Invalid argument")}
    mounts(kernel, tmp_path).lay_out(T2, (payload(),), ME)
    assert "noswap" not in kernel.calls[3][4] and kernel.calls[4][4] == ""


def test_one_folder_that_resists_a_sweep_does_not_shield_the_others(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    held = mounts(kernel, tmp_path)
    held.lay_out(T2, (payload(),), ME)
    (tmp_path / T1).mkdir()
    (tmp_path / T1 / "file").write_text("kept")
    with pytest.raises(DataMountError, match=T1):
        held.sweep(())
    assert not kernel.mounted and not (tmp_path / T2).exists()


def test_what_lies_on_a_disk_is_never_removed(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    """Whatever folder is given by mistake, and even if something there is named like a task."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image/layer").write_text("kept")
    (tmp_path / T1).mkdir()
    (tmp_path / T1 / "file").write_text("kept")
    held = mounts(kernel, tmp_path)
    for work in (lambda: held.sweep(()), lambda: held.drop(T1), lambda: held.lay_out(T1, (payload(),), ME)):
        with pytest.raises(DataMountError, match="not empty"):
            work()
    assert (tmp_path / "image/layer").read_text() == "kept" and (tmp_path / T1 / "file").read_text() == "kept"


def test_a_task_that_has_no_files_can_be_dropped(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    mounts(kernel, tmp_path / "data").drop(T1)
    assert kernel.calls == []


def test_the_files_of_a_task_are_dropped_and_may_be_dropped_again(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    held = mounts(kernel, tmp_path)
    held.lay_out(T1, (payload(),), ME)
    held.drop(T1)
    assert not (tmp_path / T1).exists() and not kernel.mounted
    held.drop(T1)


def test_a_sweep_takes_all_but_those_to_keep(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    held = mounts(kernel, tmp_path / "data")
    assert held.sweep(()) == []
    for task_id in (T1, T2, T3):
        held.lay_out(task_id, (payload(),), ME)
    (tmp_path / "data" / T4).mkdir()  # a crash between making the folder and mounting
    assert held.sweep({T2}) == [T1, T3, T4]
    assert list(kernel.mounted) == [f"{tmp_path}/data/{T2}"]
    assert [entry.name for entry in (tmp_path / "data").iterdir()] == [T2]


def test_a_sweep_leaves_alone_what_is_not_of_a_task(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    (tmp_path / "overlay2").mkdir()
    (tmp_path / "overlay2" / "layer").write_text("kept")
    assert mounts(kernel, tmp_path).sweep(()) == []
    assert (tmp_path / "overlay2" / "layer").read_text() == "kept"


def test_a_link_in_the_place_of_a_task_is_removed_and_not_followed(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    root = tmp_path / "data"
    root.mkdir()
    (root / T1).symlink_to(precious)
    mounts(kernel, root).drop(T1)
    assert (precious / "file").read_text() == "kept" and not (root / T1).is_symlink()


@pytest.mark.parametrize("task_id", ["", "..", "a/b", "a\0"])
def test_only_ids_of_tasks_name_a_place(kernel: Kernel, tmp_path: pathlib.Path, task_id: str) -> None:
    with pytest.raises(DataMountError, match="is no id of a task"):
        mounts(kernel, tmp_path).drop(task_id)


def test_files_are_bound_read_only_beside_the_services_own_mounts(kernel: Kernel, tmp_path: pathlib.Path) -> None:
    body: dict[str, Any] = {"HostConfig": {"Mounts": [{"Type": "volume", "Target": "/data"}]}}
    bind(body, mounts(kernel, tmp_path).lay_out(T1, (payload(),), ME))
    assert body["HostConfig"]["Mounts"] == [
        {"Type": "volume", "Target": "/data"},
        {
            "Type": "bind",
            "Source": f"{tmp_path}/{T1}/0",
            "Target": "/run/secrets/db",
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rprivate"},
        },
    ]


def test_with_user_namespaces_the_files_belong_to_who_is_root_in_there() -> None:
    assert owner_of({"DockerRootDir": "/var/lib/docker"}) == (0, 0)
    remapped = {"SecurityOptions": ["name=seccomp,profile=default", "name=userns"]}
    assert owner_of(remapped | {"DockerRootDir": "/var/lib/docker/231072.231073"}) == (231072, 231073)
    assert owner_of(remapped | {"DockerRootDir": "/var/lib/docker"}) == (0, 0)
    assert owner_of({"DockerRootDir": "/var/lib/docker/231072.231073"}) == (0, 0)
