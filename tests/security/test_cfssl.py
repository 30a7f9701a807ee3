# SPDX-License-Identifier: Apache-2.0
"""A real cfssl signs for a swarm: from the founding on, when nodes join and renew, while it is away, there and back."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import pathlib
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest
from compat.daemon.kit import DOCKER, ApiError, Daemon, until
from cryptography import x509
from cryptography.x509.oid import NameOID
from runtime.app.kit import Dockerd
from security.kit import files, free_ports
from security.outside import Authority

from queenright.model.ids import new_id

CLUSTER = new_id(b"c" * 17)
OWN = "swarm-ca-"


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Dockerd]:
    made = Dockerd()
    yield made
    made.close()


class Site:
    """An authority, and daemons whose engines run nothing."""

    def __init__(self, dockerd: Dockerd) -> None:
        self._dockerd = dockerd
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qr"))
        self.ca = Authority(self.folder / "ca").start()
        self.daemons: list[Daemon] = []
        self.addrs: dict[Daemon, str] = {}

    def daemon(self) -> Daemon:
        made = Daemon(self.folder / f"d{len(self.daemons)}", str(self._dockerd.path))
        self.daemons.append(made)
        self.addrs[made] = f"127.0.0.1:{free_ports()}"
        return made.start("--log-level=debug")

    def init(self, **more: Any) -> Daemon:
        made = self.daemon()
        made.post("/swarm/init", {**self.addresses(made), **more})
        made.becomes(state="active", ready=True)
        return made

    def found_outside(self) -> Daemon:
        first = self.ca.first(CLUSTER)
        identity = {"Key": first.key, "Certificate": first.certificate, "RootCertificate": first.root_certificate}
        return self.init(Spec=self.spec(), FirstManager=identity)

    def spec(self) -> dict[str, Any]:
        return {"CAConfig": {"ExternalCAs": [self.ca.entry]}}

    def addresses(self, daemon: Daemon) -> dict[str, str]:
        return {"ListenAddr": self.addrs[daemon], "AdvertiseAddr": self.addrs[daemon]}

    def joining(self, daemon: Daemon, through: Daemon, role: str = "Worker") -> dict[str, Any]:
        token = through.token(role)
        return {**self.addresses(daemon), "RemoteAddrs": [self.addrs[through]], "JoinToken": token}

    def join(self, through: Daemon, role: str = "Worker") -> Daemon:
        made = self.daemon()
        made.post("/swarm/join", self.joining(made, through, role))
        made.becomes(state="active", ready=True)
        return made

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.close()
        self.ca.stop()
        logs = "".join(daemon.log_path.read_text(errors="replace") for daemon in self.daemons)
        shutil.rmtree(self.folder)
        assert "Traceback" not in logs, logs[-4000:]


@pytest.fixture
def site(dockerd: Dockerd) -> Iterator[Site]:
    made = Site(dockerd)
    yield made
    made.close()


def certificate(daemon: Daemon) -> x509.Certificate:
    path = daemon.state_dir / "certificates" / "swarm-node.crt"
    return x509.load_pem_x509_certificate(path.read_bytes())


def issuer(daemon: Daemon) -> str:
    return str(certificate(daemon).issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def serial(daemon: Daemon) -> str:
    return f"{certificate(daemon).serial_number:x}"


def roots(daemon: Daemon) -> str:
    return (daemon.state_dir / "certificates" / "swarm-root-ca.crt").read_text()


def rotate(manager: Daemon, **options: Any) -> None:
    manager.post("/queenright/v1/ca", options)


def turned(daemons: list[Daemon], root_name: str) -> None:
    """No change is under way, and all nodes have certificates below a root of that name alone, and sessions."""
    until(lambda: daemons[0].get("/queenright/v1/ca")["rotation"] is None, daemons[0].tail)
    for daemon in daemons:
        until(lambda daemon=daemon: issuer(daemon).startswith(root_name), daemon.tail)
        until(lambda daemon=daemon: roots(daemon) == roots(daemons[0]), daemon.tail)
        daemon.becomes(state="active", ready=True)
    assert roots(daemons[0]).count("BEGIN CERTIFICATE") == 1


def role(manager: Daemon, node_id: str, wanted: str) -> None:
    node = manager.nodes()[node_id]
    spec = {**node["Spec"], "Role": wanted}
    manager.post(f"/nodes/{node_id}/update?version={node['Version']['Index']}", spec)


def keys(daemon: Daemon) -> set[str]:
    """The files of a host that hold a private key."""
    found = set()
    for path in files(daemon.state_dir):
        with contextlib.suppress(FileNotFoundError):  # it was put in the place of another one
            if b"PRIVATE KEY" in path.read_bytes():
                found.add(path.name)
    return found


# -- from the founding on


def test_a_swarm_is_founded_below_it_and_has_no_key_of_a_ca(site: Site) -> None:
    manager = site.found_outside()
    ca = manager.get("/queenright/v1/ca")
    assert (ca["has_key"], ca["root_certificate"], ca["cluster_id"]) == (False, site.ca.root, CLUSTER)
    assert manager.status()["node_id"] == new_id(b"f" * 17)
    until(lambda: site.ca.asked, manager.tail)  # the key that came with the request is given up at once
    asked = site.ca.asked[0]
    assert asked["subject"]["names"] == [{"O": CLUSTER, "OU": "swarm-manager"}] and asked["profile"] == ""
    until(lambda: manager.get("/queenright/v1/ca")["certificates"], manager.tail)
    until(lambda: serial(manager) in [one["serial"] for one in manager.get("/queenright/v1/ca")["certificates"]])
    until(lambda: keys(manager) == {"swarm-node.key"}, lambda: keys(manager))  # the one for the renewal goes with it


def test_the_key_that_founded_is_out_of_use_and_nowhere(site: Site) -> None:
    manager = site.daemon()
    first = site.ca.first(CLUSTER)
    identity = {"Key": first.key, "Certificate": first.certificate, "RootCertificate": first.root_certificate}
    manager.post("/swarm/init", {**site.addresses(manager), "Spec": site.spec(), "FirstManager": identity})
    founded = x509.load_pem_x509_certificate(first.certificate.encode())
    until(lambda: certificate(manager).public_key() != founded.public_key(), manager.tail)
    secret = "".join(first.key.splitlines()[1:-1])
    for path in files(manager.folder):
        if path.is_file():
            held = path.read_bytes().replace(b"\n", b"")
            assert secret[:48].encode() not in held, path


def test_nodes_join_are_promoted_and_demoted_by_its_certificates(site: Site) -> None:
    manager = site.found_outside()
    worker, second = site.join(manager), site.join(manager, "Manager")
    assert {issuer(one) for one in (manager, worker, second)} == {"ext-swarm-ca"}
    before = serial(worker)
    role(manager, worker.status()["node_id"], "manager")
    until(lambda: worker.status()["role"] == "manager" and serial(worker) != before, worker.tail)
    role(manager, worker.status()["node_id"], "worker")
    until(lambda: worker.status()["role"] == "worker", worker.tail)
    unit = NameOID.ORGANIZATIONAL_UNIT_NAME
    until(lambda: certificate(worker).subject.get_attributes_for_oid(unit)[0].value == "swarm-worker", worker.tail)
    assert site.ca.refused == []
    for node in (manager, worker, second):
        assert node.stop() == 0
        node.start()
    for node in (manager, worker, second):
        node.becomes(state="active", ready=True)


def test_who_may_not_ask_gets_nothing(site: Site) -> None:
    """The worker's certificate opens the way through TLS, and the front ends it."""
    manager = site.found_outside()
    worker = site.join(manager)
    asked = len(site.ca.asked)
    assert ask(site, worker) == 403
    assert (site.ca.refused, len(site.ca.asked)) == (["swarm-worker"], asked)
    assert ask(site, manager) == 400  # cfssl itself judges the request: there is none in it


def ask(site: Site, member: Daemon) -> int:
    folder = member.state_dir / "certificates"
    context = ssl.create_default_context(cadata=site.ca.root)
    context.load_cert_chain(folder / "swarm-node.crt", folder / "swarm-node.key")
    connection = http.client.HTTPSConnection("127.0.0.1", site.ca.port, context=context, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/api/v1/cfssl/sign", b"{}")
        return connection.getresponse().status


def test_the_docker_command_line_founds_with_files_that_stand_ready(site: Site) -> None:
    """It cannot send the identity, so that stands where a manager keeps its own; a refusal leaves it there."""
    daemon = site.daemon()
    first = site.ca.first(CLUSTER)
    folder = daemon.state_dir / "certificates"
    assert "an external CA signs only for managers" in docker_init(site, daemon)
    folder.mkdir(mode=0o755)
    (folder / "swarm-node.key").touch(mode=0o600)
    (folder / "swarm-node.key").write_text(first.key)
    (folder / "swarm-node.crt").write_text(first.certificate)
    (folder / "swarm-root-ca.crt").write_text(first.root_certificate)
    site.ca.stop_front()
    assert "at least one valid, reachable external CA" in docker_init(site, daemon)
    assert daemon.status()["state"] == "inactive"
    site.ca.start_front()
    assert "is now a manager" in docker_init(site, daemon)
    assert daemon.becomes(state="active", ready=True)["node_id"] == new_id(b"f" * 17)


def docker_init(site: Site, daemon: Daemon) -> str:
    """What the docker command line says to ``swarm init``."""
    root = site.ca.folder / "ca.pem"
    flags = [f"--{name}={site.addrs[daemon]}" for name in ("listen-addr", "advertise-addr")]
    flags.append(f"--external-ca=protocol=cfssl,url={site.ca.url},cacert={root}")
    command = [DOCKER, f"--host=unix://{daemon.socket}", "swarm", "init", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


# -- away, and there again


@pytest.mark.parametrize("gone", ["front", "cfssl"])
def test_what_runs_goes_on_while_it_is_away_and_what_waits_is_signed_afterwards(site: Site, gone: str) -> None:
    manager = site.found_outside()
    worker = site.join(manager)
    until(lambda: len(site.ca.asked) >= 2, manager.tail)
    (site.ca.stop_front if gone == "front" else site.ca.stop_cfssl)()
    before, key = serial(worker), worker.status()["node_id"]
    role(manager, key, "manager")
    words = "could not be asked" if gone == "front" else "status 502"
    until(lambda: worker.said("no external CA has signed") and worker.said(words), worker.tail)
    assert (worker.status()["role"], serial(worker)) == ("worker", before)
    assert worker.status()["state"] == manager.status()["state"] == "active"
    held = manager.get("/swarm")
    manager.post(f"/swarm/update?version={held['Version']['Index']}", {**held["Spec"], "Labels": {"still": "written"}})
    (site.ca.start_front if gone == "front" else site.ca.start_cfssl)()
    until(lambda: worker.status()["role"] == "manager" and serial(worker) != before, worker.tail)


# -- what is refused


@pytest.mark.parametrize(
    ("bend", "words"),
    [
        ({"OU": "swarm-worker"}, "the certificate is a worker's"),
        ({"OU": "boss"}, "no role of a swarm"),
        ({"O": "a swarm"}, "not an id"),
        ({"L": "elsewhere"}, "says more"),
    ],
)
def test_an_identity_that_no_swarm_would_have_asked_for_founds_nothing(
    site: Site, bend: dict[str, str], words: str
) -> None:
    first = site.ca.first(CLUSTER, **bend)
    refuses(site, {"Key": first.key, "Certificate": first.certificate, "RootCertificate": site.ca.root}, words)


def test_an_identity_of_another_key_or_another_root_founds_nothing(site: Site) -> None:
    first, second = site.ca.first(CLUSTER), site.ca.first(CLUSTER)
    other = Authority(site.folder / "other", "other")
    mixed = {"Key": second.key, "Certificate": first.certificate, "RootCertificate": site.ca.root}
    refuses(site, mixed, "another key")
    stranger = {"Key": first.key, "Certificate": first.certificate, "RootCertificate": other.root}
    refuses(site, stranger, "not issued by this cluster's root")
    refuses(site, {"Key": "x", "Certificate": first.certificate, "RootCertificate": site.ca.root}, "key")
    refuses(site, {"Key": first.key, "Certificate": first.certificate}, "RootCertificate is missing")
    whole = {"Key": first.key, "Certificate": first.certificate, "RootCertificate": site.ca.root}
    refuses(site, whole, "name that CA too", Spec={})


def refuses(site: Site, identity: dict[str, str], words: str, **more: Any) -> None:
    daemon = site.daemon()
    with pytest.raises(ApiError, match=words) as refused:
        body = {**site.addresses(daemon), "Spec": site.spec(), "FirstManager": identity, **more}
        daemon.post("/swarm/init", body)
    assert refused.value.status == 400, refused.value
    assert daemon.status()["state"] == "inactive"
    assert not (daemon.state_dir / "certificates").exists()


# -- there and back


def test_from_outside_to_a_key_of_its_own_and_outside_again(site: Site) -> None:
    manager = site.found_outside()
    daemons = [manager, site.join(manager), site.join(manager, "Manager")]
    old_token = manager.token()
    rotate(manager, rotate=True, external_cas=[])
    turned(daemons, OWN)
    assert manager.get("/queenright/v1/ca")["has_key"] and manager.token() != old_token
    assert [one["profile"] for one in site.ca.asked].count("CA") == 1
    site.ca.clients = roots(manager)
    site.ca.start_front()
    rotate(manager, ca_cert=site.ca.root, external_cas=[{"url": site.ca.url, "ca_cert": site.ca.root}])
    turned(daemons, "ext-swarm-ca")
    assert not manager.get("/queenright/v1/ca")["has_key"]
    turned([*daemons, site.join(manager)], "ext-swarm-ca")


def test_from_a_key_of_its_own_to_outside_and_back(site: Site) -> None:
    manager = site.init()
    daemons = [manager, site.join(manager), site.join(manager, "Manager")]
    site.ca.clients = roots(manager)
    site.ca.start_front()
    rotate(manager, ca_cert=site.ca.root, external_cas=[{"url": site.ca.url, "ca_cert": site.ca.root}])
    turned(daemons, "ext-swarm-ca")
    daemons.append(site.join(manager))
    rotate(manager, rotate=True, external_cas=[])
    turned(daemons, OWN)
    turned([*daemons, site.join(manager)], OWN)
    assert [one["profile"] for one in site.ca.asked].count("CA") == 1
    now = datetime.datetime.now(datetime.UTC)
    assert all(certificate(one).not_valid_after_utc > now for one in daemons)


def test_from_one_outside_to_another_is_refused(site: Site) -> None:
    manager = site.found_outside()
    other = Authority(site.folder / "other", "other")
    other.clients = site.ca.root
    other.start()
    try:
        with pytest.raises(ApiError, match="from one external CA to a different external CA"):
            rotate(
                manager,
                ca_cert=other.root,
                external_cas=[
                    {"url": site.ca.url, "ca_cert": site.ca.root},
                    {"url": other.url, "ca_cert": other.root},
                ],
            )
    finally:
        other.stop()
    assert manager.get("/queenright/v1/ca")["rotation"] is None
