# SPDX-License-Identifier: Apache-2.0
"""Who may open the host socket, and what nonsense on it does: nothing."""

from __future__ import annotations

import grp
import pathlib
import random
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon.kit import PATIENCE, Daemon, service_spec
from security.kit import Manager

NOBODY = 65534
CONNECT = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print('connected')"


@pytest.fixture
def reachable() -> Iterator[Daemon]:
    """A daemon in a folder that everybody may enter."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="qr"))
    folder.chmod(0o755)
    daemon = Daemon(folder, str(folder / "docker.sock"))
    yield daemon
    daemon.close()
    shutil.rmtree(folder)


def connect(daemon: Daemon, user: int, groups: list[int]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/usr/bin/python3", "-c", CONNECT, str(daemon.socket)],
        user=user,
        group=user,
        extra_groups=groups,
        capture_output=True,
        text=True,
        cwd="/",
    )


def test_only_root_and_the_group_may_open_the_socket(reachable: Daemon) -> None:
    group = grp.getgrall()[-1]
    reachable.start(f"--socket-group={group.gr_name}")
    found = reachable.socket.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, group.gr_gid)
    refused = connect(reachable, NOBODY, [])
    assert refused.returncode != 0 and "PermissionError: [Errno 13]" in refused.stderr
    assert connect(reachable, NOBODY, [group.gr_gid]).stdout == "connected\n"


def test_a_group_that_does_not_exist_leaves_the_socket_to_root(reachable: Daemon) -> None:
    reachable.start("--socket-group=nosuchgroup")
    assert reachable.socket.stat().st_gid == 0
    assert reachable.said("there is no group nosuchgroup: only root may use")
    assert "PermissionError" in connect(reachable, NOBODY, []).stderr


def test_the_state_is_root_s_alone(reachable: Daemon) -> None:
    reachable.start()
    assert stat.S_IMODE(reachable.state_dir.stat().st_mode) == 0o700
    reachable.stop()
    reachable.state_dir.chmod(0o755)
    reachable.start()
    assert stat.S_IMODE(reachable.state_dir.stat().st_mode) == 0o700


def raw(daemon: Daemon, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes (and the end), read to the end."""
    got = b""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(PATIENCE)
        stream.connect(str(daemon.socket))
        try:
            stream.sendall(data)
            if end:
                stream.shutdown(socket.SHUT_WR)
            while part := stream.recv(65536):
                got += part
        except (BrokenPipeError, ConnectionResetError):
            pass
    return got


VALID = (
    b"GET /v1.41/info HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /queenright/v1/status HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
    b"POST /v1.41/swarm/init HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n"
    b'{"ListenAddr": "x"}',
    b"POST /swarm/join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"POST /v1.41/containers/x/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
)


def test_random_bytes_get_no_500_and_harm_nobody(reachable: Daemon) -> None:
    reachable.start()
    dice = random.Random(3)
    for number in range(400):
        data = dice.choice(VALID)
        match number % 4:
            case 0:
                data = dice.randbytes(dice.randrange(1, 4000))
            case 1:
                data = data[: dice.randrange(len(data))]
            case 2:
                data = bytes(byte if dice.random() > 0.03 else dice.randrange(256) for byte in data)
            case 3:
                data = data + dice.randbytes(dice.randrange(50)) + dice.choice(VALID)
        answer = raw(reachable, data)
        assert not answer or answer.startswith(b"HTTP/1.1 "), (data, answer)
        assert b"HTTP/1.1 500" not in answer, (data, answer)
    assert reachable.status()["state"] == "inactive"
    assert not [line for line in reachable.logged() if line["level"] in ("error", "critical")]
    assert "Traceback" not in reachable.log_path.read_text(errors="replace")


SCRAPS: tuple[Any, ...] = (
    *(None, True, -1, 0, 1 << 70, 1.5, "", "x" * 300, "\x00", "\ud800", "../../etc", "💥", [], {}, [[]], {"": None}),
    *({"Name": {"Name": 1}}, ["=", "==", ""], "SWMTKN-1-", 1e308, -(1 << 63)),
)


def mutate(dice: random.Random, value: Any, depth: int = 0) -> Any:
    """The value with one or two of its parts replaced by something unexpected."""
    if dice.random() < 0.12 or depth > 6:
        return dice.choice(SCRAPS)
    if isinstance(value, dict):
        return {key: mutate(dice, part, depth + 1) if dice.random() < 0.4 else part for key, part in value.items()}
    if isinstance(value, list):
        return [mutate(dice, part, depth + 1) for part in value] * dice.choice((1, 1, 2))
    return value


def test_strange_specs_are_refused_or_taken_but_break_nothing(manager: Manager) -> None:
    daemon, dice = manager.daemon, random.Random(5)
    full = service_spec("fuzz", 0, Env=["A=b"], Labels={"a": "b"}, Hosts=["1.2.3.4 h"], Mounts=[{"Type": "tmpfs"}])
    full["EndpointSpec"] = {"Mode": "dnsrr", "Ports": [{"TargetPort": 80, "PublishMode": "host"}]}
    full["UpdateConfig"] = {"Parallelism": 1, "Delay": 5, "Order": "stop-first", "MaxFailureRatio": 0.5}
    full["TaskTemplate"]["Resources"] = {"Limits": {"NanoCPUs": 10**8}, "Reservations": {"MemoryBytes": 10**7}}
    full["TaskTemplate"]["Placement"]["Constraints"] = ["node.labels.nowhere==1"]
    full["Labels"] = {"x": "y"}
    cluster, node = daemon.get("/swarm"), daemon.nodes()[manager.node_id]
    options = {"image": "x:1", "replicas": 0, "publish": [{"target_port": 80}], "env": {"A": "b"}, "mounts": []}

    def versions() -> tuple[int, int]:
        return daemon.get("/swarm")["Version"]["Index"], daemon.get(f"/nodes/{node['ID']}")["Version"]["Index"]

    seen: set[int] = set()
    for number in range(200):
        of_swarm, of_node = versions()
        for path, body in (
            ("/services/create", mutate(dice, full)),
            (f"/swarm/update?version={of_swarm}", mutate(dice, cluster["Spec"])),
            (f"/nodes/{node['ID']}/update?version={of_node}", mutate(dice, node["Spec"])),
            ("/queenright/v1/tickets", mutate(dice, {"role": "worker", "key_digest": "sha256:" + "0" * 64})),
            (
                "/queenright/v1/apply?dry_run=1",
                mutate(dice, {"kind": "service", "name": "a", "state": "present", "options": options}),
            ),
            ("/queenright/v1/apply?dry_run=1", {"kind": "swarm", "name": "", "options": mutate(dice, {"labels": {}})}),
        ):
            status, _, text = daemon.exchange("POST", path, body)
            said = text.decode(errors="replace")
            seen.add(status)
            assert "internal error" not in said, (number, path, body, said)
            assert status != 500 or "update out of sequence" in said or "code = Unknown" in said, (path, body, said)
    for service in daemon.get("/services"):
        daemon.api("DELETE", f"/services/{service['ID']}")
    of_swarm, of_node = versions()
    daemon.post(f"/swarm/update?version={of_swarm}", cluster["Spec"])
    daemon.post(f"/nodes/{node['ID']}/update?version={versions()[1]}", node["Spec"])
    assert daemon.becomes(state="active", ready=True)["error"] == ""
    assert daemon.get("/swarm")["JoinTokens"] == cluster["JoinTokens"]
    assert {200, 201, 400} <= seen


def test_filters_and_references_of_any_kind_break_nothing(manager: Manager) -> None:
    daemon, dice = manager.daemon, random.Random(9)
    pieces = [
        "%00",
        "%2e%2e",
        "x",
        "a" * 64,
        "%ff",
        "%F0%9F%92%A5",
        "?",
        "&",
        "=",
        "{",
        "}",
        "[",
        "]",
        '"',
        "%7B%7D",
        "/",
    ]
    for _ in range(300):
        tail = "".join(dice.choice(pieces) for _ in range(dice.randrange(1, 6)))
        root = dice.choice(("/nodes", "/services", "/tasks", "/swarm", "/queenright/v1/why", "/queenright/v1/wait"))
        path = root + dice.choice(("/", "?filters=", "?kind=", "?status=")) + tail.replace('"', "%22")
        answer = raw(daemon, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(), end=False)
        assert answer.startswith(b"HTTP/1.1 ") and b" 500 " not in answer.split(b"\r\n")[0], (path, answer[:300])
    assert daemon.status()["state"] == "active"
