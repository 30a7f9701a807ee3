# SPDX-License-Identifier: Apache-2.0
"""Nothing secret in what others can read: logs, arguments, environment, answers, containers, modes of files."""

from __future__ import annotations

import base64
import json
import pathlib
import re
import signal
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon.kit import ApiError, Daemon, container_of, service_spec, until
from security.kit import Manager, files

from queenright.edge.pki.keys import make_csr, make_key

PASSWORD = "correct-horse-battery-staple"
HUSH = "bees-know-the-way-home-7413"
HUSH_ENCODED = base64.b64encode(HUSH.encode()).decode()
AUTH = base64.urlsafe_b64encode(json.dumps({"username": "bee", "password": PASSWORD}).encode()).decode()


def pem_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if len(line) > 40 and not line.startswith("-----")]


class Secrets:
    """Everything that must not be seen, gathered while it is used."""

    def __init__(self) -> None:
        self.texts = {PASSWORD, AUTH, HUSH, HUSH_ENCODED}

    def token(self, text: str) -> str:
        self.texts |= {text, text.rpartition("-")[2]}
        return text

    def key(self, pem: bytes) -> bytes:
        self.texts |= set(pem_lines(pem.decode()))
        return pem

    def leaked(self, text: str) -> list[str]:
        found = [f"{secret[:6]}..." for secret in self.texts if secret in text]
        return found + re.findall(r"-----BEGIN [A-Z ]*PRIVATE KEY", text)


@pytest.fixture(scope="module")
def secrets(manager: Manager, worker: Daemon) -> Iterator[Secrets]:
    """A life full of secrets: joins by token and ticket, good and bad, rotation, credentials, restarts."""
    secrets, daemon = Secrets(), manager.daemon
    for role in ("Worker", "Manager"):
        secrets.token(daemon.token(role))
    for one in (daemon, worker):
        secrets.key((one.state_dir / "certificates" / "swarm-node.key").read_bytes())
    key = secrets.key(make_key())
    ticket = secrets.token(manager.ticket(key))
    manager.join(make_csr(key), ticket=ticket)
    manager.join(make_csr(secrets.key(make_key())), ticket=ticket)
    manager.join(make_csr(secrets.key(make_key())), token=secrets.token(daemon.token("Manager")))
    wrong = secrets.token(daemon.token()[:-5] + "zzzzz")
    manager.join(make_csr(make_key()), token=wrong)
    for one in (daemon, worker):
        with pytest.raises(ApiError) as caught:
            one.post("/swarm/join", {"RemoteAddrs": [manager.addr], "JoinToken": wrong})
        assert not secrets.leaked(str(caught.value))
    cluster = daemon.get("/swarm")
    version = cluster["Version"]["Index"]
    daemon.post(f"/swarm/update?version={version}&rotateWorkerToken=1&rotateManagerToken=1", cluster["Spec"])
    for role in ("Worker", "Manager"):
        secrets.token(daemon.token(role))
    spec = service_spec("leak", 2)
    service = daemon.post("/services/create", spec, headers={"X-Registry-Auth": AUTH})["ID"]
    daemon.running("leak", 2)
    found = daemon.get(f"/services/{service}")
    target = f"/services/{service}/update?version={found['Version']['Index']}"
    daemon.post(target, found["Spec"] | {"Labels": {"a": "b"}}, headers={"X-Registry-Auth": AUTH})
    private = service_spec("private", 1)
    private["TaskTemplate"]["ContainerSpec"]["Image"] = "127.0.0.1:1/private/image:1"
    daemon.post("/services/create", private, headers={"X-Registry-Auth": AUTH})
    until(lambda: any(task["Status"].get("Err") for task in daemon.get("/tasks")), lambda: daemon.get("/tasks"))
    daemon.post("/services/create", service_spec("keeper", 0, Secrets=[_kept(daemon, secrets)]))
    _declared(daemon, secrets)
    _locked(daemon, secrets)
    for one in (daemon, worker):
        one.signal(signal.SIGHUP)
        one.stop()
        one.start("--log-level=debug")
        one.becomes(state="active", ready=True)
    yield secrets
    for name in ("leak", "private", "keeper"):
        daemon.api("DELETE", f"/services/{name}")


def _locked(daemon: Daemon, secrets: Secrets) -> None:
    """Managers are locked for a while: a key, another one, a restart, wrong keys and the right one."""

    def lock(on: bool, more: str = "") -> None:
        cluster = daemon.get("/swarm")
        spec = cluster["Spec"] | {"EncryptionConfig": {"AutoLockManagers": on}}
        daemon.post(f"/swarm/update?version={cluster['Version']['Index']}{more}", spec)

    def key() -> str:
        return secrets.token(daemon.get("/swarm/unlockkey")["UnlockKey"])

    def locked() -> int:
        """How often the manager has closed its keys."""
        return sum("are locked by the unlock key" in str(line.get("message")) for line in daemon.logged())

    lock(True)
    former = key()
    until(lambda: locked() == 1, daemon.tail)
    lock(True, "&rotateManagerUnlockKey=1")
    present = key()
    assert former != present
    until(lambda: locked() == 2, daemon.tail)
    daemon.stop()
    daemon.start("--log-level=debug")
    for wrong in (former, secrets.token("SWMKEY-1-" + "A" * 43), HUSH):
        with pytest.raises(ApiError) as caught:
            daemon.post("/swarm/unlock", {"UnlockKey": wrong})
        assert not secrets.leaked(str(caught.value))
    daemon.post("/swarm/unlock", {"UnlockKey": present})
    daemon.becomes(state="active", ready=True)
    lock(False)


def _kept(daemon: Daemon, secrets: Secrets) -> dict[str, Any]:
    """A reference to a secret, after some that were refused."""
    for body in ({"Name": "-", "Data": HUSH_ENCODED}, {"Name": "kept", "Data": HUSH}, {"Data": HUSH_ENCODED}):
        with pytest.raises(ApiError) as caught:
            daemon.post("/secrets/create", body)
        assert not secrets.leaked(str(caught.value))
    key = daemon.post("/secrets/create", {"Name": "kept", "Data": HUSH_ENCODED})["ID"]
    file = {"Name": "kept", "UID": "0", "GID": "0", "Mode": 0o400}
    return {"SecretID": key, "SecretName": "kept", "File": file}


def _declared(daemon: Daemon, secrets: Secrets) -> None:
    """A secret's new version, rolled out, and credentials for a registry, as a playbook declares them."""
    auth = base64.b64encode(json.dumps({"username": "bee", "password": PASSWORD}).encode()).decode()
    secrets.texts.add(auth)
    encoded = base64.b64encode(f"{HUSH}!".encode()).decode()
    for wish in (
        {"kind": "secret", "name": "kept", "context": {"data": encoded}},
        {"kind": "secret", "name": "kept", "context": {"data": HUSH}},
        {"kind": "registry", "name": "r.example.com", "context": {"data": auth}},
        {"kind": "registry", "name": "bad server", "context": {"data": auth}},
    ):
        for query in ("?dry_run=1", ""):
            status, _, text = daemon.exchange("POST", f"/queenright/v1/apply{query}", wish)
            assert status in (200, 400)
            assert not secrets.leaked(text.decode())
    daemon.post("/queenright/v1/secrets/prune")
    keeper = daemon.get("/services/keeper")["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert keeper["Secrets"][0]["SecretName"] == "kept.v2"


def test_the_scan_finds_what_it_looks_for(secrets: Secrets) -> None:
    assert secrets.leaked(f"x{PASSWORD}y") and secrets.leaked("-----BEGIN PRIVATE KEY-----")
    assert len(secrets.texts) > 15 and all(len(text) > 20 for text in secrets.texts)


def test_no_log_at_its_loudest_holds_a_secret(manager: Manager, worker: Daemon, secrets: Secrets) -> None:
    for daemon in (manager.daemon, worker):
        text = daemon.log_path.read_text()
        assert '"level": "debug"' in text
        assert secrets.leaked(text) == []


def test_no_process_shows_one_in_arguments_or_environment(manager: Manager, worker: Daemon, secrets: Secrets) -> None:
    for daemon in (manager.daemon, worker):
        shown = [pathlib.Path(f"/proc/{daemon.pid}/{name}").read_text() for name in ("cmdline", "environ", "comm")]
        shown.append(daemon.run("config", "--json").stdout + daemon.run("status").stdout)
        assert secrets.leaked("\n".join(shown)) == []


def test_answers_hold_join_tokens_only_where_docker_has_them(
    manager: Manager, worker: Daemon, secrets: Secrets
) -> None:
    for path in (
        *("/info", "/nodes", "/services", "/tasks", "/services?status=true", "/services/leak?insertDefaults=1"),
        *("/services/leak", "/queenright/v1/status", "/_ping", "/version", "/swarm/unlockkey", "/containers/json"),
        *("/secrets", "/services/keeper", "/secrets/kept", "/secrets/kept.v2", "/queenright/v1/registries"),
        *("/queenright/v1/why/leak.1", "/queenright/v1/wait?kind=service&id=leak&timeout=0", "/events?until=1"),
    ):
        status, headers, text = manager.daemon.exchange("GET", path)
        assert status == 200, (path, text)
        assert secrets.leaked(text.decode() + str(headers)) == [], path
        _, headers, text = worker.exchange("GET", path)
        assert secrets.leaked(text.decode() + str(headers)) == [], path
    assert worker.exchange("GET", "/swarm")[0] == 503
    swarm = manager.daemon.get("/swarm")
    assert set(swarm.pop("JoinTokens")) == {"Worker", "Manager"}
    assert secrets.leaked(json.dumps(swarm)) == []


def test_a_plan_of_apply_holds_no_credentials(manager: Manager, secrets: Secrets) -> None:
    wish = {"kind": "service", "name": "leak", "state": "present", "options": {"replicas": 3}}
    plan = manager.daemon.post("/queenright/v1/apply?dry_run=1", wish)
    assert plan["changed"] and secrets.leaked(json.dumps(plan)) == []


def test_containers_carry_no_secret(manager: Manager, worker: Daemon, secrets: Secrets) -> None:
    seen = 0
    for daemon in (manager.daemon, worker):
        for task in manager.daemon.tasks("leak"):
            status, _, text = daemon.exchange("GET", f"/containers/{container_of(task)}/json")
            seen += status == 200
            assert secrets.leaked(text.decode()) == []
    assert seen == 2


def test_files_of_the_state_are_root_s_and_only_certificates_may_be_read(manager: Manager, worker: Daemon) -> None:
    for daemon in (manager.daemon, worker):
        found = files(daemon.state_dir)
        assert {"swarm-node.key", "tasks.db", "state.json"} <= {path.name for path in found}
        for path in found:
            status = path.lstat()
            allowed = 0o644 if path.suffix == ".crt" else 0o600
            assert stat.S_ISREG(status.st_mode), path
            assert stat.S_IMODE(status.st_mode) & ~allowed == 0, (path, oct(status.st_mode))
            assert (status.st_uid, status.st_gid) == (0, 0)
        assert not list(daemon.state_dir.rglob("*root*.key"))


def test_a_worker_s_disk_holds_no_key_but_its_own_and_no_token(
    manager: Manager, worker: Daemon, secrets: Secrets
) -> None:
    own = set(pem_lines((worker.state_dir / "certificates" / "swarm-node.key").read_text()))
    for path in files(worker.state_dir):
        text = path.read_bytes().decode(errors="replace")
        found = [secret for secret in secrets.texts if secret in text and secret not in own]
        assert [secret for secret in found if secret not in (PASSWORD, AUTH)] == [], path
        assert path.name == "swarm-node.key" or "PRIVATE KEY" not in text
