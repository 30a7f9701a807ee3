# SPDX-License-Identifier: Apache-2.0
"""The docker SDK for Python, unmodified, on our socket."""

from __future__ import annotations

import io
import os
import tarfile
import threading

import docker.errors
import pytest
from compat.engine import IMAGE


@pytest.fixture
def container(sdk):
    container = sdk.containers.run(
        IMAGE, ["sh", "-c", "echo started; exec sleep 1000"], detach=True, network_mode="none"
    )
    yield container
    container.remove(force=True)


def test_the_api_version_is_found_by_version_and_ping(sdk) -> None:
    assert sdk.ping()
    assert sdk.version()["Components"][-1]["Name"] == "queenright"
    assert sdk.info()["Swarm"]["NodeID"] == "from-queenright"


def test_run_gives_the_output_and_raises_the_exit_code(sdk) -> None:
    assert sdk.containers.run(IMAGE, ["echo", "hello"], remove=True, network_mode="none") == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as caught:
        sdk.containers.run(IMAGE, ["sh", "-c", "exit 3"], remove=True, network_mode="none")
    assert caught.value.exit_status == 3


def test_exec_in_all_its_ways(sdk, container) -> None:
    assert container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 2"], demux=True) == (2, (b"out\n", b"err\n"))
    _, stream = container.exec_run(["sh", "-c", "echo 1; echo 2"], stream=True)
    assert b"".join(stream) == b"1\n2\n"
    _, sock = container.exec_run(["cat"], stdin=True, socket=True, tty=True)
    sock._sock.sendall(b"typed\n")
    got = b""
    while b"typed\r\ntyped\r\n" not in got:
        got += sock._sock.recv(100)
    sock.close()


def test_attach_by_socket(sdk) -> None:
    container = sdk.containers.create(IMAGE, ["cat"], stdin_open=True, network_mode="none")
    try:
        sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
        container.start()
        sock._sock.sendall(b"through attach")
        header = sock._sock.recv(8)
        assert header[0] == 1
        assert sock._sock.recv(100) == b"through attach"
        sock.close()
    finally:
        container.remove(force=True)


def test_logs_stream_until_the_container_ends(sdk) -> None:
    container = sdk.containers.run(
        IMAGE, ["sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.2; done"], detach=True, network_mode="none"
    )
    try:
        assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
        assert container.wait()["StatusCode"] == 0
    finally:
        container.remove(force=True)


def test_events_can_be_closed_by_their_reader(sdk) -> None:
    events = sdk.events(decode=True, filters={"event": "create"})
    got = []
    reader = threading.Thread(target=lambda: got.extend(events))
    reader.start()
    threading.Event().wait(0.5)
    sdk.containers.create(IMAGE, ["true"], network_mode="none").remove()
    threading.Event().wait(0.5)
    events.close()
    reader.join(60)
    assert not reader.is_alive()
    assert [event["Action"] for event in got] == ["create"]


def test_archives_and_images_pass(sdk, container) -> None:
    data = os.urandom(500_000)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    assert container.put_archive("/tmp", archive.getvalue())
    stream, stat = container.get_archive("/tmp/file")
    assert stat["size"] == len(data)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        assert tar.extractfile("file").read() == data
    image = sdk.images.get(IMAGE)
    saved = b"".join(image.save(named=True))
    assert [loaded.id for loaded in sdk.images.load(saved)] == [image.id]


def test_build_from_a_file_object(sdk) -> None:
    image, _ = sdk.images.build(fileobj=io.BytesIO(f"FROM {IMAGE}\nENV a=b\n".encode()), rm=True, network_mode="none")
    assert "a=b" in image.attrs["Config"]["Env"]
    sdk.images.remove(image.id)


def test_statistics_stream(sdk, container) -> None:
    stream = container.stats(stream=True, decode=True)
    assert {next(stream)["id"], next(stream)["id"]} == {container.id}
    stream.close()


def test_what_is_not_there_is_not_found(sdk) -> None:
    with pytest.raises(docker.errors.NotFound, match="No such container"):
        sdk.containers.get("nosuch")
    with pytest.raises(docker.errors.NotFound, match="page not found"):
        sdk.nodes.list()


def test_one_client_in_many_threads(sdk, container) -> None:
    results = []

    def work(number: int) -> None:
        results.append(container.exec_run(["echo", str(number)]).output)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(results) == sorted(f"{number}\n".encode() for number in range(12))
